"""What an episode would teach a policy about its own actions, in bits: its members' disagreement beyond noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from saqiya.domain.contracts import Action, Observation, RunnablePolicy, Vector
from saqiya.domain.streams import Span, Stream
from saqiya.errors import UsageError
from saqiya.measure.taught import teaching
from saqiya.models.rows import EXECUTED, OBSERVATION, side_by_side, widths

__all__ = ["METHOD", "NOISE_FLOOR_SHARE", "Batched", "Bits", "epistemic_bits"]

METHOD = "epistemic"
NOISE_FLOOR_SHARE = 0.01
"""The noise scale is at least this share of the action's range: no actuator repeats itself better."""


@dataclass(frozen=True)
class Bits:
    """Bits of an episode under a named policy and `method`, and how they fall on its steps (float64 (t,))."""

    method: str
    total: float
    per_step: Vector

    @property
    def steps(self) -> int:
        """Number of steps that were measured."""
        return len(self.per_step)

    @property
    def mean(self) -> float:
        """Bits per step."""
        return self.total / len(self.per_step)


@runtime_checkable
class Batched(Protocol):
    """A policy that can answer many observations at once, without memory between them."""

    def act_batch(self, observations: Mapping[str, Vector]) -> Action:
        """Return the answers to observations (t, D): chunk (t, k, d), samples (m, t, k, d), noise (d,)."""


def epistemic_bits(
    policy: RunnablePolicy,
    streams: Mapping[str, Stream],
    *,
    action_range: Vector,
    noise: Vector | None = None,
    span: Span | None = None,
) -> Bits:
    """Measure the epistemic information of an episode under `policy`: BALD for Gaussian members (Houlsby et al. 2011).

    At each step, half the sum over action dimensions of log2(1 + variance between the members' means / noise variance):
    the mutual information between the policy's parameters and the action it has not yet been shown. It needs no label,
    so junk actions do not raise it; junk *states* do. Of a chunk the first action counts: the one for this step.

    Args:
        policy: must return `samples`, one chunk for each member; answered in one batch when it has `act_batch`.
        streams: the episode; every observation stream that the policy reads is needed.
        action_range: float64 (d,), high minus low of each action dimension.
        noise: float64 (d,), standard deviation of the action given the observation; the policy's own where None.
        span: half-open, on the episode's clock; None for the whole. Where a person took over, their steps alone count.

    Raises:
        InvalidEpisode: an observation stream is missing or not finite.
        UsageError: the policy gives fewer than two samples, or nobody knows its noise.
    """
    names = tuple(f"{OBSERVATION}{name}" for name in policy.spec.observation)
    order = (*names, EXECUTED) if EXECUTED in streams else names
    stamps, rows = side_by_side(streams, order)
    rows = rows[teaching(streams, stamps, span)]
    ends = np.cumsum(widths(streams, names))
    parts = np.split(rows, ends, axis=1)[: len(names)]
    observation = dict(zip(policy.spec.observation, parts, strict=True))
    means, own_noise = _members(policy, observation)
    sigma = noise if noise is not None else own_noise
    if sigma is None:
        raise UsageError(
            "nobody knows the noise of the policy's actions", remedy="Pass its held-out residual as `noise`."
        )
    floored = np.maximum(sigma, NOISE_FLOOR_SHARE * action_range)
    ratio = means.var(axis=0, ddof=1) / floored**2
    per_step = 0.5 * np.log2(1.0 + ratio).sum(axis=1)
    return Bits(METHOD, float(per_step.sum()), per_step)


def _members(policy: RunnablePolicy, observation: Mapping[str, Vector]) -> tuple[Vector, Vector | None]:
    """Return each member's first action, float64 (m, t, d), and the policy's noise scale (d,) when it knows it."""
    policy.reset(0)
    if isinstance(policy, Batched):
        answer = policy.act_batch(observation)
        if answer.samples is None or len(answer.samples) < 2:
            raise _no_members()
        return answer.samples[:, :, 0, :], answer.noise
    steps = len(next(iter(observation.values())))
    answers = [policy.act(_at(observation, index)) for index in range(steps)]
    firsts = [answer.samples[:, 0, :] for answer in answers if answer.samples is not None]
    if len(firsts) < steps or len(firsts[0]) < 2:
        raise _no_members()
    return np.stack(firsts, axis=1), answers[0].noise


def _at(observation: Mapping[str, Vector], index: int) -> Observation:
    return {name: values[index] for name, values in observation.items()}


def _no_members() -> UsageError:
    return UsageError(
        "the policy gives fewer than two samples of its action, so its disagreement cannot be measured",
        remedy="Measure a black box by state surprisal.",
    )
