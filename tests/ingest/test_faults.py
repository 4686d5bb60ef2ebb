"""Injected faults are found, and good tries are left alone; ten seeds each."""

from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.ingest.fault_lag import lag_of
from saqiya.ingest.faults import check_faults

J, A, W, C = "observation/joints", "action/executed", "observation/wrench", "camera/front"
S = 1_000_000_000
SEEDS = range(10)


@pytest.fixture(scope="module")
def tries():
    from importlib.util import module_from_spec, spec_from_file_location
    from pathlib import Path

    spec = spec_from_file_location("made_up_robots", Path(__file__).with_name("conftest.py"))
    made = module_from_spec(spec)
    __import__("sys").modules["made_up_robots"] = made
    spec.loader.exec_module(made)
    return [made.make_robot_try(seed) for seed in SEEDS]


def values(log, name):
    return np.array(log.streams[name].values)


def swap(log, name, **changed):
    return replace(log, streams={**log.streams, name: replace(log.streams[name], **changed)})


def moving(log, rng, length_s):
    """Return a joint sample from which the arm gets somewhere else in `length_s`."""
    x, n = log.streams[J].values, round(length_s * 100)
    far = np.abs(x[n:] - x[:-n]).max(axis=1)[200 : -n - 200]
    return 200 + int(rng.choice(np.flatnonzero(far > 0.2)))


def freeze_joints(log, rng):
    x, at = values(log, J), moving(log, rng, 1.5)
    x[at : at + 150] = x[at]
    return swap(log, J, values=x)


def freeze_wrench(log, rng):
    x, at = values(log, W), 2 * moving(log, rng, 1.0)
    x[at : at + 200] = x[at]
    return swap(log, W, values=x)


def freeze_pictures(log, rng):
    x, at = values(log, C), moving(log, rng, 2.0) * 15 // 100
    x[at : at + 30] = x[at]
    return swap(log, C, values=x)


def spike_joint(log, rng):
    x = values(log, J)
    x[rng.integers(50, 1900), rng.integers(7)] += rng.choice([-1, 1]) * rng.uniform(0.3, 2.0)
    return swap(log, J, values=x)


def zero_sample(log, rng):
    x = values(log, J)
    x[rng.integers(50, 1900)] = 0.0
    return swap(log, J, values=x)


def spike_wrench(log, rng):
    x = values(log, W)
    x[rng.integers(50, 3900), rng.integers(6)] += rng.choice([-1, 1]) * rng.uniform(200.0, 2000.0)
    return swap(log, W, values=x)


def nan_action(log, rng):
    x = values(log, A)
    x[rng.integers(len(x))] = np.nan
    return swap(log, A, values=x)


def clip_wrench(log, rng):
    x = values(log, W)
    bound = np.quantile(np.abs(x), 0.95)
    return swap(log, W, values=np.clip(x, -bound, bound))


def to_degrees(log, rng):
    x = values(log, J)
    x[rng.integers(300, 1700) :] *= 180.0 / np.pi
    return swap(log, J, values=x)


def early_by(seconds):
    return lambda log, rng: swap(log, A, t_ns=log.streams[A].t_ns + round(seconds * S))


def cut_pictures(log, rng):
    stream, kept = log.streams[C], int(300 * rng.uniform(0.3, 0.85))
    return swap(log, C, t_ns=stream.t_ns[:kept], values=stream.values[:kept])


def still(log, rng):
    held = {name: replace(s, values=np.repeat(s.values[:1], len(s.values), axis=0)) for name, s in log.streams.items()}
    return replace(log, streams={**held, C: log.streams[C]})


def dead_wrench(log, rng):
    return swap(log, W, values=np.repeat(values(log, W)[:1], 4000, axis=0))


INJECTED = [
    (freeze_joints, "values/frozen", "fault", J, 9),
    (freeze_wrench, "values/frozen", "fault", W, 9),
    (freeze_pictures, "video/frozen", "fault", C, 10),
    (spike_joint, "values/glitch", "fault", J, 10),
    (zero_sample, "values/glitch", "fault", J, 10),
    (spike_wrench, "values/glitch", "fault", W, 10),
    (nan_action, "values/not-finite", "fault", A, 10),
    (clip_wrench, "values/saturated", "warning", W, 10),
    (to_degrees, "values/unit-slip", "fault", J, 10),
    (early_by(-2.0), "sync/late", "fault", J, 10),
    (early_by(0.5), "sync/early", "fault", J, 10),
    (cut_pictures, "video/ends-early", "fault", C, 10),
    (still, "values/nothing-moves", "fault", "", 10),
    (dead_wrench, "values/constant", "warning", W, 10),
]


def test_good_tries_have_no_finding(tries):
    assert [check_faults(log) for log in tries] == [()] * len(tries)


@pytest.mark.parametrize(("inject", "check", "severity", "stream", "least"), INJECTED)
def test_an_injected_fault_is_found_where_it_is(tries, inject, check, severity, stream, least):
    found = 0
    for seed, log in enumerate(tries):
        hits = [one for one in check_faults(inject(log, np.random.default_rng((seed, 7)))) if one.check == check]
        found += any((one.severity.value, one.stream) == (severity, stream) for one in hits)
    assert found >= least


