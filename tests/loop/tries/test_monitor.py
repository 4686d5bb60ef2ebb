import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
from tests.loop.watched import DETECTORS, POLICY, carried_on, fitted_on, one_try, scored, seen

from saqiya import Monitor
from saqiya.errors import InvalidEpisode, MonitorUnreadable, UnknownPlugin, UsageError
from saqiya.loop.tries.monitor import encoded, write_monitor
from saqiya.models.replay import instants
from saqiya.stores import tensors


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    normal = [one_try(seed).log for seed in range(12)]
    fitted = fitted_on(normal)
    carried = carried_on(fitted, normal)
    path = tmp_path_factory.mktemp("monitor") / "monitor.safetensors"
    write_monitor(path, carried)
    return SimpleNamespace(fitted=fitted, carried=carried, path=path, normal=normal)


@pytest.fixture
def monitor(made):
    return Monitor.load(made.path)


@pytest.fixture(scope="module")
def failing():
    return one_try(300, good_n=20).log


def shown(log):
    """What a control loop would show of a log, step by step."""
    for t_ns, row, events in instants(seen(log), tuple(log.streams)):
        observation = {n.removeprefix("observation/"): v for n, v in row.items() if n.startswith("observation/")}
        chunk = row["policy/chunk"].reshape(4, 3) if "policy/chunk" in row else None
        rest = {n: v for n, v in row.items() if n.startswith(("contact/", "author", "action/intended"))}
        yield (
            t_ns,
            observation,
            row.get("action/executed"),
            {
                "uncertainty": row.get("policy/uncertainty"),
                "chunk": chunk,
                "signals": rest,
                "events": events,
            },
        )


def watched(monitor, log):
    monitor.reset(policy=POLICY)
    return {t_ns: monitor.see(t_ns, seen_, action, **rest) for t_ns, seen_, action, rest in shown(log)}


@pytest.mark.parametrize(("seed", "good_n"), [(300, 20), (301, 30), (302, 10_000), (303, 10_000), (304, 12)])
def test_online_says_what_the_log_says_afterwards(made, monitor, seed, good_n):
    log = one_try(seed, good_n=good_n, region=1.0).log
    fusion = made.carried.fusion
    tried = scored(made.fitted, log)
    fused = fusion.score(tried.parts, tried.phases)
    stamps = np.round(fused.t_s * 1e9).astype(np.int64) + log.span.start_ns
    online = watched(monitor, log)
    assert [online[int(t_ns)].score for t_ns in stamps] == pytest.approx(fused.scores.tolist(), rel=1e-9)
    alarms = {int(t_ns): fusion.names[one] for t_ns, one, y in zip(stamps, fused.leading, fused.scores, strict=True)
              if y > fusion.threshold}  # fmt: skip
    assert {t_ns: one.detector for t_ns, one in online.items() if one.alarm and t_ns in stamps} == alarms
    assert bool(alarms) or good_n > 100
    assert not any(one.blind or one.stale for one in online.values())


def test_an_alarm_says_which_detector_how_far_since_when_and_why(monitor, failing):
    first = next(one for one in watched(monitor, failing).values() if one.alarm)
    assert first.wants == "mark"
    assert first.detector in DETECTORS
    assert first.score > first.threshold == monitor.threshold
    since_s = (first.since_ns - failing.span.start_ns) / 1e9
    assert (
        f"{first.detector} at {first.score:.2f}, alarm above {first.threshold:.2f}, since {since_s:.2f} s"
        in first.reason
    )
    assert 1.0 <= since_s <= 3.0


def test_an_alarm_keeps_its_beginning(monitor, failing):
    verdicts = list(watched(monitor, failing).values())
    last = verdicts[-1]
    assert last.alarm
    run = [one.since_ns for one in verdicts if one.alarm and one.since_ns == last.since_ns]
    assert len(run) > 10


def test_a_good_try_is_left_alone(monitor):
    verdicts = [one for seed in range(400, 404) for one in watched(monitor, one_try(seed).log).values()]
    quiet = [one for one in verdicts if not one.alarm]
    assert len(quiet) > 0.9 * len(verdicts)
    assert {(one.wants, one.detector, one.reason, one.since_ns) for one in quiet} == {("", "", "", None)}


@pytest.mark.parametrize("wanted", ["mark", "pause", "takeover"])
def test_it_wants_what_it_was_told_to(made, failing, wanted):
    verdicts = watched(Monitor.load(made.path, on_alarm=wanted), failing).values()
    assert {one.wants for one in verdicts if one.alarm} == {wanted}
    assert {one.wants for one in verdicts if not one.alarm} == {""}


def test_it_cannot_be_told_to_do_anything_else(made):
    with pytest.raises(UsageError, match="cannot 'steer' on an alarm"):
        Monitor.load(made.path, on_alarm="steer")


