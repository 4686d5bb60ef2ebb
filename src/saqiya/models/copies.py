"""Windows that are copies of one another, in whole or in part: kept together, or a test is answered from memory.

Published sets hold such copies: the same event cut twice, or with its rows in another order. A fold that puts one of
them into training and the other into the test measures how well a learner remembers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["group_copies"]

SHARED = 1.0 / 3.0
COMMON_SHARE = 0.1
COMMON_N = 8


def group_copies(windows: Sequence[NDArray[np.floating]]) -> NDArray[np.int64]:
    """Return int64 (n,): windows with the same number are copies, or overlap, in a third of their rows or more.

    Rows count as the same when all columns are exactly equal, in whatever order the rows are. A row that many windows
    hold (more than 8 of them and more than a tenth) is what a coarse sensor shows at rest, and proves nothing.
    """
    rows = [{row.tobytes() for row in np.ascontiguousarray(window, dtype=np.float64) + 0.0} for window in windows]
    held = Counter(row for each in rows for row in each)
    most = max(COMMON_N, COMMON_SHARE * len(windows))
    owners: dict[bytes, list[int]] = {}
    for number, each in enumerate(rows):
        for row in each:
            if held[row] <= most:
                owners.setdefault(row, []).append(number)
    shared = Counter((a, b) for own in owners.values() for at, a in enumerate(own) for b in own[at + 1 :])
    group = np.arange(len(windows))
    for (a, b), common_n in shared.items():
        if common_n >= SHARED * min(len(rows[a]), len(rows[b])):
            group[group == group[b]] = group[a]
    return group
