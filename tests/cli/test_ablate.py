"""`saqiya ablate` on a turned wheel."""

import json

import pytest
from typer.testing import CliRunner

from saqiya.cli import ablate  # noqa: F401 - importing registers its command
from saqiya.cli.app import app

FEW = ("--choose", "3", "--seeds", "4", "--tries", "4")


@pytest.fixture
def call(turned):
    return lambda *words: CliRunner().invoke(app, ["ablate", *words, "-w", str(turned)])


def test_the_answer_is_the_last_line_and_the_exit_code(call):
    told = call(*FEW, "--score", "random")
    assert told.stdout.startswith("With 4 seeds of 4 tries you can see differences")
    assert "Split-half ceiling" in told.stdout
    assert "Rollouts: 80." in told.stdout
    made = json.loads(call(*FEW, "--score", "random", "--json").stdout)
    assert told.stdout.rstrip().endswith(made["answer"])
    assert told.exit_code == (0 if made["gained"] else 1)


def test_what_cannot_be_asked_is_an_error_and_no_answer(call):
    done = call("--seeds", "2")
    assert type(done.exception).__name__ == "UsageError"
    assert "4 seeds and 1 try or more" in str(done.exception)
