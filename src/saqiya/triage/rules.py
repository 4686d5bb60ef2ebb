"""Name a failure by rule, from the phase it reached, contact, gripper and time, and where it began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from saqiya.errors import UsageError
from saqiya.triage.vocabulary import COARSE, UNNAMED, Vocabulary

__all__ = ["Facts", "Verdict", "label"]

GRASP_WORDS = ("grasp", "grip", "hold", "pick")
OUTCOMES = frozenset({*COARSE, UNNAMED, "timeout", "stall"})
"""Words that a log's event says nothing of by itself: time-outs end every kind of failure."""
STALL_SHARE = 0.5
"""A try that made no progress, or stood still, for this share of its time has stalled."""
AWAY_RATIO = 1.25
"""An object that ends farther from its goal than this many times its first distance was taken somewhere else."""
LET_GO = 0.15
"""Share of its range by which a gripper's command changes at least when it lets go; measured: slips .05, let-go .27."""
TWICE = 1.0
SIGNALS = {
    "blocked": ("actuation", "commands asked for motion and nothing moved,"),
    "force": ("collision", "a force was"),
    "dropout": ("dropout", "a stream was silent for"),
}
"""What a broken signal rule (`detect.signals`) says of a failure, once it is broken by twice its limit."""
WIDER = 1.25
"""A number is out of the usual when it is beyond the successes' quantile by this factor."""


@dataclass(frozen=True)
class Facts:
    """What the rules look at.

    Attributes:
        phase: the last phase reached, "" for none.
        phases: the site's phases in order; empty where the log has none.
        evidence: the failure's evidence, as `detect` and `models.scene` wrote it; keys that no rule knows are harmless.
        coverage: distance from its start to the nearest training start, None where starts are unknown.
        spacing: how far apart training starts lie from one another, in the same unit.
        usual: 5 % and 95 % quantiles of evidence over tries that succeeded; rules that need one are silent without it.
        said: names of the log's events; one that is a word of the vocabulary names the failure.
        objects: (the object the task is about, the object that was held), "" where the log does not say.
    """

    phase: str
    phases: Sequence[str]
    evidence: Mapping[str, float]
    coverage: float | None = None
    spacing: float | None = None
    usual: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    said: frozenset[str] = frozenset()
    objects: tuple[str, str] = ("", "")

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

    @property
    def early_s(self) -> tuple[float, float] | None:
        """When a person ended it, and by when successes reach the next phase, where that was not due yet; else None."""
        person_s = self.evidence.get("person_s")
        if person_s is None or self.reached >= len(self.phases):
            return None
        due = self.usual.get(f"phase_s/{self.phases[self.reached]}")
        return (person_s, due[1]) if due is not None and person_s <= due[1] else None


@dataclass(frozen=True)
class Verdict:
    """A label of the vocabulary, the coarse word above it, and the rule that gave it with the numbers it rests on."""

    label: str
    parent: str
    rule: str
    evidence: dict[str, float]


@dataclass(frozen=True)
class _Fit:
    """A rule that fits, before the vocabulary has spoken."""

    label: str
    rule: str
    evidence: dict[str, float]


