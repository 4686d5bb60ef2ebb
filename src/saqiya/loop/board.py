"""The queue of failures as people work through it: ordered, filtered, in parts, and laid out on a map.

What is slow to know (the life of every failure) is kept until something that could change it is stored; what people do
between (dismiss, assign, name, undo) is read fresh each time, so an answer never lags behind a key press.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from saqiya.domain.contracts import Vector
from saqiya.domain.nouns import (
    Advice,
    Alarm,
    Assignment,
    CorrectionRequest,
    Dismissal,
    Episode,
    Failure,
    FailureMode,
    ModeName,
    Undo,
)
from saqiya.errors import UnknownId
from saqiya.loop.fresh import Fresh
from saqiya.loop.lives import READ_OFF
from saqiya.models.plane import plane
from saqiya.triage.life import Life, State

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["NOBODY", "OPEN", "Board", "Card", "Entry", "Group", "Wanted"]

OPEN = "open"
"""As a state: all that still wait for something."""
NOBODY = "nobody"
"""As a person: assigned to none."""
SLOW = READ_OFF - {"dismissal"}
"""Kinds of nouns that can change the life of a failure beside a dismissal, which ends it until that is undone."""
CLOSED = frozenset({State.VERIFIED.value, State.CLOSED.value, State.DISMISSED.value})


@dataclass(frozen=True)
class Entry:
    """A failure in the queue.

    Attributes:
        mode, label: the newest mode it is in, by id and by the name it has now; "" while in none.
        state: where it stands now; `before` where it stands apart from a dismissal.
        moment_s: when to look, in seconds from the beginning of the try.
        person: who is asked to correct it; "" for nobody.
    """

    failure: str
    key: str
    episode: str
    mode: str
    label: str
    state: str
    before: str
    moment_s: float
    phase: str
    priority: float
    person: str = ""

    @property
    def open(self) -> bool:
        """Whether it still waits for something."""
        return self.state not in CLOSED


@dataclass(frozen=True)
class Wanted:
    """Which failures are asked for: "" is any."""

    label: str = ""
    state: str = OPEN
    person: str = ""

    def holds(self, entry: Entry) -> bool:
        """Say whether an entry is asked for."""
        stands = self.state in {"", entry.state} or (self.state == OPEN and entry.open)
        whose = self.person == "" or entry.person == ("" if self.person == NOBODY else self.person)
        return stands and whose and self.label in {"", entry.label}


@dataclass(frozen=True)
class Group:
    """A mode on the map: how many of its failures are asked for, of how many, and the one that stands for it."""

    label: str
    mode: str
    meaning: str
    shown_n: int
    failures_n: int
    medoid: str
    priority: float
    named_by: str


@dataclass(frozen=True)
class Card:
    """All that is known of one failure."""

    entry: Entry
    failure: Failure
    episode: Episode
    episode_key: str
    meaning: str
    life: Life
    alarms: tuple[Alarm, ...]
    requests: tuple[tuple[str, CorrectionRequest], ...]
    advice: tuple[Advice, ...]
    dismissal: Dismissal | None
    undoable: str
    undoes: str


@dataclass(frozen=True)
class _Known:
    """What is slow to know."""

    entries: tuple[Entry, ...]
    modes: Mapping[str, FailureMode]
    lives: Mapping[str, Life]
    evidence: tuple[Mapping[str, float], ...]

    @cached_property
    def places(self) -> Vector:
        """Where each entry lies on the map, (n, 2) within [0, 1]."""
        names = sorted({name for one in self.evidence for name in one})
        return plane(np.array([[one.get(name, np.nan) for name in names] for one in self.evidence], dtype=np.float64))

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Where each failure stands in `entries`."""
        return {one.failure: at for at, one in enumerate(self.entries)}


