"""Streams at their own rates as one matrix: a row for each instant, holding what was known then and nothing later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Row, Vector
from saqiya.domain.nouns import PolicySpec
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, UsageError

__all__ = [
    "EXECUTED",
    "OBSERVATION",
    "Latest",
    "common_names",
    "finite",
    "names_array",
    "names_of",
    "side_by_side",
    "spec_of_logs",
    "widths",
]

OBSERVATION = "observation/"
EXECUTED = "action/executed"
_FEW_N = 48


def common_names(episodes: Sequence[Mapping[str, Stream]], *, action: bool) -> tuple[str, ...]:
    """Return the observation streams that every episode has, sorted, with the executed action last when asked for.

    Raises:
        UsageError: there is no episode, or no observation stream that all of them share.
    """
    if not episodes:
        raise UsageError("there is no training episode to compare with", remedy="Give the policy's training episodes.")
    shared = set.intersection(*(set(streams) for streams in episodes))
    names = sorted(name for name in shared if name.startswith(OBSERVATION))
    if not names:
        raise UsageError(
            "the training episodes share no observation stream", remedy=f"Name the streams {OBSERVATION}<name>."
        )
    if action and EXECUTED in shared:
        names.append(EXECUTED)
    return tuple(names)


def widths(streams: Mapping[str, Stream], names: Sequence[str]) -> tuple[int, ...]:
    """Return how many columns each named stream has in `side_by_side`."""
    return tuple(int(np.prod(streams[name].values.shape[1:], dtype=np.int64)) for name in names)


def side_by_side(streams: Mapping[str, Stream], names: Sequence[str]) -> tuple[NDArray[np.int64], Vector]:
    """Lay the named streams side by side on the stamps of the last one, each with its latest value at that instant.

    A sample that is not finite never came: one bad reading of one try must not cost a detector all of them.

    Returns:
        Stamps int64 (t,) and rows float64 (t, D). Stamps before every stream has a value are left out.

    Raises:
        InvalidEpisode: a stream is missing, or no instant has them all.
    """
    missing = [name for name in names if name not in streams]
    if missing:
        raise InvalidEpisode(f"has no stream {', '.join(missing)}", remedy="Record what the training episodes have.")
    chosen = [_came(streams[name]) for name in names]
    stamps = chosen[-1].t_ns
    first = max((int(stream.t_ns[0]) if stream.t_ns.size else np.iinfo(np.int64).max) for stream in chosen)
    stamps = stamps[stamps >= first]
    if not stamps.size:
        raise InvalidEpisode(f"has no instant at which all of {', '.join(names)} are known")
    columns = []
    for stream in chosen:
        latest = np.searchsorted(stream.t_ns, stamps, side="right") - 1
        columns.append(stream.values[latest].reshape(len(stamps), -1).astype(np.float64))
    return stamps, np.concatenate(columns, axis=1)


def _came(stream: Stream) -> Stream:
    good = np.isfinite(stream.values).all(axis=tuple(range(1, stream.values.ndim)))
    return stream if good.all() else replace(stream, t_ns=stream.t_ns[good], values=stream.values[good])


def spec_of_logs(episodes: Sequence[Mapping[str, Stream]], embodiment: str) -> PolicySpec:
    """Describe a policy for logs alone: the observations that all of them share, eight actions at once."""
    names = common_names(episodes, action=True)
    wide = dict(zip(names, widths(episodes[0], names), strict=True))
    action = wide.pop(EXECUTED)
    return PolicySpec(
        observation={name.removeprefix(OBSERVATION): width for name, width in wide.items()},
        action=action,
        rate_hz=episodes[0][EXECUTED].rate_hz,
        chunk=8,
        execute=2,
        embodiment=embodiment,
    )


def names_array(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return names as an array that a tensor file can hold: UTF-8, a line feed between two names."""
    return np.frombuffer("\n".join(names).encode(), dtype=np.uint8)


def names_of(array: NDArray[Any]) -> tuple[str, ...]:
    """Return the names again."""
    text = array.astype(np.uint8).tobytes().decode()
    return tuple(text.split("\n")) if text else ()


def finite(values: NDArray[Any]) -> bool:
    """Say whether all numbers are finite; of the few in a row it knows three times sooner than numpy."""
    if values.size > _FEW_N:
        return bool(np.isfinite(values).all())
    return all(map(isfinite, values.reshape(-1).tolist()))


class Latest:
    """`side_by_side` as it happens: a row of latest values whenever the last stream brings one."""

    def __init__(self, names: Sequence[str], widths: Sequence[int]) -> None:
        """Begin a try in which nothing is known yet."""
        self._names, self._unknown = tuple(names), set(names)
        ends = np.cumsum(widths).tolist()
        self._place = {name: slice(end - width, end) for name, width, end in zip(names, widths, ends, strict=True)}
        self._row = np.full(ends[-1] if ends else 0, np.nan)

    def take(self, row: Row) -> Vector | None:
        """Return the row of this instant, float64 (D,), valid until the next call; None while something is unknown.

        Raises:
            InvalidEpisode: a value has another width.
        """
        came = ""
        for name in self._names:
            value = row.get(name)
            if value is None:
                continue
            place = self._place[name]
            if value.size != place.stop - place.start:
                raise InvalidEpisode(f"stream {name} is not {place.stop - place.start} numbers")
            if finite(value):
                self._unknown.discard(name)
                self._row[place] = value.reshape(-1)
                came = name
        return self._row if not self._unknown and came == self._names[-1] else None
