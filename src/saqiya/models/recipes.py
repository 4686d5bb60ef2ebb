"""Learners for a few dozen labelled windows, and the choice among them by what they have not seen.

A recipe is a scaling, a choice of features and a model. `choose` compares recipes by cross-validation inside the rows
it is given and nowhere else, so that whoever judges the result on other rows judges the choice with it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.errors import TooLittle
from saqiya.models.folds import deal, turns

__all__ = ["LINEAR", "NEAREST", "SMALL", "Chosen", "Recipe", "choose", "soften"]

TREES_N = 150
INNER_N = 4
SHARPNESS = np.geomspace(0.05, 20.0, 60)
BEST_N = 30
IQR_OF_NORMAL = 1.349


@dataclass(frozen=True)
class Recipe:
    """A named learner: `fit(rows, labels, seed)` returns a function from rows (t, F) to scores (t, K)."""

    name: str
    fit: Callable[[Vector, NDArray[np.int64], int], Callable[[Vector], Vector]]


@dataclass(frozen=True)
class Chosen:
    """The recipe that did best inside the training rows, fitted on all of them.

    Attributes:
        name: of the recipe.
        classes_n: K.
        sharpness: what scores are multiplied with before they become probabilities (temperature scaling, Guo et al.
            2017), fitted on scores of rows that the scorer had not seen.
        unseen: float64 (n, K), probabilities of the training rows, each from a scorer that had not seen it.
        losses: recipe to its mean loss on unseen rows: why this one was chosen.
    """

    name: str
    classes_n: int
    sharpness: float
    unseen: Vector
    losses: tuple[tuple[str, float], ...]
    _score: Callable[[Vector], Vector]

    def probabilities(self, rows: Vector) -> Vector:
        """Return float64 (t, K), each row summing to 1."""
        return _softmax(self.sharpness * self._score(rows))


def choose(
    recipes: Sequence[Recipe],
    rows: Vector,
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    *,
    seed: int,
) -> Chosen:
    """Choose a recipe by cross-validation inside these rows and fit it on all of them.

    The loss is the mean log-loss with every class weighted alike. The first recipe is kept unless another is better by
    more than one standard error of the difference: with so few rows the smallest loss is often luck.

    Args:
        recipes: the default first.
        rows: float64 (n, F); NaN is a missing value.
        labels: int64 (n,), 0 to K - 1, at least two of them present.
        groups: int64 (n,), rows of one group are never parted.
        seed: of the folds and of learners that draw.

    Raises:
        TooLittle: fewer than two classes, or every class is a single group.
    """
    classes_n = int(labels.max(initial=-1)) + 1
    sizes = [len(np.unique(groups[labels == label])) for label in range(classes_n)]
    if sum(size > 0 for size in sizes) < 2 or max(sizes) < 2:
        raise TooLittle(
            f"{len(labels)} rows of {sum(size > 0 for size in sizes)} classes are too few to learn from",
            remedy="Two classes are needed, and two rows of one of them that are no copies. Label more.",
        )
    folds_n = min(INNER_N, len(np.unique(groups)))
    fold = deal(labels, groups, folds_n=folds_n, seed=seed)
    weights = _even(labels)
    losses, sharpest, scores = [], [], []
    for recipe in recipes:
        unseen = np.full((len(labels), classes_n), np.nan)
        for learn, judge in turns(fold):
            unseen[judge] = _scores(recipe, rows[learn], labels[learn], seed, classes_n)(rows[judge])
        sharpness, each = _sharpen(unseen, labels, weights)
        losses.append(each)
        sharpest.append(sharpness)
        scores.append(unseen)
    best = _better(losses)
    return Chosen(
        name=recipes[best].name,
        classes_n=classes_n,
        sharpness=sharpest[best],
        unseen=_softmax(sharpest[best] * scores[best]),
        losses=tuple((recipe.name, float(each.mean())) for recipe, each in zip(recipes, losses, strict=True)),
        _score=_scores(recipes[best], rows, labels, seed, classes_n),
    )


def soften(rows: Vector) -> Callable[[Vector], Vector]:
    """Return what brings features like these (n, F) to comparable numbers without units, and fills what is missing.

    Each is centred on its median, divided by its quartile range, and bent by asinh, so that a force of 3000 N among
    forces of 30 N does not flatten them all. A missing value becomes the median: that it is missing tells nothing.
    """
    told = np.isfinite(rows)
    centre = np.zeros(rows.shape[1])
    spread = np.ones(rows.shape[1])
    whole = told.all(axis=0)
    centre[whole], spread[whole] = _middle(rows[:, whole])
    for column in np.flatnonzero(told.any(axis=0) & ~whole):
        middle, width = _middle(rows[told[:, column], column][:, None])
        centre[column], spread[column] = middle[0], width[0]

    def soft(given: Vector) -> Vector:
        bent: Vector = np.arcsinh(np.where(np.isfinite(given), (given - centre) / spread, 0.0))
        return bent

    return soft


def _middle(rows: Vector) -> tuple[Vector, Vector]:
    """Return the median and the spread of each column; where half of its values are one, what the others spread."""
    low, centre, high = np.quantile(rows, [0.25, 0.5, 0.75], axis=0)
    spread = (high - low) / IQR_OF_NORMAL
    spread = np.where(spread > 0.0, spread, rows.std(axis=0))
    return centre, np.where(spread > 0.0, spread, 1.0)


def _scores(
    recipe: Recipe, rows: Vector, labels: NDArray[np.int64], seed: int, classes_n: int
) -> Callable[[Vector], Vector]:
    """Fit, and spread scores over all classes: one that was not learned gets the lowest score there is."""
    present, own = np.unique(labels, return_inverse=True)
    if len(present) == 1:
        return lambda given: np.tile(np.where(np.arange(classes_n) == present[0], 0.0, -_RULED_OUT), (len(given), 1))
    fitted = recipe.fit(rows, own.astype(np.int64), seed)

    def score(given: Vector) -> Vector:
        part = fitted(given)
        whole = np.repeat(part.min(axis=1, keepdims=True) - _RULED_OUT, classes_n, axis=1)
        whole[:, present] = part
        return whole

    return score


_RULED_OUT = 4.0


def _softmax(scores: Vector) -> Vector:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: Vector = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _even(labels: NDArray[np.int64]) -> Vector:
    counts = np.bincount(labels)
    weights: Vector = len(labels) / (np.count_nonzero(counts) * counts[labels])
    return weights


def _sharpen(scores: Vector, labels: NDArray[np.int64], weights: Vector) -> tuple[float, Vector]:
    """Return the sharpness with the smallest mean loss, and the weighted loss of each row under it."""
    rows = np.arange(len(labels))
    losses = [-weights * np.log(_softmax(t * scores)[rows, labels] + 1e-9) for t in SHARPNESS]
    best = int(np.argmin([loss.mean() for loss in losses]))
    return float(SHARPNESS[best]), losses[best]


def _better(losses: Sequence[Vector]) -> int:
    best = int(np.argmin([loss.mean() for loss in losses]))
    gain = losses[0] - losses[best]
    return best if gain.mean() > gain.std() / np.sqrt(len(gain)) else 0


def _trees() -> Callable[[Vector, NDArray[np.int64], int], Callable[[Vector], Vector]]:
    def fit(rows: Vector, labels: NDArray[np.int64], seed: int) -> Callable[[Vector], Vector]:
        from sklearn import config_context
        from sklearn.ensemble import ExtraTreesClassifier

        soft = soften(rows)
        model = ExtraTreesClassifier(TREES_N, class_weight="balanced", random_state=seed)
        with config_context(assume_finite=True, skip_parameter_validation=True):
            model.fit(soft(rows), labels)

        def score(given: Vector) -> Vector:
            with config_context(assume_finite=True, skip_parameter_validation=True):
                logs: Vector = np.log(model.predict_proba(soft(given)) + 0.5 / TREES_N)
            return logs

        return score

    return fit


def _pipeline(
    model: Callable[[], Any], best_n: int | None = None
) -> Callable[[Vector, NDArray[np.int64], int], Callable[[Vector], Vector]]:
    """Return a learner on softened and standardised features; `best_n` keeps those that differ most between classes."""

    def fit(rows: Vector, labels: NDArray[np.int64], _seed: int) -> Callable[[Vector], Vector]:
        from sklearn import config_context

        soft = soften(rows)
        bent = soft(rows)
        centre, spread = bent.mean(axis=0), bent.std(axis=0)
        varied = np.flatnonzero(spread > 1e-9)
        best = varied if best_n is None else varied[_most_different(bent[:, varied], labels)[:best_n]]
        if not best.size:
            shares = np.log(np.bincount(labels) / len(labels))
            return lambda given: np.tile(shares, (len(given), 1))

        def standard(given: Vector) -> Vector:
            scaled: Vector = (soft(given)[:, best] - centre[best]) / spread[best]
            return scaled

        with config_context(assume_finite=True, skip_parameter_validation=True):
            fitted = model().fit(standard(rows), labels)

        def score(given: Vector) -> Vector:
            with config_context(assume_finite=True, skip_parameter_validation=True):
                found = np.asarray(fitted.decision_function(standard(given)), dtype=np.float64)
            return np.column_stack([-found, found]) if found.ndim == 1 else found

        return score

    return fit


def _most_different(rows: Vector, labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return columns by how far classes lie apart for their spread (the F of a variance analysis), largest first."""
    between, within = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for label in np.unique(labels):
        own = rows[labels == label]
        between += len(own) * (own.mean(axis=0) - rows.mean(axis=0)) ** 2
        within += ((own - own.mean(axis=0)) ** 2).sum(axis=0)
    return np.argsort(-between / (within + 1e-12), kind="stable")


