"""What is known of each try's factors, gathered from the catalog: for coverage, the plan and the slices of failures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import (
    Audit,
    Correction,
    Cut,
    DatasetVersion,
    Deployment,
    Episode,
    FactorClaim,
    Lineage,
    Noun,
    Outcome,
    Policy,
    Recording,
    Source,
    Trial,
)
from saqiya.domain.visible import line
from saqiya.errors import UsageError
from saqiya.measure.shown import Coverage, FactorTable, Tries, coverage, tabulate
from saqiya.measure.strategy import hints_of
from saqiya.models.condition_file import FILE_NAME, read_rules
from saqiya.models.conditions import (
    STRATEGY,
    STRATEGY_FACTORS,
    SUGGESTED,
    FactorRules,
    Grid,
    Said,
    conditions_of,
    grids_of,
    said_of,
)

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Factors"]

EPOCH_NS = 10**18
"""Stamps before September 2001 are a robot's or simulator's own seconds; then the time of coming in stands for them."""


@dataclass(frozen=True)
class Known:
    """The tries, what is said of each, and the regions that starts are told by."""

    episodes: tuple[Episode, ...]
    said: tuple[dict[str, Said], ...]
    grids: Mapping[str, Grid]
    rules: FactorRules


class Factors:
    """What can be asked and said of the factors of tries."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog

    def rules(self) -> FactorRules:
        """Read the workspace's `factors.toml`.

        Raises:
            ConfigError: it says something that cannot be.
        """
        return read_rules(self.wheel.store.root / FILE_NAME)

    def known(self, episodes: Sequence[Episode]) -> Known:
        """Say what is known of each try: by people, by rules, by its log."""
        rules = self.rules()
        grids = grids_of(rules, self.wheel.ranges, (one.start for one in episodes if one.start is not None))
        claims: dict[str, list[FactorClaim]] = defaultdict(list)
        for claim in self.catalog.all(FactorClaim):
            claims[claim.episode].append(claim)
        files = {}
        if any(rule.field == "file" for rule in rules.rules):
            files = {one.id: one.location or one.name for one in self.catalog.all(Recording)}
        said = tuple(
            said_of(one, rules, grids, claims=claims.get(one.id, ()), file=files.get(one.recordings[0], ""))
            for one in episodes
        )
        return Known(tuple(episodes), said, grids, rules)

    def conditions(self, episodes: Sequence[Episode]) -> dict[str, dict[str, str | float]]:
        """Return by episode id the conditions under which it began, people's words included: for triage."""
        known = self.known(episodes)
        return {
            one.id: conditions_of(one, said, known.grids) for one, said in zip(known.episodes, known.said, strict=True)
        }

    def table(self, what: Sequence[str] = ()) -> tuple[FactorTable, Tries, Known]:
        """Return the factors of tries as numbers, and what became of each try.

        Args:
            what: a subset, a dataset version, or episodes: then only these count as shown; () for all.
        """
        episodes = self._tries()
        meant, usable = self._meant(episodes, what)
        met = self._met(episodes)
        known = self.known([one for one in episodes if one.id in meant or one.id in met])
        outcomes = outcomes_of(self.wheel.store, known.episodes)
        ids = [one.id for one in known.episodes]
        came_ns = {one.id: at_ns for at_ns, one in self.catalog.since(Episode, 0)}
        at_ns = [one.start_ns if one.start_ns > EPOCH_NS else came_ns[one.id] for one in known.episodes]
        failed = _flags(ids, {one for one in ids if outcomes[one] in {Outcome.FAILURE, Outcome.ABORTED}})
        shown = _flags(ids, usable) & ~failed
        tries = Tries(
            shown=shown,
            met=_flags(ids, met),
            lost=_flags(ids, meant - met) & ~shown,
            judged=~_flags(ids, {one for one in ids if outcomes[one] is Outcome.UNKNOWN}),
            failed=failed,
            at_ns=np.array(at_ns, dtype=np.int64),
        )
        declared = {**{name: grid.values for name, grid in known.grids.items()}, **known.rules.values}
        return tabulate(known.said, declared), tries, known

    def coverage(self, what: Sequence[str] = (), *, thin_n: int = 5) -> Coverage:
        """Say which values of which factors, and which pairs, were shown, are met, and were never shown."""
        table, tries, known = self.table(what)

        def region_of(factor: str, value: str) -> Mapping[str, str]:
            return known.grids[factor].parts(value) if factor in known.grids else {}

        return coverage(table, tries, impossible=known.rules.impossible, thin_n=thin_n, region_of=region_of)

    def say(self, what: Sequence[str], values: Mapping[str, str], *, author: str) -> tuple[FactorClaim, ...]:
        """Put down a person's word: these tries had these values; "" takes back what was said before.

        A strategy's word goes to the side of the strategy that it belongs to: "two arms" is said of `arms`.

        Raises:
            UsageError: nobody is named, nothing is said, or it is no word for a strategy.
            UnknownId: there is no such episode.
        """
        blank = any(value and not line(value) for value in values.values())
        if not line(author) or author.startswith(SUGGESTED) or not values or blank:
            raise UsageError("needs somebody who says it, and what", remedy="Give factor=value and --author NAME.")
        words = dict(self._word(line(factor), line(value)) for factor, value in values.items())
        episodes = self.wheel.data.chosen(what)[1]
        return self._put([(one, factor, value) for one in episodes for factor, value in words.items()], author)

    def suggest(self, what: Sequence[str] = ()) -> tuple[FactorClaim, ...]:
        """Look for hints of the strategy in the streams and instructions of tries of which nobody says it.

        A hint is kept apart from what is said: it counts nowhere until a person accepts it.
        """
        episodes = self.wheel.data.chosen(what)[1] if what else self._tries()
        known = self.known(episodes)
        found: list[FactorClaim] = []
        for done, (one, said) in enumerate(zip(known.episodes, known.said, strict=True)):
            self.wheel.progress("suggest", done, len(episodes))
            open_sides = [side for side in STRATEGY_FACTORS if side not in said]
            if open_sides:
                hints = hints_of(one, dict(self.wheel.store.streams(one)), known.rules.strategies)
                for hint in hints:
                    if hint.factor in open_sides:
                        found += self._put([(one, hint.factor, hint.value)], SUGGESTED + hint.why)
        self.wheel.progress("suggest", len(episodes), len(episodes))
        return tuple(found)

    def accept(self, what: Sequence[str], *, author: str) -> tuple[FactorClaim, ...]:
        """Make a person's word of what is suggested of these tries."""
        if not line(author) or author.startswith(SUGGESTED):
            raise UsageError("needs somebody who says it", remedy="Give --author NAME.")
        known = self.known(self.wheel.data.chosen(what)[1])
        hints = [
            (episode, factor, one.value)
            for episode, said in zip(known.episodes, known.said, strict=True)
            for factor, one in said.items()
            if one.by == "suggested"
        ]
        return self._put(hints, author)

    def _word(self, factor: str, value: str) -> tuple[str, str]:
        if not factor:
            raise UsageError("names no factor", subject=f"={value}", remedy="For example: lighting=dark.")
        if factor not in STRATEGY_FACTORS or not value:
            return factor, value
        words = self.rules().strategies
        word = words.get(value.lower())
        if word is None or factor not in {STRATEGY, word.factor}:
            sides = ", ".join(one.word for one in words.values() if factor in {STRATEGY, one.factor})
            raise UsageError(
                f"is no word for {factor}", subject=value, remedy=f"Add it to {FILE_NAME}, or use one of {sides}."
            )
        return word.factor, word.word

    def _put(self, rows: Sequence[tuple[Episode, str, str]], author: str) -> tuple[FactorClaim, ...]:
        made: list[tuple[Noun, str]] = []
        for episode, factor, value in rows:
            claim = FactorClaim(
                id=self.catalog.new_id("factor_claim"), episode=episode.id, factor=factor, value=value, author=author
            )
            made.append((claim, claim.id))
        return tuple(one for one in self.catalog.put_all(made) if isinstance(one, FactorClaim))

    def _tries(self) -> list[Episode]:
        """Return every try that stands: a log that was cut is its tries, by its newest cut."""
        cuts = {one.recording: set(one.episodes) for one in self.catalog.all(Cut)}
        return [
            one
            for one in self.catalog.all(Episode)
            if not (alive := _merged(cuts.get(name) for name in one.recordings)) or one.id in alive
        ]

    def _meant(self, episodes: Sequence[Episode], what: Sequence[str]) -> tuple[set[str], set[str]]:
        """Return the tries that were to show something, and those that training can use.

        They are what is named, else what datasets hold, demonstrations, corrections, and logs of no policy. A try in
        quarantine, or a correction that was turned down, cannot be used.
        """
        refused = {one.episode for one in self.catalog.all(Correction) if not one.accepted}
        verdicts = {one.episode: one.verdict for one in self.catalog.all(Audit)}
        refused |= {one for one, verdict in verdicts.items() if verdict != "good"}
        if what:
            meant = {one.id for one in self.wheel.data.chosen(what)[1]}
            return meant, meant - refused
        taught = {entry.episode for one in self.catalog.all(DatasetVersion) for entry in one.entries}
        by_hand = {Source.DEMONSTRATION, Source.CORRECTION}
        free = {
            one.id for one in episodes if one.source in by_hand or (one.source is Source.UNKNOWN and not _acted(one))
        }
        return free | taught, (free | taught) - refused

    def _met(self, episodes: Sequence[Episode]) -> set[str]:
        """Return the tries of deployment: all that deployments hold, and the logs of policies that act elsewhere.

        A policy that was trained here also tries what a gate's plan or a recheck puts before it; that is no exposure.
        """
        held = {episode for one in self.catalog.all(Deployment) for episode in one.episodes}
        own = {one.id for one in self.catalog.all(Policy) if one.lineage is Lineage.TRAINED}
        held -= {one.episode for one in self.catalog.all(Trial) if one.episode}
        logged = {
            one.id
            for one in episodes
            if one.policy not in own
            and (one.source is Source.ROLLOUT or (_acted(one) and one.source is Source.UNKNOWN))
        }
        return held | logged


def _flags(ids: Sequence[str], held: set[str]) -> NDArray[np.bool_]:
    return np.array([one in held for one in ids], dtype=np.bool_)


def _acted(episode: Episode) -> bool:
    return bool(episode.policy or episode.policy_name)


def _merged(sets: Iterable[set[str] | None]) -> set[str]:
    return {one for some in sets if some for one in some}
