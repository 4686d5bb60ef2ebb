"""What changed between two dataset versions: by episode, by span, by weight."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Role
from saqiya.mix.difference import difference

S = 10**9


def entry(episode, start=0.0, end=10.0, weight=1.0, role=Role.ANCHOR):
    return DatasetEntry(episode, int(start * S), int(end * S), weight, role)


def version(*entries, name="v"):
    return DatasetVersion(id=name, parent=None, entries=entries, manifest_hash="")


def changed(before, after, **labels):
    return difference(version(*before, name="a"), version(*after, name="b"), **labels)


def test_equal_contents_are_the_same_however_they_are_cut_or_ordered():
    whole, halves = [entry("x"), entry("y")], [entry("y"), entry("x", 5, 10), entry("x", 0, 5)]
    found = changed(whole, halves)
    assert found.same
    assert found.lines() == ["Nothing changed: the same spans with the same weights."]


def test_episodes_that_only_one_version_has():
    found = changed([entry("x"), entry("y")], [entry("y"), entry("z")])
    assert (found.added, found.removed, found.spans, found.weights) == (("z",), ("x",), (), ())
    assert found.lines() == ["1 episodes added, 1 removed."]


def test_a_range_that_was_taken_out_and_one_that_was_added():
    found = changed([entry("x", 2, 8)], [entry("x", 0, 5)])
    assert [(one.start_ns / S, one.end_ns / S, one.before, one.after) for one in found.spans] == [
        (0, 2, (), ((1.0, "anchor"),)),
        (5, 8, ((1.0, "anchor"),), ()),
    ]
    assert "In 1 that both have: 2.0 s added in 1 ranges, 3.0 s taken out in 1." in found.lines()


def test_another_weight_and_another_role_over_one_range():
    found = changed([entry("x")], [entry("x", 0, 4), entry("x", 4, 10, 2.0, Role.REPLAY)])
    (one,) = found.weights
    assert (one.start_ns, one.end_ns, one.before, one.after) == (4 * S, 10 * S, ((1.0, "anchor"),), ((2.0, "replay"),))
    assert found.spans == ()
    assert found.lines()[1:] == ["6.0 s in 1 ranges have another weight or role.", "Roles: anchor to replay."]


def test_entries_that_overlap_count_each():
    found = changed([entry("x")], [entry("x"), entry("x", 2, 3, 5.0)])
    (one,) = found.weights
    assert (one.before, one.after) == (((1.0, "anchor"),), ((1.0, "anchor"), (5.0, "anchor")))


def test_totals_by_role_task_and_mode_with_shares():
    before = [entry("x"), entry("y")]
    after = [entry("x"), entry("z", 0, 5, 3.0, Role.CORRECTION)]
    labels = {"task": {"x": "peg", "y": "peg", "z": "peg"}, "mode": {"z": "slip"}}
    totals = {(one.by, one.name): one for one in changed(before, after, labels=labels).totals}
    assert totals["all", "all"].weighted_s == (20.0, 25.0)
    assert totals["role", "correction"].episodes == (0, 1)
    assert totals["role", "correction"].share == (0.0, 0.6)
    assert totals["task", "peg"].episodes == (2, 2)
    assert totals["mode", "slip"].seconds == (0.0, 5.0)
    assert totals["mode", ""].share == (1.0, 0.4)


def test_an_empty_version_has_no_share_and_divides_by_nothing():
    found = changed([], [entry("x")])
    assert [one.share for one in found.totals if one.by == "all"] == [(0.0, 1.0)]
    assert changed([], []).same


def test_an_entry_without_length_changes_nothing_but_its_episode():
    assert changed([entry("x")], [entry("x"), entry("x", 3, 3, 7.0)]).same
    assert changed([], [entry("x", 3, 3)]).added == ("x",)


entries = st.lists(
    st.builds(
        lambda episode, start, length, weight, role: DatasetEntry(episode, start, start + length, weight, role),
        st.sampled_from("xyz"), st.integers(0, 9), st.integers(0, 9), st.sampled_from([0.5, 1.0, 2.0]),
        st.sampled_from(Role),
    ),
    max_size=6,
)  # fmt: skip


def at(held, episode, t):
    return tuple(sorted((e.weight, str(e.role)) for e in held if e.episode == episode and e.start_ns <= t < e.end_ns))


@given(before=entries, after=entries)
def test_changes_say_exactly_where_the_versions_differ(before, after):
    found = changed(before, after)
    both = {e.episode for e in before} & {e.episode for e in after}
    for episode in both:
        for t in range(20):
            was, now = at(before, episode, t), at(after, episode, t)
            told = [one for one in (*found.spans, *found.weights)
                    if one.episode == episode and one.start_ns <= t < one.end_ns]  # fmt: skip
            assert [(one.before, one.after) for one in told] == ([] if was == now else [(was, now)])
    assert changed(after, before).added == found.removed
    for one in found.totals:
        assert all(math.isfinite(value) for value in (*one.weighted_s, *one.share))


def test_a_change_is_said_once_however_many_entries_touch_it():
    found = changed([entry("x", i, i + 1) for i in range(10)], [entry("x", 0, 10, 2.0)])
    assert len(found.weights) == 1
    assert replace(found.weights[0], end_ns=0).start_ns == 0


@pytest.mark.parametrize("many", [2000])
def test_many_entries_of_one_episode_take_no_square_of_time(many):
    before = [entry("x", i, i + 1, 1.0 + i % 2) for i in range(many)]
    assert len(changed(before, [entry("x", 0, many)]).weights) == many // 2
