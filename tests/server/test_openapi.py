"""The interface's description: committed, whole, and true."""

import json
from pathlib import Path

from saqiya.server.openapi import text

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(text())
OPERATIONS = [(path, method, said) for path, verbs in SCHEMA["paths"].items() for method, said in verbs.items()]


def test_the_committed_description_is_that_of_the_code():
    assert (ROOT / "docs" / "openapi.json").read_text() == text(), "run make openapi, and look at what changed"


def test_every_operation_has_a_name_of_its_own_and_says_what_it_does():
    names = [said["operationId"] for _, _, said in OPERATIONS]
    assert sorted(names) == sorted(set(names))
    assert all(said["description"] for _, _, said in OPERATIONS)


def test_pages_are_not_in_it():
    assert {path.split("/")[1] for path, _, _ in OPERATIONS} == {"api", "live"}


def test_every_operation_tells_its_errors_in_the_one_shape():
    for path, method, said in OPERATIONS:
        told = {status: answer for status, answer in said["responses"].items() if not status.startswith("2")}
        assert "default" in told, f"{method} {path}"
        assert told["default"]["content"]["application/json"]["schema"]["$ref"] == "#/components/schemas/Wrong"


def test_a_signed_in_program_gets_it_and_nobody_else(house, people):
    from saqiya.domain.words import Rank

    assert people[Rank.VIEWER].get("/api/v1/openapi.json").json() == SCHEMA
    assert people[None].get("/api/v1/openapi.json").status_code == 401
