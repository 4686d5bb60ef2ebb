"""The life of a failure, read off what happened: nothing is a state that somebody edits.

    detected -> triaged -> requested -> corrected -> integrated -> verified -> closed
    any of them -> dismissed;  verified or closed -> triaged again, when it comes back

A failure is *verified* when its start passes under a later policy often enough to say so: the exact lower 95 % bound of
the pass rate reaches one half (five of five), or tries repeat each other bit for bit, and pass. That may skip chapters:
corrections of its neighbours can fix it too. It is *closed* by a later deployment in which it does not show again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Chapter", "Fact", "Life", "State", "What", "enough", "life"]

BOUND = 0.5
LEVEL = 0.95


class State(StrEnum):
    """Where a failure stands, in the order in which it gets there."""

    DETECTED = "detected"
    TRIAGED = "triaged"
    REQUESTED = "requested"
    CORRECTED = "corrected"
    INTEGRATED = "integrated"
    VERIFIED = "verified"
    CLOSED = "closed"
    DISMISSED = "dismissed"


class What(StrEnum):
    """What can happen to a failure."""

    TRIAGED = "triaged"
    REQUESTED = "requested"
    CORRECTED = "corrected"
    INTEGRATED = "integrated"
    TRIED = "tried"
    QUIET = "quiet"
    RETURNED = "returned"
    DISMISSED = "dismissed"


_ORDER = {state: place for place, state in enumerate(State)}
_AT_ONCE = {what: place for place, what in enumerate(What)}
_ADVANCE = {
    What.TRIAGED: State.TRIAGED,
    What.REQUESTED: State.REQUESTED,
    What.CORRECTED: State.CORRECTED,
    What.INTEGRATED: State.INTEGRATED,
}
_FIXED = frozenset({State.VERIFIED, State.CLOSED})


@dataclass(frozen=True)
class Fact:
    """Something that happened.

    Attributes:
        at_ns: when it was written down.
        noun: the id of what says so: mode, request, correction, deployment, episode, failure.
        note: in words, where there is more to say: the mode's label, the person and the reason.
        policy: who acted, for a try from the failure's start.
        passed: what that try came to.
        prints: its values' digests; equal ones betray that site and policy repeat themselves.
    """

    at_ns: int
    what: What
    noun: str
    note: str = ""
    policy: str = ""
    passed: bool = False
    prints: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """A state, since when, why, and the noun that says so."""

    state: State
    since_ns: int
    because: str
    noun: str


@dataclass(frozen=True)
class Life:
    """A failure's chapters in order; `reopened` counts how often it came back after it was fixed."""

    chapters: tuple[Chapter, ...]
    reopened: int = 0

    @property
    def state(self) -> State:
        """Where it stands now."""
        return self.chapters[-1].state

    @property
    def open(self) -> bool:
        """It still waits for something: no policy that is known to pass has been deployed, and nobody dismissed it."""
        return self.state not in _FIXED and self.state is not State.DISMISSED


def enough(tries: Sequence[Fact]) -> bool:
    """Say whether tries from one start under one policy show that it passes."""
    passes = sum(one.passed for one in tries)
    if not passes:
        return False
    if passes == len(tries) >= 2 and tries[0].prints and len({one.prints for one in tries}) == 1:
        return True  # they repeat each other: more of them would tell nothing more
    from scipy import stats

    return bool(stats.beta.ppf(1.0 - LEVEL, passes, len(tries) - passes + 1) >= BOUND)


def life(detected: Fact, facts: Iterable[Fact]) -> Life:
    """Tell a failure's life from what happened to it, in any order; `detected` is its birth, of any kind.

    Tries are those of later policies than the one that failed, and count for each apart. What is fixed comes back when
    a policy passes fewer than half of its tries from the start, or when the same mode fails at the same place again.
    """
    chapters = [
        Chapter(State.DETECTED, detected.at_ns, detected.note or "found by a detector or by the outcome", detected.noun)
    ]
    tries: dict[str, list[Fact]] = {}
    reopened = 0
    for fact in sorted(facts, key=lambda one: (one.at_ns, _AT_ONCE[one.what])):
        if fact.what is What.TRIED:
            tries.setdefault(fact.policy, []).append(fact)
        after = _after(chapters[-1].state, fact, tries.get(fact.policy, []))
        if after is None:
            continue
        if chapters[-1].state in _FIXED and after is State.TRIAGED:
            reopened += 1
            tries.clear()
        chapters.append(Chapter(after, fact.at_ns, _because(fact, after, tries.get(fact.policy, [])), fact.noun))
    return Life(tuple(chapters), reopened)


def _after(now: State, fact: Fact, tries: Sequence[Fact]) -> State | None:
    """Return the state that a fact leads to, None where it changes nothing."""
    if now is State.DISMISSED:
        return None
    if fact.what is What.DISMISSED:
        return State.DISMISSED
    if fact.what in _ADVANCE:
        to = _ADVANCE[fact.what]
        return to if _ORDER[to] > _ORDER[now] else None
    if fact.what is What.TRIED and now not in _FIXED and enough(tries):
        return State.VERIFIED
    if fact.what is What.QUIET and now is State.VERIFIED:
        return State.CLOSED
    failing = fact.what is What.TRIED and 2 * sum(one.passed for one in tries) < len(tries)
    return State.TRIAGED if now in _FIXED and (failing or fact.what is What.RETURNED) else None


def _because(fact: Fact, state: State, tries: Sequence[Fact]) -> str:
    if fact.what is What.TRIED and state is State.VERIFIED:
        same = len({one.prints for one in tries}) == 1 and len(tries) > 1
        return f"its start passed {sum(one.passed for one in tries)} of {len(tries)} tries" + (
            ", which repeat each other" if same else ""
        )
    if fact.what is What.TRIED:
        return "its start fails again"
    if fact.what is What.RETURNED:
        return f"it came back: {fact.note}" if fact.note else "it came back"
    if fact.what is What.QUIET:
        return "a later deployment did not show it"
    return fact.note or fact.what.value
