"""Learning curves of known shape, most of which are not of the family that is fitted, and policies drawn from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from saqiya.measure.saturation import Curve, Point

__all__ = ["AHEAD", "shapes", "watched"]

AHEAD = (10, 50)
"""Demonstrations beyond the last point that are forecast."""
Shape = Callable[[float], float]


def shapes(rng: np.random.Generator) -> Mapping[str, Shape]:
    """Draw one success curve of each shape, as a function of demonstrations."""
    end, start = float(rng.uniform(0.6, 1.0)), float(rng.uniform(0.0, 0.15))
    rise = end - start
    power_scale, power = rng.uniform(1, 4), rng.uniform(0.3, 1.2)
    slow, fast = rng.uniform(10, 80), rng.uniform(2, 8)
    middle, width = rng.uniform(30, 120), rng.uniform(5, 25)
    until, jump = rng.uniform(60, 250), rng.uniform(30, 150)
    slope = rng.uniform(0.1, 0.3)
    rare, cure = rng.uniform(0.01, 0.15), rng.uniform(5, 60)
    return {
        "power": lambda n: end * (1.0 - min(1.0, power_scale * (n + 1.0) ** -power)),
        "exponential": lambda n: end - rise * np.exp(-n / slow),
        "plateau": lambda n: end - rise * np.exp(-n / fast),
        "flat": lambda _: 0.5 + start,
        "log": lambda n: min(0.1 + slope * float(np.log1p(n / 5.0)), 0.5 + end / 2.0),
        "rare": lambda n: 1.0 - rare * np.exp(-n / cure),
        "linear": lambda n: min(end, start + rise * n / until),
        "late": lambda n: end - rise / (1.0 + np.exp((n - middle) / width)),
        "step": lambda n: start + 0.3 * rise if n < jump else end,
    }


def watched(shape: Shape, name: str, rng: np.random.Generator, *, noise: float) -> Curve:
    """Draw two to six policies along a curve, each tested in 50 to 200 tries.

    `noise` is the standard deviation of success between policies of equal data where half of all tries succeed.
    """
    first, apart, tries = (int(rng.choice(one)) for one in ((0, 10, 20), (5, 15, 25), (50, 100, 200)))
    points = []
    for index in range(int(rng.integers(2, 7))):
        demonstrations = first + apart * index
        mean = float(shape(demonstrations))
        own = mean + 2.0 * noise * np.sqrt(mean * (1.0 - mean)) * rng.standard_normal()
        points.append(Point(demonstrations, int(rng.binomial(tries, np.clip(own, 0.0, 1.0))), tries))
    return Curve(name, tuple(points))
