"""What happened when in an episode, as bands under its streams: who acted, phases, contact, alarms, how unsure it was.

All is read off what was logged and what was found; where nothing is known there is no band.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.person import Hand, heard, told
from saqiya.domain.streams import Event, Span, Stream
from saqiya.domain.words import Source
from saqiya.loop.tries.rollout import Control
from saqiya.models.scene import HELD, PHASE
from saqiya.views.decimate import decimate

__all__ = ["Band", "acted", "contacts", "control", "live_alarms", "phases", "unsure"]

POLICY, PERSON, ASSIST = "policy", "person", "assist"
WHO: Final = {0: POLICY, 1: PERSON, 2: ASSIST}
CONTROL: Final = "drive/control"
SCORES: Final = ("policy/uncertainty", "monitor/score")
LEVELS_N: Final = 240
TOUCH_SHARE: Final = 0.1
"""A force is contact where it is above this share of its greatest; noise in free motion stays below."""
CHATTER_NS: Final = 60_000_000
"""Contact chatters: pauses shorter than this do not end it."""


@dataclass(frozen=True)
class Band:
    """Something that was so for a while; an instant has `end_ns == start_ns`.

    Attributes:
        kind: "who", "control", "phase", "contact", "alarm" or "uncertainty": the lane that it is drawn in.
        label: what it is ("policy", "grasp", a detector's name).
        level: from 0 to 1, how strongly it is drawn.
        detail: what is known beside it, in words.
    """

    kind: str
    label: str
    start_ns: int
    end_ns: int
    level: float = 1.0
    detail: str = ""


def acted(
    streams: Mapping[str, Stream], events: Sequence[Event], span: Span, *, source: Source, operator: str = ""
) -> list[Band]:
    """Return who acted when: by the stream `author`, else by what flags and events say, else by how it came to be."""
    author = streams.get("author")
    if author is not None and author.t_ns.size and author.values.size == author.t_ns.size:
        names = {code: f"{name} ({operator})" if name == PERSON and operator else name for code, name in WHO.items()}
        return [
            Band("who", names.get(code, f"author {code}"), begin, end)
            for code, begin, end in _runs(author.t_ns, author.values.reshape(-1), span)
        ] + _assists(streams, span)
    taken = [one for one in _turns(streams, events) if one[1] is Hand.TAKEOVER]
    if taken:
        known = [(span.start_ns, not taken[0][2]), *((t_ns, on) for t_ns, _, on in taken), (span.end_ns, False)]
        return [
            Band("who", PERSON if on else POLICY, begin, end)
            for (begin, on), (end, _) in pairwise(known)
            if end > begin
        ] + _assists(streams, span)
    by = {Source.DEMONSTRATION: PERSON, Source.CORRECTION: PERSON, Source.ROLLOUT: POLICY}.get(source)
    return [] if by is None else [Band("who", by, span.start_ns, span.end_ns, detail=f"it is a {source}")]


def control(streams: Mapping[str, Stream], span: Span) -> list[Band]:
    """Return the states of the takeover machine, where a drive wrote them down."""
    stream = streams.get(CONTROL)
    if stream is None or stream.values.size != stream.t_ns.size:
        return []
    names = dict(enumerate(one.value for one in Control))
    return [
        Band("control", names.get(code, f"control {code}"), begin, end)
        for code, begin, end in _runs(stream.t_ns, stream.values.reshape(-1), span)
    ]


def phases(events: Sequence[Event], span: Span) -> list[Band]:
    """Return each phase from where it is first reached to the next one."""
    reached = [(event.t_ns, event.name.removeprefix(PHASE)) for event in events if event.name.startswith(PHASE)]
    return [Band("phase", name, begin, end) for (begin, name), (end, _) in pairwise([*reached, (span.end_ns, "")])]


def contacts(streams: Mapping[str, Stream], events: Sequence[Event], span: Span) -> list[Band]:
    """Return when something was touched or held: by 0-or-1 streams, by forces that are quiet otherwise, by events."""
    found: list[Band] = []
    for name, stream in sorted(streams.items()):
        if not stream.t_ns.size or stream.values.dtype.kind not in "fiub":
            continue
        if name.endswith(HELD) and stream.values.size == stream.t_ns.size:
            found += _spans(name, stream.t_ns, stream.values.reshape(-1) > 0.5, span, "")
        elif name.startswith("contact/"):
            found += _touched(name, stream, span)
    made = ""
    for event in events:
        if event.name == "contact/made":
            made, since_ns = event.detail or "contact/made", event.t_ns
        elif event.name == "contact/lost" and made:
            found.append(Band("contact", made, since_ns, event.t_ns))
            made = ""
    return [*found, Band("contact", made, since_ns, span.end_ns)] if made else found


def live_alarms(events: Sequence[Event]) -> list[Band]:
    """Return the alarms that a monitor raised while the try ran."""
    return [
        Band("alarm", event.name.removeprefix("alarm/"), event.t_ns, event.t_ns, detail=f"live: {event.detail}")
        for event in events
        if event.name.startswith("alarm/")
    ]


def unsure(streams: Mapping[str, Stream], span: Span) -> list[Band]:
    """Return how unsure the policy, its shadows and its monitor were, each beside its own greatest value."""
    found: list[Band] = []
    for name, stream in sorted(streams.items()):
        scored = name in SCORES or (name.startswith("shadow/") and name.endswith("/uncertainty"))
        if not scored or not stream.t_ns.size:
            continue
        few = decimate(
            stream.t_ns, stream.values, start_ns=span.start_ns, end_ns=max(span.end_ns, span.start_ns + 1),
            points=LEVELS_N,
        )  # fmt: skip
        high = np.fmax.reduce(few.high, axis=1)
        known = np.isfinite(high)
        if not known.any():
            continue
        least, most = np.quantile(high[known], 0.05), high[known].max()
        level = np.clip((high - least) / (most - least), 0, 1) if most > least else np.zeros_like(high)
        ends = [*few.t_ns[1:].tolist(), span.end_ns]
        for begin, end, height, value in zip(few.t_ns.tolist(), ends, level.tolist(), high.tolist(), strict=True):
            if np.isfinite(height) and end > begin:
                found.append(Band("uncertainty", name, begin, end, round(height, 3), f"{value:.4g}"))
    return found


def _turns(streams: Mapping[str, Stream], events: Iterable[Event]) -> list[tuple[int, Hand, bool]]:
    """Return each moment at which an event or a flag says that a person begins or ends."""
    said = [(event.t_ns, *one) for event in events if (one := heard(told(event))) is not None]
    for name, stream in streams.items():
        one = heard(name) if stream.t_ns.size and stream.values.size == stream.t_ns.size else None
        if one is None or name.startswith(("action/", "observation/")) or stream.values.dtype.kind not in "fiub":
            continue
        high = stream.values.reshape(-1) > 0.5
        turns = np.flatnonzero(np.diff(high, prepend=not high[0])).tolist()
        said += [(int(stream.t_ns[at]), one[0], one[1] == bool(high[at])) for at in turns]
    return sorted(said, key=lambda turn: turn[0])


def _assists(streams: Mapping[str, Stream], span: Span) -> list[Band]:
    """Return when both acted, where a 0-or-1 stream named for it says so."""
    found: list[Band] = []
    for name, stream in sorted(streams.items()):
        named = name.rsplit("/", 1)[-1] in {"assist", "is_assist", "shared_control"}
        if named and stream.t_ns.size and stream.values.size == stream.t_ns.size:
            found += [
                Band("who", ASSIST, begin, end, detail=name)
                for code, begin, end in _runs(stream.t_ns, stream.values.reshape(-1) > 0.5, span)
                if code
            ]
    return found


def _runs(t_ns: NDArray[np.int64], codes: NDArray[np.generic], span: Span) -> Iterator[tuple[int, int, int]]:
    """Yield (code, begin, end) of rows in a row that are alike; each row holds until the next one."""
    whole = codes.astype(np.int64)
    begins = np.flatnonzero(np.diff(whole, prepend=whole[0] - 1))
    ends = [*t_ns[begins[1:]].tolist(), max(span.end_ns, int(t_ns[-1]))]
    yield from zip(whole[begins].tolist(), t_ns[begins].tolist(), ends, strict=True)


def _touched(name: str, stream: Stream, span: Span) -> list[Band]:
    rows = stream.values.reshape(len(stream.t_ns), -1)
    if rows.dtype.kind == "b" or (rows.shape[1] == 1 and np.isin(rows, (0, 1)).all()):
        return _spans(name, stream.t_ns, rows.astype(np.bool_).max(axis=1), span, "")
    size: NDArray[np.float64] = np.sqrt(np.nansum(rows.astype(np.float64) ** 2, axis=1))
    bar = TOUCH_SHARE * float(size.max())
    if bar <= 0.0 or float(np.quantile(size, 0.1)) > bar / 2:  # never quiet: it says nothing of when it touches
        return []
    return _spans(name, stream.t_ns, size > bar, span, f"above {bar:.3g} {stream.unit}".rstrip())


def _spans(name: str, t_ns: NDArray[np.int64], on: NDArray[np.bool_], span: Span, detail: str) -> list[Band]:
    edges = np.flatnonzero(np.diff(on, prepend=False, append=False)).reshape(-1, 2)
    stamps = np.append(t_ns, max(span.end_ns, int(t_ns[-1])))
    found: list[Band] = []
    for begin, end in stamps[edges].tolist():
        joined = bool(found) and begin - found[-1].end_ns < CHATTER_NS
        found.append(Band("contact", name, found.pop().start_ns if joined else begin, end, detail=detail))
    return found
