"""Whether rollouts of the last deployed policy still teach: gathered from its tries and its training episodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import DatasetVersion, Deployment, Episode, Outcome, Policy
from saqiya.loop.novelty.saturation import named_failures
from saqiya.measure.bits import epistemic_bits
from saqiya.measure.rollouts import Teaching, teaching
from saqiya.train.stage import load

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["teaching_of"]

SAMPLE_N = 40
"""Episodes of each kind whose bits are measured: more of them narrow the interval little."""
UNNAMED = "not named yet"


def teaching_of(wheel: Flywheel) -> Teaching | None:
    """Judge the rollouts of the last deployment whose failures are named; None before there is one.

    Bits are measured where the policy can be run here and has members to ask; a foreign policy has new failures alone.
    """
    catalog = wheel.store.catalog
    every = [one for one in catalog.all(Deployment) if not wheel.turning or one.scope == wheel.scope]
    outcomes = outcomes_of(wheel.store, list(catalog.each(Episode, [e for one in every for e in one.episodes])))
    mode = named_failures(wheel)
    read = [index for index, one in enumerate(every) if _read(one, outcomes, mode)]
    if not read:
        return None
    last, before = every[read[-1]], every[: read[-1]]
    judged = [one for one in last.episodes if outcomes[one] is not Outcome.UNKNOWN]
    earlier = {mode[e] for one in before if one.scope == last.scope for e in one.episodes if e in mode}
    told = ["" if outcomes[one] is Outcome.SUCCESS else mode.get(one, UNNAMED) for one in judged]
    policy = catalog.get(last.policy, Policy)
    return teaching(wheel.key_of(policy.id), told, earlier, bits=_bits(wheel, policy, judged), seed=0)


def _read(one: Deployment, outcomes: Mapping[str, Outcome], mode: Mapping[str, str]) -> bool:
    """Say whether a deployment has judged tries, and those that failed have names, or none failed."""
    judged = [outcomes[e] for e in one.episodes if outcomes[e] is not Outcome.UNKNOWN]
    return bool(judged) and (any(e in mode for e in one.episodes) or set(judged) == {Outcome.SUCCESS})


def _bits(wheel: Flywheel, policy: Policy, rolled: list[str]) -> tuple[list[float], list[float]] | None:
    """Return bits a step of a sample of rollouts and of training episodes."""
    if not wheel.turning or policy.weights is None or policy.dataset is None:
        return None
    spec = wheel.site.spec
    taught = list(dict.fromkeys(e.episode for e in wheel.store.catalog.get(policy.dataset, DatasetVersion).entries))
    loaded, rng = load(wheel.store, policy), np.random.default_rng(0)

    def some(episodes: list[str]) -> list[float]:
        chosen = [episodes[index] for index in sorted(rng.permutation(len(episodes))[:SAMPLE_N])]
        streams = [dict(wheel.store.streams(wheel.episode(one))) for one in chosen]
        return [epistemic_bits(loaded, one, action_range=spec.action_high - spec.action_low).mean for one in streams]

    return some(rolled), some(taught)
