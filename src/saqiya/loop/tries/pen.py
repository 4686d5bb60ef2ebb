"""What is written while a try runs: rows as they come, taken apart into streams at the end.

Rows are stamped by the site's clock. An observation row belongs to the instant it was seen; the action rows carry the
stamp of the observation they answer, so a try of T steps has T + 1 observation rows and T action rows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Step, Vector
from saqiya.domain.streams import Event, Stream
from saqiya.loop.tries.mind import Wish, uncertainty_of

__all__ = ["Pen"]


@dataclass
class _Table:
    """Steps in a row that have the same names and widths: one vector a step, its values side by side."""

    layout: tuple[tuple[str, int], ...]
    t_ns: list[int] = field(default_factory=list)
    rows: list[Vector] = field(default_factory=list)


@dataclass
class Pen:
    """Collects rows while a try runs; can be wound back to an earlier step when the state is restored.

    While the try runs it keeps one vector a step; they are taken apart into streams at the end.
    """

    clock: str = "sim"
    seen: list[_Table] = field(default_factory=list)
    acted: dict[str, list[tuple[int, Any]]] = field(default_factory=lambda: defaultdict(list))
    members: dict[str, list[tuple[int, Vector]]] = field(default_factory=lambda: defaultdict(list))
    chunks: list[tuple[int, Vector]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def see(self, step: Step, values: Vector, known: set[str]) -> None:
        """Keep a step, `values` being all it holds side by side; a phase in `known` is not reached again."""
        layout = (
            *((f"observation/{name}", value.size) for name, value in step.observation.items()),
            *((name, value.size) for name, value in step.signals.items()),
        )
        if not self.seen or self.seen[-1].layout != layout:
            self.table(len(self.seen), layout)
        self.seen[-1].t_ns.append(step.t_ns)
        self.seen[-1].rows.append(values)
        for name in step.events:
            if not name.startswith("phase/") or name not in known:
                known.add(name)
                self.events.append(Event(step.t_ns, name))

    def table(self, place: int, layout: tuple[tuple[str, int], ...]) -> _Table:
        """Return the table at a place, a new one with this layout when the place is the next."""
        if place == len(self.seen):
            self.seen.append(_Table(layout))
        return self.seen[place]

    def wish(self, t_ns: int, wish: Wish, name: str, *, ahead: bool = False) -> None:
        """Keep what a policy wants under `<name>/uncertainty`; its chunk too, where it looks `ahead`."""
        if wish.members is not None:
            self.members[f"{name}/uncertainty"].append((t_ns, wish.members))
        if ahead and wish.chunk is not None:
            self.chunks.append((t_ns, wish.chunk))

    def wind_back(self, t_ns: int) -> None:
        """Forget what was written after the observation at `t_ns`."""
        for table in self.seen:
            kept = bisect_right(table.t_ns, t_ns)
            del table.t_ns[kept:], table.rows[kept:]
        self.seen = [table for table in self.seen if table.rows]
        for kept_by in (self.acted, self.members):
            for name, rows in kept_by.items():
                kept_by[name] = [row for row in rows if row[0] < t_ns]
        self.chunks = [row for row in self.chunks if row[0] < t_ns]
        self.events = [event for event in self.events if event.t_ns <= t_ns]

    def streams(self) -> dict[str, Stream]:
        """Return everything as streams."""
        made = self._columns()
        for name, rows in self.acted.items():
            made[name] = _stamps(rows), _stack([row[1] for row in rows], np.uint8 if name == "author" else np.float64)
        for name, rows in self.members.items():
            if rows:
                made[name] = _stamps(rows), uncertainty_of(np.array([row[1] for row in rows]))[:, None]
        if self.chunks:
            made["policy/chunk"] = _stamps(self.chunks), np.array([row[1] for row in self.chunks], np.float32)
        return {name: Stream(at, values, clock=self.clock) for name, (at, values) in sorted(made.items())}

    def _columns(self) -> dict[str, tuple[NDArray[np.int64], NDArray[Any]]]:
        parts: dict[str, list[tuple[NDArray[np.int64], NDArray[Any]]]] = defaultdict(list)
        for table in self.seen:
            stamps, values, at = np.array(table.t_ns, np.int64), np.array(table.rows, np.float64), 0
            for name, width in table.layout:
                parts[name].append((stamps, values[:, at : at + width].copy()))
                at += width
        return {
            name: found[0] if len(found) == 1 else (np.concatenate([t for t, _ in found]), _joined(found))
            for name, found in parts.items()
        }


def _joined(parts: list[tuple[NDArray[np.int64], NDArray[Any]]]) -> NDArray[Any]:
    return np.concatenate([values for _, values in parts])


def _stamps(rows: list[tuple[int, Any]]) -> NDArray[np.int64]:
    return np.array([row[0] for row in rows], np.int64)


def _stack(rows: list[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Return rows as (T, width); vectors of one length go the way that is five times quicker."""
    first = rows[0] if rows else None
    if isinstance(first, np.ndarray) and {row.shape for row in rows} == {first.shape}:
        return np.concatenate(rows, axis=None, dtype=dtype, casting="unsafe").reshape(len(rows), -1)
    return np.asarray(rows, dtype).reshape(len(rows), -1)
