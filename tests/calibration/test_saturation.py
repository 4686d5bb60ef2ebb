"""Do 95 % forecast intervals hold the truth on learning curves that are mostly not of the fitted family?"""

import numpy as np
from benchmarks._curves import AHEAD, shapes, watched

from saqiya.measure.saturation import enough, gain

CURVES_N = 8
SLACK = 0.001
UNFORESEEN = {"late", "linear", "step"}
"""Nothing in the points of these says what comes; docs/saturation.md has their coverage."""


def test_forecasts_hold_the_truth_and_the_stop_rule_loses_nothing():
    held, stopped, lost = [], 0, 0
    for seed in range(CURVES_N):
        rng = np.random.default_rng(seed)
        for name, shape in shapes(rng).items():
            curve = watched(shape, name, rng, noise=0.03)
            now = curve.points[-1].demonstrations
            if name not in UNFORESEEN:
                for more in AHEAD:
                    told, true = gain(curve, more, seed=seed), shape(now + more) - shape(now)
                    held.append(told.low - SLACK <= true <= told.high + SLACK)
            if enough(curve, 0.01, seed=seed):
                stopped += 1
                lost += shape(now + 10) - shape(now) > 0.01
    assert np.mean(held) >= 0.90
    assert stopped > 0
    assert lost <= 0.1 * stopped
