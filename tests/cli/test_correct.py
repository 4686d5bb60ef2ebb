"""`saqiya correct` and what stands behind it: serving stays what it was, and words and packs have commands."""

import json

import pytest
from typer.testing import CliRunner

from saqiya.cli import correct, failures  # noqa: F401 - importing registers their commands
from saqiya.cli.app import app
from saqiya.domain.nouns import CorrectionRequest
from saqiya.errors import UsageError
from saqiya.loop.flywheel import Flywheel


@pytest.fixture
def run(turned):
    def call(*words, code=0):
        done = CliRunner().invoke(app, [*words, "-w", str(turned)])
        assert done.exit_code == code, done.output
        return done.output

    return call


def test_words_on_a_failure_are_shown_with_it(run):
    one = json.loads(run("failures", "list", "--json"))[0]["failure"]
    run("correct", "say", one, "grip it <b>lower</b>", "--author", "ada")
    assert "grip it <b>lower</b>" in run("failures", "show", one)
    (said,) = json.loads(run("failures", "show", one, "--json"))["advice"]
    assert (said["author"], said["text"]) == ("ada", "grip it <b>lower</b>")


def test_a_request_goes_out_as_a_folder(run, turned, fresh):
    run("detect")
    run("triage")
    with Flywheel(turned) as wheel:
        request = wheel.store.catalog.all(CorrectionRequest)[-1]
    words = ("correct", "export", request.id, "--out", str(fresh / "pack"), "--licence", "CC-BY-4.0", "--by", "ada")
    made = json.loads(run(*words, "--json"))
    assert made["settings"]["count"] == request.count
    assert (fresh / "pack" / "index.html").is_file()


def test_the_first_word_may_be_left_out():
    with pytest.raises(UsageError, match="need the request"):
        CliRunner().invoke(app, ["correct", "--given", "x", "-w", "nowhere"], catch_exceptions=False)
    assert "import" in CliRunner().invoke(app, ["correct", "--help"]).output


def test_an_import_says_whose_work_it_is():
    with pytest.raises(UsageError, match="whose work"):
        CliRunner().invoke(app, ["correct", "import", "answer"], catch_exceptions=False)
