"""From lessons to what a trainer fits: observations, the chunk to answer with, weights, and who holds out what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Lesson, Trained, Vector
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import ConfigError, InvalidEpisode
from saqiya.models.ensemble import Ensemble
from saqiya.models.normaliser import Normaliser, fit_normaliser

__all__ = ["Samples", "Setting", "finished", "normalisers", "one_thread", "samples_of", "settled", "who_saw_what"]

Setting = tuple[int, int, int] | tuple[float, float, float]
"""A trainer's setting: default, least, greatest. Where all three are integers, only whole numbers are taken."""


@dataclass(frozen=True)
class Samples:
    """Every step that is to be imitated, as rows.

    Attributes:
        observation: float64 (N, D).
        chunk: float64 (N, k, d), the next k actions to imitate. Where fewer than k follow, the last one is held.
        weight: float64 (N,), all above 0.
        episode: int64 (N,), 0 .. episodes_n - 1.
    """

    observation: Vector
    chunk: Vector
    weight: Vector
    episode: NDArray[np.int64]
    episodes_n: int


def samples_of(lessons: Sequence[Lesson], spec: PolicySpec) -> Samples:
    """Cut lessons into samples; a step of weight 0 is neither imitated nor part of another step's chunk.

    Raises:
        InvalidEpisode: shapes do not fit the spec, values are not finite, or fewer than two episodes are left.
    """
    width = sum(spec.observation.values())
    rows, chunks, weights, episodes = [], [], [], []
    for lesson in lessons:
        _check(lesson, width, spec.action)
        kept = lesson.weight > 0
        if not kept.any():
            continue
        index = np.arange(len(kept))
        # The last step of the unbroken run of imitated steps that each step lies in.
        breaks = np.where(~kept, index, len(kept))
        run_end = np.minimum.accumulate(breaks[::-1])[::-1] - 1
        ahead = np.minimum(index[:, None] + np.arange(spec.chunk), run_end[:, None])[kept]
        rows.append(lesson.observation[kept])
        chunks.append(lesson.action[ahead])
        weights.append(lesson.weight[kept])
        episodes.append(np.full(int(kept.sum()), lesson.episode, dtype=np.int64))
    names = np.unique(np.concatenate(episodes)) if episodes else np.empty(0, dtype=np.int64)
    if names.size < 2:
        raise InvalidEpisode(
            f"{names.size} episodes with a step to imitate; held-out error needs two",
            subject="training data",
            remedy="Collect more demonstrations.",
        )
    return Samples(
        np.concatenate(rows),
        np.concatenate(chunks),
        np.concatenate(weights),
        np.searchsorted(names, np.concatenate(episodes)),
        int(names.size),
    )


def _check(lesson: Lesson, width: int, action: int) -> None:
    steps = lesson.weight.shape[0]
    if lesson.observation.shape != (steps, width) or lesson.action.shape != (steps, action):
        raise InvalidEpisode(
            f"observation {lesson.observation.shape} and action {lesson.action.shape} do not fit "
            f"({steps}, {width}) and ({steps}, {action})",
            subject=f"lesson of episode {lesson.episode}",
            remedy="Give lessons in the order and widths of the policy spec.",
        )
    if not all(np.isfinite(values).all() for values in (lesson.observation, lesson.action, lesson.weight)):
        raise InvalidEpisode(
            "values that are not finite", subject=f"lesson of episode {lesson.episode}", remedy="Leave it out."
        )
    if (lesson.weight < 0).any():
        raise InvalidEpisode("a weight below 0", subject=f"lesson of episode {lesson.episode}", remedy="Use 0 or more.")


def who_saw_what(episodes_n: int, members_n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Draw which member learns from which episode, bool (m, E): each leaves out its own group of whole episodes.

    The groups together hold about half of the episodes, or one each. The usual bootstrap (Efron, 1979) would hide a
    third of the episodes from every member; with 20 to 40 demonstrations that costs success and buys no better
    disagreement. Whole episodes, because steps of one try are no independent draws.
    """
    group_n = max(1, round(episodes_n / (2 * members_n)))
    order = rng.permutation(episodes_n)
    seen = np.ones((members_n, episodes_n), dtype=np.bool_)
    for member in range(members_n):
        seen[member, order[np.arange(member * group_n, (member + 1) * group_n) % episodes_n]] = False
    return seen


def normalisers(samples: Samples, spec: PolicySpec, resolution: float) -> tuple[Normaliser, Normaliser]:
    """Fit what an observation and what an action are divided by; action channels share no unit with one another."""
    return (
        fit_normaliser(
            samples.observation, samples.weight, widths=list(spec.observation.values()), resolution=resolution
        ),
        fit_normaliser(samples.chunk[:, 0], samples.weight, widths=[1] * spec.action, resolution=resolution),
    )


def finished(
    ensemble: Ensemble, spec: PolicySpec, samples: Samples, seen: NDArray[np.bool_], resolution: float
) -> Trained:
    """Add honest noise and figures to a fitted ensemble: each member is judged on episodes that it had not seen.

    The noise (d,) is the root mean square error of the actions that are executed, in the action's unit.

    `seen` is bool (m, E), which member learned from which episode; `resolution` is the least noise.
    """
    error = (ensemble.chunks(samples.observation) - samples.chunk)[:, :, : spec.execute] ** 2
    known = seen[:, samples.episode]

    def noise(weight: Vector) -> Vector:
        mean: Vector = np.einsum("mn,mnkd->d", weight, error) / (weight.sum() * error.shape[2])
        return np.sqrt(mean)

    held_out = noise(np.where(known, 0.0, samples.weight))
    metrics = {
        "episodes": float(samples.episodes_n),
        "samples": float(len(samples.weight)),
        "train_rmse": float(np.sqrt((noise(np.where(known, samples.weight, 0.0)) ** 2).mean())),
        "held_out_rmse": float(np.sqrt((held_out**2).mean())),
    }
    stored = replace(ensemble, noise=np.maximum(held_out, resolution))
    return Trained(spec, stored.tensors(), metrics)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep numpy's linear algebra to one thread: with more, sums are taken in another order and bits differ."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="blas"):
        yield


def settled(settings: Mapping[str, float], known: Mapping[str, Setting], *, trainer: str) -> dict[str, float]:
    """Return every known setting's value.

    Raises:
        ConfigError: a key is unknown, a value is out of range, or a count is not whole.
    """
    for name, value in settings.items():
        if name not in known:
            raise ConfigError(
                f"unknown setting {name!r}; known here: {', '.join(known)}",
                subject=f"trainer {trainer}",
                remedy="Correct [train.settings].",
            )
        default, low, high = known[name]
        if isinstance(default, int) and value != int(value):
            raise ConfigError(
                f"{name} must be a whole number, not {value:g}",
                subject=f"trainer {trainer}",
                remedy="Correct [train.settings].",
            )
        if not low <= value <= high:
            raise ConfigError(
                f"{name} must be between {low:g} and {high:g}, not {value:g}",
                subject=f"trainer {trainer}",
                remedy="Correct [train.settings].",
            )
    return {name: float(settings.get(name, default)) for name, (default, _, _) in known.items()}
