"""What a try came to, from its state data alone, where nobody has said it: with "don't know" as an answer."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Seen, Vector
from saqiya.domain.words import Outcome
from saqiya.errors import TooLittle
from saqiya.models.prefixes import Prefixes, learn_prefixes
from saqiya.models.trees import Trees, grow

__all__ = ["VERSION", "SuccessModel", "Verdict", "fit_success"]

VERSION = "1"
ERROR = 0.02
LEAST_N = 10
FOLDS_N = 5
REASONS_N = 3


@dataclass(frozen=True)
class Verdict:
    """The model's word on a try.

    Attributes:
        outcome: SUCCESS or FAILURE, or UNKNOWN: a person should look.
        probability: that it succeeded; calibrated, and never 0 or 1.
        why: the numbers that it rests on, in words.
    """

    outcome: Outcome
    probability: float
    why: str


@dataclass(frozen=True)
class SuccessModel:
    """Gradient boosted trees on what a try looks like at its end, and how sure they may be.

    The known tries are parted into folds, and each fold is looked at by trees that were grown on the others. The
    probability is an isotonic function of such log-odds (Zadrozny and Elkan 2002), averaged over the folds' trees. An
    outcome is ruled out when at most a share `error` of the known tries with that outcome look as unlike it, each
    compared by the trees that do not know it: class-conditional (Vovk et al. 2005) cross-conformal prediction (Vovk
    2015), which uses every label and guarantees twice the share, close to `error` in practice. Where one outcome is
    left, it is the answer; where both are, or neither is, a person should look.

    Attributes:
        prefixes: what is read of a try.
        trees: log-odds of success, by trees that do not know the tries of one fold.
        successes, failures: float64, sorted, for each of the `trees`: log-odds of known tries it does not know.
        knots: float64 (k,), log-odds at which `calibrated` (k,) gives the probability; straight lines between.
        error: share of successes, and of failures, that may be taken for the other.
    """

    prefixes: Prefixes
    trees: tuple[Trees, ...]
    successes: tuple[Vector, ...]
    failures: tuple[Vector, ...]
    knots: Vector
    calibrated: Vector
    error: float

    def judge(self, seen: Seen) -> Verdict:
        """Say what a finished try came to.

        Raises:
            InvalidEpisode: the try lacks a stream that the known tries have.
        """
        row = self.prefixes.rows(seen, [-1])[1]
        odds = [float(one.log_odds(row)[0]) for one in self.trees]
        probability = float(np.interp(odds, self.knots, self.calibrated).mean())
        outcome, how = self._decided(odds)
        return Verdict(outcome, probability, f"{how}; {self._reasons(row[0])}")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what makes it again with `of_arrays`."""
        made = {"knots": self.knots, "calibrated": self.calibrated, "error": np.array([self.error])}
        made |= {f"prefixes/{name}": array for name, array in self.prefixes.arrays().items()}
        for fold, (trees, *known) in enumerate(zip(self.trees, self.successes, self.failures, strict=True)):
            made |= {f"{fold}/trees/{name}": array for name, array in trees.arrays().items()}
            made |= {f"{fold}/successes": known[0], f"{fold}/failures": known[1]}
        return made

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> SuccessModel:
        """Make it again from `arrays`."""

        def below(part: str) -> dict[str, NDArray[Any]]:
            return {name.removeprefix(part): array for name, array in arrays.items() if name.startswith(part)}

        folds = sum(name.endswith("/successes") for name in arrays)
        return cls(
            Prefixes.of_arrays(below("prefixes/")),
            tuple(Trees.of_arrays(below(f"{fold}/trees/")) for fold in range(folds)),
            tuple(arrays[f"{fold}/successes"] for fold in range(folds)),
            tuple(arrays[f"{fold}/failures"] for fold in range(folds)),
            arrays["knots"],
            arrays["calibrated"],
            float(arrays["error"][0]),
        )

    def _decided(self, odds: Sequence[float]) -> tuple[Outcome, str]:
        """Return the outcome that is left when those that are too unlike are ruled out, and say how."""
        worse = sum(int(np.searchsorted(s, o, side="right")) for s, o in zip(self.successes, odds, strict=True))
        better = sum(len(f) - int(np.searchsorted(f, o)) for f, o in zip(self.failures, odds, strict=True))
        successes, failures = (sum(len(one) for one in known) for known in (self.successes, self.failures))
        as_success, as_failure = (1 + worse) / (successes + 1), (1 + better) / (failures + 1)
        how = f"{as_success:.1%} of known successes and {as_failure:.1%} of known failures are as unlike their kind"
        if as_success > self.error >= as_failure:
            return Outcome.SUCCESS, how
        if as_failure > self.error >= as_success:
            return Outcome.FAILURE, how
        needed = math.ceil(1.0 / self.error) - 1
        for kind, n in (("success", successes), ("failure", failures)):
            if n < needed:
                how += f" (to rule a {kind} out at {self.error:.1%} takes {needed} known ones, there are {n})"
        return Outcome.UNKNOWN, how

    def _reasons(self, row: Vector) -> str:
        """Name the numbers that moved the log-odds most, and by how much."""
        shares = np.mean([one.shares(row) for one in self.trees], axis=0)
        most = [index for index in np.argsort(-np.abs(shares))[:REASONS_N] if shares[index] != 0.0]
        return ", ".join(f"{self.prefixes.names[i]} {row[i]:.3g} ({shares[i]:+.1f})" for i in most)


