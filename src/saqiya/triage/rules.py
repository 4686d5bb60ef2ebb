"""Name a failure by rule, from the phase it reached, contact, time, and where it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya.errors import UsageError
from saqiya.triage.vocabulary import UNNAMED, word

__all__ = ["Facts", "Verdict", "label"]

GRASP_WORDS = ("grasp", "grip", "hold", "pick")
STALL_SHARE = 0.5
"""A try that made no progress for this share of its time has stalled."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        phase: the last phase reached, "" for none.
        phases: the site's phases in order; empty where the log has none.
        evidence: the failure's evidence, as `detect` wrote it.
        coverage: distance from its start to the nearest training start, None where starts are unknown.
        spacing: how far apart training starts lie from one another, in the same unit.
    """

    phase: str
    phases: Sequence[str]
    evidence: Mapping[str, float]
    coverage: float | None = None
    spacing: float | None = None

    @property
    def reached(self) -> int:
        """How many phases were reached: the index of the last one, plus one."""
        return self.phases.index(self.phase) + 1 if self.phase else 0

    @property
    def grasp(self) -> int | None:
        """Index of the phase in which the object is taken; None where the task has none."""
        for index, name in enumerate(self.phases):
            if any(part in name.lower() for part in GRASP_WORDS):
                return index
        return None

    @property
    def uncovered(self) -> bool:
        """The start lies farther from every training start than those lie from one another."""
        return self.coverage is not None and self.spacing is not None and self.coverage > self.spacing

    @property
    def lost_n(self) -> int:
        """How often the object was lost."""
        return int(self.evidence.get("lost_n", 0.0))


@dataclass(frozen=True)
class Verdict:
    """A label of the vocabulary, the coarse word above it, and the rule that gave it with the numbers it rests on."""

    label: str
    parent: str
    rule: str
    evidence: dict[str, float]


def label(facts: Facts) -> Verdict:
    """Name one failure; the first rule that fits decides, and "unnamed" says that none does.

    1. The log names it itself: a collision or a force limit.
    2. It never got to the second phase, and its start lies outside what training covers: unseen_start.
    3. The object was lost and taken again, and the try still failed: failed_retry.
    4. The object was lost once: slip.
    5. The phase of taking the object was never reached: no_grasp; reached, but nothing after it: weak_grasp.
    6. A later phase was reached with the object in hand, but not the goal: translation.
    7. No progress for half of the time: stall; else, time ran out: timeout.

    Raises:
        UsageError: the phase is not one of the phases.
    """
    if facts.phase and facts.phase not in facts.phases:
        known = ", ".join(facts.phases) or "none"
        raise UsageError(
            f"is not a phase of this site (known: {known})", subject=facts.phase, remedy="Pass the site's phases."
        )
    return _named(facts) or _unseen(facts) or _lost(facts) or _by_phase(facts) or _by_time(facts) or _unnamed()


def _verdict(name: str, rule: str, **evidence: float) -> Verdict:
    return Verdict(name, word(name).parent, rule, evidence)


def _named(facts: Facts) -> Verdict | None:
    for name in ("collision", "force_limit"):
        if facts.evidence.get(name):
            return _verdict(name, f"the log has the event {name}", **{name: 1.0})
    return None


def _unseen(facts: Facts) -> Verdict | None:
    if not facts.uncovered or len(facts.phases) < 2 or facts.reached >= 2:
        return None
    coverage, spacing = float(facts.coverage or 0.0), float(facts.spacing or 0.0)
    return _verdict(
        "unseen_start",
        f"it never reached {facts.phases[1]}, and its start lies {coverage:.3g} from the nearest training start "
        f"where those lie {spacing:.3g} apart",
        coverage=coverage,
        spacing=spacing,
        phases_reached_n=facts.reached,
    )


def _lost(facts: Facts) -> Verdict | None:
    regained_n = int(facts.evidence.get("regained_n", 0.0))
    if not facts.lost_n:
        return None
    if regained_n:
        rule = f"the object was lost {facts.lost_n} x and taken again {regained_n} x"
        return _verdict("failed_retry", rule, lost_n=facts.lost_n, regained_n=regained_n)
    return _verdict("slip", "the object was held and lost", lost_n=facts.lost_n)


def _by_phase(facts: Facts) -> Verdict | None:
    grasp, reached = facts.grasp, facts.reached
    if grasp is not None and reached <= grasp:
        return _verdict("no_grasp", f"{facts.phases[grasp]} was never reached", phases_reached_n=reached)
    if grasp is not None and reached == grasp + 1 < len(facts.phases):
        rule = f"{facts.phases[grasp]} was reached, {facts.phases[grasp + 1]} was not"
        return _verdict("weak_grasp", rule, phases_reached_n=reached)
    if reached >= 2:
        return _verdict("translation", f"{facts.phase} was reached, the goal was not", phases_reached_n=reached)
    return None


def _by_time(facts: Facts) -> Verdict | None:
    length_s, stalled_s = facts.evidence.get("length_s", 0.0), facts.evidence.get("stalled_s", 0.0)
    if facts.phases and stalled_s > STALL_SHARE * length_s:
        rule = f"no progress in the last {stalled_s:.3g} s of {length_s:.3g} s"
        return _verdict("stall", rule, stalled_s=stalled_s, length_s=length_s)
    if facts.evidence.get("timeout"):
        return _verdict("timeout", f"time ran out after {length_s:.3g} s", length_s=length_s)
    return None


def _unnamed() -> Verdict:
    return _verdict(UNNAMED, "no rule fits what the log says")
