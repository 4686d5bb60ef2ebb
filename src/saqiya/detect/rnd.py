"""Runtime signal: how badly a network that learned on normal rows alone imitates a fixed random one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.rowwise import Rowwise
from saqiya.domain.contracts import FittedDetector, Seen, Vector
from saqiya.models.lifted import Lifted, fit_lifted, read_lifted
from saqiya.models.rows import common_names, names_array, names_of, side_by_side, widths
from saqiya.models.scaling import Scale, robust_scale

__all__ = ["Distillation"]

SEED = 20181030
"""Of the random network and of the imitator's features: part of the method, so equal tries give equal scores."""
HIDDEN_N, OUTPUTS_N = 256, 32
FEATURES_N = 256
PENALTY = 1e-4


class Distillation:
    """Random network distillation (Burda et al. 2019) on (observation, executed action), robustly scaled.

    A random network of one ReLU layer is imitated on normal rows; where there were none, the imitation is off. Where we
    differ: the imitator is a ridge regression on random features, fitted in closed form, so that equal tries give equal
    scores in milliseconds. Its own features are fewer than it would need, and others than the target's.
    """

    name = "rnd"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - novelty only
        """Imitate the random network on the rows of normal tries.

        Raises:
            UsageError: there is no try, or they share no observation stream.
        """
        streams = [one.streams for one in normal]
        names = common_names(streams, action=True)
        rows = np.concatenate([side_by_side(one, names)[1] for one in streams])
        wide = widths(streams[0], names)
        scale = robust_scale(rows, wide)
        inputs = (rows - scale.centre) / scale.spread
        rng = np.random.default_rng(SEED)
        target = Lifted(
            rng.normal(size=(inputs.shape[1], HIDDEN_N)) / np.sqrt(inputs.shape[1]),
            rng.normal(size=HIDDEN_N),
            rng.normal(size=(HIDDEN_N, OUTPUTS_N)) / np.sqrt(HIDDEN_N * OUTPUTS_N),
            np.zeros(OUTPUTS_N),
        )
        weight = np.ones(len(inputs))
        answers = target.apply(inputs)
        imitator = fit_lifted(inputs, answers, weight, features_n=FEATURES_N, penalty=PENALTY, rng=rng)
        return Rowwise(_Imitated(names, wide, scale, target, imitator))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        wide = tuple(int(width) for width in arrays["widths"])
        scale = Scale(arrays["centre"], arrays["spread"])
        nets = (read_lifted(arrays, "target"), read_lifted(arrays, "imitator"))
        return Rowwise(_Imitated(names_of(arrays["names"]), wide, scale, *nets))


@dataclass(frozen=True)
class _Imitated:
    names: tuple[str, ...]
    widths: tuple[int, ...]
    scale: Scale
    target: Lifted
    imitator: Lifted

    def strangeness(self, rows: Vector) -> Vector:
        """Return the distance between the two networks' answers to each row."""
        inputs = (rows - self.scale.centre) / self.scale.spread
        away: Vector = np.sqrt(((self.target.apply(inputs) - self.imitator.apply(inputs)) ** 2).sum(axis=1))
        return away

    def apart(self, row: Vector) -> tuple[Vector, str]:
        """Return how far each channel is from its usual middle: the networks themselves name no channel."""
        away: Vector = (row - self.scale.centre) / self.scale.spread
        return away, "its usual middle"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return names, widths, scales and both networks."""
        return {
            "names": names_array(self.names),
            "widths": np.array(self.widths, dtype=np.int64),
            "centre": self.scale.centre,
            "spread": self.scale.spread,
            **self.target.arrays("target"),
            **self.imitator.arrays("imitator"),
        }
