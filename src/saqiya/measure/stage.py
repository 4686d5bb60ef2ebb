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
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    streams = [dict(store.streams(one)) for one in episodes]
    # One thread: more of them change the last bit, and on a busy machine wait a hundred times longer for each other.
    with spent("measuring"), threadpool_limits(1, user_api="blas"):
        found = [epistemic_bits(loaded, one, action_range=action_range) for one in streams]
    rows: list[tuple[Noun, str]] = []
    for episode, bits in zip(episodes, found, strict=True):
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
