from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.cropped import crop
from saqiya.detect.moments import Try
from saqiya.detect.profile import profile_of
from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.errors import TooLittle

AXES = ("force x (N)", "force y (N)", "force z (N)")


def stream(length_s: float, columns: int = 3, *, seed: int = 0, fields: tuple[str, ...] = AXES) -> Stream:
    t_ns = np.arange(0, round(length_s * 1e9), 10_000_000, dtype=np.int64)
    values = np.random.default_rng(seed).normal(size=(t_ns.size, columns))
    return Stream(t_ns, values, fields=fields if len(fields) == columns else ())


def one(key: str, length_s: float, *, success: bool = True, phase_s: float | None = 1.0, **more: Stream) -> Try:
    events = () if phase_s is None else (Event(round(phase_s * 1e9), "phase/contact"),)
    log = EpisodeLog(key, {"force": stream(length_s, seed=ord(key[0])), **more}, events)
    return Try(key, profile_of(log), success)


def test_all_windows_are_equal_and_end_before_the_shortest_try():
    found = crop([one("a", 4.0), one("b", 9.0), one("c", 5.0, success=False)])
    assert found.windows.shape == (3, 76, 3)
    assert found.window_s == pytest.approx(3.8)
    assert found.failed.tolist() == [False, False, True]
    assert found.triads == ((0, 1, 2),)
    assert np.isfinite(found.windows).all()


def test_a_stream_that_one_try_lacks_is_used_in_none():
    pose = {"pose": stream(5.0, 2)}
    found = crop([one("a", 5.0, **pose), one("b", 5.0, **pose), one("c", 5.0, success=False)])
    assert all(name.startswith("force") for name in found.columns)
    assert found.left_out == (("pose", "1 of 3 tries lack it"),)
    assert found.lacking_n == (0, 0, 1)


def test_a_stream_of_another_shape_is_used_in_none():
    found = crop([one("a", 5.0, arm=stream(5.0, 2)), one("b", 5.0, success=False, arm=stream(5.0, 3))])
    assert dict(found.left_out)["arm"] == "its columns differ between tries"


def test_when_no_stream_is_shared_the_tries_without_the_commonest_are_dropped_and_named():
    log = EpisodeLog("odd", {"other": stream(5.0)})
    found = crop([one("a", 5.0), one("b", 5.0, success=False), Try("odd", profile_of(log), success=True)])
    assert [key for key, _ in found.dropped] == ["odd"]
    assert len(found.tries) == 2


def test_windows_can_begin_at_a_phase_and_tries_without_it_are_named():
    tries = [one("a", 6.0, phase_s=1.0), one("b", 6.0, success=False, phase_s=3.0), one("c", 6.0, phase_s=None)]
    found = crop(tries, since="phase/contact")
    assert found.begins_s == (1.0, 3.0)
    assert found.window_s <= 3.0
    assert found.dropped == (("c", "never reached phase/contact"),)


def test_a_column_that_counts_time_is_left_out():
    t_ns = np.arange(0, 5_000_000_000, 10_000_000, dtype=np.int64)
    clock = Stream(t_ns, np.column_stack([t_ns / 1e9, np.sin(t_ns / 1e8)]), fields=("t", "swing"))
    found = crop([one("a", 5.0, tick=clock), one("b", 5.0, success=False, tick=clock)])
    assert "tick: t" not in found.columns
    assert "tick: swing" in found.columns


def test_a_try_that_hardly_began_does_not_cut_the_others():
    found = crop([one("a", 8.0), one("b", 8.0, success=False), one("c", 0.6, success=False)])
    assert found.window_s > 7.0
    assert found.dropped[0][0] == "c"


def test_offsets_and_loudness_can_be_taken_out():
    found = crop([one("a", 4.0), one("b", 4.0, success=False)])
    assert found.since_start().windows[:, :4].mean(axis=1) == pytest.approx(0.0, abs=1e-9)
    levelled = found.levelled().windows
    assert np.linalg.norm(levelled, axis=2).max(axis=1) == pytest.approx(1.0)


def test_nothing_to_compare_is_said():
    with pytest.raises(TooLittle, match="no window holds both outcomes"):
        crop([one("a", 4.0), one("b", 4.0)])
    with pytest.raises(TooLittle, match="none of the streams asked for"):
        crop([one("a", 4.0), one("b", 4.0, success=False)], streams=("camera",))
    with pytest.raises(TooLittle):
        crop([])


def test_a_force_without_names_of_axes_is_a_vector_too():
    wrench = stream(5.0, 6, fields=())
    found = crop([one("a", 5.0, wrench=wrench, arm=wrench), one("b", 5.0, success=False, wrench=wrench, arm=wrench)])
    vectors = [[found.columns[number] for number in triad] for triad in found.triads]
    assert [names[0] for names in vectors] == [f"force: {AXES[0]}", "wrench: 0", "wrench: 3"]
