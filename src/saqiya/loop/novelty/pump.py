"""The verbs about what data is worth: one short method each; `Flywheel.pump` has them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from saqiya.correct.became import Became
from saqiya.domain.nouns import Ablation, CollectionPlan, Correction, CorrectionRequest, Episode, Intent, Novelty
from saqiya.loop.novelty.aim import aim, cleared, given, serve
from saqiya.loop.novelty.became import became
from saqiya.loop.novelty.collect import Collected, collect
from saqiya.loop.novelty.factors import Factors
from saqiya.loop.novelty.phases import Place, places_of
from saqiya.loop.novelty.plan import ask, plan, requests_of
from saqiya.loop.novelty.retrained import Ask as RetrainAsk
from saqiya.loop.novelty.retrained import retrain
from saqiya.loop.novelty.saturation import Told, curves_of, scopes_of, told_of
from saqiya.loop.novelty.teaching import teaching_of
from saqiya.measure.rollouts import Teaching
from saqiya.measure.shown import Coverage
from saqiya.measure.stage import Repeats, duplicates

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Pump"]


class Pump:
    """Novelty, duplicates, saturation, coverage; what to collect, and what not."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog

    @cached_property
    def factors(self) -> Factors:
        """What is known and said of objects, places, light, people and strategies; what was never shown of them."""
        return Factors(self.wheel)

    def measure(
        self,
        episodes: Sequence[str],
        *,
        policy: str = "",
        dataset: str = "",
        span_s: tuple[float, float] | None = None,
    ) -> tuple[Novelty, ...]:
        """Measure episodes relative to a named policy, a dataset version, or both: see `Measuring.measure`."""
        found = self.wheel.data.chosen(episodes)[1]
        return self.wheel.measuring.measure(found, policy=policy, dataset=dataset, span_s=span_s)

    def coverage(self, what: Sequence[str] = (), *, thin_n: int = 5) -> Coverage:
        """Say which values of which factors, and which pairs of them, were shown, are met, and were never shown.

        Args:
            what: a dataset version, a subset, or episodes: only these count as shown; () for all that training can use.
            thin_n: what deployment met, and was shown less often than this, is a gap too.
        """
        return self.factors.coverage(what, thin_n=thin_n)

    def collect(
        self, target: str, *, episodes: int, minutes: float = math.inf, budget: float = 0.1, random: float = 0.15
    ) -> Collected:
        """Let the champion act with a person asked in where it is unsure, and keep what they do: see `collect`."""
        return collect(self.wheel, target, episodes=episodes, minutes=minutes, budget=budget, random=random)

    def plan(self, minutes: float, *, deployment: str = "", each: float = 0.0) -> CollectionPlan:
        """Say what to collect next under a budget of human minutes, and what not, and store it.

        Args:
            minutes: of a person.
            deployment: what is to be improved; "" for the champion's, or the newest logs.
            each: minutes that one correction takes, resets counted; 0: as those that were given took.

        Raises:
            UsageError: no minutes.
            GuardRefusal: nothing was deployed, or nobody named how its tries failed.
        """
        return plan(self.wheel, minutes=minutes, deployment=deployment, each=each)

    def ask(self, made: CollectionPlan) -> tuple[CorrectionRequest, ...]:
        """Ask for what a plan holds: `saqiya correct` and the turn serve this now, and not triage's sharing."""
        return ask(self.wheel, made)

    def planned(self) -> bool:
        """Say whether something was asked for in this turn by a plan or an aim: it is not planned over."""
        return any(one.because is not None for one in self.requests())

    def requests(self) -> list[CorrectionRequest]:
        """Return the requests that this turn serves: what was aimed at and planned, else triage's sharing."""
        return requests_of(self.wheel)

    def aim(self, target: str, *, author: str, minutes: float = 0.0) -> Intent:
        """Put on record what is to be collected for, with what speaks against it; told again, it is insisted on.

        Args:
            target: a mode's label, a condition ("object=cup,object_x=0.1..0.2"), or "bootstrap".
            author: who says so.
            minutes: ask for as much of it at once, unless there are warnings that nobody insisted on; 0: for nothing.

        Raises:
            UsageError: nobody, or nothing that is known, is named.
        """
        return aim(self.wheel, target, author=author, minutes=minutes)

    def cleared(self, target: str) -> Intent:
        """Return the intent that lets a person collect for a target.

        Raises:
            GuardRefusal: nobody said what it is for, or only once against figures that speak against it.
        """
        return cleared(self.wheel, target)

    def serve(self, request: CorrectionRequest) -> None:
        """Let a request that is named by hand through, unless its target is solved by now and nobody insisted.

        Raises:
            GuardRefusal: it is.
        """
        serve(self.wheel, request)

    def given(self, ref: str, what: Sequence[str], *, author: str) -> tuple[Correction, ...]:
        """Take recordings that somebody made elsewhere as what a request asked for.

        Args:
            ref: the request, by id or key.
            what: the recordings: episodes, or a subset.
            author: who showed it.

        Raises:
            GuardRefusal: what it was asked for is solved by now, and nobody insisted.
            UsageError: nobody is named.
        """
        return given(self.wheel, ref, what, author=author)

    def became(self, operator: str = "") -> tuple[Became, ...]:
        """Say of every operator's corrections, or of one's, what became of the modes that they were given for."""
        return became(self.wheel, operator)

    def ablate(
        self,
        candidates: Sequence[str] = (),
        *,
        choose: int = 10,
        score: str = "novelty",
        seeds: int = 8,
        tries: int = 50,
        base: Sequence[str] = (),
    ) -> Ablation:
        """Retrain on what a score would choose and on what its rivals would, and say whether it beats them all.

        Args:
            candidates: a subset, a dataset version, or episodes; () for all accepted corrections.
            choose: how many of them.
            score: "novelty", "worth", "bits", "surprisal", "learnable", "length" or "random".
            seeds: how often each arm is retrained, 4 or more.
            tries: how many judge each policy, where there is a site.
            base: what all policies learn from; () for the bootstrap.

        Raises:
            UsageError: it cannot be asked: too few candidates or seeds, no base, no such score.
        """
        from saqiya.loop.novelty.ablate import Ask, ablate

        return ablate(self.wheel, Ask(choose, score, seeds, tries, tuple(candidates), tuple(base)))

    def foresee_ablation(self, seeds: int, tries: int) -> str:
        """Say which differences an ablation can see, before anything is run."""
        from saqiya.loop.novelty.ablate import foreseen

        if not self.wheel.turning:
            return "There is no site, so no success can be measured: policies are judged by held-out action error."
        return foreseen(seeds, tries)

    def duplicates(self, what: Sequence[str] = ()) -> Repeats:
        """Mark the episodes that repeat an earlier one; `mix` then gives each group the weight of one.

        Args:
            what: a dataset version, a subset, or episodes: these are compared with each other; () for all there are.
        """
        episodes = self.wheel.data.chosen(what)[1] if what else self.catalog.all(Episode)
        return duplicates(self.wheel.store, episodes, progress=self.wheel.progress)

    def saturation(self, scope: str = "", *, factors: bool = False) -> tuple[Told, ...]:
        """Say what more data still brings, by task and failure mode, and on request by condition.

        Args:
            scope: of the curves; "" for all scopes that policies were deployed in.
            factors: the conditions too.
        """
        scopes = (scope,) if scope else scopes_of(self.wheel)
        curves = (one for name in scopes for one in curves_of(self.wheel, name, factors=factors))
        return tuple(told_of(self.wheel, one) for one in curves if one.points)

    def retrain(self, what: str = "", *, sizes: int = 5, seeds: int = 2, tries: int = 50, trainer: str = "") -> Told:
        """Retrain on nested parts of a dataset version, the newest where none is named: a curve of one recipe."""
        return told_of(self.wheel, retrain(self.wheel, what, RetrainAsk(sizes, seeds, tries, trainer)))

    def teaching(self) -> Teaching | None:
        """Say whether rollouts of the last deployed policy still teach; None before there is one."""
        return teaching_of(self.wheel)

    def phases(self) -> tuple[Place, ...]:
        """Say where every scope stands in its life, and what the next phase needs."""
        return places_of(self.wheel)
