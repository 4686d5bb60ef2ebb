"""What sets a failed try apart from successes: in numbers that mean the same on any robot, and that no label feeds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Seen, Vector
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.models.roles import Role, numeric, roles_of
from saqiya.models.rows import EXECUTED, OBSERVATION, side_by_side, widths
from saqiya.models.scaling import Scale, robust_scale
from saqiya.triage.motion import Motion, motion_of

__all__ = ["Described", "describe"]

FEWEST_SUCCESSES = 10
MOST_SUCCESSES = 200
MOST_ROWS = 1500
ROWS_PER_TRY = 200
"""A success of median length is thinned to at most this many rows: mechanisms of failure are slower than 200 Hz."""
NEAREST = 8
WINDOW_SHARE = 0.1
"""What happened is read up to this share of a success's length after a try left the successes: later all is strange."""
LASTING = 3
BAND = 0.95
LEAST_SPREAD = 0.1
"""Spread of a feature that is equal in all successes: one lost object is 10 spreads, not infinitely many."""


@dataclass(frozen=True)
class Described:
    """Features of failed tries.

    Attributes:
        names: a name for each feature; they follow the streams' names.
        rows: float64 (D,) by failure; 0 is a typical success, +-0.7 one robust spread from it, then logarithmic.
        left_out: by failure, why it could not be described.
    """

    names: tuple[str, ...]
    rows: dict[str, Vector]
    left_out: dict[str, str]


def describe(successes: Sequence[Seen], failures: Mapping[str, Seen]) -> Described:
    """Describe failed tries by how they left the successes.

    Read from streams by their meaning, whatever the robot; what a log lacks makes no feature:

    - `start`: how far the first row lies from the successes' first rows.
    - `onset`: when it first left what successes do, in success lengths; all below is read up to shortly after.
    - `strange`, `here`, `here/<stream>`: distance to the successes' nearest rows, at its largest and at the onset.
    - `act`: command against what successes commanded in like situations.
    - `leap/<stream>`: motion that neither the command nor the last motion explains, against like situations.
    - `follow/*`: motion got for motion commanded: least, mean and greatest over the command's columns, and the least
      in any window; 1 where nothing was commanded.
    - `missing/<signal>`, `extra/<signal>`: a signal (contact, grip, held) below or above all that it was in like
      situations; `peak/`, `mean/`, `uneven/<signal>` (between its columns).
    - `phases` reached and whether contact was `lost`, by the log's events.

    Each is taken less the median of successes, over their robust spread, and its sign kept under a logarithm. No
    feature is the length of the try: what comes after a failure tells of the time-out, not of the cause.

    Args:
        successes: of the same task; more than 200 are thinned evenly by a digest of their content.
        failures: by id.

    Raises:
        TooLittle: fewer than 10 successes, or they share nothing that could be compared.
    """
    if len(successes) < FEWEST_SUCCESSES:
        raise TooLittle(
            f"{len(successes)} successes do not say what is normal",
            subject="failure modes",
            remedy=f"Deploy until there are {FEWEST_SUCCESSES}; rule labels need none.",
        )
    usual = _usual(sorted(successes, key=_content)[:MOST_SUCCESSES])
    rows, left_out = {}, {}
    for one, seen in failures.items():
        try:
            rows[one] = usual.features(seen)
        except InvalidEpisode as error:
            left_out[one] = str(error)
    return Described(usual.names, rows, left_out)