def test_the_lag_of_a_good_try_is_that_of_its_controller(tries):
    lags = [lag_of(log.streams[A], log.streams[J]) for log in tries]
    assert [one.lag_s for one in lags] == pytest.approx([0.08] * len(lags), abs=0.03)


def test_a_robot_at_rest_and_an_object_that_nobody_touches_are_not_frozen():
    t_ns = np.arange(400, dtype=np.int64) * S // 20
    rng = np.random.default_rng(0)
    hand = np.cumsum(rng.normal(0.0, 0.01, (400, 3)), axis=0)
    box = np.zeros((400, 2))
    box[200:] = np.cumsum(np.abs(rng.normal(0.0, 0.01, (200, 2))), axis=0)  # pushed from the middle on
    log = EpisodeLog("x", {"observation/state": Stream(t_ns, hand), "observation/keypoint": Stream(t_ns, box)})
    assert check_faults(log) == ()


def test_flags_gripper_words_and_bumped_objects_have_no_glitches():
    t_ns = np.arange(400, dtype=np.int64) * S // 20
    flag, bump = np.zeros((400, 1)), np.zeros((400, 1))
    flag[50], bump[80], bump[81:120, 0] = 1.0, 3.0, np.linspace(0.1, 0.0, 39)
    log = EpisodeLog("x", {"gripper/command": Stream(t_ns, flag), "observation/box/velocity": Stream(t_ns, bump)})
    assert "values/glitch" not in {one.check for one in check_faults(log)}


def test_not_a_number_is_a_note_where_it_means_out_of_range():
    t_ns = np.arange(50, dtype=np.int64) * S
    scan = np.ones((50, 30))
    scan[:, ::3] = np.inf
    scan[10, 4] = np.inf
    (note, other) = check_faults(EpisodeLog("x", {"/scan/ranges": Stream(t_ns, scan)}))[:2]
    assert {note.severity.value, other.severity.value} == {"note"}


def test_radians_that_are_degrees_are_warned_of():
    t_ns = np.arange(50, dtype=np.int64) * S
    angles = np.linspace(-90.0, 120.0, 50)[:, None]
    found = check_faults(EpisodeLog("x", {"joints": Stream(t_ns, angles, unit="rad")}))
    assert [one.check for one in found] == ["values/units"]
    assert check_faults(EpisodeLog("x", {"joints": Stream(t_ns, angles, unit="deg")})) == ()


def jpegs(packets, t_ns):
    """A camera of single pictures."""
    sizes = np.array([len(one) for one in packets], dtype=np.int64)
    count = len(packets)
    track = Track(
        t_ns, np.cumsum(sizes) - sizes, sizes, np.ones(count, dtype=bool), np.arange(count), "jpeg", 8, 8
    )  # fmt: skip
    return Video(track, b"".join(packets))


def test_cut_empty_and_repeated_pictures_of_an_encoded_camera_are_found(tries):
    t_ns = tries[0].streams[C].t_ns
    packets = [b"\xff\xd8%03d\xff\xd9" % number for number in range(300)]
    log = replace(tries[0], streams={n: s for n, s in tries[0].streams.items() if n != C})

    def said(changed):
        made = replace(log, videos={C: jpegs(changed, t_ns)})
        return {one.check for one in check_faults(made) if one.stream == C}

    assert said(packets) == set()
    assert said([*packets[:-1], b"\xff\xd8299"]) == {"video/truncated"}
    assert said([*packets[:-1], b""]) == {"video/empty-packets"}
    assert said([*packets[:100], *[packets[100]] * 60, *packets[160:]]) == {"video/frozen"}


def test_a_camera_that_a_reader_missed_is_a_fault():
    t_ns = np.arange(20, dtype=np.int64) * S
    walk = np.random.default_rng(0).normal(size=(20, 2)).cumsum(axis=0)
    for faults in (
        {"camera/wrist": "no file"},
        [{"stream": "camera/wrist", "what": "no file"}],
        ["camera wrist: no file"],
    ):
        (found,) = check_faults(EpisodeLog("x", {"a": Stream(t_ns, walk)}, metadata={"faults": faults}))
        assert (found.check, found.severity.value) == ("video/missing", "fault")


def test_filling_of_lists_is_no_lost_sample(tries):
    counts = np.arange(80, dtype=np.int64).reshape(-1, 1) % 4
    values = np.where(np.arange(3) < counts, 1.0, np.nan)
    t_ns = np.arange(80, dtype=np.int64) * S // 10
    streams = {"observation/found": Stream(t_ns, values), "observation/found/count": Stream(t_ns, counts)}
    assert not check_faults(replace(tries[0], streams={**tries[0].streams, **streams}))
    del streams["observation/found/count"]
    found = check_faults(replace(tries[0], streams={**tries[0].streams, **streams}))
    assert [(one.check, one.severity) for one in found] == [("values/not-finite", "fault")]


def test_numbers_that_are_not_known_hold_no_bag_back(tries):
    t_ns = np.arange(40, dtype=np.int64) * S // 10
    altitude = Stream(t_ns, np.where(np.arange(40) < 20, np.nan, 312.0).reshape(-1, 1))
    (found,) = check_faults(replace(tries[0], streams={**tries[0].streams, "/fix/altitude": altitude}))
    assert (found.check, found.severity) == ("values/not-finite", "warning")
