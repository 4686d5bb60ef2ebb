"""A log as it happened, instant by instant: what judges it afterwards is then the very code that runs on the robot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Seen, Telling, Vector, Watch
from saqiya.domain.streams import Event, Stream
from saqiya.errors import InvalidEpisode
from saqiya.models.roles import numeric

__all__ = ["beats_of", "brought", "heard_at", "instants", "reason_at", "score_by", "spoken"]

_OFF = frozenset(("false", "0", "off", "no", "none", "released", "cleared", "inactive", "normal"))


def spoken(event: Event) -> str:
    """Return an event's name, with "/off" behind it where its detail says that it ended (a truth value's topic)."""
    return f"{event.name}/off" if event.detail.casefold() in _OFF else event.name


def beats_of(seen: Seen) -> NDArray[np.int64]:
    """Return every stamp of any stream once, in order, int64 (t,): the instants at which something came.

    Raises:
        InvalidEpisode: no stream has a sample.
    """
    stamps = [stream.t_ns for stream in seen.streams.values() if stream.t_ns.size]
    if not stamps:
        raise InvalidEpisode("no stream has a single sample")
    return np.unique(np.concatenate(stamps))


def brought(stream: Stream) -> tuple[NDArray[np.int64], Vector]:
    """Return a stream's stamps, each once (n,), and the last row of each, float64 (n, C).

    Of a picture or a scan (more than 128 numbers) only that it came is told: its rows are empty, (n, 0).
    """
    t_ns = stream.t_ns
    if not t_ns.size:
        return t_ns, np.zeros((0, 0))
    rows = stream.values.reshape(len(t_ns), -1)[:, : None if numeric(stream) else 0]
    last = np.append(t_ns[1:] != t_ns[:-1], True)
    if not last.all():
        t_ns, rows = t_ns[last], rows[last]
    return t_ns, rows.astype(np.float64, copy=False)


def heard_at(seen: Seen, beats: NDArray[np.int64]) -> list[tuple[int, str]]:
    """Return each event's name with the index of the first instant at or after it; later ones are never heard."""
    times = np.maximum.accumulate(np.array([event.t_ns for event in seen.events], np.int64))
    told = zip(np.searchsorted(beats, times).tolist(), seen.events, strict=True)
    return [(at, spoken(event)) for at, event in told if at < len(beats)]


def instants(seen: Seen, names: Sequence[str]) -> Iterator[tuple[int, dict[str, Vector], list[str]]]:
    """Yield every stamp of any stream, what the named streams brought then, and the events since the stamp before.

    Raises:
        InvalidEpisode: no stream has a sample.
    """
    beats = beats_of(seen)
    rows: list[dict[str, Vector]] = [{} for _ in beats]
    for name in names:
        if name in seen.streams:
            t_ns, values = brought(seen.streams[name])
            for at, row in zip(np.searchsorted(beats, t_ns).tolist(), values, strict=True):
                rows[at][name] = row
    events: dict[int, list[str]] = {}
    for at, event in heard_at(seen, beats):
        events.setdefault(at, []).append(event)
    for at, t_ns in enumerate(beats.tolist()):
        yield t_ns, rows[at], events.get(at, [])


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
