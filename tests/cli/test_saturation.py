"""The commands about learning curves and phases, on a wheel after two turns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from saqiya.cli import look, saturation  # noqa: F401 - importing registers their commands
from saqiya.cli.app import app
from saqiya.errors import AlreadyThere

RUN = CliRunner()


def said(*words: str) -> str:
    done = RUN.invoke(app, list(words), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_saturation_shows_curves_gains_and_a_picture(turned: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curve.svg"
    text = said("saturation", "-w", str(turned), "--picture", str(picture))
    assert "10 more bring" in text
    assert "points, 0.0 to " in text
    assert picture.read_text().startswith("<svg")
    with pytest.raises(AlreadyThere):
        said("saturation", "-w", str(turned), "--picture", str(picture))


def test_saturation_in_json_has_points_gains_and_rollouts(turned: Path) -> None:
    told = json.loads(said("saturation", "-w", str(turned), "--by", "factor", "--json"))
    task = told["curves"][0]
    assert task["curve"]["kind"] == "task"
    assert [one["demonstrations"] for one in task["gains"]] == [10, 50]
    assert {one["curve"]["kind"] for one in told["curves"]} >= {"task", "mode"}
    assert told["rollouts"]["verdict"] in {"teach", "stopped", "cannot tell"}
    assert told["rollouts"]["ratio"][0] > 0.0


def test_phases_and_status_say_the_same(turned: Path) -> None:
    (place,) = json.loads(said("phases", "-w", str(turned), "--json"))
    status = json.loads(said("status", "-w", str(turned), "--json"))
    assert status["place"] == place
    assert status["phase"] == place["phase"]
    assert place["needs"][0] in said("phases", "-w", str(turned))
    assert place["needs"][0] in said("status", "-w", str(turned))
