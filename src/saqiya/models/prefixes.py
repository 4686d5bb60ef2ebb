"""What a learner is told of a try up to an instant: numbers that any robot's streams and events give."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import OUTCOME_EVENTS, Row, Seen, Vector
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.models.rows import EXECUTED, OBSERVATION, names_array, names_of

__all__ = ["Following", "Prefixes", "learn_prefixes"]

CHANGES_N = (5, 20)
"""A change is told over this many instants: a movement, and a stage of the work."""
WIDE_N = 64
"""A stream with more columns is a picture or a cloud of points, which single columns say nothing of."""
RARE_N = 5
"""An event that fewer tries have is somebody's note, not a sign."""
CLOCK_FIT = 0.9999
CLOCK_SLOPE = 0.01
NOT_OF_THE_ROBOT = ("author", "action/operator", "action/intended", "policy/", "shadow/", "monitor/", "clock/")
"""Who acted, what a policy or a person wanted, what was thought of it: that is not what the robot did."""
OUTCOME_WORDS = OUTCOME_EVENTS | {
    "successful", "succeeded", "failed", "fail", "outcome", "result", "label", "reward", "rewards", "done", "dones",
    "terminal", "terminated",
}  # fmt: skip
TIME_WORDS = frozenset({"timeout", "timelimit", "truncated"})


