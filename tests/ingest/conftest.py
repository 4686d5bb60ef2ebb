"""Made-up robots for the tests of ingest: a try with every kind of stream, and a whole day of tries."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog, Event, Stream

NOON_NS = 1_750_000_000_000_000_000


def smooth_motion(rng, t_s, joints, pauses=True):
    """Joint angles that go from one drawn pose to the next, with rests between, as robots do."""
    places, at = [rng.uniform(-1.0, 1.0, joints)], [0.0]
    while at[-1] < t_s[-1] + 5.0:
        at.append(at[-1] + rng.uniform(0.8, 2.5))
        places.append(np.clip(places[-1] + rng.normal(0.0, 0.5, joints), -2.0, 2.0))
        if pauses and rng.random() < 0.3:
            at.append(at[-1] + rng.uniform(0.3, 1.0))
            places.append(places[-1])
    knots, poses = np.array(at), np.array(places)
    index = np.clip(np.searchsorted(knots, t_s, side="right") - 1, 0, len(knots) - 2)
    share = np.clip((t_s - knots[index]) / (knots[index + 1] - knots[index]), 0.0, 1.0)
    eased = (10 * share**3 - 15 * share**4 + 6 * share**5)[:, None]  # minimum jerk
    return poses[index] + (poses[index + 1] - poses[index]) * eased


def stamps(rng, length_s, rate_hz, jitter=0.05):
    count = int(length_s * rate_hz)
    t_s = np.arange(count) / rate_hz + rng.normal(0.0, jitter / rate_hz / 3, count)
    return np.sort(np.maximum(t_s, 0.0))


def ns(t_s):
    return NOON_NS + np.rint(t_s * 1e9).astype(np.int64)


def make_robot_try(seed, length_s=20.0):
    """One good try: joints 100 Hz, command 50 Hz and 80 ms ahead, wrench 200 Hz, gripper, pictures, receive stamps."""
    rng = np.random.default_rng(seed)
    plan = np.random.default_rng((seed, 1))
    grid = np.arange(0.0, length_s + 1.0, 0.005)
    path = smooth_motion(plan, grid, 7)
    at = lambda t_s: np.stack([np.interp(t_s, grid, path[:, j]) for j in range(7)], axis=1)  # noqa: E731
    joint_s, command_s = stamps(rng, length_s, 100), stamps(rng, length_s, 50)
    wrench_s, picture_s = stamps(rng, length_s, 200), stamps(rng, length_s, 15)
    contact = np.exp(-(((wrench_s - length_s / 2) / 1.5) ** 2))[:, None] * rng.normal(0.0, 8.0, 6)
    place = at(picture_s)[:, :2]
    rows, columns = np.mgrid[0:16, 0:16]
    blob = np.exp(-((rows - 8 - 4 * place[:, :1, None]) ** 2 + (columns - 8 - 4 * place[:, 1:, None]) ** 2) / 8)
    pictures = np.clip(blob[..., None] * 200 + rng.normal(20, 3, (len(picture_s), 16, 16, 3)), 0, 255).astype(np.uint8)
    received = ns(joint_s) + 3_000_000_000 + rng.exponential(2e6, len(joint_s)).astype(np.int64)
    angles = np.round(at(joint_s - 0.08) + rng.normal(0.0, 2e-5, (len(joint_s), 7)), 6)
    streams = {
        "observation/joints": Stream(ns(joint_s), angles, unit="rad"),
        "action/executed": Stream(ns(command_s), at(command_s), unit="rad"),
        "observation/wrench": Stream(ns(wrench_s), contact + rng.normal(0.0, 0.3, (len(wrench_s), 6)), unit="N"),
        "observation/gripper": Stream(ns(command_s), (np.sin(command_s / 3) > 0).astype(float)[:, None]),
        "camera/front": Stream(ns(picture_s), pictures),
        "clock/observation/joints": Stream(ns(joint_s), received[:, None]),
    }  # fmt: skip
    return EpisodeLog(f"try_{seed}", streams, (), {"task": "reach", "source": "rollout"})


def with_stream(log, name, **changed):
    """The same log with one stream's stamps or values in place of its own."""
    return replace(log, streams={**log.streams, name: replace(log.streams[name], **changed)})


HOME = np.array([0.0, -1.2, 1.6, 0.0, 0.8, 0.0, 0.3])


@dataclass(frozen=True)
class Day:
    """A long log and what really happened in it: (start_ns, end_ns, outcome that was said) of each try."""

    log: EpisodeLog
    truth: tuple[tuple[int, int, str], ...]


