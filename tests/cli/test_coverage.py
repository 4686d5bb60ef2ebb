"""The commands about coverage and factors, in a workspace for data alone."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from saqiya.cli import coverage  # noqa: F401 - importing registers its commands
from saqiya.cli.app import app
from saqiya.errors import AlreadyThere, UnknownId, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.flywheel import Flywheel
from saqiya.testing import make_episode


@pytest.fixture(scope="module")
def ingested(room):
    logs = room / "coverage-logs"
    logs.mkdir()
    for number, (thing, light) in enumerate([("mug", "day"), ("mug", "dim"), ("pan", "day")]):
        said = {"object": thing, "light": light, "source": "demonstration", "task": "push it"}
        McapFormat().write(make_episode(seed=number, steps=6, metadata=said), logs / f"{number}.mcap")
    with Flywheel.init(room / "coverage") as wheel:
        wheel.ingest(sorted(logs.iterdir()))
    return room / "coverage"


@pytest.fixture
def run(ingested, fresh):
    where = shutil.copytree(ingested, fresh / "lab")

    def call(*words, raises=None):
        done = CliRunner().invoke(app, [*words, "-w", str(where)])
        assert (type(done.exception) if done.exit_code else None) is raises, done.output
        return done.output

    return call


def test_coverage_tells_what_is_missing_and_lays_two_factors_out(run):
    assert "lighting dim with object pan was never shown" in run("coverage")
    told = json.loads(run("coverage", "--json", "--by", "object,lighting"))
    assert told["pair"]["factors"] == ["object", "lighting"]
    assert told["pair"]["shown"] == [[1, 1], [1, 0]]
    assert {"lighting": "dim", "object": "pan"} in [one["factors"] for one in told["gaps"]]
    assert "never" in run("coverage", "--by", "object,lighting")
    run("coverage", "--by", "object", raises=UsageError)
    run("coverage", "--by", "object,weather", raises=UsageError)


def test_the_page_is_written_once(run, fresh):
    run("coverage", "--html", str(fresh / "page.html"))
    assert (fresh / "page.html").read_text().startswith("<!doctype html>")
    run("coverage", "--html", str(fresh / "page.html"), raises=AlreadyThere)


def test_a_person_says_what_a_try_was_and_sees_where_each_value_comes_from(run):
    one = json.loads(run("coverage", "--json"))["factors"]["object"]["values"]
    assert [value["value"] for value in one] == ["mug", "pan"]
    listed = json.loads(run("factors", "list", "--json"))
    assert "object" in [row["factor"] for row in listed["factors"]]
    episode = json.loads(run("factors", "suggest", "--json"))[0]["episode"]
    assert "1 said by ann" in run("factors", "set", episode, "lighting=dark", "--author", "ann")
    rows = json.loads(run("factors", "list", episode, "--json"))
    told = {row["factor"]: (row["value"], row["by"], row["where"]) for row in rows}
    assert told["lighting"] == ("dark", "person", "ann")
    assert told["strategy"] == ("push", "suggested", "the instruction says so")
    assert "1 accepted by ann" in run("factors", "accept", episode, "--author", "ann")
    assert "regrasp" in run("factors", "list")


def test_a_word_that_cannot_be_is_refused(run):
    run("factors", "set", "lighting=dark", "--author", "ann", raises=UsageError)
    run("factors", "set", "nobody", "lighting=dark", "--author", "ann", raises=UnknownId)