def test_one_try_leaves_nothing_for_the_next(monitor, failing):
    good = one_try(400).log
    fresh = watched(monitor, good)
    watched(monitor, failing)
    assert watched(monitor, good) == fresh


def test_another_policy_than_it_was_calibrated_for_is_said(monitor):
    t_ns, observation, action, rest = next(shown(one_try(400).log))
    said = []
    for policy in (POLICY, "turn-7/policy", ""):
        monitor.reset(policy=policy)
        said.append(monitor.see(t_ns, observation, action, **rest).stale)
    assert said == [False, True, False]


def test_too_few_successes_make_a_threshold_without_end_and_it_says_so(made, failing):
    carried = carried_on(made.fitted, made.normal, calibrate_n=4)
    assert carried.fusion.threshold is None
    verdicts = watched(Monitor(carried), failing).values()
    assert not any(one.alarm for one in verdicts)
    assert {(one.threshold, one.reason) for one in verdicts} == {
        (None, "nothing can alarm: 4 successes are too few for a budget of 0.1")
    }


# -- what goes wrong in a control loop ---------------------------------------------------------------------------------


def spoilt(monitor, log, change, at=range(20, 24)):
    """Show a log in which a few instants are changed; return the verdicts in order."""
    monitor.reset(policy=POLICY)
    verdicts = []
    for index, (t_ns, observation, action, rest) in enumerate(shown(log)):
        if index in at:
            t_ns, observation, action, rest = change(t_ns, dict(observation), action, dict(rest))  # noqa: PLW2901
        verdicts.append(monitor.see(t_ns, observation, action, **rest))
    return verdicts


def hand(value):
    return lambda t_ns, observation, action, rest: (t_ns, {**observation, "hand": value}, action, rest)


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        (hand([0.0, math.nan, 0.0, 0.0, 0.0]), "not finite", "observation/hand is not finite"),
        (hand([0.0, 0.0]), "width", "observation/hand is 2 numbers, not 5"),
        (hand("hand"), "no numbers", "observation/hand is not numbers"),
        (hand(None), "width", "observation/hand is 1 numbers, not 5"),
        (lambda t_ns, o, a, rest: (t_ns, o, [math.inf, 0.0, 0.0], rest), "not finite", "action/executed is not finite"),
        (lambda t_ns, o, a, rest: (t_ns - 10**9, o, a, rest), "clock", "the clock went from"),
    ],
)
def test_a_bad_sample_is_said_and_counted_and_stops_nothing(monitor, change, kind, said):
    log = one_try(400).log
    verdicts = spoilt(monitor, log, change)
    blind = [index for index, one in enumerate(verdicts) if one.blind]
    assert blind == [20, 21, 22, 23]
    assert all(said in verdicts[index].blind for index in blind)
    assert monitor.counts[kind] == 4
    assert len(verdicts) == len(list(shown(log)))


def test_strict_raises_at_the_bad_sample(made):
    with pytest.raises(InvalidEpisode, match="observation/hand is not finite"):
        spoilt(Monitor.load(made.path, strict=True), one_try(400).log, hand([math.nan] * 5))


def test_a_bad_sample_does_not_reach_the_detectors(made, monitor):
    log = one_try(400).log
    clean, dirty = spoilt(monitor, log, hand([1e9] * 4)), spoilt(monitor, log, hand([math.nan] * 5))
    assert [one.score for one in clean] == [one.score for one in dirty]


def test_a_stream_that_stops_is_said_after_three_of_its_gaps(monitor):
    def stop(t_ns, observation, action, rest):
        del observation["puck"]
        return t_ns, observation, action, rest

    verdicts = spoilt(monitor, one_try(400).log, stop, at=range(20, 10_000))
    assert not any(one.blind for one in verdicts[:23])
    assert verdicts[23].blind == "observation/puck stopped 0.20 s ago"
    assert all("observation/puck stopped" in one.blind for one in verdicts[23:])


def test_a_stream_that_never_comes_is_said(monitor):
    def bare(t_ns, observation, action, rest):
        return t_ns, observation, action, {**rest, "signals": {}}

    verdicts = spoilt(monitor, one_try(400).log, bare, at=range(10_000))
    assert "contact/force has not come yet" in verdicts[10].blind
    assert verdicts[10].score is not None


