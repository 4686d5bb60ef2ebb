"""Episodes for tests: small, drawn from a seed, and shaped like what the loop logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Start, Stream

__all__ = ["make_episode"]

_FORCE_PER_STEP = 4


def make_episode(
    *,
    seed: int = 0,
    steps: int = 40,
    rate_hz: float = 20.0,
    success: bool = True,
    strange_from: int | None = None,
    streams: Mapping[str, NDArray[Any]] | None = None,
    metadata: Mapping[str, JsonValue] | None = None,
) -> EpisodeLog:
    """Build one try of a made-up reaching task, as `loop.rollout` would log it.

    It has T + 1 rows of `observation/state` (4,) and `observation/goal` (2,), T rows of `action/executed` (2,),
    `author` and `policy/uncertainty`, and `contact/force` (3,) at four times the control rate.

    Args:
        seed: draws start, goal, path and noise; equal arguments give equal episodes.
        steps: T, control steps.
        rate_hz: control rate.
        success: ends with the event and outcome "success", else "timeout" and "failure".
        strange_from: from this step on the hand is far from where such tries lead, and the policy's members disagree.
        streams: further streams, or others in place of those above, one row for each of the first rows' stamps.
        metadata: further facts, or others in place of the usual ones.
    """
    rng = np.random.default_rng(seed)
    period_ns = round(1e9 / rate_hz)
    stamps = np.arange(steps + 1, dtype=np.int64) * period_ns
    start, goal = rng.uniform(-0.2, 0.2, 2), rng.uniform(-0.2, 0.2, 2)
    way = np.linspace(0.0, 1.0, steps + 1)[:, None]
    place = start + (goal - start) * way + rng.normal(0.0, 0.002, (steps + 1, 2))
    uncertainty = 0.05 + 0.01 * rng.random((steps, 1))
    if strange_from is not None:
        place[strange_from:] += 2.0
        uncertainty[strange_from:] += 1.0
    speed = np.diff(place, axis=0, prepend=place[:1]) * rate_hz
    force_ns = np.arange(steps * _FORCE_PER_STEP, dtype=np.int64) * (period_ns // _FORCE_PER_STEP)
    made = {
        "observation/state": Stream(stamps, np.hstack([place, speed]), clock="sim"),
        "observation/goal": Stream(stamps.copy(), np.repeat(goal[None], steps + 1, axis=0), clock="sim", unit="m"),
        "action/executed": Stream(stamps[:-1].copy(), np.diff(place, axis=0) * rate_hz, clock="sim"),
        "author": Stream(stamps[:-1].copy(), np.zeros((steps, 1), dtype=np.uint8), clock="sim"),
        "policy/uncertainty": Stream(stamps[:-1].copy(), uncertainty, clock="sim"),
        "contact/force": Stream(force_ns, rng.normal(0.0, 0.1, (force_ns.size, 3)), clock="sim", unit="N"),
    }
    for name, values in (streams or {}).items():
        made[name] = Stream(stamps[: len(values)].copy(), np.array(values), clock="sim")
    begun = Start(seed, {"goal_x": float(goal[0]), "goal_y": float(goal[1])})
    facts: dict[str, JsonValue] = {
        "task": "reach",
        "embodiment": "point",
        "site": "made",
        "source": "rollout",
        "outcome": "success" if success else "failure",
        "start": {"seed": begun.seed, "factors": dict(begun.factors)},
        **(metadata or {}),
    }
    last_ns = int(stamps[-1])
    events = (Event(0, "phase/reach"), Event(last_ns, "success" if success else "timeout"))
    return EpisodeLog(f"episode_{seed}", made, events, facts)
