"""The scores that an ablation can be asked about: each chooses so many of the candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from saqiya.domain.contracts import RunnablePolicy, Vector
from saqiya.domain.nouns import PolicySpec
from saqiya.domain.streams import Stream
from saqiya.errors import UsageError
from saqiya.loop.ablate_data import Piece, Subject
from saqiya.measure.bits import epistemic_bits
from saqiya.measure.consistency import gate_of
from saqiya.measure.surprisal import state_space
from saqiya.measure.taught import Taught
from saqiya.mix.choose import choose
from saqiya.models.normaliser import RESOLUTION
from saqiya.models.rows import EXECUTED, OBSERVATION
from saqiya.models.scaling import robust_scale

__all__ = ["SCORES", "Scored", "score"]


@dataclass(frozen=True)
class Scored:
    """What a score chose, what it says of every candidate alone, float64 (n,), and how many it called junk."""

    chosen: tuple[int, ...]
    each: Vector
    junk: int = 0


@dataclass(frozen=True)
class _Facts:
    """What the scores look at: candidates' streams, the base's, and the policy that learned from the base alone."""

    subject: Subject
    policy: RunnablePolicy
    seed: int

    @property
    def streams(self) -> list[dict[str, Stream]]:
        return [_streams(one, self.subject.spec) for one in self.subject.candidates]

    @property
    def finished(self) -> list[int]:
        """Candidates that are not known to have failed."""
        return [index for index, one in enumerate(self.subject.candidates) if not one.failed]

    @cached_property
    def sound(self) -> list[int]:
        """Those of them whose actions follow from their states, as the base's do."""
        gate = gate_of([_taught(one, self.subject.spec) for one in self.subject.base])
        if gate is None:
            return self.finished
        errors = {i: gate.error(_taught(self.subject.candidates[i], self.subject.spec)) for i in self.finished}
        return [i for i, error in errors.items() if not gate.reason(error)]

    @property
    def junk(self) -> int:
        return len(self.finished) - len(self.sound)

    def bits(self) -> list[Vector]:
        """Epistemic bits of each step of each candidate."""
        actions = np.concatenate([one.action for piece in self.subject.base for one in piece.lessons])
        span = np.maximum(np.ptp(actions, axis=0), 1e-9)
        return [epistemic_bits(self.policy, one, action_range=span).per_step for one in self.streams]


def score(name: str, subject: Subject, policy: RunnablePolicy, k: int, *, seed: int) -> Scored:
    """Choose `k` candidates by the score of this name; `policy` has learned from the base alone.

    None chooses what is known to have failed; those that measure novelty choose no junk either.

    Raises:
        UsageError: there is no such score, or fewer candidates than `k` are left.
    """
    if name not in SCORES:
        raise UsageError(f"there is no score {name!r}", remedy=f"Use one of {', '.join(SCORES)}.")
    found = SCORES[name](_Facts(subject, policy, seed), k)
    if len(found.chosen) < k:
        raise UsageError(
            f"{len(found.chosen)} candidates are left, {k} are to be chosen: {found.junk} are junk",
            subject=name,
            remedy="Choose fewer, or name more candidates.",
        )
    return found


def _novelty(facts: _Facts, k: int) -> Scored:
    """Bits of each step times distance to what is known or chosen: see `mix.choose`."""
    rows = [_rows(piece) for piece in facts.subject.candidates]
    base = np.concatenate([_rows(piece) for piece in facts.subject.base])
    sound, wide = facts.sound, list(facts.subject.spec.observation.values())
    every = np.concatenate([base, *(rows[i] for i in sound)])
    scale = robust_scale(every, wide, resolution=np.full(every.shape[1], RESOLUTION))
    places, known, bits = [scale.apply(one) for one in rows], scale.apply(base), facts.bits()
    found = choose([places[i] for i in sound], [bits[i] for i in sound], known, k)
    alone = np.zeros(len(rows))
    for i in sound:
        alone[i] = choose([places[i]], [bits[i]], known, 1).worth[0]
    return Scored(tuple(sound[i] for i in found.indices), alone, facts.junk)


def _by_number(each: Vector, among: Sequence[int], k: int, junk: int = 0) -> Scored:
    return Scored(tuple(sorted(among, key=lambda i: -each[i])[:k]), each, junk)


def _bits(facts: _Facts, k: int) -> Scored:
    """Epistemic bits of the whole episode."""
    return _by_number(np.array([float(one.sum()) for one in facts.bits()]), facts.sound, k, facts.junk)


def _surprisal(facts: _Facts, k: int) -> Scored:
    """Bits of states that the base did not show: for a policy that does not say how sure it is."""
    space = state_space([_streams(one, facts.subject.spec) for one in facts.subject.base])
    return _by_number(np.array([space.bits(one).total for one in facts.streams]), facts.sound, k, facts.junk)


def _length(facts: _Facts, k: int) -> Scored:
    """How long the episode is."""
    return _by_number(np.array([float(one.human_steps) for one in facts.subject.candidates]), facts.finished, k)


def _random(facts: _Facts, k: int) -> Scored:
    """Numbers drawn by lot: the null, of which the answer must be no."""
    drawn = np.random.default_rng([facts.seed, 1]).random(len(facts.subject.candidates))
    return _by_number(drawn, facts.finished, k)


SCORES: Mapping[str, Callable[[_Facts, int], Scored]] = {
    "novelty": _novelty,
    "bits": _bits,
    "surprisal": _surprisal,
    "length": _length,
    "random": _random,
}


def _rows(piece: Piece) -> Vector:
    return np.concatenate([one.observation for one in piece.lessons])


def _taught(piece: Piece, spec: PolicySpec) -> Taught:
    rows = _rows(piece)
    actions = np.concatenate([one.action for one in piece.lessons])
    return Taught(np.arange(len(rows)), rows, actions, tuple(spec.observation.values()), spec.rate_hz)


def _streams(piece: Piece, spec: PolicySpec) -> dict[str, Stream]:
    """Lay out what an episode would teach as streams, a row for each step that teaches."""
    rows = _rows(piece)
    stamps = np.arange(len(rows), dtype=np.int64)
    parts = np.split(rows, np.cumsum(list(spec.observation.values()))[:-1], axis=1)
    named = {f"{OBSERVATION}{name}": part for name, part in zip(spec.observation, parts, strict=True)}
    named[EXECUTED] = np.concatenate([one.action for one in piece.lessons])
    return {name: Stream(stamps, values) for name, values in named.items()}