def test_a_detector_that_breaks_sits_out_until_the_next_try(made):
    class Broken:
        def __init__(self, watch):
            self.watch, self.seen_n = watch, 0

        def see(self, t_ns, row, events):
            self.seen_n += 1
            if self.seen_n == 15:
                raise IndexError("list index out of range")
            return 1e6

    class Fragile:
        def watch(self):
            return Broken(None)

        def arrays(self):
            return {}

    detectors = {**made.carried.detectors, "distance": Fragile()}
    monitor = Monitor(replace(made.carried, detectors=detectors))
    log = one_try(400).log
    verdicts = list(watched(monitor, log).values())
    assert {one.detector for one in verdicts[:14]} == {"distance"}
    assert all("distance is out until the next try (IndexError" in one.blind for one in verdicts[14:])
    assert not any(one.detector == "distance" for one in verdicts[14:])
    assert monitor.counts["detector failed"] == 1
    assert not watched(monitor, log)[log.span.start_ns].blind


def test_the_caller_may_write_over_its_own_buffers(made, failing):
    clean, monitor, buffers, reused = Monitor.load(made.path), Monitor.load(made.path), {}, []
    for t_ns, observation, action, rest in shown(failing):
        for name, value in observation.items():
            buffers.setdefault(name, np.zeros_like(value))[:] = value
        reused.append(monitor.see(t_ns, buffers, action, **rest))
    assert reused == list(watched(clean, failing).values())


# -- the file ----------------------------------------------------------------------------------------------------------


def test_equal_monitors_are_equal_bytes(made):
    assert encoded(made.carried) == made.path.read_bytes() == encoded(carried_on(made.fitted, made.normal))


@pytest.mark.parametrize("cut", [0, 7, 100, -1])
def test_half_a_file_is_refused(made, tmp_path, cut):
    (tmp_path / "half").write_bytes(made.path.read_bytes()[:cut])
    with pytest.raises(MonitorUnreadable, match="half: does not load as safetensors"):
        Monitor.load(tmp_path / "half")


def changed(made, path, change):
    head, arrays = tensors.read_headed(made.path)
    head = msgspec.json.decode(head)
    change(head, arrays)
    path.write_bytes(tensors.encode(arrays, msgspec.json.encode(head).decode()))
    return path


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        (lambda head, arrays: head.update(version=9), MonitorUnreadable, "of version 9"),
        (lambda head, arrays: head.clear(), MonitorUnreadable, "do not fit together"),
        (lambda head, arrays: head.update(budget="much"), MonitorUnreadable, "do not fit together"),
        (lambda head, arrays: head["detectors"].update(distance="0"), MonitorUnreadable, "fitted in version 0"),
        (lambda head, arrays: head["detectors"].pop("distance"), MonitorUnreadable, "and fuses"),
        (lambda head, arrays: arrays.pop("distance/rows"), MonitorUnreadable, "rows"),
        (lambda head, arrays: arrays.pop("fusion/threshold"), MonitorUnreadable, "threshold"),
        (lambda head, arrays: head["detectors"].update(sixth="1"), UnknownPlugin, "sixth"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_is_refused(made, tmp_path, change, error, said):
    with pytest.raises(error, match=said):
        Monitor.load(changed(made, tmp_path / "other", change))


def test_a_policys_file_is_no_monitor(tmp_path):
    (tmp_path / "policy").write_bytes(tensors.encode({"layer0/weight": np.zeros((2, 3))}))
    with pytest.raises(MonitorUnreadable, match="do not fit together"):
        Monitor.load(tmp_path / "policy")


KILLED = """
import sys
from pathlib import Path
from saqiya.loop.tries.monitor import write_monitor
path, one, other = Path(sys.argv[1]), *(Path(name).read_bytes() for name in sys.argv[2:])
print("begun", flush=True)
while True:
    write_monitor(path, one)
    write_monitor(path, other)
"""


def test_a_kill_while_it_is_written_never_leaves_half_a_file(made, tmp_path):
    whole = made.path.read_bytes()
    other = encoded(replace(made.carried, head=msgspec.structs.replace(made.carried.head, policy="other")))
    (tmp_path / "one").write_bytes(whole)
    (tmp_path / "other").write_bytes(other)
    path = tmp_path / "monitor"
    for _ in range(2):
        script = [sys.executable, "-c", KILLED, str(path), str(tmp_path / "one"), str(tmp_path / "other")]
        process = subprocess.Popen(script, stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "begun\n"
        while not path.exists():
            pass
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert path.read_bytes() in {whole, other}
        assert Monitor.load(path).policy in {POLICY, "other"}


def test_on_the_robot_it_loads_no_learning_and_no_database(made):
    code = (
        "import sys; from saqiya import Monitor; m = Monitor.load(sys.argv[1])\n"
        "m.see(0, {'hand': [0.0] * 5}, [0.0] * 3)\n"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code, str(made.path)], check=True, capture_output=True, text=True)
    heavy = {"torch", "sklearn", "sqlalchemy", "pandas", "matplotlib", "dbos", "h5py", "mujoco", "pickle5", "scipy"}
    assert heavy & set(done.stdout.split()) == set()
