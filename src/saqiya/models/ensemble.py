"""The forward pass of a small ensemble of ReLU networks, in numpy: what acts in a rollout never imports torch.

Stored arrays (all trainers of ours write these): `input/mean` `input/scale` float64 (D,), `output/mean` `output/scale`
`noise` float64 (d,), and for each layer i `layer<i>/weight` float32 (m, in, out) and `layer<i>/bias` float32 (m, out).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Action, Observation, Vector
from saqiya.domain.nouns import PolicySpec
from saqiya.errors import PolicyUnreadable, SiteFault
from saqiya.models.normaliser import Normaliser

__all__ = ["Ensemble", "EnsemblePolicy", "read_ensemble", "row_of", "rows_of"]

_LAYER = re.compile(r"layer(\d{1,3})/(?:weight|bias)")


@dataclass(frozen=True)
class Ensemble:
    """`m` networks of equal shape side by side, their normalisers, and the noise of each action dimension.

    Attributes:
        weights: float32 (m, in, out) for each layer; ReLU between layers, none after the last.
        biases: float32 (m, 1, out) for each layer.
        noise: float64 (d,), root mean square error on episodes that the predicting member had not seen.
    """

    reads: Normaliser
    writes: Normaliser
    weights: tuple[NDArray[np.float32], ...]
    biases: tuple[NDArray[np.float32], ...]
    noise: Vector

    def chunks(self, observations: Vector) -> Vector:
        """Return each member's chunks, float64 (m, n, k, d), for observations float64 (n, D)."""
        hidden: NDArray[np.float32] = self.reads.apply(observations).astype(np.float32)
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            hidden = np.matmul(hidden, weight)
            hidden += bias
            if index < last:
                np.maximum(hidden, 0.0, out=hidden)
        shaped = hidden.reshape(*hidden.shape[:2], -1, self.noise.size).astype(np.float64)
        return self.writes.undo(shaped)

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the arrays to store; `read_ensemble` turns them back."""
        named: dict[str, NDArray[Any]] = {
            "input/mean": self.reads.mean,
            "input/scale": self.reads.scale,
            "output/mean": self.writes.mean,
            "output/scale": self.writes.scale,
            "noise": self.noise,
        }
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            named[f"layer{index}/weight"] = weight
            named[f"layer{index}/bias"] = bias[:, 0, :]
        return named


def read_ensemble(spec: PolicySpec, tensors: Mapping[str, NDArray[Any]]) -> Ensemble:
    """Turn stored arrays into an ensemble that fits `spec`.

    Raises:
        PolicyUnreadable: an array is missing, is not finite, or has a shape that does not fit.
    """
    width = sum(spec.observation.values())
    layers = 1 + max((int(found[1]) for name in tensors if (found := _LAYER.fullmatch(name))), default=0)
    members = tensors["layer0/weight"].shape[0] if "layer0/weight" in tensors else 0
    weights, biases = [], []
    wide = width
    for index in range(layers):
        weight = _array(tensors, f"layer{index}/weight", (members, wide, None), np.float32)
        wide = spec.chunk * spec.action if index == layers - 1 else int(weight.shape[2])
        weights.append(_array(tensors, f"layer{index}/weight", (members, int(weight.shape[1]), wide), np.float32))
        biases.append(_array(tensors, f"layer{index}/bias", (members, wide), np.float32)[:, None, :])
    return Ensemble(
        reads=Normaliser(
            _array(tensors, "input/mean", (width,), np.float64), _array(tensors, "input/scale", (width,), np.float64)
        ),
        writes=Normaliser(
            _array(tensors, "output/mean", (spec.action,), np.float64),
            _array(tensors, "output/scale", (spec.action,), np.float64),
        ),
        weights=tuple(weights),
        biases=tuple(biases),
        noise=_array(tensors, "noise", (spec.action,), np.float64),
    )


def _array(tensors: Mapping[str, NDArray[Any]], name: str, shape: tuple[int | None, ...], dtype: Any) -> NDArray[Any]:  # noqa: ANN401 - a numpy scalar type
    if name not in tensors:
        raise _unreadable(f"there is no array {name!r}")
    array = np.asarray(tensors[name])
    if array.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, array.shape, strict=True)):
        raise _unreadable(f"{name!r} has shape {array.shape}, and {shape} is needed")
    if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(array).all():
        raise _unreadable(f"{name!r} holds values that are not finite numbers")
    return np.ascontiguousarray(array, dtype=dtype)


def _unreadable(what: str) -> PolicyUnreadable:
    return PolicyUnreadable(what, subject="policy", remedy="Train it again, or give the spec it was trained with.")


def row_of(spec: PolicySpec, observation: Observation) -> Vector:
    """Return one observation's streams side by side, float64 (D,).

    Raises:
        SiteFault: a stream is missing or has another width than the policy was trained on.
    """
    for name, width in spec.observation.items():
        if name not in observation or observation[name].shape != (width,):
            raise SiteFault(
                f"the policy reads {name!r} with {width} numbers, and the site does not give that",
                subject="observation",
                remedy="Use a policy that was trained for this site.",
            )
    return np.concatenate([observation[name] for name in spec.observation])


def rows_of(spec: PolicySpec, observations: Mapping[str, Vector]) -> Vector:
    """Return many observations' streams, (t, width) each, side by side: float64 (t, D)."""
    return np.concatenate([observations[name].reshape(-1, width) for name, width in spec.observation.items()], axis=1)


class EnsemblePolicy:
    """An ensemble that acts: the members' mean chunk, every member's chunk, and the noise. It draws nothing."""

    def __init__(self, spec: PolicySpec, ensemble: Ensemble) -> None:
        self.spec = spec
        self._ensemble = ensemble

    def reset(self, seed: int) -> None:
        """Nothing to forget and nothing to draw: the answer depends on the observation alone."""

    def act(self, observation: Observation) -> Action:
        """Return mean chunk (k, d), samples (m, k, d) and noise (d,).

        Raises:
            SiteFault: the observation lacks a stream or has another width than the policy was trained on.
        """
        row = row_of(self.spec, observation)
        samples = self._ensemble.chunks(row[None, :])[:, 0]
        return Action(chunk=samples.mean(axis=0), samples=samples, noise=self._ensemble.noise)

    def act_batch(self, observations: Mapping[str, Vector]) -> Action:
        """Answer many observations at once, (t, D) a stream: chunk (t, k, d), samples (m, t, k, d), noise (d,)."""
        rows = rows_of(self.spec, observations)
        samples = self._ensemble.chunks(rows)
        return Action(chunk=samples.mean(axis=0), samples=samples, noise=self._ensemble.noise)