def label(facts: Facts, vocabulary: Vocabulary) -> Verdict:
    """Name one failure; the first rule that fits decides, and "unnamed" says that none does.

    1. The log names it itself, by an event or a flag that is a word of the vocabulary (collision, force_limit, one of
       the workspace's own); time-outs do not count, since they end every kind of failure.
    2. It never got to the second phase, and its start lies outside what training covers: unseen_start.
    3. The log says which object was held, and it is not the task's: wrong_object.
    4. The object was lost and taken again, and the try still failed: failed_retry. Lost once: slip. Where no event says
       so, it was lost when it was no longer held and the gripper's command had not changed: letting go is no slip.
    5. The object was never taken. The gripper closed on nothing (as far as around the object and nothing was held, or,
       where no stream says what is held, farther than around the object) where the log's own observation has the object
       within the usual reach: perception. Else: no_grasp.
    6. Taken, and nothing after it: weak_grasp.
    7. A later phase was reached, but not the goal. The object lies as near to it as it should, at another angle:
       rotation. It ended well farther from the goal than it began: wrong_action. Else: translation.
    8. Commands asked for motion and nothing moved, a force, or a silence of a stream, of more than twice what the
       signal rules allow: actuation, collision, dropout. They come late because each also follows from a try gone
       wrong: an arm that presses on the table is told to move and does not.
    9. No progress, or an arm at rest, for half of the time: stall; else, time ran out: timeout.

    Rules 5 to 7 rest on phases that were not reached. Where a person ended the try before the next phase is usually
    reached, they are silent: nobody knows what would have come. The rules of `usual` are silent without successes.

    Args:
        facts: what is known of the failure.
        vocabulary: the words; a verdict by a retired word is given under its successor.

    Raises:
        UsageError: the phase is not one of the phases.
    """
    if facts.phase and facts.phase not in facts.phases:
        known = ", ".join(facts.phases) or "none"
        raise UsageError(
            f"is not a phase of this site (known: {known})", subject=facts.phase, remedy="Pass the site's phases."
        )
    fit = (
        _named(facts, vocabulary)
        or _unseen(facts)
        or _other_object(facts)
        or _lost(facts)
        or (None if facts.early_s else _not_taken(facts) or _not_there(facts))
        or _signal(facts, "blocked")
        or _signal(facts, "force")
        or _signal(facts, "dropout")
        or _by_time(facts)
        or _unnamed(facts)
    )
    word = vocabulary.word(fit.label)
    return Verdict(word.name, word.parent, fit.rule, fit.evidence)


def _fit(name: str, rule: str, **evidence: float) -> _Fit:
    return _Fit(name, rule, evidence)


def _named(facts: Facts, vocabulary: Vocabulary) -> _Fit | None:
    flags = {name for name, value in facts.evidence.items() if value == 1.0}
    for name in vocabulary.words:
        if name not in OUTCOMES and name in facts.said | flags:
            return _fit(name, f"the log has the event {name}", **{name: 1.0})
    return None


def _signal(facts: Facts, kind: str) -> _Fit | None:
    over = facts.evidence.get(f"over/{kind}", 0.0)
    if over < TWICE:
        return None
    name, what = SIGNALS[kind]
    return _fit(name, f"{what} {1.0 + over:.3g} times what the signal rules allow", **{f"over/{kind}": over})


def _unseen(facts: Facts) -> _Fit | None:
    if not facts.uncovered or len(facts.phases) < 2 or facts.reached >= 2:
        return None
    coverage, spacing = float(facts.coverage or 0.0), float(facts.spacing or 0.0)
    return _fit(
        "unseen_start",
        f"it never reached {facts.phases[1]}, and its start lies {coverage:.3g} from the nearest training start "
        f"where those lie {spacing:.3g} apart",
        coverage=coverage,
        spacing=spacing,
        phases_reached_n=facts.reached,
    )


def _other_object(facts: Facts) -> _Fit | None:
    wanted, held = facts.objects
    if wanted and held and wanted != held:
        return _fit("wrong_object", f"{held} was held, and the task is about {wanted}")
    return None


def _lost(facts: Facts) -> _Fit | None:
    regained_n = int(facts.evidence.get("regained_n", 0.0))
    if not facts.lost_n:
        return _slipped(facts)
    if regained_n:
        rule = f"the object was lost {facts.lost_n} x and taken again {regained_n} x"
        return _fit("failed_retry", rule, lost_n=facts.lost_n, regained_n=regained_n)
    return _fit("slip", "the object was held and lost", lost_n=facts.lost_n)


def _slipped(facts: Facts) -> _Fit | None:
    let_go, holds_n = facts.evidence.get("let_go"), int(facts.evidence.get("holds_n", 0.0))
    if let_go is None or let_go >= LET_GO:
        return None
    numbers = {"let_go": let_go, "dropped_s": facts.evidence.get("dropped_s", 0.0), "holds_n": float(holds_n)}
    how = f"it was no longer held after {numbers['dropped_s']:.3g} s, with no change in the gripper's command"
    if holds_n > 1:
        return _fit("failed_retry", f"{how}; it was held {holds_n} x", **numbers)
    return _fit("slip", how, **numbers)


