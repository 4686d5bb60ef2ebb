"""The takeover gate: a person's time is a budget, and the most doubtful places of all tries get it.

From try to try it keeps the scores of what it has seen lately; within a try `domain.asking.Hands` carries out the `Ask`
that is made of them. It knows nothing of what a score is: the policy's own uncertainty or a monitor's, higher is worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.asking import LAST_STEPS, Ask
from saqiya.domain.contracts import Vector
from saqiya.domain.streams import JsonValue, Stream
from saqiya.errors import TooLittle, UsageError

__all__ = ["LEAST_TRIES", "Asking", "Heard", "Precision", "heard", "needed"]

LEAST_TRIES = 10
"""Fewer tries set aside say nothing of what a high score is."""
POOL_TRIES = 100
LEAVE_QUANTILE = 0.7
CALM_QUANTILE = 0.9
GAIN = 0.1
"""How fast the level follows the budget: a try that is a person's from half of it on moves it by some 0.04."""
EXPECTED_SHARE = 0.5
"""A first guess of how much of a try is a person's once one is asked in; what comes corrects it."""


@dataclass(frozen=True)
class Heard:
    """What one try says to the gate.

    Attributes:
        scores: float64 (t,), of the steps at which the policy had control, those that asked included; maybe none.
        steps: control steps of the try; `human_steps` of them by a person.
        takeovers: how often a person was asked in.
        success: what the policy came to, of tries into which no score would have asked anybody; else None. (Of the
            others only those with low scores are left to it, which says nothing of what successes score.)
        promise: what its start promised to teach, before it was tried; None where nobody knows.
    """

    scores: Vector
    steps: int
    human_steps: int = 0
    takeovers: int = 0
    success: bool | None = None
    promise: float | None = None


@dataclass(frozen=True)
class Asking:
    """The gate between two tries: `ask` says when a person is asked into the next one, `after` takes in what came.

    A share of tries is asked into, the *level*: those whose highest score passes a quantile of the highest scores of
    lately seen tries. Where the policy fails more often than that, the highest scores are the latest: wrecks nobody
    can mend. So the threshold is never above what `CALM_QUANTILE` of successes stay below, and the level is kept by
    arming the gate in a share of tries: those whose starts promise most (farthest from what training covers, say),
    where that is known, else by lot.

    The level follows the budget: after each try it moves by what was spent less than was budgeted (the rule of
    adaptive conformal inference, Gibbs and Candes 2021, with human steps in the place of errors). So the
    budget is kept whatever the scores do: over T tries at most (2 + 1 / GAIN) / T tries' worth of steps are overspent.
    ThriftyDAgger (Hoque et al. 2021) takes the quantile of steps, recomputed with each try; how long a person stays is
    not in it, so its share of human steps is not the one it was asked for.

    Attributes:
        budget: share of all control steps that may be a person's, in (0, 1).
        random: share of takeovers that no score decides.
        agree, rewind_steps: see `Ask`.
        pool: lately seen tries that hold a score, the newest last.
        lengths: control steps of tries that the policy had for itself.
        level: share of tries that is asked into now; at 0 and below nobody is asked.
        drawn: the next takeover is random.
    """

    budget: float
    random: float
    agree: float
    rewind_steps: int | None
    pool: tuple[Heard, ...]
    lengths: tuple[int, ...]
    level: float
    drawn: bool = False

    @classmethod
    def begin(
        cls,
        tries: Sequence[Heard],
        rng: np.random.Generator,
        *,
        budget: float,
        random: float = 0.15,
        agree: float = 0.1,
        rewind_steps: int | None = 10,
    ) -> Asking:
        """Calibrate on tries of this very policy that were set aside: nobody took over in them.

        Raises:
            UsageError: a share is not one.
            TooLittle: fewer than `LEAST_TRIES` of them hold a score.
        """
        if not (0.0 < budget < 1.0 and 0.0 <= random < 1.0 and agree >= 0.0 and (rewind_steps or 0) >= 0):
            raise UsageError(
                f"budget {budget}, random share {random}, agreement {agree}, rewind {rewind_steps} cannot be",
                remedy="Shares lie between 0 and 1, steps are not negative.",
            )
        scored = [one for one in tries if one.scores.size]
        if len(scored) < LEAST_TRIES:
            raise TooLittle(
                f"{len(scored)} tries with a score are set aside, and {LEAST_TRIES} are needed",
                subject="takeover gate",
                remedy="Roll the policy out first; a black box needs a monitor for a score.",
            )
        scored = scored[-POOL_TRIES:]
        return cls(
            budget,
            random,
            agree,
            rewind_steps,
            pool=tuple(scored),
            lengths=tuple(one.steps for one in scored),
            level=min(1.0, budget / EXPECTED_SHARE),
            drawn=bool(rng.random() < random),
        )

    @cached_property
    def enter(self) -> float:
        """The score above which a person is asked in: infinite at level 0, where nobody is."""
        budgeted = _upper(self._peaks, 1.0 - self.level)
        good = [float(one.scores.max()) for one in self.pool if one.success]
        return min(budgeted, _upper(good, CALM_QUANTILE)) if good and self.level > 0.0 else budgeted

    @cached_property
    def armed(self) -> float:
        """The share of tries in which the gate may ask: with `enter`, as many are asked into as the level says."""
        passing = float(np.mean(np.array(self._peaks) > self.enter))
        return max(0.0, self.level / passing) if passing > self.level and passing > 0.0 else 1.0

    @cached_property
    def leave(self) -> float:
        """The score below which control may go back: a quantile of the steps before any trouble."""
        enter = self.enter
        before = [one.scores[: _first(one.scores > enter)] for one in self.pool]
        known = np.concatenate(before)
        return min(enter, float(np.quantile(known, LEAVE_QUANTILE))) if known.size else enter

    @cached_property
    def _peaks(self) -> list[float]:
        return [float(one.scores.max()) for one in self.pool]

    def ask(self, rng: np.random.Generator, *, promise: float | None = None) -> Ask:
        """Say when a person is asked into the next try, whose start promises so much.

        A random takeover begins at a step drawn from those of an earlier try, its last ones left out: so each step
        that the policy reaches is as likely, whatever its score.
        """
        step = int(rng.integers(max(1, int(rng.choice(self.lengths)) - LAST_STEPS))) if self.drawn else None
        others = [one.promise for one in self.pool if one.promise is not None]
        lot = rng.random() if promise is None or not others else float(np.mean([one > promise for one in others]))
        enter = self.enter if lot < self.armed else np.inf
        return Ask(enter, self.leave, self.agree, at_step=step, rewind_steps=self.rewind_steps)

    def after(self, one: Heard, rng: np.random.Generator) -> Asking:
        """Return the gate as it stands after a try: with its scores, its cost, and who decides the next takeover."""
        typical = float(np.mean(self.lengths))
        level = min(1.0, self.level + GAIN * (self.budget * one.steps - one.human_steps) / typical)
        return replace(
            self,
            pool=(*self.pool, one)[-POOL_TRIES:] if one.scores.size else self.pool,
            lengths=self.lengths if one.takeovers else (*self.lengths, one.steps)[-POOL_TRIES:],
            level=level,
            drawn=bool(rng.random() < self.random) if one.takeovers else self.drawn,
        )


