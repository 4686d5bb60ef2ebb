"""What happened to every failure, gathered from the nouns: `triage.life` tells its life, `triage.backlog` the books."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Decision,
    Deployment,
    Dismissal,
    Episode,
    Failure,
    FailureMode,
    GateDecision,
    ModeName,
    Outcome,
    Policy,
    Source,
    Turn,
    Undo,
)
from saqiya.models.starts import encode
from saqiya.triage.backlog import Balance
from saqiya.triage.life import Fact, Life, State, What, life

if TYPE_CHECKING:
    from saqiya.domain.streams import Start
    from saqiya.loop.flywheel import Flywheel
    from saqiya.stores.catalog import Catalog

__all__ = ["READ_OFF", "Lives", "balances_of", "labels_of", "lives_of", "newest_labels"]

READ_OFF = frozenset({
    "failure", "failure_mode", "mode_name", "correction_request", "correction", "dismissal", "undo", "episode",
    "outcome_claim", "dataset_version", "policy", "gate_decision", "deployment", "turn",
})  # fmt: skip
"""Kinds of nouns that lives are read off: what else is stored changes none."""
STATES = {state: number for number, state in enumerate(State)}
SHUT = (State.VERIFIED, State.CLOSED, State.DISMISSED)
NEVER_NS = np.iinfo(np.int64).max
NEAR = 0.05
"""Starts this close, in shares of the factors' ranges, are one place: a failure that comes back comes back here."""


@dataclass(frozen=True)
class Lives:
    """By a failure's id: its life, its newest mode's label ("" while in none), and later tries from its start."""

    lives: Mapping[str, Life]
    labels: Mapping[str, str]
    tries: Mapping[str, tuple[Fact, ...]]

    def passed(self, label: str, *, policy: str = "") -> tuple[int, int]:
        """Return (passed, tried) over the corrected starts of a mode, under one policy or under any later one."""
        found = [
            fact
            for one, facts in self.tries.items()
            if self.labels[one] == label and any(c.state is State.INTEGRATED for c in self.lives[one].chapters)
            for fact in facts
            if policy in {"", fact.policy}
        ]
        return sum(fact.passed for fact in found), len(found)

    @property
    def fixed(self) -> frozenset[str]:
        """The failures that were ever verified: their starts make the regression suite.

        One that came back stays: what a candidate broke once is what the next one must be held against. Only a
        person's dismissal takes it out.
        """
        return frozenset(
            one
            for one, told in self.lives.items()
            if told.state is not State.DISMISSED and any(c.state is State.VERIFIED for c in told.chapters)
        )


def labels_of(catalog: Catalog) -> dict[str, str]:
    """Return the label of every failure mode, by its id: what a person called it last and let stand, else its own."""
    labels = {mode.id: mode.label for mode in catalog.all(FailureMode)}
    return labels | {name.mode: name.label for name in catalog.standing(ModeName)}


def newest_labels(catalog: Catalog) -> dict[str, str]:
    """Return the label of the newest mode of every failure that is in one."""
    words = labels_of(catalog)
    return {member: words[mode.id] for mode in catalog.all(FailureMode) for member in mode.members}


def lives_of(wheel: Flywheel, *, without: str = "") -> Lives:
    """Tell the life of every failure in the workspace, as if no episode had a key that begins with `without`."""
    catalog = wheel.store.catalog
    failures = catalog.since(Failure, -1)
    labels = newest_labels(catalog)
    facts: dict[str, list[Fact]] = defaultdict(list)
    for failure, fact in (*_asked(catalog), *_shown(wheel, [one for _, one in failures], labels, without)):
        facts[failure].append(fact)
    lives = {one.id: life(Fact(at, What.TRIAGED, one.id), facts[one.id]) for at, one in failures}
    tries = {one: tuple(fact for fact in facts[one] if fact.what is What.TRIED) for one in facts.keys() & lives.keys()}
    return Lives(lives, {one.id: labels.get(one.id, "") for _, one in failures}, tries)


