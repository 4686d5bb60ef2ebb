import tomllib

import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.ingest.cut_rules import rules_from
from saqiya.ingest.cut_suggest import as_toml, suggest_rules

S = 1_000_000_000


@pytest.fixture(scope="module")
def offers(day):
    return suggest_rules(day.log)


def test_a_day_offers_events_home_gripper_and_pauses_with_what_each_gives(day, offers):
    found = {one.name: one for one in offers}
    assert set(found) == {"events", "starts", "home", "gripper", "idle"}
    assert next(iter(found)) == "events"
    for name in ("events", "home", "gripper"):
        assert found[name].tries == len(day.truth)
        assert found[name].median_s == pytest.approx(27.0, abs=5.0)
    assert found["idle"].tries == pytest.approx(len(day.truth), abs=12)
    assert found["starts"].share > 0.9 > found["events"].share


def test_suggested_rules_are_written_as_the_toml_that_is_read(offers):
    for one in offers:
        assert rules_from(tomllib.loads(as_toml(one.rules))) == one.rules


def test_words_of_outcomes_become_outcomes():
    events = [
        Event(at * S, "status", word) for at, word in enumerate(["running", "success", "running", "aborted", "x"])
    ]
    log = EpisodeLog("x", {"a": Stream(np.arange(6, dtype=np.int64) * S, np.zeros((6, 1)))}, tuple(events))
    rules = next(one.rules for one in suggest_rules(log) if one.name == "events")
    assert [(one.detail, one.outcome) for one in rules.end] == [("aborted", "aborted"), ("success", "success")]
    assert [one.detail for one in rules.start] == ["running"]


def test_a_log_without_any_hint_gets_no_suggestion():
    still = EpisodeLog("x", {"a": Stream(np.arange(100, dtype=np.int64) * S, np.zeros((100, 1)))})
    assert suggest_rules(still) == ()