def fit_success(
    tries: Sequence[Seen],
    success: Sequence[bool],
    *,
    groups: Sequence[Hashable] | None = None,
    duration: bool = False,
    error: float = ERROR,
) -> SuccessModel:
    """Learn what success looks like from finished tries whose outcome is known.

    Args:
        tries: what was seen of each, of one task and one embodiment.
        success: what each came to.
        groups: tries of one group (one episode cut twice, one session) are never on both sides of a fold; each try is
            its own group where none are given.
        duration: whether the length of a try may be told. Where failures run into a time-out it tells the outcome
            without a look at the robot, and stops doing so when the time-out changes: so it is not told by default.
        error: share of successes, and of failures, that may be taken for the other. At .02 it takes 49 known failures
            to rule a failure out, none of which may look like a success, or 99, of which one may.

    Raises:
        TooLittle: fewer than `LEAST_N` successes or failures, or no stream that all tries share.
    """
    from sklearn.isotonic import IsotonicRegression
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.asarray(success, dtype=bool)
    if min(labels.sum(), (~labels).sum()) < LEAST_N:
        raise TooLittle(
            f"{labels.sum()} successes and {(~labels).sum()} failures are too few to learn what success looks like",
            remedy=f"Label at least {LEAST_N} of each.",
        )
    prefixes = learn_prefixes(tries, success, duration=duration)
    rows = np.concatenate([prefixes.rows(one, [-1])[1] for one in tries])
    numbers: dict[Hashable, int] = {}
    member = [numbers.setdefault(group, len(numbers)) for group in groups or range(len(tries))]
    folds = StratifiedGroupKFold(FOLDS_N, shuffle=True, random_state=0).split(rows, labels, member)
    unseen, trees, held_out = np.zeros(len(rows)), [], []
    for known, held in folds:
        trees.append(grow(rows[known], labels[known]))
        unseen[held] = trees[-1].log_odds(rows[held])
        held_out.append(held)
    never = 1.0 / (len(labels) + 2)
    isotonic = IsotonicRegression(y_min=never, y_max=1.0 - never).fit(unseen, labels)
    return SuccessModel(
        prefixes=prefixes,
        trees=tuple(trees),
        successes=tuple(np.sort(unseen[held[labels[held]]]) for held in held_out),
        failures=tuple(np.sort(unseen[held[~labels[held]]]) for held in held_out),
        knots=np.asarray(isotonic.X_thresholds_, dtype=np.float64),
        calibrated=np.asarray(isotonic.y_thresholds_, dtype=np.float64),
        error=error,
    )
