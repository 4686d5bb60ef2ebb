"""`saqiya outcomes`."""

import json

import pytest
from typer.testing import CliRunner

from saqiya.cli.app import whole
from saqiya.domain.nouns import Episode, Outcome
from saqiya.loop.flywheel import Flywheel


@pytest.fixture
def run(turned):
    def call(*words, code=0):
        done = CliRunner().invoke(whole(), ["outcomes", *words, "-w", str(turned)])
        assert done.exit_code == code, done.output
        return done.output

    return call


def one_try(turned) -> tuple[str, str]:
    with Flywheel(turned) as wheel:
        found = wheel.store.catalog.all(Episode)[-1]
        return found.id, wheel.key_of(found.id)


def test_what_a_person_says_of_a_try_stands(run, turned):
    one, key = one_try(turned)
    for value in (Outcome.ABORTED, Outcome.SUCCESS):
        (said,) = json.loads(run("say", value, key, "--by", "ann", "--json"))
        assert said == {"episode": one, "outcome": value, "author": "ann"}
    assert run("say", "unknown", one, "--by", "ann") == "1 try: unknown, by ann.\n"


def test_a_table_that_names_no_try_here_is_a_no(run, tmp_path):
    (tmp_path / "trials.csv").write_text("file,result\nnowhere.mcap,success\n")
    told = json.loads(run("read", str(tmp_path / "trials.csv"), "--by", "ann", "--json", code=1))
    assert told["said"] == []
    assert told["lost"] == [{"line": 2, "why": "no log is called 'nowhere.mcap'"}]
