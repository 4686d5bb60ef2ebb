"""Made-up robots for the tests of ingest: a try with every kind of stream, and a whole day of tries."""

from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog, Stream

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


@pytest.fixture
def robot_try():
    return make_robot_try


@pytest.fixture
def swap():
    return with_stream
