"""Groups of what is the same: pairs joined into groups, each known by its earliest member."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["earliest"]

T = TypeVar("T", int, str)


def earliest(pairs: Iterable[tuple[T, T]]) -> dict[T, T]:
    """Return for each member of a pair the earliest member of its group: what shares a member is one group."""
    above: dict[T, T] = {}

    def root(one: T) -> T:
        while above.setdefault(one, one) != one:
            above[one] = one = above[above[one]]
        return one

    for a, b in pairs:
        first, second = sorted((root(a), root(b)))
        above[second] = first
    return {one: root(one) for one in above}
