"""Where rules see a try begin or end in a log: events, crossings, home, pauses."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import InvalidMapping
from saqiya.ingest.columns import outcome_of
from saqiya.ingest.cut_rules import CutRules, HomeRule, MarkRule
from saqiya.ingest.motion import Motion, motion_of
from saqiya.ingest.stamps import YEAR_2000_NS

__all__ = ["Mark", "marks_of"]

TWENTIETH = 0.05


@dataclass(frozen=True, order=True)
class Mark:
    """A moment at which a rule sees a try end (`begins` False: an end at the same instant comes first) or begin.

    Attributes:
        at_ns: the moment; for an end, the first instant that no longer belongs to the try.
        rule: which rule, "start[0]", "home"; two starts by one rule are two tries, by two rules one.
    """

    at_ns: int
    begins: bool
    rule: str
    why: str
    outcome: str = ""


def marks_of(log: EpisodeLog, rules: CutRules) -> list[Mark]:
    """Return all moments that the rules see, in order.

    Raises:
        InvalidMapping: a rule names a stream or column that the log lacks, or a home pose of another width.
    """
    marks: list[Mark] = []
    for begins, group, name in ((True, rules.start, "start"), (False, rules.end, "end")):
        for number, rule in enumerate(group):
            own = f"{name}[{number}]"
            found = _events(log, rule) if rule.event else _crossings(log, rule, own)
            outcome = outcome_of(rule.outcome)[0].value if rule.outcome else ""
            # The event that ends a try belongs to it; the stream's first sample beyond the value does not.
            last = 1 if rule.event and not begins else 0
            marks += [Mark(at + last, begins, own, why, outcome) for at, why in found]
    if rules.home is not None:
        marks += _home(log, rules.home)
    if rules.idle is not None:
        motion = motion_of(log, rules.idle.streams, rules.idle.floor)
        if motion is None:
            raise _fault("idle", "no stream tells motion from rest: name streams, and a floor")
        marks += _pauses(motion, rules.idle.longer_s)
    return sorted(marks)


def _events(log: EpisodeLog, rule: MarkRule) -> list[tuple[int, str]]:
    return [
        (event.t_ns, f"event {event.name}" + (f" ({event.detail[:60]})" if event.detail else ""))
        for event in log.events
        if fnmatchcase(event.name, rule.event) and fnmatchcase(event.detail, rule.detail)
    ]


def _crossings(log: EpisodeLog, rule: MarkRule, where: str) -> list[tuple[int, str]]:
    stream = _stream(log, rule.stream, where)
    column = _column(stream, rule, where)
    x = stream.values.reshape(stream.t_ns.size, -1)[:, column].astype(np.float64)
    bound = float(rule.above if rule.above is not None else rule.below or 0.0)
    word = "above" if rule.above is not None else "below"
    inside = x > bound if word == "above" else x < bound
    why = f"{rule.stream} {word} {bound:g}"
    return [(int(stream.t_ns[begin]), why) for begin, _ in _stays(inside, stream.t_ns, rule.hold_s) if begin > 0]


def _stays(inside: NDArray[np.bool_], t_ns: NDArray[np.int64], longer_s: float) -> list[tuple[int, int]]:
    """Return runs `[begin, end)` of samples that are inside for at least `longer_s`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    begins, ends = edges[::2], edges[1::2]
    long = t_ns[ends - 1] - t_ns[begins] >= longer_s * 1e9
    return list(zip(begins[long].tolist(), ends[long].tolist(), strict=True))


