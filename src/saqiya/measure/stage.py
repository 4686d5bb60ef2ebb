"""The shell of `measure`: what episodes tell a named policy that it does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from saqiya.domain.contracts import Progress, RunnablePolicy, Vector
from saqiya.domain.nouns import Duplicate, Episode, Noun, Novelty, Policy
from saqiya.domain.streams import Start
from saqiya.measure.bits import epistemic_bits
from saqiya.measure.coverage import start_coverage
from saqiya.measure.duplicates import find_copies
from saqiya.measure.outline import Outline, outline
from saqiya.models.groups import earliest
from saqiya.stores.workspace import Workspace

__all__ = ["Repeats", "duplicates", "run"]


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


@dataclass(frozen=True)
class Repeats:
    """What a search for copies found among episodes.

    Attributes:
        marks: all that they bear, from this search and from earlier ones; the last `fresh` of them are new.
        tries_n: episodes that were looked at.
        compared_n: pairs of them whose ways were compared one with the other.
        alone: ids of episodes that hold nothing to compare (pictures alone): only equal numbers were looked for.
    """

    marks: tuple[Duplicate, ...]
    fresh: int
    tries_n: int
    compared_n: int
    alone: tuple[str, ...]


def duplicates(store: Workspace, episodes: Sequence[Episode], *, progress: Progress) -> Repeats:
    """Mark the episodes that repeat an earlier one of them: equal numbers, or the same way (`find_copies`).

    Only tries of one embodiment with the same streams are compared; task, site, format and clock may differ. What was
    marked before stays marked, and takes part through the earliest of its group; so a second run stores nothing.

    Args:
        store: the workspace.
        episodes: what is looked at.
        progress: told of each episode that is read.
    """
    from threadpoolctl import threadpool_limits

    known = store.catalog.all(Duplicate)
    group = earliest((one.of, one.episode) for one in known)
    gone = store.catalog.erased([one.id for one in episodes])
    alive: dict[str, Episode] = {}  # of each group that is known, the first that was chosen
    chosen = sorted((one for one in episodes if one.id not in gone), key=lambda one: one.id)
    for one in chosen:
        alive.setdefault(group.get(one.id, one.id), one)
    read = 0

    def outline_of(episode: Episode, names: Sequence[str]) -> Outline | None:
        nonlocal read
        progress("duplicates", read := read + 1, 0)
        return outline(store.streams(episode), names)

    with threadpool_limits(1, user_api="blas"):
        found = find_copies(list(alive.values()), outline_of)
    rows: list[tuple[Noun, str]] = []
    for copy in found.copies:
        first, other = sorted((group.get(copy.of, copy.of), group.get(copy.episode, copy.episode)))
        mark = Duplicate(
            id=store.catalog.new_id("duplicate"),
            episode=other,
            of=first,
            how=copy.how,
            distance=copy.distance,
            spacing=copy.spacing,
        )
        rows.append((mark, f"{store.catalog.key_of(other)}/duplicate/{store.catalog.key_of(first)}"))
    made = [one for one in store.catalog.put_all(rows) if isinstance(one, Duplicate)]
    ids = {one.id for one in chosen}
    marks = tuple(one for one in [*known, *made] if one.episode in ids)
    return Repeats(marks, len(made), len(chosen), found.compared_n, found.alone)
