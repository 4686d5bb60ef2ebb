from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.incidents import AlarmDraft, incident
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import Event, Span, Stream

S = 1_000_000_000
PHASES = ("reach", "grasp", "lift", "place")


def failed(*events, alarms=(), streams=None, outcome=Outcome.FAILURE):
    made = tuple(Event(int(t_s * S), name) for t_s, name in events)
    span = Span(0, 10 * S)
    return incident(outcome, span=span, events=made, streams=streams or {}, alarms=alarms, phases=PHASES)


def alarm(start_s, detector="distance", score=3.0):
    return AlarmDraft(detector, Span(start_s * S, (start_s + 1) * S), score, 1.5)


@pytest.mark.parametrize("outcome", [Outcome.SUCCESS, Outcome.UNKNOWN])
def test_only_a_failed_try_is_an_incident(outcome):
    assert failed(alarms=[alarm(1)], outcome=outcome) is None


def test_the_moment_is_the_first_alarm():
    found = failed((1, "phase/reach"), alarms=[alarm(5), alarm(3, "disagreement")])
    assert found.moment_ns == 3 * S
    assert found.evidence["alarm_s"] == 3.0
    assert found.evidence["peak/distance"] == 2.0


def test_without_an_alarm_it_is_the_last_progress():
    assert failed((1, "phase/reach"), (4, "phase/grasp"), (10, "timeout")).moment_ns == 4 * S


def test_contact_lost_after_the_last_progress_is_nearer_to_the_failure():
    assert failed((4, "phase/lift"), (6, "contact/lost")).moment_ns == 6 * S


def test_without_any_progress_it_is_the_beginning():
    found = failed((10, "timeout"))
    assert (found.moment_ns, found.phase) == (0, "")


def test_the_phase_is_the_furthest_not_the_latest():
    found = failed((1, "phase/grasp"), (2, "phase/reach"))
    assert found.phase == "grasp"
    assert found.evidence["phases_reached_n"] == 2.0


def test_evidence_says_how_long_nothing_happened():
    found = failed((4, "phase/reach"), (10, "timeout"))
    assert (found.evidence["stalled_s"], found.evidence["length_s"], found.evidence["timeout"]) == (6.0, 10.0, 1.0)


def test_a_second_loss_means_that_it_was_taken_again():
    assert failed((4, "contact/lost"), (6, "contact/lost")).evidence["regained_n"] == 1.0


def test_a_held_stream_shows_a_second_grasp_but_not_chatter():
    held = np.zeros(100)
    held[10:40] = held[60:80] = 1.0
    held[50] = 1.0
    streams = {"contact/held": Stream(np.arange(100, dtype=np.int64) * S // 10, held[:, None])}
    assert failed((4, "contact/lost"), streams=streams).evidence["regained_n"] == 1.0


def test_an_abort_is_a_failure():
    assert failed((5, "abort"), outcome=Outcome.ABORTED).evidence["abort"] == 1.0


def test_a_takeover_is_a_failure_of_the_policy_whatever_came_of_the_try():
    for outcome in (Outcome.SUCCESS, Outcome.UNKNOWN):
        found = failed((1, "phase/reach"), (4, "takeover"), outcome=outcome)
        assert found.moment_ns == 4 * S
        assert (found.evidence["takeover"], found.evidence["person_n"], found.evidence["person_s"]) == (1.0, 1.0, 4.0)


def test_an_emergency_stop_is_one_too():
    found = failed((6, "/e_stop"), outcome=Outcome.UNKNOWN)
    assert found.evidence["estop"] == 1.0
    assert "takeover" not in found.evidence


def test_the_stream_of_authors_tells_a_takeover_as_well():
    author = np.zeros((100, 1), np.uint8)
    author[70:] = 1
    streams = {"author": Stream(np.arange(100, dtype=np.int64) * S // 10, author)}
    assert failed(outcome=Outcome.SUCCESS, streams=streams).moment_ns == 7 * S


def test_what_the_person_reached_is_not_the_policys():
    found = failed(
        (1, "phase/reach"), (4, "takeover"), (5, "phase/grasp"), (6, "contact/lost"), (7, "phase/lift"),
        outcome=Outcome.SUCCESS,
    )  # fmt: skip
    assert (found.phase, found.evidence["phases_reached_n"], found.evidence["lost_n"]) == ("reach", 1.0, 0.0)
    assert (found.evidence["progress_s"], found.evidence["stalled_s"]) == (1.0, 3.0)


def test_an_alarm_before_the_person_is_where_to_look_first():
    assert failed((4, "takeover"), alarms=[alarm(2)], outcome=Outcome.SUCCESS).moment_ns == 2 * S
    assert failed((4, "takeover"), alarms=[alarm(5)], outcome=Outcome.SUCCESS).moment_ns == 4 * S


def test_alarms_alone_do_not_make_a_success_a_failure():
    assert failed(alarms=[alarm(2)], outcome=Outcome.UNKNOWN) is None
