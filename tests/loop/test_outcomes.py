"""How tries ended, on a person's word."""

import numpy as np
import pytest

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import Episode, Outcome, OutcomeClaim
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import UnknownId, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.flywheel import Flywheel


@pytest.fixture
def lab(tmp_path):
    for number in range(6):
        t_ns = np.arange(40) * 20_000_000
        state = Stream(t_ns, np.random.default_rng(number).normal(size=(40, 3)))
        facts = {"outcome": "success", "claimed_by": "rule"} if number < 2 else {}
        log = EpisodeLog(f"try-{number}", {"observation/state": state}, (), {"task": "stack cups", **facts})
        McapFormat().write(log, tmp_path / f"day-{number}.mcap")
    with Flywheel.init(tmp_path / "lab") as wheel:
        wheel.ingest([tmp_path / f"day-{number}.mcap" for number in range(6)])
        yield wheel


def tries(wheel) -> dict[str, str]:
    return {one.key_in_recording: one.id for one in wheel.store.catalog.all(Episode)}


def ended(wheel) -> dict[str, Outcome]:
    found = outcomes_of(wheel.store, wheel.store.catalog.all(Episode))
    return {name: found[one] for name, one in tries(wheel).items()}


def test_a_persons_newest_word_counts_before_the_logs(lab):
    first = tries(lab)["try-0"]
    lab.data.say_outcome([first], Outcome.FAILURE, author="ann")
    assert ended(lab)["try-0"] is Outcome.FAILURE
    lab.data.say_outcome([first], Outcome.UNKNOWN, author="bob")
    assert ended(lab)["try-0"] is Outcome.UNKNOWN
    assert ended(lab)["try-1"] is Outcome.SUCCESS


def test_saying_the_same_again_adds_nothing(lab):
    first = tries(lab)["try-3"]
    once = lab.data.say_outcome([first], Outcome.SUCCESS, author="ann")
    assert lab.data.say_outcome([first], Outcome.SUCCESS, author=" ann ") == once
    assert len(lab.store.catalog.referring(first, OutcomeClaim)) == 1


def test_who_says_nothing_of_whom_is_refused(lab):
    with pytest.raises(UsageError, match="somebody who says it"):
        lab.data.say_outcome([tries(lab)["try-0"]], Outcome.SUCCESS, author="\u200b")
    with pytest.raises(UnknownId):
        lab.data.say_outcome(["nobody"], Outcome.SUCCESS, author="ann")


TABLE = """file,result,notes
day-0.mcap,fail,slipped
day-2.mcap,success,
day-3.mcap,success,first look
day-3.mcap,fail,second look
day-4.mcap,??,
day-9.mcap,success,
"""


def test_a_table_of_trials_says_how_tries_ended_and_what_it_leaves_open(lab, tmp_path):
    (tmp_path / "trials.csv").write_text(TABLE)
    found = lab.data.read_outcomes(tmp_path / "trials.csv", author="ann", columns={})
    assert ended(lab) == {
        "try-0": Outcome.FAILURE,
        "try-1": Outcome.SUCCESS,
        "try-2": Outcome.SUCCESS,
        "try-3": Outcome.FAILURE,
        "try-4": Outcome.UNKNOWN,
        "try-5": Outcome.UNKNOWN,
    }
    assert [row.line for row, _ in found.lost] == [7]
    assert [row.line for row in found.silent] == [6]
    assert [key.rpartition("/")[2] for key, _ in found.conflicts] == ["try-3"]
    assert found.unnamed_n == 2
    again = lab.data.read_outcomes(tmp_path / "trials.csv", author="ann", columns={})
    assert again.claims == found.claims
