"""Requests that nobody would think of, drawn from the interface's description: each is answered, none with a fault.

`make bench ONLY=interface` draws more of them.
"""

import shutil
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.python.asgi import HOST
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from tests.server.conftest import SECRET, house_at
from tests.server.test_openapi import OPERATIONS

from saqiya.domain.words import Rank
from saqiya.server.app import create_app
from saqiya.server.settings import ServerSettings

CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection, unsupported_method,
)  # fmt: skip
FEW = settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def drawn(turned_once, tmp_path_factory):
    """The description of a workspace's interface, bound to it, and the token of its admin."""
    place = Path(shutil.copytree(turned_once.store.root, tmp_path_factory.mktemp("drawn") / "w"))
    house = house_at(place)
    app = create_app(house.wheel, ServerSettings(secret=SECRET, public=f"http://{HOST}"))
    headers = {"Authorization": f"Bearer {house.token('admin', Rank.ADMIN)}"}
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=dict(headers))
    yield schema.exclude(path="/live"), headers
    house.wheel.close()


@pytest.mark.parametrize(("path", "method"), [(path, method) for path, method, _ in OPERATIONS if path != "/live"])
def test_no_request_is_answered_with_a_fault(drawn, path, method):
    schema, headers = drawn

    @FEW
    @given(case=schema[path][method].as_strategy())
    def ask(case):
        case.call_and_validate(headers=headers, checks=CHECKS)

    ask()


def test_no_chain_of_requests_ends_in_a_fault(drawn):
    schema, headers = drawn

    class Chains(schema.as_state_machine()):
        def get_call_kwargs(self, _):
            return {"headers": headers}

        def validate_response(self, response, case, **_):
            case.validate_response(response, checks=CHECKS, headers=headers)

    Chains.run(settings=settings(FEW, max_examples=4, stateful_step_count=6))
