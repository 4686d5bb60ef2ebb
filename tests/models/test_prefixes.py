from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Stream
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.models.prefixes import CHANGES_N, Prefixes, learn_prefixes
from saqiya.models.replay import instants

PERIOD_NS = 20_000_000


def tried(seed, steps=40, *, success=True, extra=None, events=()):
    """A hand that wanders at 50 Hz, a force that is missing now and then at 100 Hz, and a slow scale."""
    rng = np.random.default_rng(seed)
    t_ns = np.arange(steps, dtype=np.int64) * PERIOD_NS
    force_ns = np.arange(2 * steps, dtype=np.int64) * (PERIOD_NS // 2)
    force = rng.normal(size=(2 * steps, 2))
    force[rng.random(2 * steps) < 0.1] = np.nan
    streams = {
        "observation/hand": Stream(t_ns, np.cumsum(rng.normal(size=(steps, 3)), axis=0)),
        "contact/force": Stream(force_ns, force),
        "scale": Stream(t_ns[3::4].copy(), rng.normal(size=(len(t_ns[3::4]), 1))),
        **{name: Stream(t_ns.copy(), values[:steps]) for name, values in (extra or {}).items()},
    }
    happened = [Event(int(t_ns[steps // 3]) + 1, "phase/grasp")] if seed % 3 else []
    return Seen.of(streams, [*happened, *events, Event(int(t_ns[-1]), "success" if success else "timeout")])


def several(n=12, **kept):
    return [tried(seed, success=seed % 2 == 0, **kept) for seed in range(n)], [seed % 2 == 0 for seed in range(n)]


def until(seen, t_ns):
    kept = {
        name: Stream(s.t_ns[s.t_ns <= t_ns].copy(), s.values[s.t_ns <= t_ns].copy()) for name, s in seen.streams.items()
    }
    return Seen(kept, tuple(event for event in seen.events if event.t_ns <= t_ns))


def paused(seen, at, n):
    """The same try, in which nothing moved for `n` instants from the instant `at` on."""
    streams = {}
    for name, stream in seen.streams.items():
        where = int(np.searchsorted(stream.t_ns, at, side="right"))
        still = np.repeat(stream.values[where - 1 : where], n, axis=0)
        values = np.concatenate([stream.values[:where], still, stream.values[where:]])
        gap = int(stream.t_ns[1] - stream.t_ns[0])
        more = stream.t_ns[where - 1] + gap * np.arange(1, n + 1)
        streams[name] = Stream(np.concatenate([stream.t_ns[:where], more, stream.t_ns[where:] + n * gap]), values)
    return Seen(streams, seen.events)


@pytest.mark.parametrize("duration", [False, True])
def test_what_happens_gives_the_numbers_that_the_log_gives(duration):
    prefixes, seen = learn_prefixes(*several(), duration=duration), tried(100)
    stamps, rows = prefixes.rows(seen)
    following, found = prefixes.follow(), {}
    for t_ns, row, events in instants(seen, prefixes.streams):
        told = following.see(t_ns, row, events)
        if told is not None:
            found[t_ns] = told
    assert list(found) == stamps.tolist()
    assert np.array_equal(np.array(list(found.values())), rows, equal_nan=True)
    assert rows.shape[1] == len(prefixes.names)


@pytest.mark.parametrize("duration", [False, True])
def test_a_row_never_looks_ahead(duration):
    prefixes, seen = learn_prefixes(*several(), duration=duration), tried(100)
    stamps, rows = prefixes.rows(seen)
    for count in (1, 13, 50):
        early = prefixes.rows(until(seen, int(stamps[count - 1])))[1]
        assert np.array_equal(early, rows[:count], equal_nan=True)


def test_without_duration_a_pause_changes_nothing():
    seen, n = tried(100), max(CHANGES_N)
    only = {name: stream for name, stream in seen.streams.items() if name == "observation/hand"}
    seen = Seen(only, seen.events)
    end_ns = int(only["observation/hand"].t_ns[-1])
    short, long = (paused(seen, end_ns, n + more) for more in (0, 500))
    blind = learn_prefixes(*several(), duration=False)
    blind = replace(blind, streams=("observation/hand",), kept=(np.ones(3, bool),))
    assert np.array_equal(blind.rows(short, [-1])[1], blind.rows(long, [-1])[1])
    knowing = replace(blind, duration=True)
    assert not np.array_equal(knowing.rows(short, [-1])[1], knowing.rows(long, [-1])[1])


def test_what_tells_the_time_is_told_with_duration_only():
    clocks = {"observation/count": np.arange(40.0)[:, None], "observation/both": np.arange(80.0).reshape(40, 2) % 7}
    clocks["observation/both"][:, 1] = np.arange(40) * 0.02 + 5.0
    blind, knowing = (learn_prefixes(*several(extra=clocks), duration=duration) for duration in (False, True))
    assert "observation/count" not in blind.streams
    assert [name for name in blind.left_out if "both" in name] == ["observation/both[1]"]
    assert "observation/count" in knowing.streams
    assert not [name for name in blind.names if {"seconds", "mean", "least", "greatest", "timeout"} & {*name.split()}]


def test_a_constant_column_is_no_clock():
    blind = learn_prefixes(*several(extra={"observation/goal": np.ones((40, 2))}), duration=False)
    assert "observation/goal" in blind.streams


def test_what_states_the_outcome_is_left_out():
    tries, success = several(extra={"next/reward": np.zeros((40, 1)), "author": np.zeros((40, 1))})
    tries = [
        replace(one, events=(*one.events, *([Event(1, "phase/place")] if good else []), Event(2, "task_done")))
        for one, good in zip(tries, success, strict=True)
    ]
    prefixes = learn_prefixes(tries, success, duration=True)
    assert prefixes.events == ("phase/grasp",)
    assert not {"next/reward", "author"} & set(prefixes.streams)
    assert {"next/reward", "phase/place", "task_done"} <= set(prefixes.left_out)


def test_somebodys_note_is_no_sign():
    tries, success = several()
    tries[0] = replace(tries[0], events=(*tries[0].events, Event(5, "note/by-anna")))
    assert "note/by-anna" not in learn_prefixes(tries, success, duration=True).events


def test_a_stream_that_not_every_try_has_is_left_out_and_named():
    tries, success = several()
    tries[3] = replace(tries[3], streams={**tries[3].streams, "scale": Stream(np.zeros(0, np.int64), np.zeros((0, 1)))})
    prefixes = learn_prefixes(tries, success, duration=False)
    assert "scale" not in prefixes.streams
    assert "scale" in prefixes.left_out


def test_arrays_make_it_again():
    prefixes, seen = learn_prefixes(*several(), duration=True), tried(100)
    again = Prefixes.of_arrays(prefixes.arrays())
    assert again.names == prefixes.names
    assert np.array_equal(again.rows(seen)[1], prefixes.rows(seen)[1], equal_nan=True)


def test_a_missing_stream_and_another_width_are_named():
    prefixes, seen = learn_prefixes(*several(), duration=False), tried(100)
    with pytest.raises(InvalidEpisode, match="contact/force"):
        prefixes.rows(Seen({name: s for name, s in seen.streams.items() if name != "contact/force"}))
    with pytest.raises(InvalidEpisode, match="2 columns, not 3"):
        prefixes.follow().see(0, {"observation/hand": np.zeros(2)}, ())


def test_tries_that_share_nothing_teach_nothing():
    with pytest.raises(TooLittle, match="share no stream"):
        learn_prefixes([], [], duration=False)