def _content(seen: Seen) -> str:
    """Sort by what is in a try: ids and the order in which tries come must not matter."""
    digest = hashlib.sha256()
    for name in sorted(seen.streams):
        digest.update(np.ascontiguousarray(seen.streams[name].values[:8]).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Layout:
    """Which streams stand side by side: what moves, what is sensed beside it, what is commanded."""

    state: tuple[str, ...]
    signals: tuple[str, ...]
    command: tuple[str, ...]
    state_widths: tuple[int, ...]
    signal_widths: tuple[int, ...]
    command_widths: tuple[int, ...]

    @property
    def states_n(self) -> int:
        return sum(self.state_widths)

    @property
    def sensed_n(self) -> int:
        return self.states_n + sum(self.signal_widths)

    def parts(self, names: Sequence[str], wide: Sequence[int], first: int = 0) -> list[tuple[str, slice]]:
        ends = first + np.cumsum(wide, dtype=np.int64)
        return [(name, slice(int(end) - width, int(end))) for name, width, end in zip(names, wide, ends, strict=True)]

    def states(self) -> list[tuple[str, slice]]:
        return self.parts(self.state, self.state_widths)

    def sensed(self) -> list[tuple[str, slice]]:
        return self.parts(self.signals, self.signal_widths, self.states_n)


def _layout(successes: Sequence[Seen]) -> _Layout:
    first = successes[0].streams
    shared = sorted(set.intersection(*(set(seen.streams) for seen in successes)))
    known = {name: roles_of(name, first[name]) for name in shared if numeric(first[name])}
    known = {name: roles for name, roles in known.items() if not roles & {Role.LABEL, Role.CLOCK, Role.CAMERA}}
    command = [EXECUTED] if EXECUTED in known else [name for name, roles in known.items() if Role.COMMANDED in roles]
    rest = {n: roles for n, roles in known.items() if n not in command and Role.COMMANDED not in roles}
    state = [name for name in rest if name.startswith(OBSERVATION)]
    if not state:
        state = [name for name, roles in rest.items() if not roles & {Role.FORCE, Role.GRIPPER}] or list(rest)
    if not state:
        raise TooLittle("share no numeric stream", subject="successes", remedy=f"Name streams {OBSERVATION}<name>.")
    signals = [name for name in rest if name not in state]
    wide = [widths(first, names) for names in (state, signals, command)]
    return _Layout(tuple(state), tuple(signals), tuple(command), *wide)


@dataclass(frozen=True)
class _Usual:
    """What successes do; made by `_usual`, which fills `median`, `spread` and `limits` last."""

    layout: _Layout
    stride: int
    length_n: int
    horizon_n: int
    scale: Scale
    rows: Vector
    firsts: Vector
    motion: Motion
    leaps: Vector
    limits: dict[str, float] = field(default_factory=dict)
    together: float = 1.0
    names: tuple[str, ...] = ()
    median: Vector = field(default_factory=lambda: np.zeros(0))
    spread: Vector = field(default_factory=lambda: np.ones(0))

    def features(self, seen: Seen) -> Vector:
        found = self.raw(seen)
        z = (np.array([found[name] for name in self.names]) - self.median) / self.spread
        signed: Vector = np.sign(z) * np.log1p(np.abs(z))
        return signed

    def nearest(self, scaled: Vector, columns: NDArray[np.int64]) -> tuple[Vector, NDArray[np.int64]]:
        """Return the mean distance to the nearest rows of successes (t,), and which rows those are (t, k)."""
        here, there = scaled[:, columns], self.rows[:, columns]
        square = (here**2).sum(axis=1)[:, None] + (there**2).sum(axis=1)[None] - 2.0 * here @ there.T
        index = np.argpartition(square, min(NEAREST, len(there)) - 1, axis=1)[:, :NEAREST]
        distance: Vector = np.sqrt(np.maximum(np.take_along_axis(square, index, axis=1), 0.0)).mean(axis=1)
        return distance, index

    def channels(self, table: Vector) -> dict[str, Vector]:
        """Return how odd each row of a try is, (t,) for each way of being odd; 0 or little is usual."""
        layout, scaled = self.layout, self.scale.apply(table)
        state = np.arange(layout.states_n)
        commanded = np.arange(layout.sensed_n, table.shape[1])
        strange, index = self.nearest(scaled, np.r_[state, commanded])
        found = {"strange": strange}
        if commanded.size:
            expected = np.median(self.rows[self.nearest(scaled, state)[1]][:, :, commanded], axis=1)
            found["act"] = np.abs(scaled[:, commanded] - expected).max(axis=1)
        alike = self.rows[index]
        for name, at in layout.sensed():
            low, high = alike[:, :, at].min(axis=1), alike[:, :, at].max(axis=1)
            found[f"missing/{name}"] = _lasting(np.maximum(low - scaled[:, at], 0.0).max(axis=1))
            found[f"extra/{name}"] = _lasting(np.maximum(scaled[:, at] - high, 0.0).max(axis=1))
        local = self.leaps[index].max(axis=1) + self.motion.resolution
        leap = np.abs(self.motion.unexplained(table)) / local
        leap = np.concatenate([np.zeros((1, leap.shape[1])), leap[:-1]])  # seen in the row after
        return found | {f"leap/{name}": leap[:, at].max(axis=1) for name, at in layout.states()}

    def raw(self, seen: Seen) -> dict[str, float]:
        """Return every feature in its own unit."""
        layout = self.layout
        table = _table(seen, layout, self.stride)
        scaled = self.scale.apply(table)
        odd = {name: score / self.limits.get(name, 1.0) for name, score in self.channels(table).items()}
        onset = self.onset(odd, len(table))
        end = onset + max(3, round(WINDOW_SHARE * self.length_n))
        found = {name: float(np.log(score[:end].max() + 0.1)) for name, score in odd.items()}
        first = np.sort(np.linalg.norm(self.firsts - scaled[0, : layout.states_n], axis=1))
        found["start"] = float(np.log(first[:3].mean() + 1e-6))
        found["onset"] = onset / self.length_n
        here = scaled[max(0, onset - 2) : onset + 2]
        for name, at in [("", slice(0, layout.states_n)), *layout.states()]:
            near = self.nearest(here, np.arange(at.start, at.stop))[0].min()
            found[f"here/{name}".rstrip("/")] = float(np.log(near + 1e-3))
        found |= _sensed(np.abs(table / self.scale.spread)[:end], layout)
        found |= self.motion.follows(table[: self.horizon_n])
        reached = {event.name for event in seen.events if event.name.startswith("phase/")}
        found["phases"] = float(len(reached))
        found["lost"] = float(any(event.name == "contact/lost" for event in seen.events))
        return found

    def onset(self, odd: Mapping[str, Vector], rows_n: int) -> int:
        """Return the row at which a try first left what successes do: by what happened, not by where it was."""
        within = min(rows_n, self.horizon_n)
        over = np.flatnonzero(_happened(odd)[:within] > self.together)
        return int(over[0]) if over.size else within - 1


def _happened(odd: Mapping[str, Vector]) -> Vector:
    """Return the largest of what speaks of an event, (t,): being elsewhere is none."""
    events: Vector = np.max([score for name, score in odd.items() if name not in {"strange", "act"}], axis=0)
    return events


def _lasting(score: Vector) -> Vector:
    """Return the least score of the last few rows: contact that flickers is not lost."""
    padded = np.concatenate([np.zeros(LASTING - 1), score])
    least: Vector = np.lib.stride_tricks.sliding_window_view(padded, LASTING).min(axis=1)
    return least


def _sensed(apart: Vector, layout: _Layout) -> dict[str, float]:
    found = {}
    for name, at in layout.sensed():
        part = apart[:, at]
        found[f"peak/{name}"] = float(part.max())
        found[f"mean/{name}"] = float(part.mean())
        if part.shape[1] > 1:
            found[f"uneven/{name}"] = float((part.max(axis=1) - part.min(axis=1)).mean() / (part.mean() + 1e-9))
    return found


def _table(seen: Seen, layout: _Layout, stride: int) -> Vector:
    names = (*layout.state, *layout.signals, *layout.command)
    table = side_by_side(seen.streams, names)[1]
    wide = sum(layout.state_widths) + sum(layout.signal_widths) + sum(layout.command_widths)
    if table.shape[1] != wide:
        raise InvalidEpisode(f"its streams have {table.shape[1]} columns where successes have {wide}")
    if len(table) <= 2 * stride:
        raise InvalidEpisode(f"{len(table)} rows are too few to say how it went")
    thinned: Vector = table[::stride]
    return thinned


def _usual(successes: Sequence[Seen]) -> _Usual:
    """Learn from one half what successes do, and from the other half how far one success lies from the rest."""
    layout = _layout(successes)
    lengths = [len(_table(seen, layout, 1)) for seen in successes]
    stride = max(1, int(np.median(lengths)) // ROWS_PER_TRY)
    tables = [_table(seen, layout, stride) for seen in successes]
    known, judging = tables[::2], successes[1::2]
    scale = robust_scale(np.concatenate(tables), (*layout.state_widths, *layout.signal_widths, *layout.command_widths))
    motion = motion_of(
        tables, states_n=layout.states_n, sensed_n=layout.sensed_n, spread=scale.spread[: layout.states_n]
    )
    rows = np.concatenate(known)
    leaps = np.abs(np.concatenate([motion.unexplained(table) for table in known]))
    step = len(rows) // MOST_ROWS + 1
    firsts = scale.apply(np.stack([table[0] for table in known]))[:, : layout.states_n]
    counts = [len(table) for table in tables]
    bare = _Usual(
        layout=layout,
        stride=stride,
        length_n=int(np.median(counts)),
        horizon_n=int(np.quantile(counts, 0.9)),
        scale=scale,
        rows=scale.apply(rows)[::step],
        firsts=firsts,
        motion=motion,
        leaps=leaps[::step],
    )
    peaks = [bare.channels(_table(seen, layout, stride)) for seen in judging]
    limits = {name: max(1e-6, float(np.quantile([peak[name].max() for peak in peaks], BAND))) for name in peaks[0]}
    together = [_happened({name: one / limits[name] for name, one in peak.items()}).max() for peak in peaks]
    banded = _Usual(**{**vars(bare), "limits": limits, "together": max(1.0, float(np.quantile(together, BAND)))})
    found = [banded.raw(seen) for seen in judging]
    names = tuple(sorted(found[0]))
    raw = np.array([[one[name] for name in names] for one in found])
    middle = np.median(raw, axis=0)
    low, high = np.quantile(raw, [0.01, 0.99], axis=0)
    spread = np.maximum(1.4826 * np.median(np.abs(raw - middle), axis=0), (high - low) / 4.653)
    spread = np.where(spread > 1e-3, spread, LEAST_SPREAD)
    return _Usual(**{**vars(banded), "names": names, "median": middle, "spread": spread})
