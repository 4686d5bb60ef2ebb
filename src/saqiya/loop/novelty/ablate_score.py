"""The scores that an ablation can be asked about: each chooses so many of the candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from saqiya.domain.contracts import RunnablePolicy, Vector
from saqiya.domain.nouns import Outcome, PolicySpec
from saqiya.domain.streams import Stream
from saqiya.errors import UsageError
from saqiya.loop.novelty.ablate_data import Piece, Subject
from saqiya.measure.worth import reference
from saqiya.mix.choose import choose
from saqiya.models.normaliser import RESOLUTION
from saqiya.models.rows import EXECUTED, OBSERVATION
from saqiya.models.scaling import robust_scale

__all__ = ["SCORES", "Scored", "score"]

BLIND = ("length", "random")
"""Scores that look at no state."""
SCORES = ("novelty", "worth", "bits", "surprisal", "learnable", *BLIND)


@dataclass(frozen=True)
class Scored:
    """What a score chose, what it says of every candidate alone, float64 (n,), and how many it called junk."""

    chosen: tuple[int, ...]
    each: Vector
    junk: int = 0


def score(name: str, subject: Subject, policy: RunnablePolicy, k: int, *, seed: int) -> Scored:
    """Choose `k` candidates by the score of this name; `policy` has learned from the base alone.

    None chooses what is known to have failed; those that measure novelty choose no junk either.

    - `novelty`: bits of each step times distance to what is known or chosen, see `mix.choose`.
    - `worth`: what `saqiya measure` ranks by; `bits`, `surprisal`, `learnable`: what stands beside.
    - `length`: how long the episode is. `random`: numbers drawn by lot, the null.

    Raises:
        UsageError: there is no such score, it cannot be measured here, or fewer candidates than `k` are left.
    """
    if name not in SCORES:
        raise UsageError(f"there is no score {name!r}", remedy=f"Use one of {', '.join(SCORES)}.")
    candidates = subject.candidates
    finished = [i for i, one in enumerate(candidates) if not one.failed]
    if name in BLIND:
        lengths = np.array([float(one.human_steps) for one in candidates])
        return _best(
            lengths if name == "length" else np.random.default_rng([seed, 1]).random(len(candidates)), finished, k
        )
    told = reference([_streams(one, subject.spec) for one in subject.base], policy=policy)
    found = [
        told.worth(_streams(one, subject.spec), Outcome.FAILURE if one.failed else Outcome.SUCCESS)
        for one in candidates
    ]
    sound = [i for i in finished if not found[i].junk]
    junk = len(finished) - len(sound)
    if len(sound) < k:
        raise UsageError(
            f"{len(sound)} candidates are left, {k} are to be chosen: {junk} are junk",
            subject=name,
            remedy="Choose fewer, or name more candidates.",
        )
    if name == "novelty":
        return replace(_novel(subject, [one.bits.per_step for one in found], sound, k), junk=junk)
    each = [getattr(one, name) if name != "bits" else one.bits.total for one in found]
    if any(each[i] is None for i in sound):
        raise UsageError(f"{name} cannot be measured here", remedy="Take a larger base, or another score.")
    return replace(_best(np.array([0.0 if one is None else one for one in each]), sound, k), junk=junk)


def _best(each: Vector, among: Sequence[int], k: int) -> Scored:
    return Scored(tuple(sorted(among, key=lambda i: -each[i])[:k]), each)


def _novel(subject: Subject, bits: Sequence[Vector], sound: Sequence[int], k: int) -> Scored:
    rows = [_rows(piece) for piece in subject.candidates]
    base = np.concatenate([_rows(piece) for piece in subject.base])
    every = np.concatenate([base, *(rows[i] for i in sound)])
    wide = list(subject.spec.observation.values())
    scale = robust_scale(every, wide, resolution=np.full(every.shape[1], RESOLUTION))
    places, known = [scale.apply(one) for one in rows], scale.apply(base)
    found = choose([places[i] for i in sound], [bits[i] for i in sound], known, k)
    alone = np.zeros(len(rows))
    for i in sound:
        alone[i] = choose([places[i]], [bits[i]], known, 1).worth[0]
    return Scored(tuple(sound[i] for i in found.indices), alone)


def _rows(piece: Piece) -> Vector:
    return np.concatenate([one.observation for one in piece.lessons])


def _streams(piece: Piece, spec: PolicySpec) -> dict[str, Stream]:
    """Lay out what an episode would teach as streams, a row for each step that teaches."""
    rows = _rows(piece)
    stamps = np.arange(len(rows), dtype=np.int64) * round(1e9 / max(spec.rate_hz, 1e-3))
    parts = np.split(rows, np.cumsum(list(spec.observation.values()))[:-1], axis=1)
    named = {f"{OBSERVATION}{name}": part for name, part in zip(spec.observation, parts, strict=True)}
    named[EXECUTED] = np.concatenate([one.action for one in piece.lessons])
    return {name: Stream(stamps, values) for name, values in named.items()}