def _asked(catalog: Catalog) -> Iterator[tuple[str, Fact]]:
    """What people and stages said of a failure: mode, request, correction, dismissal."""
    for at, mode in catalog.since(FailureMode, -1):
        for one in mode.members:
            yield one, Fact(at, What.TRIAGED, mode.id, f"named {mode.label}")
    for at, request in catalog.since(CorrectionRequest, -1):
        for one in request.failures:
            yield one, Fact(at, What.REQUESTED, request.id, request.reason)
    for at, correction in catalog.since(Correction, -1):
        if correction.failure is not None and correction.accepted:
            yield correction.failure, Fact(at, What.CORRECTED, correction.id, f"by {correction.operator}")
    undone = {one.what for one in catalog.all(Undo)}
    for at, dismissal in catalog.since(Dismissal, -1):
        if dismissal.id not in undone:
            yield dismissal.failure, Fact(at, What.DISMISSED, dismissal.id, f"{dismissal.author}: {dismissal.reason}")


def _shown(
    wheel: Flywheel, failures: list[Failure], labels: Mapping[str, str], without: str
) -> Iterator[tuple[str, Fact]]:
    """What tries showed: deployments of policies that learned from its correction, and tries from its start."""
    catalog = wheel.store.catalog
    taught = _taught(catalog)
    corrected: dict[str, set[str]] = defaultdict(set)
    for one in catalog.all(Correction):
        if one.failure is not None and one.accepted:
            corrected[one.failure].add(one.episode)
    episodes = [one for one in catalog.all(Episode) if not without or not catalog.key_of(one.id).startswith(without)]
    where = {one.id: one.start for one in episodes}
    whose = {one.id: one.policy for one in episodes}
    place = {one.id: start for one in failures if (start := where.get(one.episode)) is not None}
    near = _near(place, wheel.ranges, corrected)
    of_episode = {one.episode: one.id for one in failures}
    mode_ns = {member: at for at, mode in catalog.since(FailureMode, -1) for member in mode.members}
    perfect = {
        turn.deployment for turn in wheel.turns() if turn.figures["success"]["k"] == turn.figures["success"]["n"]
    }
    for at, deployment in catalog.since(Deployment, -1):
        known = taught.get(deployment.policy, frozenset())
        fresh = {of_episode[one] for one in deployment.episodes if one in of_episode}
        read = deployment.id in perfect or (bool(fresh) and fresh <= mode_ns.keys())
        integrated = Fact(at, What.INTEGRATED, deployment.id, "its correction is in the deployed policy")
        quiet = Fact(max([at, *(mode_ns[one] for one in fresh)]), What.QUIET, deployment.id) if read else None
        for failure, lessons in corrected.items():
            if lessons.isdisjoint(known):
                continue
            yield failure, integrated
            again = [one for one in near.get(failure, ()) if one in fresh and labels.get(one) == labels.get(failure)]
            if again:
                yield failure, Fact(mode_ns.get(again[0], at), What.RETURNED, again[0], f"as {again[0]}")
            elif quiet:  # until its failures have names nobody knows whether this one is among them
                yield failure, quiet
    yield from _tries(wheel, episodes, place, {one.id: whose.get(one.episode) for one in failures})


def _taught(catalog: Catalog) -> dict[str, frozenset[str]]:
    """Return the episodes that each policy learned from."""
    held = {one.id: frozenset(entry.episode for entry in one.entries) for one in catalog.all(DatasetVersion)}
    return {one.id: held[one.dataset] for one in catalog.all(Policy) if one.dataset is not None}


def _near(
    place: Mapping[str, Start], ranges: Mapping[str, tuple[float, float]], wanted: Collection[str]
) -> dict[str, list[str]]:
    """Return, for each wanted failure, the other failures that began at its place."""
    from scipy.spatial import cKDTree

    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for one, start in place.items():
        groups[tuple(sorted(start.factors))].append(one)
    found: dict[str, list[str]] = {}
    for names, ids in groups.items():
        if not names:
            continue
        places = encode([place[one] for one in ids], ranges)
        asked = [row for row, one in enumerate(ids) if one in wanted]
        for row, others in zip(asked, cKDTree(places).query_ball_point(places[asked], NEAR), strict=True):
            found[ids[row]] = [ids[other] for other in others if other != row]
    return found


