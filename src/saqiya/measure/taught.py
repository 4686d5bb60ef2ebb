"""What of an episode would be imitated: states and actions of those steps that somebody meant to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Span, Stream
from saqiya.errors import InvalidEpisode
from saqiya.models.rows import EXECUTED, side_by_side, widths

__all__ = ["Taught", "taught", "teaching"]

AUTHOR = "author"


@dataclass(frozen=True)
class Taught:
    """The steps of an episode that teach.

    Attributes:
        t_ns: int64 (t,).
        state: float64 (t, D), observation streams side by side; `widths` their columns.
        action: float64 (t, d), what was executed then.
        rate_hz: how often it was.
    """

    t_ns: NDArray[np.int64]
    state: Vector
    action: Vector
    widths: tuple[int, ...]
    rate_hz: float


def taught(streams: Mapping[str, Stream], names: Sequence[str], *, span: Span | None = None) -> Taught:
    """Return the steps that would be imitated: a person's where one took over, else all; within `span` if given.

    Args:
        streams: the episode.
        names: the observation streams that make a state.
        span: half-open, on the episode's clock; None for the whole episode.

    Raises:
        InvalidEpisode: a stream is missing, never finite, or no step lies in the span.
    """
    stamps, rows = side_by_side(streams, [*names, EXECUTED])
    kept = teaching(streams, stamps, span)
    wide = widths(streams, names)
    state, action = np.split(rows[kept], [sum(wide)], axis=1)
    return Taught(stamps[kept], state, action, wide, streams[EXECUTED].rate_hz)


def teaching(streams: Mapping[str, Stream], stamps: NDArray[np.int64], span: Span | None) -> NDArray[np.bool_]:
    """Say which instants teach, bool (t,): those in the span; where a person acted in some of them, only these.

    Raises:
        InvalidEpisode: no instant lies in the span.
    """
    kept = np.ones(len(stamps), dtype=np.bool_)
    if span is not None:
        kept = (stamps >= span.start_ns) & (stamps < span.end_ns)
    if not kept.any():
        raise InvalidEpisode("has no step in the span", remedy="Give a span within the episode.")
    if AUTHOR not in streams:
        return kept
    author = streams[AUTHOR]
    latest = np.searchsorted(author.t_ns, stamps, side="right") - 1
    by = (author.values.reshape(len(author.t_ns), -1)[np.maximum(latest, 0), 0] > 0) & (latest >= 0) & kept
    return by if by.any() else kept