@dataclass(frozen=True)
class Prefixes:
    """Turns the part of a try that has passed into one row of numbers: the same ones from a log and as it happens.

    A channel is a column of a stream, or the length of a stream's row as a vector (a distance, a force). For each
    channel a row holds its last value and its change over the last `CHANGES_N` instants; for each event whether it has
    happened. With `duration` there are also the least, greatest and mean value so far, the time since the beginning and
    since each event first happened. Without it nothing tells how long the try has lasted: a pause changes no number
    once it is longer than the longest change looks back. Extremes belong to `duration` because those of a noisy sensor
    go on growing; early in a try they also taught more noise than signs (measured with `detect.outlook`: area at the
    success horizon from 100 labelled tries .86 with them, .96 without). What is not known is NaN.

    Attributes:
        streams: what is read; an instant is a sample of the last one.
        kept: bool, which columns of each stream count, in order.
        events: whose happening counts.
        duration: whether elapsed time may be told.
        left_out: streams, columns and events that were not taken because they state the outcome or the time, or because
            not every try that was learned from has them.
    """

    streams: tuple[str, ...]
    kept: tuple[NDArray[np.bool_], ...]
    events: tuple[str, ...]
    duration: bool
    left_out: tuple[str, ...] = ()

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """The name of each channel: "observation/hand[0]", and "|observation/hand|" for the length of its row."""
        columns = [
            f"{name}[{i}]" for name, kept in zip(self.streams, self.kept, strict=True) for i in np.flatnonzero(kept)
        ]
        return (*columns, *(f"|{name}|" for name, one in zip(self.streams, self._long, strict=True) if one))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each number of a row is, in words."""
        told = ["last {}", *(f"change of {{}} over {n}" for n in CHANGES_N)]
        names = [words.format(channel) for words in told for channel in self.channels]
        names += [f"{event} happened" for event in self.events]
        if self.duration:
            names += [f"{kind} {channel}" for kind in ("least", "greatest", "mean") for channel in self.channels]
            names += ["seconds", *(f"seconds since {event}" for event in self.events)]
        return tuple(names)

    def rows(self, seen: Seen, at: Sequence[int] | NDArray[np.int64] | None = None) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps int64 (t,) and rows float64 (t, F) at all instants, or at those counted by `at` (-1: the last).

        Raises:
            InvalidEpisode: a stream is missing, has another width, or has no sample where instants come from.
        """
        stamps = self._stream(seen, self.streams[-1])[0]
        if not stamps.size:
            raise InvalidEpisode(f"stream {self.streams[-1]} has no sample")
        pick = np.arange(len(stamps)) if at is None else np.arange(len(stamps))[np.asarray(at, dtype=np.int64)]
        values = self._channels(np.concatenate([self._laid(seen, name, stamps) for name in self.streams], axis=1))
        happened = self._happened(seen, stamps)
        parts = [values[pick], *(values[pick] - values[np.maximum(pick - n, 0)] for n in CHANGES_N)]
        known_events = stamps[pick, None] >= happened
        parts.append(known_events.astype(np.float64))
        if self.duration:
            parts += [np.fmin.accumulate(values)[pick], np.fmax.accumulate(values)[pick]]
            known = np.cumsum(~np.isnan(values), axis=0)[pick]
            total = np.cumsum(np.nan_to_num(values), axis=0)[pick]
            parts.append(np.divide(total, known, out=np.full_like(total, np.nan), where=known > 0))
            parts.append((stamps[pick, None] - stamps[0]) / 1e9)
            parts.append(np.where(known_events, (stamps[pick, None] - happened) / 1e9, np.nan))
        return stamps[pick], np.concatenate(parts, axis=1)

    def follow(self) -> Following:
        """Begin a try that is told as it happens."""
        return Following(self)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what makes it again with `of_arrays`."""
        return {
            "streams": names_array(self.streams),
            "widths": np.array([len(kept) for kept in self.kept], dtype=np.int64),
            "kept": np.concatenate(self.kept),
            "events": names_array(self.events),
            "duration": np.array([self.duration]),
            "left_out": names_array(self.left_out),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Prefixes:
        """Make it again from `arrays`."""
        kept = tuple(np.split(arrays["kept"].astype(bool), np.cumsum(arrays["widths"])[:-1]))
        streams, events, left_out = (names_of(arrays[name]) for name in ("streams", "events", "left_out"))
        return cls(streams, kept, events, bool(arrays["duration"][0]), left_out)

    @cached_property
    def _long(self) -> NDArray[np.bool_]:
        return np.array([kept.sum() > 1 for kept in self.kept])

    @cached_property
    def _all_kept(self) -> NDArray[np.bool_]:
        return np.concatenate(self.kept)

    @cached_property
    def _begins(self) -> NDArray[np.int64]:
        sizes = np.array([int(kept.sum()) for kept in self.kept])
        begins: NDArray[np.int64] = np.cumsum(sizes) - sizes
        return begins

    def _channels(self, columns: Vector) -> Vector:
        """Return channels (t, C) of all columns side by side; what is not finite is not known."""
        kept = columns[:, self._all_kept]
        kept[~np.isfinite(kept)] = np.nan
        lengths = np.sqrt(np.add.reduceat(kept * kept, self._begins, axis=1))[:, self._long]
        return np.concatenate([kept, lengths], axis=1)

    def _stream(self, seen: Seen, name: str) -> tuple[NDArray[np.int64], Vector]:
        stream = seen.streams.get(name)
        if stream is None:
            raise InvalidEpisode(f"has no stream {name}", remedy="Record what the tries that were learned from have.")
        width = len(self.kept[self.streams.index(name)])
        if not stream.t_ns.size:
            return stream.t_ns, np.zeros((0, width))
        values = stream.values.reshape(len(stream.t_ns), -1).astype(np.float64)
        if values.shape[1] != width:
            raise InvalidEpisode(f"stream {name} has {values.shape[1]} columns, not {width}")
        return stream.t_ns, values

    def _laid(self, seen: Seen, name: str, stamps: NDArray[np.int64]) -> Vector:
        """Return the latest value at each stamp, NaN before there is one."""
        t_ns, values = self._stream(seen, name)
        values = np.concatenate([np.full((1, values.shape[1]), np.nan), values])
        laid: Vector = values[np.searchsorted(t_ns, stamps, side="right")]
        return laid

    def _happened(self, seen: Seen, stamps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the instant at which each event was first known, int64 (E,); far in the future where it never was."""
        first = np.full(len(self.events), np.iinfo(np.int64).max)
        for event in reversed(seen.events):
            if event.name in self.events:
                later = int(np.searchsorted(stamps, event.t_ns))
                if later < len(stamps):
                    first[self.events.index(event.name)] = stamps[later]
        return first


