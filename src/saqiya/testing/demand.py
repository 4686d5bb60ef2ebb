"""One sentence when a contract is broken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["demand", "same_bits"]


def demand(holds: object, sentence: str) -> None:
    """Raise AssertionError with `sentence` unless `holds`; unlike `assert`, also under `python -O`."""
    if not holds:
        raise AssertionError(sentence)


def same_bits(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    """Say whether two sets of named arrays are equal in names, dtypes, shapes and bits (so that NaN equals NaN)."""
    return set(one) == set(other) and all(
        np.asarray(one[name]).dtype == np.asarray(other[name]).dtype
        and np.asarray(one[name]).shape == np.asarray(other[name]).shape
        and np.asarray(one[name]).tobytes() == np.asarray(other[name]).tobytes()
        for name in one
    )