class _Cell:
    """Writes down what a made-up cell does: where the arm goes, what the gripper is told, what happens."""

    def __init__(self, rng):
        self.rng, self.knots, self.poses = rng, [0.0], [HOME]
        self.events, self.widths, self.truth = [], [(0.0, 0.08)], []

    def go(self, pose, length_s):
        self.knots.append(self.knots[-1] + length_s)
        self.poses.append(pose)

    def stay(self, length_s):
        self.go(self.poses[-1], length_s)

    def about(self, least_s, most_s):
        return self.knots[-1] + self.rng.uniform(least_s, most_s)

    def one_try(self, number):
        rng, start = self.rng, self.knots[-1]
        self.events.append((self.about(-0.1, 0.1), "trial/start", str(number)))
        self.widths.append((self.about(-0.1, 0.1), 0.04))
        for _ in range(int(rng.integers(4, 12))):
            self.go(HOME + rng.normal(0.0, 0.5, 7), rng.uniform(1.0, 4.0))
            if rng.random() < 0.4:
                self.widths.append((self.knots[-1], rng.choice([0.0, 0.03, 0.05])))
                self.stay(rng.uniform(0.2, 2.5))
        if rng.random() < 0.07:
            self.stop(start)
            return
        self.go(HOME, rng.uniform(1.5, 3.0))
        outcome, lost = "success" if rng.random() < 0.7 else "failure", rng.random() < 0.08
        if not lost:
            self.events.append((self.about(0.0, 0.2), "trial/end", outcome))
        self.done(start, "" if lost else outcome)

    def stop(self, start):
        self.events.append((self.about(0.0, 0.1), "safety/estop", ""))
        self.done(start, "aborted")
        self.stay(self.rng.uniform(8.0, 40.0))
        self.go(HOME, self.rng.uniform(3.0, 6.0))

    def done(self, start, outcome):
        self.widths.append((self.about(0.0, 0.2), 0.08))
        self.truth.append((start, self.knots[-1], outcome))


def make_day(seed, hours=8.0, tries=120, rate_hz=10.0):
    """One day at a cell: tries from home to home, resets, e-stops with a jog home, lost end events, a clock step.

    The gripper stands open (0.08 m) between tries by the rule of the cell. Pauses inside a try last up to 2.5 s. After
    an e-stop the arm hangs for a while and is jogged home, which is no try. In the afternoon the clock steps by 45 s.
    """
    rng = np.random.default_rng(seed)
    cell = _Cell(rng)
    for number in range(tries):
        cell.stay(rng.uniform(0.4, 1.2) * hours * 3600 / tries + (1200.0 if number == tries // 2 else 0.0))
        cell.one_try(number)
    cell.go(HOME, 60.0)
    t_s = stamps(rng, cell.knots[-1], rate_hz)
    at, places = np.array(cell.knots), np.array(cell.poses)
    index = np.clip(np.searchsorted(at, t_s, side="right") - 1, 0, len(at) - 2)
    share = np.clip((t_s - at[index]) / np.maximum(at[index + 1] - at[index], 1e-9), 0.0, 1.0)
    eased = (10 * share**3 - 15 * share**4 + 6 * share**5)[:, None]
    joints = places[index] + (places[index + 1] - places[index]) * eased + rng.normal(0.0, 3e-4, (len(t_s), 7))
    changes, widths = np.array(sorted(cell.widths, key=lambda one: one[0])).T
    width = widths[np.searchsorted(changes, t_s, side="right") - 1] + rng.normal(0.0, 5e-4, len(t_s))
    step_at = cell.truth[3 * tries // 4][0] + 5.0

    def stamp(seconds):
        return NOON_NS + round((seconds + (45.0 if seconds >= step_at else 0.0)) * 1e9)

    stamped = ns(t_s + np.where(t_s >= step_at, 45.0, 0.0))
    streams = {
        "/joint_states/position": Stream(stamped, joints, unit="rad"),
        "/gripper/width": Stream(stamped.copy(), width[:, None], unit="m"),
        "/wrench": Stream(stamped.copy(), rng.normal(0.0, 0.5, (len(t_s), 6)), unit="N"),
    }
    said = tuple(Event(stamp(s), name, detail) for s, name, detail in sorted(cell.events))
    happened = tuple((stamp(start), stamp(end), outcome) for start, end, outcome in cell.truth)
    return Day(EpisodeLog("day", streams, said), happened)


@pytest.fixture(scope="session")
def day():
    return make_day(0)


@pytest.fixture
def robot_try():
    return make_robot_try


@pytest.fixture
def swap():
    return with_stream