class Following:
    """`Prefixes.rows` as it happens."""

    def __init__(self, prefixes: Prefixes) -> None:
        """Begin a try in which nothing is known yet."""
        self._of = prefixes
        ends = np.cumsum([len(kept) for kept in prefixes.kept]).tolist()
        self._place = {
            name: slice(end - len(kept), end)
            for name, kept, end in zip(prefixes.streams, prefixes.kept, ends, strict=True)
        }
        self._columns = np.full((1, ends[-1]), np.nan)
        self._before: deque[Vector] = deque(maxlen=max(CHANGES_N) + 1)
        self._least = self._greatest = np.full(len(prefixes.channels), np.nan)
        self._known = self._total = np.zeros(len(prefixes.channels))
        self._happened = np.zeros(len(prefixes.events))
        self._since_ns = np.zeros(len(prefixes.events), dtype=np.int64)
        self._pending: set[str] = set()
        self._began_ns: int | None = None

    def see(self, t_ns: int, row: Row, events: Collection[str]) -> Vector | None:
        """Take in what arrived and return the row of this instant, float64 (F,); None where it is no instant.

        Raises:
            InvalidEpisode: a stream has another width.
        """
        for name, place in self._place.items():
            value = row.get(name)
            if value is not None:
                if value.size != place.stop - place.start:
                    raise InvalidEpisode(f"stream {name} has {value.size} columns, not {place.stop - place.start}")
                self._columns[0, place] = value.reshape(-1)
        self._pending.update(events)
        if self._of.streams[-1] not in row:
            return None
        return self._row(t_ns)

    def _row(self, t_ns: int) -> Vector:
        values: Vector = self._of._channels(self._columns)[0]  # noqa: SLF001 - two halves of one thing
        self._before.append(values)
        for index, event in enumerate(self._of.events if self._pending else ()):
            if event in self._pending and not self._happened[index]:
                self._happened[index], self._since_ns[index] = 1.0, t_ns
        self._pending.clear()
        changes = (values - self._before[max(-1 - n, -len(self._before))] for n in CHANGES_N)
        parts = [values, *changes, self._happened]
        if self._of.duration:
            self._least, self._greatest = np.fmin(self._least, values), np.fmax(self._greatest, values)
            parts += [self._least, self._greatest]
            self._began_ns = t_ns if self._began_ns is None else self._began_ns
            self._known = self._known + ~np.isnan(values)
            self._total = self._total + np.nan_to_num(values)
            mean = np.full(len(values), np.nan)
            parts.append(np.divide(self._total, self._known, out=mean, where=self._known > 0))
            parts.append(np.array([(t_ns - self._began_ns) / 1e9]))
            parts.append(np.where(self._happened > 0.0, (t_ns - self._since_ns) / 1e9, np.nan))
        return np.concatenate(parts)