def _nearest(*, scaled: bool) -> Callable[[Vector, NDArray[np.int64], int], Callable[[Vector], Vector]]:
    def fit(rows: Vector, labels: NDArray[np.int64], _seed: int) -> Callable[[Vector], Vector]:
        soft = soften(rows) if scaled else np.nan_to_num
        learned = soft(rows)

        def score(given: Vector) -> Vector:
            apart = np.linalg.norm(soft(given)[:, None] - learned[None], axis=2)
            typical = float(np.median(apart)) or 1.0
            return np.column_stack([-apart[:, labels == label].min(axis=1) / typical for label in np.unique(labels)])

        return score

    return fit


def _kernel() -> Any:  # noqa: ANN401 - scikit-learn has no types
    from sklearn.svm import SVC

    return SVC(C=10.0, class_weight="balanced")


def _logistic(strength: float) -> Callable[[], Any]:
    def make() -> Any:  # noqa: ANN401 - scikit-learn has no types
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=strength, class_weight="balanced", max_iter=2000)

    return make


SMALL = (
    Recipe("randomised trees", _trees()),
    Recipe("kernel machine", _pipeline(_kernel)),
    Recipe("kernel machine on the best 30 features", _pipeline(_kernel, BEST_N)),
    Recipe("logistic regression", _pipeline(_logistic(0.1))),
)
"""For several classes and dozens of rows: randomised trees (Geurts et al. 2006) unless another is clearly better."""

NEAREST = (
    Recipe("nearest neighbour", _nearest(scaled=False)),
    Recipe("nearest neighbour, softened", _nearest(scaled=True)),
)
"""The rival of every learner."""

LINEAR = (
    Recipe("logistic regression", _pipeline(_logistic(0.1))),
    Recipe("logistic regression, weaker prior", _pipeline(_logistic(1.0))),
    Recipe("logistic regression on the best 10 features", _pipeline(_logistic(1.0), 10)),
    Recipe("kernel machine", _pipeline(_kernel)),
)
"""For two classes, quick enough to be refitted under hundreds of permutations."""
