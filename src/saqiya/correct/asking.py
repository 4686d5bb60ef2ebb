"""The takeover gate: a person's time is a budget, and the most doubtful places of all tries get it.

From try to try it keeps the scores of what it has seen lately; within a try `domain.asking.Hands` carries out the `Ask`
that is made of them. It knows nothing of what a score is: the policy's own uncertainty or a monitor's, higher is worse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from saqiya.domain.asking import LAST_STEPS, Ask
from saqiya.domain.contracts import Vector
from saqiya.domain.streams import JsonValue, Stream
from saqiya.errors import TooLittle, UsageError

__all__ = ["LEAST_TRIES", "Asking", "Heard", "Precision", "heard", "needed"]

LEAST_TRIES = 10
"""Fewer tries set aside say nothing of what a high score is."""
POOL_TRIES = 100
LEAVE_QUANTILE = 0.7
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
    """

    scores: Vector
    steps: int
    human_steps: int = 0
    takeovers: int = 0


@dataclass(frozen=True)
class Asking:
    """The gate between two tries: `ask` says when a person is asked into the next one, `after` takes in what came.

    A try is asked into when its highest score passes a quantile of the highest scores of lately seen tries: that share
    of tries, the *level*, follows the budget. After each try the level moves by what was spent less than was budgeted
    (the rule of adaptive conformal inference, Gibbs and Candes 2021, with human steps in the place of errors). So the
    budget is kept whatever the scores do: over T tries at most (2 + 1 / GAIN) / T tries' worth of steps are overspent.
    ThriftyDAgger (Hoque et al. 2021) takes the quantile of steps, recomputed with each try; how long a person stays is
    not in it, so its share of human steps is not the one it was asked for.

    Attributes:
        budget: share of all control steps that may be a person's, in (0, 1).
        random: share of takeovers that no score decides.
        agree, rewind_steps: see `Ask`.
        pool: scores of lately seen tries, the newest last.
        lengths: control steps of tries that the policy had for itself.
        level: share of tries that is asked into now; at 0 and below nobody is asked.
        drawn: the next takeover is random.
    """

    budget: float
    random: float
    agree: float
    rewind_steps: int
    pool: tuple[Vector, ...]
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
        rewind_steps: int = 10,
    ) -> Asking:
        """Calibrate on tries of this very policy that were set aside: nobody took over in them.

        Raises:
            UsageError: a share is not one.
            TooLittle: fewer than `LEAST_TRIES` of them hold a score.
        """
        if not (0.0 < budget < 1.0 and 0.0 <= random < 1.0 and agree >= 0.0 and rewind_steps >= 0):
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
            pool=tuple(one.scores for one in scored),
            lengths=tuple(one.steps for one in scored),
            level=min(1.0, budget / EXPECTED_SHARE),
            drawn=bool(rng.random() < random),
        )

    @property
    def enter(self) -> float:
        """The score above which a person is asked in: infinite at level 0, where nobody is."""
        peaks = np.sort([scores.max() for scores in self.pool])
        rank = int(np.ceil((len(peaks) + 1) * (1.0 - self.level)))
        return float(peaks[rank - 1]) if 1 <= rank <= len(peaks) else (np.inf if rank > len(peaks) else -np.inf)

    @property
    def leave(self) -> float:
        """The score below which control may go back."""
        return min(self.enter, float(np.quantile(np.concatenate(self.pool), LEAVE_QUANTILE)))

    def ask(self, rng: np.random.Generator) -> Ask:
        """Say when a person is asked into the next try.

        A random takeover begins at a step drawn from those of an earlier try, its last ones left out: so each step
        that the policy reaches is as likely, whatever its score.
        """
        step = int(rng.integers(max(1, int(rng.choice(self.lengths)) - LAST_STEPS))) if self.drawn else None
        return Ask(self.enter, self.leave, self.agree, at_step=step, rewind_steps=self.rewind_steps)

    def after(self, one: Heard, rng: np.random.Generator) -> Asking:
        """Return the gate as it stands after a try: with its scores, its cost, and who decides the next takeover."""
        typical = float(np.mean(self.lengths))
        level = min(1.0, self.level + GAIN * (self.budget * one.steps - one.human_steps) / typical)
        return replace(
            self,
            pool=(*self.pool, one.scores)[-POOL_TRIES:] if one.scores.size else self.pool,
            lengths=self.lengths if one.takeovers else (*self.lengths, one.steps)[-POOL_TRIES:],
            level=level,
            drawn=bool(rng.random() < self.random) if one.takeovers else self.drawn,
        )


def heard(streams: Mapping[str, Stream], asked: JsonValue, *, score: str) -> Heard:
    """Read from a try's log what it says to the gate.

    Args:
        streams: with `author` and the score's stream, where it has one.
        asked: what its metadata say under "asked": the score of a step that was wound back is only there.
        score: name of the stream that holds the score.
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
    return Heard(scores, len(human), int(human.sum()), len(asked))


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