def learn_prefixes(tries: Sequence[Seen], success: Sequence[bool], *, duration: bool) -> Prefixes:
    """Choose what is read: streams that all tries share and events that enough of them have.

    Left out are: what states the outcome (by its name; or an event that all successes and no failure have, or the
    other way round: a simulator's word in disguise); who acted, and what was only wanted; and, without `duration`, what
    tells the time: an event of a time-out, a column that runs at one speed in all tries (a clock, a count of steps).

    Args:
        tries: what was seen of each.
        success: what each came to.
        duration: whether elapsed time may be told.

    Raises:
        TooLittle: there is no try, or they share no stream.
    """
    having = [{name for name, stream in one.streams.items() if stream.t_ns.size} for one in tries]
    shared, of_some = (set.intersection(*having), set.union(*having)) if having else (set[str](), set[str]())
    stating = {name for name in shared if _words(name) & OUTCOME_WORDS}
    names = sorted(
        name for name in shared - stating if not name.startswith(NOT_OF_THE_ROBOT) and _width_of(tries, name)
    )
    names.sort(key=lambda name: (_samples(tries, name), name.startswith(OBSERVATION), name != EXECUTED))
    kept = [np.array([duration or not one for one in _clocks(tries, name)]) for name in names]
    told = [f"{name}[{i}]" for name, columns in zip(names, kept, strict=True) for i in np.flatnonzero(~columns)]
    events, unwanted = _events(tries, np.asarray(success, dtype=bool), duration=duration)
    chosen = [(name, columns) for name, columns in zip(names, kept, strict=True) if columns.any()]
    if not chosen:
        raise TooLittle("the tries share no stream that can be learned from", remedy="Log the same streams in each.")
    partly = sorted(name for name in of_some - shared if not name.startswith(NOT_OF_THE_ROBOT))
    left_out = (*sorted(stating), *partly, *told, *unwanted)
    return Prefixes(tuple(n for n, _ in chosen), tuple(c for _, c in chosen), events, duration, left_out)


def _words(name: str) -> set[str]:
    """Return the words of a name, and its parts without their separators ("time_out" is "timeout")."""
    parts = name.lower().split("/")
    return {word for part in parts for word in (*re.split(r"[^a-z]+", part), re.sub(r"[^a-z]", "", part))}


def _samples(tries: Sequence[Seen], name: str) -> float:
    return float(np.median([one.streams[name].t_ns.size for one in tries]))


def _width_of(tries: Sequence[Seen], name: str) -> int:
    """Return how many columns the stream has in every try; 0 where it is none to learn from."""
    found = {int(np.prod(one.streams[name].values.shape[1:], dtype=np.int64)) for one in tries}
    numbers = all(one.streams[name].values.dtype.kind in "biuf" for one in tries)
    return found.pop() if numbers and len(found) == 1 and max(found) <= WIDE_N else 0


def _clocks(tries: Sequence[Seen], name: str) -> list[bool]:
    """Say of each column whether it only tells the time: straight, and equally steep in all tries."""
    clock = np.ones(_width_of(tries, name), dtype=bool)
    slopes = []
    for one in tries:
        t_ns = one.streams[name].t_ns
        if t_ns.size < 3 or t_ns[-1] == t_ns[0]:
            continue
        t_s = (t_ns - t_ns[0]) / 1e9
        values = np.nan_to_num(one.streams[name].values.reshape(len(t_ns), -1).astype(np.float64))
        away, apart = t_s - t_s.mean(), values - values.mean(axis=0)
        size = np.sqrt((apart**2).sum(axis=0) * (away**2).sum())
        clock &= np.abs(away @ apart) > CLOCK_FIT * np.maximum(size, np.finfo(float).tiny)
        slopes.append(away @ apart / (away**2).sum())
    if not slopes:
        return [False] * len(clock)
    steep = np.abs(np.array(slopes))
    clock &= np.ptp(np.array(slopes), axis=0) <= CLOCK_SLOPE * steep.max(axis=0)
    return [bool(one) for one in clock]


def _events(
    tries: Sequence[Seen], success: NDArray[np.bool_], *, duration: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the events that count, and those that are left out because they state the outcome or the time."""
    having: dict[str, NDArray[np.bool_]] = {}
    for index, one in enumerate(tries):
        for event in one.events:
            having.setdefault(event.name, np.zeros(len(tries), dtype=bool))[index] = True
    wanted: list[str] = []
    unwanted: list[str] = []
    for name, had in sorted(having.items()):
        if had.sum() < RARE_N:
            continue
        stating = np.array_equal(had, success) or np.array_equal(had, ~success) or _words(name) & OUTCOME_WORDS
        timed = bool(_words(name) & TIME_WORDS) and not duration
        (unwanted if stating or timed else wanted).append(name)
    return tuple(wanted), tuple(unwanted)
