"""One ReLU network that acts, and says how sure it is by leaving out units at random; numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Action, Observation, Vector
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import PolicyUnreadable
from saqiya.models.ensemble import Ensemble, read_ensemble, row_of, rows_of

__all__ = ["PASSES_N", "RATE", "DropoutPolicy", "read_dropout"]

PASSES_N = 10
RATE = "dropout"


class DropoutPolicy:
    """A network that was trained with dropout: it acts whole, and its samples are passes with units left out.

    Monte Carlo dropout after Gal and Ghahramani (2016), with `PASSES_N` passes. Where we differ: units are left out of
    the last hidden layer alone, and the chunk that is carried out is the whole network's and not the passes' mean, so
    the robot does not tremble with the draws.
    """

    def __init__(self, spec: PolicySpec, network: Ensemble, rate: float) -> None:
        """Begin as after `reset(0)`. `network` has one member; `rate` is the probability of leaving a unit out."""
        self.spec = spec
        self._network, self._rate = network, rate
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Begin a try: all passes of it are drawn from `seed`."""
        self._draws = np.random.default_rng(seed)

    def act(self, observation: Observation) -> Action:
        """Return chunk (k, d), samples (10, k, d) and noise (d,).

        Raises:
            SiteFault: the observation lacks a stream or has another width than the policy was trained on.
        """
        row = row_of(self.spec, observation)[None]
        return Action(self._network.chunks(row)[0, 0], self._passes(row)[:, 0], self._network.noise)

    def act_batch(self, observations: Mapping[str, Vector]) -> Action:
        """Answer many observations at once, (t, D) a stream: chunk (t, k, d), samples (10, t, k, d), noise (d,)."""
        rows = rows_of(self.spec, observations)
        return Action(self._network.chunks(rows)[0], self._passes(rows), self._network.noise)

    def _passes(self, rows: Vector) -> Vector:
        """Return float64 (10, t, k, d); each row draws its masks by itself, so a batch answers as its rows in turn."""
        network = self._network
        hidden = network.reads.apply(rows).astype(np.float32)
        for weight, bias in zip(network.weights[:-1], network.biases[:-1], strict=True):
            hidden = np.maximum(hidden @ weight[0] + bias[0], np.float32(0.0))
        kept = self._draws.random((len(rows), PASSES_N, hidden.shape[1]), dtype=np.float32) >= self._rate
        thinned = hidden[:, None] * kept / np.float32(1.0 - self._rate)
        answered = (np.matmul(thinned, network.weights[-1][0]) + network.biases[-1][0]).swapaxes(0, 1)
        shaped = answered.astype(np.float64).reshape(PASSES_N, len(rows), self.spec.chunk, self.spec.action)
        return network.writes.undo(shaped)


def read_dropout(spec: PolicySpec, tensors: Mapping[str, NDArray[Any]]) -> DropoutPolicy:
    """Turn stored arrays into a policy that fits `spec`: those of an ensemble of one, and the float64 () `dropout`.

    Raises:
        PolicyUnreadable: an array is missing, is not finite, or has a shape that does not fit.
    """
    network = read_ensemble(spec, tensors)
    rate = np.asarray(tensors.get(RATE, np.zeros(0)))
    if rate.shape != () or not 0.0 < float(rate) < 1.0 or len(network.weights[0]) != 1 or len(network.weights) < 2:
        raise PolicyUnreadable(
            f"it needs one network with a hidden layer, and one number {RATE!r} between 0 and 1",
            subject="policy",
            remedy="Train it again with the trainer 'dropout'.",
        )
    return DropoutPolicy(spec, network, float(rate))