def _home(log: EpisodeLog, rule: HomeRule) -> list[Mark]:
    """Begin a try when the robot leaves home after a stay, and end it when it has come back to stay.

    The radius only says what is a stay. Its edges are where the robot's own rest there ends and begins, so that a wide
    radius does not make tries late.
    """
    stream = _stream(log, rule.stream, "home")
    kept = stream.t_ns >= (YEAR_2000_NS if stream.t_ns.size and stream.t_ns[-1] >= YEAR_2000_NS else 0)
    t_ns = stream.t_ns[kept]
    x = stream.values.reshape(stream.t_ns.size, -1)[kept].astype(np.float64)
    pose = np.asarray(rule.pose) if rule.pose else _usual_rest(log, rule.stream, t_ns, x)
    if pose is None:
        raise _fault("home", f"{rule.stream} never rests long enough to tell its home: give pose")
    if pose.shape != x.shape[1:]:
        raise _fault("home.pose", f"has {pose.size} numbers and {rule.stream} {x.shape[1]} columns")
    radius = rule.radius if rule.radius is not None else _radius(x)
    inside = np.sqrt(((x - pose) ** 2).sum(axis=1)) <= radius
    marks = []
    for begin, end in _stays(inside, t_ns, rule.dwell_s):
        first, last = _rest_within(x[begin:end])
        if begin + first > 0 and begin > 0:
            marks.append(Mark(int(t_ns[begin + first]), False, "home", "comes home and stays"))
        if end < x.shape[0]:
            marks.append(Mark(int(t_ns[begin + last]), True, "home", "leaves home"))
    return marks


def _rest_within(x: Vector) -> tuple[int, int]:
    """Return where a stay's own rest begins and ends: samples near its median, by ten times their usual distance."""
    away = np.sqrt(((x - np.median(x, axis=0)) ** 2).sum(axis=1))
    near = np.flatnonzero(away <= 10.0 * float(np.median(away)) + 1e-9)
    return int(near[0]), int(near[-1])


def _radius(x: Vector) -> float:
    low, high = np.nanquantile(x, [0.02, 0.98], axis=0)
    return float(TWENTIETH * np.sqrt(((high - low) ** 2).sum()))


def _usual_rest(log: EpisodeLog, name: str, t_ns: NDArray[np.int64], x: Vector) -> Vector | None:
    """Return the pose in which the robot comes to rest most often (by visits, then by time)."""
    motion = motion_of(log, (name,))
    if motion is None:
        return None
    bounds = [t for stretch in motion.stretches(0.5) for t in stretch]
    edges = [int(t_ns[0]), *bounds, int(t_ns[-1]) + 1]
    rests = [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= 500_000_000]
    poses, lengths = [], []
    for begin, end in rests:
        low, high = np.searchsorted(t_ns, [begin, end])
        if high > low:
            poses.append(np.median(x[low:high], axis=0))
            lengths.append(end - begin)
    if not poses:
        return None
    places = np.stack(poses)
    near = np.sqrt(((places[:, None] - places[None]) ** 2).sum(axis=2)) <= _radius(x)
    visits = near.sum(axis=1) + near @ np.asarray(lengths, dtype=np.float64) / (1.0 + 1e3 * float(sum(lengths)))
    best = near[int(visits.argmax())]
    middle: Vector = np.median(places[best], axis=0)
    return middle


def _pauses(motion: Motion, longer_s: float) -> list[Mark]:
    marks = []
    for begin, end in motion.stretches(longer_s):
        marks.append(Mark(begin, True, "idle", "motion begins"))
        marks.append(Mark(end, False, "idle", f"rests for more than {longer_s:g} s"))
    return marks


def _stream(log: EpisodeLog, name: str, where: str) -> Stream:
    stream = log.streams.get(name)
    if stream is None:
        near = ", ".join(sorted(log.streams)[:12])
        raise _fault(where, f"the log has no stream {name!r}; it has {near}")
    if stream.values.dtype.kind not in "fiub" or not stream.t_ns.size:
        raise _fault(where, f"{name!r} holds no numbers")
    return stream


def _column(stream: Stream, rule: MarkRule, where: str) -> int:
    width = int(np.prod(stream.values.shape[1:], dtype=np.int64))
    if isinstance(rule.column, str):
        if rule.column not in stream.fields:
            raise _fault(where, f"{rule.stream} has no column {rule.column!r}; it has {', '.join(stream.fields)}")
        return stream.fields.index(rule.column)
    if not 0 <= rule.column < width:
        raise _fault(where, f"{rule.stream} has {width} columns, and no number {rule.column}")
    return rule.column


def _fault(where: str, what: str) -> InvalidMapping:
    return InvalidMapping(f"{where}: {what}", subject="the rules", remedy="Correct the rules, or ask for suggestions.")
