"""The shell of `measure`: what episodes tell a named policy that it does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from saqiya.domain.contracts import RunnablePolicy, Vector
from saqiya.domain.nouns import Episode, Noun, Novelty, Policy
from saqiya.domain.streams import Start
from saqiya.measure.bits import epistemic_bits
from saqiya.measure.coverage import start_coverage
from saqiya.stores.workspace import Workspace

__all__ = ["run"]


def run(  # noqa: PLR0913 - a shell takes what the config says, each thing by its name
    store: Workspace,
    episodes: Sequence[Episode],
    policy: Policy,
    loaded: RunnablePolicy,
    *,
    action_range: Vector,
    training: Sequence[Start],
    ranges: dict[str, tuple[float, float]],
    spent: Callable[[str], AbstractContextManager[None]],
) -> tuple[Novelty, ...]:
    """Measure each episode's epistemic bits relative to `policy`, beside its length and its start's coverage.

    Args:
        store: the workspace.
        episodes: what is measured.
        policy: the reference; its id goes into every number.
        loaded: the same policy in memory.
        action_range: float64 (d,), high minus low of each action dimension.
        training: starts of the policy's own training episodes.
        ranges: full range of each start factor.
        spent: books the time in which the policy answers, as "measuring".
    """
    rows: list[tuple[Noun, str]] = []
    for episode in episodes:
        streams = dict(store.streams(episode))
        with spent("measuring"):
            bits = epistemic_bits(loaded, streams, action_range=action_range)
        covered = start_coverage([episode.start], training, ranges)[0] if episode.start and training else None
        novelty = Novelty(
            id=store.catalog.new_id("novelty"),
            episode=episode.id,
            relative_to=policy.id,
            method=bits.method,
            bits=bits.total,
            bits_per_step=bits.mean,
            steps=bits.steps,
            coverage=covered.distance if covered else None,
        )
        rows.append((novelty, f"{store.catalog.key_of(episode.id)}/novelty/{store.catalog.key_of(policy.id)}"))
    return tuple(noun for noun in store.catalog.put_all(rows) if isinstance(noun, Novelty))