def _upper(values: Sequence[float], share: float) -> float:
    """Return what a further draw stays below with probability `share`: the exact rank of conformal prediction."""
    rank = int(np.ceil((len(values) + 1) * share))
    if not 1 <= rank <= len(values):
        return np.inf if rank > len(values) else -np.inf
    return float(np.sort(values)[rank - 1])


def _first(true: NDArray[np.bool_]) -> int:
    return int(np.argmax(true)) if true.any() else len(true)


def heard(
    streams: Mapping[str, Stream],
    asked: JsonValue,
    *,
    score: str,
    success: bool | None = None,
    promise: float | None = None,
) -> Heard:
    """Read from a try's log what it says to the gate.

    Args:
        streams: with `author` and the score's stream, where it has one.
        asked: what its metadata say under "asked": the score of a step that was wound back is only there.
        score: name of the stream that holds the score.
        success: what it came to; forgotten where a person took over.
        promise: see `Heard`.
    """
    author = streams["author"]
    human = author.values.reshape(-1) == 1
    found = streams.get(score)
    rows = np.empty(0)
    if found is not None:
        at = np.searchsorted(author.t_ns, found.t_ns, side="right") - 1
        rows = found.values.reshape(-1)[(at >= 0) & ~human[np.maximum(at, 0)]].astype(np.float64)
    asked = asked if isinstance(asked, list) else []
    told = [one["score"] for one in asked if isinstance(one, dict) and isinstance(one.get("score"), int | float)]
    scores = np.concatenate([rows, np.array(told, np.float64)])
    return Heard(scores, len(human), int(human.sum()), len(asked), None if human.any() else success, promise)


@dataclass(frozen=True)
class Precision:
    """Of so many takeovers, how many were needed: the person did something else than the policy would have."""

    needed: int
    takeovers: int


def needed(
    streams: Mapping[str, Stream], asked: JsonValue, *, half_range: Vector, agree: float
) -> dict[bool, Precision]:
    """Count one try's takeovers that were needed, those of the gate (False) apart from random ones (True).

    A takeover was needed where person and policy were on average further apart than `agree`, over all its steps. That
    can be seen on a robot too, where nobody can know what the policy would have come to.
    """
    author = streams["author"]
    found = {False: Precision(0, 0), True: Precision(0, 0)}
    records = [one for one in asked if isinstance(one, dict)] if isinstance(asked, list) else []
    for one in records:
        begun = int(np.searchsorted(author.t_ns, int(str(one["t_ns"]))))
        alone = np.flatnonzero(author.values.reshape(-1)[begun:] != 1)
        end = begun + int(alone[0]) if alone.size else len(author.t_ns)
        apart = streams["action/executed"].values[begun:end] - streams["action/intended"].values[begun:end]
        far = float(np.sqrt(((apart / half_range) ** 2).mean(axis=1)).mean()) > agree
        before = found[bool(one["random"])]
        found[bool(one["random"])] = Precision(before.needed + int(far), before.takeovers + 1)
    return found
