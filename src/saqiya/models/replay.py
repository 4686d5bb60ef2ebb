"""A log as it happened, instant by instant: what judges it afterwards is then the very code that runs on the robot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Seen, Telling, Vector, Watch
from saqiya.domain.streams import Event
from saqiya.errors import InvalidEpisode
from saqiya.models.roles import numeric

__all__ = ["instants", "reason_at", "score_by", "spoken"]

_OFF = frozenset(("false", "0", "off", "no", "none", "released", "cleared", "inactive", "normal"))


def spoken(event: Event) -> str:
    """Return an event's name, with "/off" behind it where its detail says that it ended (a truth value's topic)."""
    return f"{event.name}/off" if event.detail.casefold() in _OFF else event.name


def instants(seen: Seen, names: Sequence[str]) -> Iterator[tuple[int, dict[str, Vector], list[str]]]:
    """Yield every stamp of any stream, what the named streams brought then, and the events since the stamp before.

    Of a picture or a scan (more than 128 numbers) only that it came is told: its row is empty.

    Raises:
        InvalidEpisode: no stream has a sample.
    """
    stamps = [stream.t_ns for stream in seen.streams.values() if stream.t_ns.size]
    if not stamps:
        raise InvalidEpisode("no stream has a single sample")
    beats: list[int] = np.unique(np.concatenate(stamps)).tolist()
    read = []
    for name in names:
        stream = seen.streams.get(name)
        if stream is not None and stream.t_ns.size:
            few = numeric(stream)
            values = stream.values.reshape(len(stream.t_ns), -1)[:, : None if few else 0].astype(np.float64)
            read.append((name, values, np.searchsorted(stream.t_ns, beats, side="right").tolist()))
    heard = [(event.t_ns, spoken(event)) for event in seen.events]
    at, before = 0, dict.fromkeys(names, 0)
    for index, t_ns in enumerate(beats):
        row: dict[str, Vector] = {}
        for name, values, ends in read:
            if ends[index] > before[name]:
                before[name] = ends[index]
                row[name] = values[ends[index] - 1]
        first = at
        while at < len(heard) and heard[at][0] <= t_ns:
            at += 1
        yield t_ns, row, [name for _, name in heard[first:at]]


def score_by(watch: Watch, seen: Seen, names: Sequence[str]) -> tuple[NDArray[np.int64], Vector]:
    """Return the scores that `watch` gives on a log, with their stamps; it reads the named streams.

    Raises:
        InvalidEpisode: no stream has a sample, or the watch never had a score.
    """
    found = [(t_ns, watch.see(t_ns, row, events)) for t_ns, row, events in instants(seen, names)]
    kept = [(t_ns, score) for t_ns, score in found if score is not None]
    if not kept:
        raise InvalidEpisode(f"has no instant at which {', '.join(names) or 'anything'} is known")
    return np.array([t_ns for t_ns, _ in kept], np.int64), np.array([score for _, score in kept], np.float64)


def reason_at(watch: Watch, seen: Seen, names: Sequence[str], t_ns: int) -> str:
    """Return what a watch says of its score at `t_ns`, "" when it says nothing."""
    for now_ns, row, events in instants(seen, names):
        if now_ns > t_ns:
            break
        watch.see(now_ns, row, events)
    return watch.reason() if isinstance(watch, Telling) else ""
