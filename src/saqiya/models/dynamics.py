"""What follows from what the robot sees and does: the next observation, learned from normal tries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.errors import TooLittle
from saqiya.models.lifted import Lifted, fit_lifted, read_lifted
from saqiya.models.rows import EXECUTED, common_names, names_array, names_of, side_by_side, widths
from saqiya.models.scaling import SILENT_SHARE, Scale, robust_scale

__all__ = ["Dynamics", "learn_dynamics", "read_dynamics"]

SEED = 20061203
"""Of the random features: part of the method, so equal tries give equal models."""
FEATURES_N = 128
PENALTY = 1e-4
FOLDS_N = 5
ROWS_N = 50_000
"""Rows learned from at most: whole tries, evenly taken."""
FAR = 1e3


@dataclass(frozen=True)
class Dynamics:
    """A model of one control step, and how far off it usually is after `steps_n` of them.

    Attributes:
        names: the streams side by side in a row, observations first; `widths` their columns.
        scale: how rows are scaled.
        step: the change of a scaled observation, float64 (t, O), by scaled row.
        error: float64 (O,), root mean square error after `steps_n` steps on tries that the model had not seen.
        steps_n: how many steps the model goes on its own, given the actions, before it is compared.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    scale: Scale
    step: Lifted
    error: Vector
    steps_n: int

    def surprise(self, rows: Vector) -> Vector:
        """Return by how many usual errors each row's observation differs from what was foretold `steps_n` rows before.

        For rows float64 (t, D) that is float64 (t - steps_n, O), with sign: what came less what was foretold.
        """
        return _missed(self.step, (rows - self.scale.centre) / self.scale.spread, self.steps_n) / self.error

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what makes it again with `read_dynamics`."""
        return {
            "names": names_array(self.names),
            "widths": np.array(self.widths, dtype=np.int64),
            "centre": self.scale.centre,
            "spread": self.scale.spread,
            "error": self.error,
            "steps_n": np.array([self.steps_n], dtype=np.int64),
            **self.step.arrays("step"),
        }


def read_dynamics(arrays: Mapping[str, NDArray[Any]]) -> Dynamics:
    """Make the model again from `Dynamics.arrays`."""
    return Dynamics(
        names_of(arrays["names"]),
        tuple(int(width) for width in arrays["widths"]),
        Scale(arrays["centre"], arrays["spread"]),
        read_lifted(arrays, "step"),
        arrays["error"],
        int(arrays["steps_n"][0]),
    )


def learn_dynamics(tries: Sequence[Mapping[str, Stream]], *, steps_n: int) -> Dynamics:
    """Learn from the streams of normal tries: `observation/*`, and the executed action where they have it.

    The model is random ReLU features with a ridge. Its error is measured by cross-fitting over whole tries, as a model
    is always better on what it learned from. Measured on the disturbed sites (seeds 11-15), area of `dynamics` to the
    success horizon: by plain linear regression .985 on Metaworld and .928 on tiny, by this .988 and .956; with a usual
    error that depends on the row .954 and .965, so it does not depend on it.

    Raises:
        TooLittle: fewer than two tries are longer than `steps_n` rows.
        UsageError: there is no try, or they share no observation stream.
        InvalidEpisode: a stream is never finite.
    """
    names = common_names(tries, action=True)
    parts = [rows for rows in (side_by_side(one, names)[1] for one in tries) if len(rows) > steps_n]
    if len(parts) < 2:
        raise TooLittle(
            f"{len(parts)} tries are longer than {steps_n} steps; what usually follows needs two",
            remedy="Collect more demonstrations or successes.",
        )
    parts = parts[:: max(1, sum(map(len, parts)) // ROWS_N)]
    wide = widths(tries[0], names)
    scale = robust_scale(np.concatenate(parts), wide)
    scaled = [(part - scale.centre) / scale.spread for part in parts]
    seen_n = sum(width for name, width in zip(names, wide, strict=True) if name != EXECUTED)
    folds_n = min(FOLDS_N, len(scaled))
    missed = []
    for fold in range(folds_n):
        step = _learn([part for index, part in enumerate(scaled) if index % folds_n != fold], seen_n)
        missed += [_missed(step, part, steps_n) for part in scaled[fold::folds_n]]
    error = np.sqrt((np.concatenate(missed) ** 2).mean(axis=0))
    typical = float(np.sqrt((error**2).mean()))
    floor = max(SILENT_SHARE * typical, 1e-6)
    return Dynamics(names, wide, scale, _learn(scaled, seen_n), np.maximum(error, floor), steps_n)


def _learn(parts: Sequence[Vector], seen_n: int) -> Lifted:
    inputs = np.concatenate([part[:-1] for part in parts])
    change = np.concatenate([np.diff(part[:, :seen_n], axis=0) for part in parts])
    rng = np.random.default_rng(SEED)
    return fit_lifted(inputs, change, np.ones(len(inputs)), features_n=FEATURES_N, penalty=PENALTY, rng=rng)


def _missed(step: Lifted, rows: Vector, steps_n: int) -> Vector:
    """Return what came less what the model foretold on its own over `steps_n` steps, float64 (t - steps_n, O)."""
    seen_n, starts_n = len(step.base), max(0, len(rows) - steps_n)
    foretold = rows[:starts_n, :seen_n]
    for ahead in range(steps_n):
        actions = rows[ahead : ahead + starts_n, seen_n:]
        foretold = np.clip(foretold + step.apply(np.concatenate([foretold, actions], axis=1)), -FAR, FAR)
    return rows[steps_n : steps_n + starts_n, :seen_n] - foretold
