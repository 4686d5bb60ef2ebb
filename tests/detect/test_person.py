from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.person import Hand, Person, clip_spans, heard, touches
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Span, Stream
from saqiya.errors import TooLittle

S = 1_000_000_000
STAMPS = np.arange(41, dtype=np.int64) * (S // 10)


def flag(*on):
    values = np.zeros((41, 1), np.uint8)
    for begin, end in on:
        values[begin:end] = 1
    return Stream(STAMPS, values)


def seen(*events, **streams):
    actions = np.random.default_rng(0).normal(size=(41, 2))
    made = {name.replace("__", "/"): stream for name, stream in streams.items()}
    return Seen(
        {"action/executed": Stream(STAMPS, actions), **made},
        tuple(Event(round(t_s * S), name, detail) for t_s, name, detail in events),
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("takeover", (Hand.TAKEOVER, True)),
        ("handback", (Hand.TAKEOVER, False)),
        ("complementary_info.is_intervention", (Hand.TAKEOVER, True)),
        ("intervention/end", (Hand.TAKEOVER, False)),
        ("policy_acting", (Hand.TAKEOVER, False)),
        ("/teleop/takeOver", (Hand.TAKEOVER, True)),
        ("Disengagement", (Hand.TAKEOVER, True)),
        ("/engage", (Hand.TAKEOVER, False)),
        ("/e_stop", (Hand.ESTOP, True)),
        ("/safety/EmergencyStop", (Hand.ESTOP, True)),
        ("e-stop released", (Hand.ESTOP, False)),
        ("protective_stop", (Hand.ESTOP, True)),
        ("phase/grasp", None),
        ("contact/lost", None),
        ("timeout", None),
    ],
)
def test_it_knows_the_words_of_several_houses(name, said):
    assert heard(name) == said


def test_a_takeover_is_the_edge_from_policy_to_operator():
    found = touches((), {"author": flag((12, 20), (30, 35))})
    assert [(touch.t_ns, touch.hand) for touch in found] == [(12 * S // 10, "takeover"), (3 * S, "takeover")]


def test_a_demonstration_is_no_takeover():
    assert touches((), {"author": flag((0, 41))}) == ()


def test_what_an_event_and_a_stream_tell_is_one_takeover():
    assert len(touches((Event(S, "takeover"),), {"author": flag((11, 20)), "is_intervention": flag((12, 20))})) == 1


def test_a_policy_that_no_longer_acts_was_taken_over():
    acting = Stream(STAMPS, (STAMPS < 2 * S).astype(np.float32)[:, None])
    assert [touch.t_ns for touch in touches((), {"policy_acting": acting})] == [2 * S]


def test_a_topic_that_says_false_at_first_is_no_stop():
    events = (Event(0, "/e_stop", "false"), Event(2 * S, "/e_stop", "true"), Event(3 * S, "/e_stop", "false"))
    assert [(touch.t_ns, touch.hand) for touch in touches(events, {})] == [(2 * S, "estop")]


def test_a_mode_that_is_told_in_words_is_heard():
    events = (Event(0, "/safety_mode", "NORMAL"), Event(2 * S, "/safety_mode", "PROTECTIVE_STOP"))
    assert [(touch.t_ns, touch.hand) for touch in touches(events, {})] == [(2 * S, "estop")]
    assert touches((Event(S, "/rosout", "[2] driver: no emergency stop is wired to this robot"),), {}) == ()


def test_clips_are_cut_to_the_try_and_merged():
    assert clip_spans([5 * S, 20 * S, 60 * S], Span(0, 65 * S)) == (Span(0, 30 * S), Span(50 * S, 65 * S))


def test_clips_that_do_not_meet_stay_apart():
    assert clip_spans([20 * S, 45 * S], Span(0, 90 * S)) == (Span(10 * S, 30 * S), Span(35 * S, 55 * S))


def test_a_moment_outside_of_the_try_has_no_clip():
    assert clip_spans([100 * S], Span(0, 65 * S)) == ()


def test_the_score_is_one_while_a_person_acts_and_two_after_a_stop():
    fitted = Person().fit([seen(author=flag())])
    scores = fitted.score(seen((3.5, "e_stop", ""), author=flag((12, 20))))[1]
    assert scores[:12].tolist() == [0.0] * 12
    assert scores[12:20].tolist() == [1.0] * 8
    assert scores[20:35].tolist() == [0.0] * 15
    assert scores[35:].tolist() == [2.0] * 6


def test_a_takeover_that_changes_much_weighs_more():
    fitted = Person().fit([seen(author=flag()) for _ in range(3)])
    wish = Stream(STAMPS, np.zeros((41, 2)))
    other = {dx: Stream(STAMPS, np.full((41, 2), float(dx))) for dx in (0, 3)}
    little, much = (
        fitted.score(seen(author=flag((12, 20)), action__intended=wish, action__operator=other[dx]))[1].max()
        for dx in (0, 3)
    )
    assert little == 1.0
    assert much > 3.0


def test_it_says_what_the_person_did():
    fitted = Person().fit([seen(author=flag())])
    tried = seen((1.0, "takeover", ""), author=flag())
    assert fitted.reason(tried, S) == "a person took over (takeover)"
    assert fitted.reason(tried, S // 2) == ""


def test_tries_that_never_say_who_acts_teach_nothing():
    with pytest.raises(TooLittle, match="who acted"):
        Person().fit([seen()])
