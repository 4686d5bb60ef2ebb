"""What robosuite and robomimic tries say beyond their arrays: who acted, what is repeated, the simulator's clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Stream
from saqiya.formats.arrays.episode import Rate

__all__ = ["as_demonstration"]

NEXT = "next_observation/"


def as_demonstration(log: EpisodeLog, rate: Rate) -> EpisodeLog:
    """Add authors and hand-overs, fold `next_obs` into what it adds, and hold the simulator's clock to the rate."""
    streams = dict(log.streams)
    problems: list[JsonValue] = list(log.metadata["problems"]) if isinstance(log.metadata["problems"], list) else []
    problems += _clock_check(streams.get("observation/states"), rate.hz)
    _fold_next(streams)
    events = (*log.events, *_authors(streams))
    author = streams.get("author")
    by_people = author is None or bool((author.values == 1).all())
    facts: dict[str, JsonValue] = {**log.metadata, "problems": problems}
    facts["source"] = "demonstration" if by_people else "rollout"
    return EpisodeLog(log.key, streams, tuple(sorted(events, key=lambda event: event.t_ns)), facts, log.videos)


def _clock_check(states: Stream | None, rate_hz: float) -> list[JsonValue]:
    """Hold the first state column, in robosuite the simulator's time in seconds, against the assumed rate."""
    if states is None or states.values.ndim != 2 or len(states.values) < 3 or states.values.dtype.kind != "f":
        return []
    steps_s = np.diff(states.values[:, 0].astype(np.float64))
    period_s = float(np.median(steps_s))
    steady = period_s > 0 and bool(np.all(np.abs(steps_s - period_s) < 1e-3 * period_s))
    if not steady or not states.clock.startswith("assumed:") or abs(period_s * rate_hz - 1.0) < 0.01:
        return []
    return [f"the first state column looks like a clock of {1 / period_s:.4g} Hz, but {rate_hz:g} Hz is assumed"]


def _fold_next(streams: dict[str, Stream]) -> None:
    """Row i of `next_obs` is what was observed after step i: where it repeats `obs`, only its last row is news."""
    for name in [name for name in streams if name.startswith(NEXT) or "/next_obs/" in name]:
        now = streams.get(name.replace(NEXT, "observation/").replace("/next_obs/", "/"))
        after = streams[name]
        if now is None or now.values.dtype != after.values.dtype or now.values.shape != after.values.shape:
            continue
        if len(now.t_ns) > 1 and now.values[1:].tobytes() == after.values[:-1].tobytes():
            last = now.t_ns[-1:] + int(np.median(np.diff(now.t_ns)))
            streams[name] = replace(after, t_ns=last, values=after.values[-1:].copy())


def _authors(streams: dict[str, Stream]) -> tuple[Event, ...]:
    """Add who acted (`author`, 0 policy, 1 operator), the operator's own actions, and the hand-overs between them."""
    executed = streams.get("action/executed")
    taken = _per_step(streams, "policy_acting", executed)
    author = (taken == 0).astype(np.uint8) if taken is not None else None
    if author is None and (taken := _per_step(streams, "interventions", executed)) is not None:
        author = (taken != 0).astype(np.uint8)
    if author is None or executed is None:
        return ()
    streams["author"] = replace(executed, values=author[:, None], unit="", fields=())
    rows = np.flatnonzero(author)
    if rows.size:
        streams["action/operator"] = replace(executed, t_ns=executed.t_ns[rows], values=executed.values[rows])
    turns = np.flatnonzero(np.diff(author.astype(np.int8))) + 1
    return tuple(Event(int(executed.t_ns[row]), "takeover" if author[row] else "handback") for row in turns)


def _per_step(streams: Mapping[str, Stream], name: str, executed: Stream | None) -> NDArray[Any] | None:
    stream = streams.get(name)
    if stream is None or executed is None or len(stream.t_ns) != len(executed.t_ns):
        return None
    most: NDArray[Any] = stream.values.reshape(len(stream.t_ns), -1).max(axis=1)
    return most
