"""The deployments that detectors and triage are measured on."""

from __future__ import annotations

from collections import Counter

import numpy as np
from benchmarks._disturbed import CAUSES, deployment


def test_half_is_nominal_and_causes_have_equal_shares_and_equal_seeds_repeat() -> None:
    tries = deployment("tiny", 3, 40)
    assert Counter(one.cause for one in tries) == Counter({None: 20, **dict.fromkeys(CAUSES, 4)})
    again = deployment("tiny", 3, 40)
    assert [(one.cause, one.success) for one in tries] == [(one.cause, one.success) for one in again]
    same = [
        np.array_equal(a.log.streams["action/executed"].values, b.log.streams["action/executed"].values)
        for a, b in zip(tries, again, strict=True)
    ]
    assert all(same)
    assert all(one.success for one in tries if not one.shifted)
    assert 0 < sum(one.success for one in tries if one.shifted) < 20