def _tries(
    wheel: Flywheel, episodes: list[Episode], place: Mapping[str, Start], failed_by: Mapping[str, str | None]
) -> Iterator[tuple[str, Fact]]:
    """Every autonomous try from a failure's start under a later policy than the one that failed.

    What a candidate did that the gate did not let through says nothing about the policy in charge.
    """
    catalog = wheel.store.catalog
    refused = {one.candidate for one in catalog.all(GateDecision) if one.decision in {Decision.HOLD, Decision.REJECT}}
    refused -= {one.policy for one in catalog.all(Deployment)}
    wanted: dict[str, list[str]] = defaultdict(list)
    for failure, start in place.items():
        wanted[start.key].append(failure)
    again = [one for one in episodes if one.start and one.start.key in wanted and one.source is Source.ROLLOUT]
    outcomes = outcomes_of(wheel.store, again)
    stored = {one.id: at for at, one in catalog.since(Episode, -1)}
    trained = {one.id: number for number, one in enumerate(catalog.all(Policy))}
    for one in again:
        if one.start is None or one.policy is None or one.policy in refused or outcomes[one.id] is Outcome.UNKNOWN:
            continue
        for failure in wanted[one.start.key]:
            if trained[one.policy] > trained.get(failed_by[failure] or "", -1):
                passed = outcomes[one.id] is Outcome.SUCCESS
                fact = Fact(stored[one.id], What.TRIED, one.id, policy=one.policy, passed=passed, prints=one.prints)
                yield failure, fact


def balances_of(wheel: Flywheel, told: Lives) -> tuple[Balance, ...]:
    """Return the books of every turn that found failures: those of the deployment before it, and what it integrated.

    The turn under way has a row once its failures are found.
    """
    catalog = wheel.store.catalog
    turns = wheel.turns()
    closed = {one.id: at for at, one in catalog.since(Turn, -1)}
    ends = [closed[one.id] for one in turns] + [max(closed.values(), default=0) + (1 << 62)]
    failures = {one.episode: one.id for one in catalog.all(Failure)}
    rows, chapters = [], _Chapters(told)
    for number, (begin, end) in enumerate(pairwise(ends), start=1):
        before = turns[number - 1]
        if before.deployment is None:
            continue
        episodes = catalog.get(before.deployment, Deployment).episodes
        found = [failures[one] for one in episodes if one in failures]
        if number == len(turns) and not found:
            continue
        rows.append(
            Balance(
                turn=number,
                episodes=before.figures["success"]["n"],
                found=len(found),
                integrated=chapters.came(State.INTEGRATED, begin, end),
                verified=chapters.came(State.VERIFIED, begin, end),
                open=chapters.open(end),
                modes=dict(Counter(told.labels[one] for one in found if told.labels[one])),
            )
        )
    return tuple(rows)


class _Chapters:
    """The chapters of all lives as arrays (failures, most chapters): every turn asks about every one of them."""

    def __init__(self, told: Lives) -> None:
        lives = told.lives.values()
        shape = len(lives), max((len(one.chapters) for one in lives), default=0)
        self.state, self.since_ns = np.zeros(shape, np.int64), np.full(shape, NEVER_NS)
        for row, one in enumerate(lives):
            for place, chapter in enumerate(one.chapters):
                self.state[row, place], self.since_ns[row, place] = STATES[chapter.state], chapter.since_ns

    def came(self, state: State, after_ns: int, until_ns: int) -> int:
        """Count the failures that came to `state` in (after, until]."""
        then = (self.since_ns > after_ns) & (self.since_ns <= until_ns) & (self.state == STATES[state])
        return int(then.any(axis=1).sum())

    def open(self, until_ns: int) -> int:
        """Count the failures that still waited for something at a moment: by the last chapter that had begun."""
        begun = (self.since_ns <= until_ns) & (self.since_ns < NEVER_NS)
        rows = np.flatnonzero(begun.any(axis=1))
        last = begun.shape[1] - 1 - np.argmax(begun[rows, ::-1], axis=1)
        return int((~np.isin(self.state[rows, last], [STATES[one] for one in SHUT])).sum())
