"""The commands about failures, on a turned wheel."""

import json

import pytest
from typer.testing import CliRunner

from saqiya.cli import failures, verbs  # noqa: F401 - importing registers their commands
from saqiya.cli.app import app


@pytest.fixture
def run(turned):
    def call(*words, code=0):
        done = CliRunner().invoke(app, [*words, "-w", str(turned)])
        assert done.exit_code == code, done.output
        return done.output

    return call


def test_failures_are_listed_shown_and_dismissed(run):
    listed = json.loads(run("failures", "list", "--json"))
    assert listed
    one = listed[0]["failure"]
    assert "Life" in run("failures", "show", one)
    run("failures", "dismiss", one, "--reason", "the cell was moved", "--by", "ann")
    told = json.loads(run("failures", "show", one, "--json"))
    assert told["life"][-1]["state"] == "dismissed"
    assert {row["failure"] for row in json.loads(run("failures", "list", "--state", "dismissed", "--json"))} == {one}
    run("failures", "list", "--state", "lost", code=2)


def test_detectors_slices_and_backlog_have_a_page_each(run):
    run("detect")
    run("triage")
    assert "By failure mode" in run("failures", "detectors")
    assert set(json.loads(run("failures", "slices", "--json"))) == {"all", "modes"}
    books = json.loads(run("failures", "backlog", "--json"))
    assert {row["turn"] for row in books["turns"]} == {1, 2}


def test_the_monitor_goes_out_once(run, fresh):
    run("detect")
    out = fresh / "monitor.safetensors"
    told = run("monitor", "export", str(out))
    assert "calibrated for" in told
    assert out.stat().st_size > 0
