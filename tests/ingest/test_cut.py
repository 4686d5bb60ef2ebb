from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.errors import InvalidMapping
from saqiya.ingest.cut import cut
from saqiya.ingest.cut_rules import rules_from

S = 1_000_000_000
ESTOP = {"event": "safety/estop", "outcome": "aborted"}
RULES = {
    "events": {
        "start": [{"event": "trial/start"}],
        "end": [
            {"event": "trial/end", "detail": "success", "outcome": "success"},
            {"event": "trial/end", "detail": "failure", "outcome": "failure"},
            ESTOP,
        ],
    },
    "gripper": {
        "start": [{"stream": "/gripper/width", "below": 0.06, "hold_s": 0.3}],
        "end": [{"stream": "/gripper/width", "above": 0.07, "hold_s": 0.3}, ESTOP],
    },
    "home": {"home": {"stream": "/joint_states/position", "dwell_s": 3.0}, "end": [ESTOP]},
    "idle": {"idle": {"longer_s": 5.0}, "end": [ESTOP], "limits": {"min_s": 8.0}},
}


def hits(found, true):
    """Share of `found` boundaries within half a second of one of `true`."""
    return float(np.mean([np.abs(np.array(true) - one).min() <= S // 2 for one in found]))


@pytest.mark.parametrize(("name", "least"), [("events", 0.97), ("gripper", 0.99), ("home", 0.99), ("idle", 0.95)])
def test_a_day_is_cut_where_its_tries_began_and_ended(day, name, least):
    spans = cut(day.log, rules_from(RULES[name])).spans
    for found, true in (
        ([one.start_ns for one in spans], [one[0] for one in day.truth]),
        ([one.end_ns for one in spans], [one[1] for one in day.truth]),
    ):
        assert hits(found, true) >= least  # precision
        assert hits(true, found) >= least  # recall


def test_a_day_is_cut_with_the_outcomes_that_were_said(day):
    spans = cut(day.log, rules_from(RULES["events"])).spans
    assert [one.outcome for one in spans] == [outcome for _, _, outcome in day.truth]
    assert all("no end was seen" in one.why for one in spans if not one.outcome)


def test_a_table_of_times_cuts_where_it_says(day):
    zero = day.log.span.start_ns
    rows = [
        {"start": str((a - zero) / S), "end": str((b - zero) / S), "outcome": o, "task": "sort"}
        for a, b, o in day.truth
    ]
    made = cut(day.log, rules_from({"table": rows}))
    off_ns = [abs(one.start_ns - t[0]) + abs(one.end_ns - t[1]) for one, t in zip(made.spans, day.truth, strict=True)]
    assert max(off_ns) < 10_000
    assert all(facts == {"task": "sort"} for facts in made.facts)


def small(events=(), length_s=100, move=((10, 20), (40, 55))):
    """A log of one joint at 20 Hz that moves in some ranges of seconds, and events at seconds."""
    t_s = np.arange(0, length_s, 0.05)
    x = np.zeros_like(t_s)
    for begin, end in move:
        inside = (t_s >= begin) & (t_s < end)
        x[inside] = np.sin(np.pi * (t_s[inside] - begin))
    stream = Stream(np.rint(t_s * S).astype(np.int64), x[:, None])
    return EpisodeLog("small", {"joint/position": stream}, tuple(Event(round(s * S), n, d) for s, n, d in events))


def seconds(made):
    return [(round(one.start_ns / S, 1), round(one.end_ns / S, 1), one.outcome) for one in made.spans]


STARTS = {"start": [{"event": "go"}]}
BOTH = {**STARTS, "end": [{"event": "halt", "outcome": "failure"}]}


def test_only_starts_cut_from_start_to_start_and_the_last_until_it_rests():
    log = small([(10, "go", ""), (40, "go", "")])
    assert seconds(cut(log, rules_from(STARTS))) == [(10, 40, ""), (40, pytest.approx(55, abs=0.2), "")]


def test_only_ends_cut_from_end_to_end_and_leave_the_rest():
    made = cut(small([(30, "halt", ""), (60, "halt", "")]), rules_from({"end": [{"event": "halt"}]}))
    assert seconds(made) == [(0, 30, ""), (30, 60, "")]
    assert [one.why for one in made.leftovers] == ["no end was seen after it"]


def test_a_lost_end_is_where_the_robot_came_to_rest_and_the_cut_says_so():
    made = cut(small([(10, "go", ""), (40, "go", ""), (55, "halt", "")]), rules_from(BOTH))
    assert seconds(made) == [(10, pytest.approx(20, abs=0.2), ""), (40, 55, "failure")]
    assert "no end was seen before another start: it came to rest" in made.spans[0].why


def test_an_unfinished_try_is_dropped_when_the_rules_say_so():
    made = cut(
        small([(10, "go", ""), (40, "go", ""), (55, "halt", "")]),
        rules_from({**BOTH, "limits": {"unfinished": "drop"}}),
    )
    assert seconds(made) == [(40, 55, "failure")]
    assert "no end was seen" in made.leftovers[0].why


def test_an_end_outside_a_try_gives_its_outcome_to_the_try_that_just_ended():
    rules = rules_from({"idle": {"longer_s": 5.0}, "end": [{"event": "halt", "outcome": "failure"}]})
    assert [one[2] for one in seconds(cut(small([(22, "halt", ""), (90, "halt", "")]), rules))] == ["failure", ""]


def test_lengths_are_kept_by_rule():
    log = small([(10, "go", ""), (11, "halt", ""), (40, "go", ""), (90, "halt", "")])
    trimmed = cut(log, rules_from({**BOTH, "limits": {"min_s": 2.0, "max_s": 20.0}}))
    assert seconds(trimmed) == [(40, 60, "")]  # the end that it had was not its own
    assert "trimmed from 50.0 s to 20 s" in trimmed.spans[0].why
    assert any("shorter than 2 s" in one.why for one in trimmed.leftovers)
    dropped = cut(log, rules_from({**BOTH, "limits": {"max_s": 20.0, "too_long": "drop"}}))
    assert seconds(dropped) == [(10, 11, "failure")]


def test_margins_share_the_room_between_neighbours():
    log = small([(10, "go", ""), (20, "halt", ""), (22, "go", ""), (30, "halt", "")])
    made = cut(log, rules_from({**BOTH, "limits": {"pre_s": 15.0, "post_s": 5.0}}))
    assert seconds(made) == [(0, 20.5, "failure"), (20.5, 35, "failure")]


def test_leftovers_become_spans_when_asked_for():
    log = small([(10, "go", ""), (20, "halt", "")])
    made = cut(log, rules_from({**BOTH, "limits": {"leftovers": "keep", "min_s": 1.0}}))
    assert seconds(made) == [(0, 10, ""), (10, 20, "failure"), (20, pytest.approx(100, abs=0.2), "")]
    assert made.leftovers == ()


def test_a_stream_that_stays_beyond_a_value_begins_a_try_and_a_spike_does_not():
    x = np.zeros(200)
    x[50], x[80:120] = 1.0, 1.0
    log = EpisodeLog("x", {"g": Stream(np.arange(200, dtype=np.int64) * S // 10, x[:, None])})
    rule = {"stream": "g", "hold_s": 0.5}
    made = cut(log, rules_from({"start": [{**rule, "above": 0.5}], "end": [{**rule, "below": 0.5}]}))
    assert seconds(made) == [(8, 12, "")]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({"home": {"stream": "nothing"}}, "no stream 'nothing'"),
        ({"home": {"stream": "joint/position", "pose": [1.0, 2.0]}}, "2 numbers"),
        ({"start": [{"stream": "joint/position", "column": 4, "above": 0.0}]}, "no number 4"),
        ({"start": [{"stream": "joint/position", "column": "x", "above": 0.0}]}, "no column 'x'"),
        ({"idle": {"longer_s": 1.0, "streams": ["camera*"]}}, "no stream tells motion"),
    ],
)
def test_rules_that_do_not_fit_the_log_are_refused(raw, said):
    with pytest.raises(InvalidMapping, match=said):
        cut(small(), rules_from(raw))


def test_a_stamp_that_was_never_set_does_not_stretch_the_log(day):
    joints = day.log.streams["/joint_states/position"]
    t_ns = joints.t_ns.copy()
    t_ns[:3] = 0
    streams = {**day.log.streams, "/joint_states/position": Stream(t_ns, joints.values)}
    made = cut(EpisodeLog("day", streams, day.log.events), rules_from(RULES["idle"]))
    assert len(made.spans) == pytest.approx(len(day.truth), abs=3)


MARKS = st.lists(st.tuples(st.floats(-5, 110), st.sampled_from(["go", "halt"])), max_size=20)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "min_s": st.floats(0, 5),
        "max_s": st.floats(6, 60),
        "too_long": st.sampled_from(["trim", "drop"]),
        "pre_s": st.floats(0, 9),
        "post_s": st.floats(0, 9),
        "unfinished": st.sampled_from(["keep", "drop"]),
        "leftovers": st.sampled_from(["keep", "drop"]),
    },
)
KINDS = st.sampled_from(
    [STARTS, BOTH, {"end": BOTH["end"]}, {**BOTH, "idle": {"longer_s": 3.0}}, {"idle": {"longer_s": 3.0}}]
)


@given(MARKS, KINDS, LIMITS)
@settings(max_examples=60, deadline=None)
def test_spans_are_ordered_apart_and_inside_the_log_and_nothing_is_lost(marks, kind, limits):
    log = small(sorted((at, name, "") for at, name in marks))
    made = cut(log, rules_from({**kind, "limits": limits}))
    ranges = sorted([(one.start_ns, one.end_ns) for one in (*made.spans, *made.leftovers)])
    assert list(made.spans) == sorted(made.spans, key=lambda one: one.start_ns)
    assert all(
        start < end and one.why for one, (start, end) in zip((*made.spans, *made.leftovers), ranges, strict=True)
    )
    # Tries and leftovers tile the log: no instant belongs to two, none to nothing.
    assert ranges[0][0] == log.span.start_ns
    assert ranges[-1][1] == log.span.end_ns
    assert all(a[1] == b[0] for a, b in pairwise(ranges))
    assert made == cut(log, rules_from({**kind, "limits": limits}))


@given(st.permutations(["/joint_states/position", "/gripper/width", "/wrench"]), st.sampled_from(sorted(RULES)))
@settings(max_examples=4, deadline=None)
def test_the_order_of_streams_does_not_matter(day, order, name):
    turned = EpisodeLog("day", {one: day.log.streams[one] for one in order}, day.log.events)
    assert cut(turned, rules_from(RULES[name])).spans == cut(day.log, rules_from(RULES[name])).spans


@pytest.mark.parametrize("name", ["events", "idle"])
def test_a_stream_that_is_split_into_one_a_joint_is_cut_alike(day, name):
    joints = day.log.streams["/joint_states/position"]
    parts = {f"/joint_states/position/{n}": Stream(joints.t_ns, joints.values[:, n : n + 1]) for n in range(7)}
    rest = {key: one for key, one in day.log.streams.items() if key != "/joint_states/position"}
    split = EpisodeLog("day", {**rest, **parts}, day.log.events)
    assert cut(split, rules_from(RULES[name])).spans == cut(day.log, rules_from(RULES[name])).spans
