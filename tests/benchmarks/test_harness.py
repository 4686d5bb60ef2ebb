"""A figure without interval, or a bar without judgement, does not get printed; a missed bar is heard."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "harness.py"
FIELDS = {"name", "value", "low", "high", "seeds", "bar", "met", "command"}


@pytest.fixture
def harness(monkeypatch):
    spec = spec_from_file_location("harness_under_test", FILE)
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "harness_under_test", module)
    spec.loader.exec_module(module)
    return module


def test_each_figure_is_one_line_of_json(harness, capsys):
    assert harness.emit([harness.at_most("a.b", harness.exactly(0.04), 0.05, command="make bench")]) == 0
    assert set(json.loads(capsys.readouterr().out)) == FIELDS


def test_a_missed_bar_exits_with_one_after_all_were_printed(harness, capsys):
    missed = harness.at_least("a", harness.exactly(0.4), 0.5, command="c")
    kept = harness.at_least("b", harness.exactly(0.5), 0.5, command="c")
    assert harness.emit([missed, kept]) == 1
    assert [json.loads(line)["met"] for line in capsys.readouterr().out.splitlines()] == [False, True]


def test_a_control_misses_nothing(harness):
    assert harness.emit([harness.shown("a", harness.exactly(0.4), command="c")]) == 0


def test_nan_is_no_figure(harness):
    with pytest.raises(ValueError, match="finite"):
        harness.shown("a", harness.exactly(float("nan")), command="c")


def test_a_bar_needs_a_judgement(harness):
    with pytest.raises(ValueError, match="together"):
        harness.Figure("a", 0.1, 0.0, 0.2, 5, bar=0.3, met=None, command="c")
