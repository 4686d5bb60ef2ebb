"""What an ablation is about: the base that every policy learns from, the candidates, and who judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from saqiya.detect.stage import outcomes_of
from saqiya.domain.contracts import Lesson
from saqiya.domain.nouns import (
    Correction,
    CorrectionKind,
    CorrectionRequest,
    DatasetEntry,
    DatasetVersion,
    Episode,
    Outcome,
    PolicySpec,
    Role,
    Source,
)
from saqiya.domain.streams import Stream
from saqiya.errors import UsageError
from saqiya.loop.figures import SWITCH_STEPS
from saqiya.mix.weights import entries, taught_by_operator, whole
from saqiya.models.rows import EXECUTED, OBSERVATION, side_by_side
from saqiya.train.stage import lessons

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Piece", "Subject", "gather", "numbered", "piece_of"]

BOOTSTRAP = "bootstrap"
SHARE = 0.25
"""Of a workspace without a site: so much of the candidates judges, and so much is the base where none is named."""
FEWEST = 2


@dataclass(frozen=True)
class Piece:
    """An episode that can be trained on: its spans as lessons, what it cost, and whether it is known to have failed.

    `plain` says that a person showed the whole task.
    """

    name: str
    lessons: tuple[Lesson, ...]
    takeovers: int
    failed: bool
    plain: bool

    @property
    def human_steps(self) -> int:
        """Control steps that teach."""
        return int(sum((one.weight > 0.0).sum() for one in self.lessons))

    @property
    def cost(self) -> int:
        """Human steps, and 20 for each switch to a person."""
        return self.human_steps + SWITCH_STEPS * self.takeovers


@dataclass(frozen=True)
class Subject:
    """All that the policies of an ablation have in common.

    `judges` are episodes to predict where there is no site; () where success can be measured.
    """

    base: tuple[Piece, ...]
    candidates: tuple[Piece, ...]
    judges: tuple[Piece, ...]
    spec: PolicySpec
    dataset: str | None


def gather(wheel: Flywheel, candidates: Sequence[str], base: Sequence[str]) -> Subject:
    """Find candidates and base: those that are named, else all corrections and the bootstrap.

    Without a site a quarter of the candidates judges; without a site and a base, another quarter is the base. Who that
    is, is drawn once, by the episodes' ids.

    Raises:
        UsageError: there is no base, or too few candidates.
    """
    found = _Found(wheel)
    dataset, asked = found.of(candidates, bootstrap=False)
    _, anchor = found.of(base, bootstrap=True) if base or wheel.turning else (None, {})
    asked = {name: one for name, one in asked.items() if name not in anchor}
    order = np.random.default_rng(0).permutation(sorted(asked)).tolist()
    share = max(FEWEST, round(SHARE * len(order)))
    judging = [] if wheel.turning else order[:share]
    if not wheel.turning and not base:
        anchor = {name: asked[name] for name in order[share : 2 * share]}
    asked = {name: one for name, one in asked.items() if name not in {*judging, *anchor}}
    judged = {name: found.spans[name] for name in judging}
    if len(anchor) < FEWEST or len(asked) < FEWEST:
        raise UsageError(
            f"{len(anchor)} episodes as a base and {len(asked)} candidates are too few",
            subject="ablate",
            remedy="Name candidates with --from and the base with --base: subsets, versions or episodes.",
        )
    spec = wheel.policy_spec([*anchor, *asked, *judged])
    known, choices, judges = (found.pieces(group, spec) for group in (anchor, asked, judged))
    return Subject(known, choices, judges, spec, dataset)


class _Found:
    """Episodes with the spans that teach, by id, as corrections and versions say."""

    def __init__(self, wheel: Flywheel) -> None:
        self.wheel, self.catalog = wheel, wheel.store.catalog
        self.corrections = {one.episode: one for one in self.catalog.all(Correction) if one.accepted}
        self.suspect = {one.episode for one in wheel.data.audits(())}
        self.spans: dict[str, tuple[DatasetEntry, ...]] = {}

    def of(self, what: Sequence[str], *, bootstrap: bool) -> tuple[str | None, dict[str, tuple[DatasetEntry, ...]]]:
        """Return the version that was named, if one was, and every episode's spans."""
        version, episodes = self.wheel.data.chosen(what) if what else (None, self._usual(bootstrap=bootstrap))
        suspect = [one.id for one in episodes if one.id in self.suspect]
        if suspect:
            raise UsageError(
                f"{len(suspect)} of {len(episodes)} episodes are in quarantine",
                subject=suspect[0],
                remedy="See saqiya audit, and ask without them.",
            )
        held: dict[str, list[DatasetEntry]] = {}
        for entry in version.entries if version else ():
            held.setdefault(entry.episode, []).append(entry)
        for one in episodes:
            self.spans[one.id] = tuple(held.get(one.id) or self._teaching(one))
        return (version.id if version else None), {one.id: self.spans[one.id] for one in episodes}

    def pieces(self, group: dict[str, tuple[DatasetEntry, ...]], spec: PolicySpec) -> tuple[Piece, ...]:
        """Read the lessons of every episode, in the order of their keys: ids differ from run to run."""
        store, catalog = self.wheel.store, self.catalog
        nouns = sorted((catalog.get(one, Episode) for one in group), key=lambda one: catalog.key_of(one.id))
        outcomes = outcomes_of(store, nouns)
        made = []
        for one in nouns:
            version = DatasetVersion(id="", parent=None, entries=group[one.id], manifest_hash="")
            correction = self.corrections.get(one.id)
            made.append(
                Piece(
                    one.id,
                    tuple(lessons(store, version, spec)),
                    correction.takeovers if correction else int(str(one.extra.get("takeovers", 0))),
                    failed=outcomes[one.id] in {Outcome.FAILURE, Outcome.ABORTED},
                    plain=one.source is Source.DEMONSTRATION,
                )
            )
        return tuple(made)

    def _usual(self, *, bootstrap: bool) -> list[Episode]:
        if self.wheel.turning:
            target = {one.id: one.target for one in self.catalog.all(CorrectionRequest)}
            wanted = [one for one in self.corrections.values() if (target[one.request] == BOOTSTRAP) is bootstrap]
            every = [self.catalog.get(one.episode, Episode) for one in wanted]
        else:
            every = [one for one in self.catalog.all(Episode) if any(info.name == EXECUTED for info in one.infos)]
        return [one for one in every if one.id not in self.suspect]

    def _teaching(self, episode: Episode) -> tuple[DatasetEntry, ...]:
        streams, correction = self.wheel.store.streams(episode), self.corrections.get(episode.id)
        if correction is not None and correction.correction_kind is CorrectionKind.TAKEOVER:
            return entries([taught_by_operator(episode.id, Role.CORRECTION, streams["author"])])
        if EXECUTED not in streams:
            raise UsageError(f"has no stream {EXECUTED}", subject=episode.id, remedy="Leave it out of the candidates.")
        return entries([whole(episode.id, Role.ANCHOR, streams[EXECUTED])])


def piece_of(name: str, streams: dict[str, Stream], spec: PolicySpec, *, failed: bool) -> Piece:
    """Make a piece of a whole demonstration that is in no catalog."""
    names = (*(f"{OBSERVATION}{one}" for one in spec.observation), EXECUTED)
    _, rows = side_by_side(streams, names)
    lesson = Lesson(rows[:, : -spec.action], rows[:, -spec.action :], np.ones(len(rows)), 0)
    return Piece(name, (lesson,), 0, failed=failed, plain=True)


def numbered(pieces: Sequence[Piece]) -> list[Lesson]:
    """Return the lessons of pieces with each piece an episode of its own, so that held-out splits go by episode."""
    return [replace(lesson, episode=index) for index, piece in enumerate(pieces) for lesson in piece.lessons]
