"""What an episode is worth to a policy: every measure of novelty, whether it is junk, and the one number that ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from saqiya.domain.contracts import Action, RunnablePolicy, Vector
from saqiya.domain.streams import Span, Stream
from saqiya.domain.words import Outcome
from saqiya.errors import TooLittle, UsageError
from saqiya.measure import bits as epistemic
from saqiya.measure import surprisal
from saqiya.measure.bits import Batched, Bits, epistemic_bits
from saqiya.measure.consistency import Gate, gate_of
from saqiya.measure.known import Known, known_by, thinned, tree_of
from saqiya.measure.learnable import learnable_bits
from saqiya.measure.taught import Taught, taught
from saqiya.models.roles import numeric
from saqiya.models.rows import OBSERVATION, common_names

__all__ = ["Reference", "Worth", "reference"]

MET_ROWS_N = 20_000
MET_REACH = 0.35
"""How far from what deployment met a state still counts; 1.0 is a typical spread over all channels."""


@dataclass(frozen=True)
class Worth:
    """Everything that is measured of an episode, or of a span of it.

    Attributes:
        bits: epistemic where the reference is a policy with members, else state surprisal.
        worth: the bits that count: where the policy will be, and where nothing near was shown; 0 where `junk`.
        surprisal, information, learnable, consistency: None where the reference or the episode is too short to say.
        junk: why it is not worth learning from; "" where nothing speaks against it.
        nearest: number of the most similar episode of the reference.
    """

    bits: Bits
    worth: float
    surprisal: float | None
    information: float | None
    learnable: float | None
    consistency: float | None
    junk: str
    nearest: int | None


@dataclass(frozen=True)
class Reference:
    """A named policy, or a dataset alone, as something that episodes are measured against.

    Attributes:
        names: the observation streams that make a state.
        policy: the policy in memory; None where only its training episodes, or a dataset, are at hand.
        members: whether the policy answers with samples, and so says how unsure it is.
        known: what the training episodes say; None where there are fewer than two.
        gate: what self-consistency trusted episodes have; None where there are none.
        met: states that the policy met when deployed; None where it never was.
        action_range: float64 (d,), high minus low of each action dimension.
    """

    names: tuple[str, ...]
    policy: RunnablePolicy | None
    members: bool
    known: Known | None
    gate: Gate | None
    met: Any
    action_range: Vector

    def worth(
        self, streams: Mapping[str, Stream], outcome: Outcome = Outcome.SUCCESS, *, span: Span | None = None
    ) -> Worth:
        """Measure an episode.

        Its worth is the sum over its steps of bits, times how near the step is to a state that the deployed policy
        meets, times how strange it is to the training episodes. A state that no deployment comes to teaches nothing
        that matters, and a copy of what was shown teaches nothing new, however unsure the policy is there.

        Args:
            streams: the episode.
            outcome: what it came to; a failed or aborted one is junk, whatever else it is.
            span: only this part, half-open on the episode's clock.

        Raises:
            InvalidEpisode: it lacks a stream, or has no step in the span.
            UsageError: the reference has neither a policy with members nor two episodes.
        """
        one = taught(streams, self.names, span=span)
        bits = self._bits(streams, one, span)
        missed = self.gate.error(one) if self.gate else None
        junk = _failed(outcome) or (self.gate.reason(one) if self.gate else "")
        if not junk and outcome is Outcome.UNKNOWN and missed is None:
            junk = "nobody says that it succeeded, and its actions cannot be judged"
        counted = bits.per_step * self._met(one) * (self.known.strangeness(one) if self.known else 1.0)
        return Worth(
            bits=bits,
            worth=0.0 if junk else float(counted.sum()),
            surprisal=float(self.known.surprisal(one).sum()) if self.known else None,
            information=self.known.information(one) if self.known else None,
            learnable=self._learnable(one),
            consistency=missed,
            junk=junk,
            nearest=self.known.nearest(one) if self.known else None,
        )

    def _bits(self, streams: Mapping[str, Stream], one: Taught, span: Span | None) -> Bits:
        if self.policy is not None and self.members:
            return epistemic_bits(self.policy, streams, action_range=self.action_range, span=span)
        if self.known is None:
            raise UsageError(
                "there is neither a policy with members nor a dataset to compare with",
                remedy="Name a dataset version of two episodes or more: --dataset.",
            )
        per_step = self.known.surprisal(one)
        return Bits(surprisal.METHOD, float(per_step.sum()), per_step)

    def _met(self, one: Taught) -> Vector:
        """Return how near each step is to a state that the deployed policy meets, float64 (t,), 1 where at one."""
        if self.known is None or self.met is None:
            return np.ones(len(one.state))
        away: Vector = self.met.query(self.known.scale.apply(one.state))[0]
        near: Vector = np.exp(away**2 / (-2.0 * MET_REACH**2))
        return near

    def _learnable(self, one: Taught) -> float | None:
        if self.known is None:
            return None
        if self.policy is None:
            missed, noise = one.action - self.known.predicted(one), self.known.noise
        else:
            answer = _answers(self.policy, one)
            missed = one.action - answer.chunk[:, 0]
            noise = answer.noise if answer.noise is not None else self.known.noise
        floored = np.maximum(noise, epistemic.NOISE_FLOOR_SHARE * self.action_range)
        return learnable_bits(self.known.scale.apply(one.state), missed, floored)


def reference(
    training: Sequence[Mapping[str, Stream]],
    *,
    policy: RunnablePolicy | None = None,
    trusted: Sequence[Mapping[str, Stream]] | None = None,
    met: Sequence[Mapping[str, Stream]] = (),
    action_range: Vector | None = None,
) -> Reference:
    """Make a reference of what a policy was trained on, and of the policy itself where it can answer with samples.

    Args:
        training: the policy's training episodes, or those of a dataset version.
        policy: in memory; None for a black box.
        trusted: episodes that are known to be good; the training episodes where None.
        met: tries of the deployed policy; () where there are none, and then every state counts.
        action_range: float64 (d,); what was seen in training where None.

    Raises:
        UsageError: there is neither a policy nor an episode.
    """
    if policy is None and not training:
        raise UsageError(
            "there is neither a policy that runs here nor a training episode", remedy="Name a dataset version."
        )
    names = _names(policy, training)
    shown = [taught(one, names) for one in training]
    good = shown if trusted is None else [taught(one, names) for one in trusted]
    try:
        known = known_by(shown)
    except TooLittle:
        known = None
    if action_range is None:
        action_range = np.ptp(np.concatenate([one.action for one in shown]), axis=0) if shown else np.array(0.0)
    tree = None
    if met and known is not None:
        states = np.concatenate([taught(one, names).state for one in met])
        tree = tree_of(known.scale.apply(thinned(states, MET_ROWS_N)))
    members = policy is not None and (not shown or _has_members(policy, shown[0]))
    return Reference(names, policy, members, known, gate_of(good), tree, action_range)


def _names(policy: RunnablePolicy | None, training: Sequence[Mapping[str, Stream]]) -> tuple[str, ...]:
    if policy is not None:
        return tuple(f"{OBSERVATION}{name}" for name in policy.spec.observation)
    common = common_names(training, action=False)
    return tuple(name for name in common if all(numeric(one[name]) for one in training[:1]))


def _answers(policy: RunnablePolicy, one: Taught) -> Action:
    parts = np.split(one.state, np.cumsum(one.widths)[:-1], axis=1)
    seen = dict(zip(policy.spec.observation, parts, strict=True))
    policy.reset(0)
    if isinstance(policy, Batched):
        return policy.act_batch(seen)
    each = [policy.act({name: rows[step] for name, rows in seen.items()}) for step in range(len(one.state))]
    return Action(np.stack([answer.chunk for answer in each]), noise=each[0].noise)


def _has_members(policy: RunnablePolicy, one: Taught) -> bool:
    parts = np.split(one.state[0], np.cumsum(one.widths)[:-1])
    policy.reset(0)
    samples = policy.act(dict(zip(policy.spec.observation, parts, strict=True))).samples
    return samples is not None and len(samples) > 1


def _failed(outcome: Outcome) -> str:
    return f"its outcome is {outcome.value}" if outcome in {Outcome.FAILURE, Outcome.ABORTED} else ""
