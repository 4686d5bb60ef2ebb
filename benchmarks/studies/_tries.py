"""Made-up tries, by a script or by people, and copies of them: for studies that need thousands in a minute."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import Stream

__all__ = ["COPIES", "Tries", "reach"]

Tries = Mapping[str, Stream]
PERIOD_NS = 50_000_000


def reach(rng: np.random.Generator, *, people: bool, start: NDArray[np.float64] | None = None) -> Tries:
    """Reach an object, carry it to a goal: four numbers of the start, 30 cm wide, drawn unless given.

    A script goes the same way from the same start. People differ by centimetres on the way, by millimetres where it
    matters, in pace, and their commands tremble.
    """
    from scipy.interpolate import PchipInterpolator

    begin = rng.uniform(-0.15, 0.15, 4) if start is None else start
    thing, goal = np.array([begin[0], 0.6 + begin[1], 0.02]), np.array([begin[2], 0.8 + begin[3], 0.2])
    above, between = np.add(thing, (0.0, 0.0, 0.1)), np.add((thing + goal) / 2, (0.0, 0.0, 0.1))
    corners = np.stack([[0.0, 0.6, 0.2], above, thing, between, goal])
    when, n = np.arange(5.0), 100
    if people:
        corners[1:] += rng.normal(0.0, [[0.02], [0.004], [0.03], [0.005]], (4, 3))
        when, n = np.append(0.0, rng.uniform(0.6, 1.4, 4).cumsum()), int(rng.integers(70, 130))
    t = np.linspace(0.0, when[-1], n)
    hand = PchipInterpolator(when, corners)(t)
    held = t[:, None] > when[2]
    command = np.diff(hand, axis=0, append=hand[-1:]) * 20 + (rng.normal(0.0, 0.02, hand.shape) if people else 0.0)
    rows = {
        "observation/contact": np.zeros((n, 1)),
        "observation/goal": np.repeat(goal[None], n, axis=0),
        "observation/hand": hand,
        "observation/object": np.where(held, hand, thing),
        "action/executed": np.concatenate([command, held], axis=1),
    }
    return {name: Stream(np.arange(n, dtype=np.int64) * PERIOD_NS, values) for name, values in rows.items()}


def _changed(tries: Tries, change: Callable[[NDArray[np.float64]], NDArray[np.floating]]) -> Tries:
    return {name: Stream(one.t_ns.copy(), change(one.values)) for name, one in tries.items()}


def _at(tries: Tries, rows: NDArray[np.float64], t_ns: NDArray[np.int64]) -> Tries:
    made = {}
    for name, one in tries.items():
        own = np.arange(len(one.t_ns))
        made[name] = Stream(t_ns.copy(), np.stack([np.interp(rows, own, column) for column in one.values.T], axis=1))
    return made


def _warped(tries: Tries, rng: np.random.Generator) -> Tries:
    last = len(tries["observation/hand"].t_ns) - 1
    n = int((last + 1) * rng.uniform(0.6, 1.6))
    u = np.linspace(0.0, 1.0, n)
    u = u + 0.08 * rng.uniform(-1, 1) * np.sin(2 * np.pi * u) + 0.02 * rng.uniform(-1, 1) * np.sin(6 * np.pi * u)
    return _at(tries, np.maximum.accumulate(u).clip(0.0, 1.0) * last, np.arange(n, dtype=np.int64) * PERIOD_NS + 7)


def _cropped(tries: Tries, rng: np.random.Generator) -> Tries:
    first, less = rng.integers(0, 6, 2)
    return {name: Stream(one.t_ns[first : -1 - less], one.values[first : -1 - less]) for name, one in tries.items()}


def _resampled(tries: Tries, rng: np.random.Generator) -> Tries:
    own = tries["observation/hand"].t_ns
    t_ns = np.arange(own[0], own[-1] + 1, int(1e9 / rng.choice([10, 15, 30, 50, 100])), dtype=np.int64)
    if rng.random() < 0.5:
        return _at(tries, np.searchsorted(own, t_ns, side="right") - 1.0, t_ns)
    return _at(tries, np.interp(t_ns, own, np.arange(len(own))), t_ns)


def _trembling(tries: Tries, rng: np.random.Generator) -> Tries:
    return _changed(tries, lambda values: values + rng.normal(0.0, 0.001, values.shape))


def _constant_trembles(tries: Tries, rng: np.random.Generator) -> Tries:
    return _changed(tries, lambda values: values + rng.normal(0.0, 0.003, values.shape) * (np.ptp(values, axis=0) == 0))


def _all(tries: Tries, rng: np.random.Generator) -> Tries:
    done = _trembling(_resampled(_cropped(_warped(tries, rng), rng), rng), rng)
    return _changed(done, lambda values: values.astype(np.float32))


COPIES: Mapping[str, Callable[[Tries, np.random.Generator], Tries]] = {
    "other speed": _warped,
    "cropped": _cropped,
    "other rate": _resampled,
    "float32": lambda tries, _: _changed(tries, lambda values: values.astype(np.float32)),
    "float16": lambda tries, _: _changed(tries, lambda values: values.astype(np.float16)),
    "1 mm tremble": _trembling,
    "3 mm in constants": _constant_trembles,
    "all at once": _all,
}
"""Ways to make a copy: other speed, a few samples less, another rate (interpolated or held), precision, tremble."""