def _not_taken(facts: Facts) -> _Fit | None:
    grasp, reached = facts.grasp, facts.reached
    if grasp is None or reached > grasp + 1 or reached == len(facts.phases):
        return None
    if reached == grasp + 1:
        rule = f"{facts.phases[grasp]} was reached, {facts.phases[grasp + 1]} was not"
        return _fit("weak_grasp", rule, phases_reached_n=reached)
    never = f"{facts.phases[grasp]} was never reached"
    closed_to, apart_m = facts.evidence.get("closed_to"), facts.evidence.get("closed_reach_m")
    grip, reach = facts.usual.get("closed_to"), facts.usual.get("closed_reach_m")
    if closed_to is None or apart_m is None or grip is None or reach is None:
        return _fit("no_grasp", never, phases_reached_n=reached)
    numbers = {"closed_to": closed_to, "closed_reach_m": apart_m, "usual_to": grip[1], "usual_reach_m": reach[1]}
    held = facts.evidence.get("held")
    nothing = WIDER * closed_to < grip[0] if held is None else held == 0.0 and closed_to <= WIDER * grip[1]
    if nothing and apart_m <= WIDER * reach[1]:
        rule = (
            f"{never}: the gripper closed to {closed_to:.0%} of its opening on nothing, where the log had the object "
            f"{apart_m:.3g} m away, at most {reach[1]:.3g} m in successes"
        )
        return _fit("perception", rule, **numbers)
    return _fit("no_grasp", f"{never}; the gripper closed {apart_m:.3g} m from the object", **numbers)


def _not_there(facts: Facts) -> _Fit | None:
    """Name what went wrong after the object was taken, or in a task where nothing is taken."""
    if facts.reached < 2:
        return None
    rule = f"{facts.phase} was reached, the goal was not"
    turned = _turned(facts)
    if turned is not None:
        return turned
    first_m, last_m = facts.evidence.get("goal_first_m"), facts.evidence.get("goal_last_m")
    if first_m is None or last_m is None:
        return _fit("translation", rule, phases_reached_n=facts.reached)
    numbers = {"goal_first_m": first_m, "goal_last_m": last_m, "phases_reached_n": float(facts.reached)}
    if last_m > AWAY_RATIO * first_m:
        rule = f"it took the object away from the goal: {first_m:.3g} to {last_m:.3g} m"
        return _fit("wrong_action", rule, **numbers)
    return _fit("translation", f"{rule}: the object ended {last_m:.3g} m from it", **numbers)


def _turned(facts: Facts) -> _Fit | None:
    angle, usual = facts.evidence.get("angle_rad"), facts.usual.get("angle_rad")
    if angle is None or usual is None or angle <= WIDER * usual[1]:
        return None
    away_m, there = facts.evidence.get("goal_last_m"), facts.usual.get("goal_last_m")
    if away_m is not None and (there is None or away_m > WIDER * there[1]):
        return None
    rule = f"the object ended {angle:.3g} rad from the goal's angle, at most {usual[1]:.3g} rad in successes"
    return _fit("rotation", rule, angle_rad=angle, usual_rad=usual[1])


def _by_time(facts: Facts) -> _Fit | None:
    length_s = facts.evidence.get("person_s", facts.evidence.get("length_s", 0.0))
    stalled_s, still_s = facts.evidence.get("stalled_s", 0.0), facts.evidence.get("still_s", 0.0)
    if facts.phases and not facts.early_s and stalled_s > STALL_SHARE * length_s:
        rule = f"no progress in the last {stalled_s:.3g} s of {length_s:.3g} s"
        return _fit("stall", rule, stalled_s=stalled_s, length_s=length_s)
    if still_s > STALL_SHARE * length_s > 0.0:
        rule = f"the arm was still in the last {still_s:.3g} s of {length_s:.3g} s"
        return _fit("stall", rule, still_s=still_s, length_s=length_s)
    if facts.evidence.get("timeout") and "person_s" not in facts.evidence:
        return _fit("timeout", f"time ran out after {length_s:.3g} s", length_s=length_s)
    return None


def _unnamed(facts: Facts) -> _Fit:
    if facts.early_s is None:
        return _fit(UNNAMED, "no rule fits what the log says")
    person_s, due_s = facts.early_s
    rule = (
        f"a person ended it after {person_s:.3g} s; successes reach {facts.phases[facts.reached]} by {due_s:.3g} s, "
        "so what would have come is not known"
    )
    return _fit(UNNAMED, rule, person_s=person_s, due_s=due_s)
