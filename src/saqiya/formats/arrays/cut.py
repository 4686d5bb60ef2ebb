"""Many tries behind one another, told apart by flags: D4RL's `terminals` and `timeouts` (Fu et al., 2020)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np

from saqiya.formats.arrays.episode import Column, Packets

__all__ = ["cuts_of", "parts_of"]

ENDS = ("terminals", "timeouts")


def cuts_of(columns: Sequence[Column]) -> list[tuple[int, int]]:
    """Return rows `[begin, end)` of each try; none when the columns do not say where tries end.

    Raises:
        UnreadableLog: a flag cannot be read.
    """
    flags = [column for column in columns if column.path in ENDS and not column.why and column.rows]
    if len(flags) != len(ENDS) or flags[0].rows != flags[1].rows:
        return []
    rows = flags[0].rows
    ended = np.zeros(rows, dtype=np.bool_)
    for flag in flags:
        ended |= np.asarray(flag.read()).reshape(rows, -1).any(axis=1)
    ends = [*(np.flatnonzero(ended[:-1]) + 1).tolist(), rows]
    return list(zip([0, *ends[:-1]], ends, strict=True))


def parts_of(columns: Sequence[Column], cuts: Sequence[tuple[int, int]]) -> Iterator[list[Column]]:
    """Yield the columns of each try; those that do not have a row for each step of the file are left out."""
    rows = cuts[-1][1]
    whole = [replace(column, read=cache(column.read)) for column in columns if column.rows == rows and not column.why]
    for begin, end in cuts:
        yield [
            replace(column, shape=(end - begin, *column.shape[1:]), read=partial(_slice, column, begin, end))
            for column in whole
        ]


def _slice(column: Column, begin: int, end: int) -> Any:  # noqa: ANN401 - an array, texts or packets
    values = column.read()
    if isinstance(values, Packets):
        return replace(values, offset=values.offset[begin:end], size=values.size[begin:end])
    return values[begin:end]