class Board:
    """The queue of one workspace; one of these is shared by all who ask, from any thread."""

    def __init__(self, wheel: Flywheel) -> None:
        """Look at the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog
        self._fresh = Fresh(self._read, self._version, clock=wheel.clock)
        self._known = self._fresh.get

    @property
    def behind(self) -> bool:
        """Whether newer failures are still being read: ask again in a moment."""
        return self._fresh.behind

    def entries(self, wanted: Wanted) -> list[Entry]:
        """Return what is asked for: most urgent mode first, and within it the newest failure first."""
        return [one for one in self._now(self._known()) if wanted.holds(one)]

    def groups(self, entries: Sequence[Entry]) -> list[Group]:
        """Return every mode with how many of `entries` are in it, most urgent first; failures in none come last."""
        known = self._known()
        now = self._now(known)
        shown, every = Counter(one.label for one in entries), Counter(one.label for one in now)
        newest: dict[str, Entry] = {}
        for one in now:
            newest.setdefault(one.label, one)
        return [self._group(known, one, shown[one.label], every[one.label]) for one in newest.values()]

    def places(self, entries: Sequence[Entry]) -> Vector:
        """Return where entries lie on the map, (n, 2) within [0, 1]: alike failures lie together."""
        known = self._known()
        return known.places[[known.index[one.failure] for one in entries]].reshape(-1, 2)

    def card(self, ref: str) -> Card:
        """Return all that is known of a failure.

        Raises:
            UnknownId: there is no such failure.
        """
        failure, known = self.catalog.get(ref, Failure), self._known()
        if failure.id not in known.index:
            raise UnknownId("is not in the queue yet", subject=ref, remedy="Reload the page.")
        entry = self._now(known)[known.index[failure.id]]
        undone = self._undone()
        dismissals = [one for one in self.catalog.referring(failure.id, Dismissal) if one.id not in undone]
        last, what = self._last_word(entry, undone)
        return Card(
            entry=entry,
            failure=failure,
            episode=self.catalog.get(failure.episode, Episode),
            episode_key=self.catalog.key_of(failure.episode),
            meaning=self._meaning(entry.label),
            life=known.lives[failure.id],
            alarms=tuple(self.catalog.get(one, Alarm) for one in failure.alarms),
            requests=tuple(
                (self.catalog.key_of(one.id), one) for one in self.catalog.referring(failure.id, CorrectionRequest)
            ),
            advice=tuple(self.catalog.referring(failure.id, Advice)),
            dismissal=dismissals[-1] if dismissals else None,
            undoable=last,
            undoes=what,
        )

    def _group(self, known: _Known, entry: Entry, shown_n: int, failures_n: int) -> Group:
        mode = known.modes.get(entry.mode)
        return Group(
            label=entry.label,
            mode=entry.mode,
            meaning=self._meaning(entry.label),
            shown_n=shown_n,
            failures_n=failures_n,
            medoid=mode.medoid if mode else "",
            priority=entry.priority,
            named_by=mode.named_by if mode else "",
        )

    def _meaning(self, label: str) -> str:
        return self.wheel.vocabulary.word(label).meaning if label else "no mode yet: the next triage names it"

    def _last_word(self, entry: Entry, undone: frozenset[str]) -> tuple[str, str]:
        """Return the newest thing said of a failure that can be undone, and what it is."""
        said = [
            *((at, one.id, "dismissal") for at, one in self.catalog.since(Dismissal, -1)
              if one.failure == entry.failure),
            *((at, one.id, "assignment") for at, one in self.catalog.since(Assignment, -1)
              if one.failure == entry.failure),
            *((at, one.id, f"name of {entry.label}") for at, one in self.catalog.since(ModeName, -1)
              if one.mode == entry.mode),
        ]  # fmt: skip
        left = [one for one in sorted(said) if one[1] not in undone]
        return (left[-1][1], left[-1][2]) if left else ("", "")

    def _undone(self) -> frozenset[str]:
        return frozenset(one.what for one in self.catalog.all(Undo))

    def _now(self, known: _Known) -> list[Entry]:
        """Bring what people said since up to date."""
        gone = {one.failure for one in self.catalog.standing(Dismissal)}
        whose = {one.failure: one.person for one in self.catalog.standing(Assignment)}
        names = {one.mode: one.label for one in self.catalog.standing(ModeName)}
        words = {one.id: self.wheel.vocabulary.resolve(names.get(one.id, one.label)) for one in known.modes.values()}
        now = []
        for one in known.entries:
            state = State.DISMISSED.value if one.failure in gone else one.before
            said = (state, whose.get(one.failure, ""), words.get(one.mode, ""))
            now.append(
                one
                if said == (one.state, "", one.label)
                else replace(one, state=said[0], person=said[1], label=said[2])
            )
        return now

    def _version(self) -> dict[str, int]:
        return {kind: n for kind, n in self.catalog.count().items() if kind in SLOW}

    def _read(self) -> _Known:
        lives = self.wheel.failures.lives().lives
        modes = {one.id: one for one in self.catalog.all(FailureMode)}
        mode_of = {member: one for one in modes.values() for member in one.members}
        failures = [one for one in self.catalog.all(Failure) if one.id in lives]
        began = {one.id: one.start_ns for one in self.catalog.each(Episode, [one.episode for one in failures])}
        told = [self._entry(one, mode_of.get(one.id), lives[one.id], began[one.episode]) for one in failures]
        order = sorted(range(len(told)), key=lambda at: (-told[at].priority, told[at].label, -at))
        return _Known(
            entries=tuple(told[at] for at in order),
            modes=modes,
            lives=lives,
            evidence=tuple(failures[at].evidence for at in order),
        )

    def _entry(self, failure: Failure, mode: FailureMode | None, life: Life, start_ns: int) -> Entry:
        chapters = [one.state.value for one in life.chapters if one.state is not State.DISMISSED]
        return Entry(
            failure=failure.id,
            key=self.catalog.key_of(failure.id),
            episode=failure.episode,
            mode=mode.id if mode else "",
            label=mode.label if mode else "",
            state=life.state.value,
            before=chapters[-1],
            moment_s=(failure.moment_ns - start_ns) / 1e9,
            phase=failure.phase,
            priority=mode.priority if mode else 0.0,
        )
