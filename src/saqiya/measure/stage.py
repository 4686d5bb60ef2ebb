"""The shell of `measure`: what episodes tell a named policy that it does not know yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from saqiya.domain.contracts import Progress, RunnablePolicy, Vector
from saqiya.domain.nouns import DatasetVersion, Duplicate, Episode, Noun, Novelty, Outcome, Policy
from saqiya.domain.streams import Span
from saqiya.errors import InvalidEpisode
from saqiya.measure.coverage import start_coverage
from saqiya.measure.duplicates import find_copies
from saqiya.measure.outline import Outline, outline
from saqiya.measure.worth import Reference, Worth, reference
from saqiya.models.groups import earliest
from saqiya.stores.workspace import Workspace

__all__ = ["Against", "Repeats", "duplicates", "refer", "run"]


@dataclass(frozen=True)
class Against:
    """Whom episodes are measured against: a policy, a dataset version in place of what it was trained on, or both.

    Attributes:
        training: episodes that stand for what is known.
        met: tries of the deployed policy; () where it never was.
        ranges: full range of each start factor, where known.
    """

    policy: Policy | None
    dataset: DatasetVersion | None
    training: tuple[Episode, ...]
    met: tuple[Episode, ...]
    ranges: Mapping[str, tuple[float, float]]


Spent = Callable[[str], AbstractContextManager[None]]


def refer(
    store: Workspace, against: Against, loaded: RunnablePolicy | None, *, action_range: Vector | None, spent: Spent
) -> Reference:
    """Read what episodes are measured against; a reference serves any number of episodes.

    Args:
        store: the workspace.
        against: the same as nouns.
        loaded: the policy in memory; None for a black box.
        action_range: float64 (d,), high minus low of each action dimension; what was seen in training where None.
        spent: books the time in which the policy answers, as "measuring".

    Raises:
        UsageError: there is neither a policy with members nor a training episode.
    """
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    training = [dict(store.streams(one)) for one in against.training]
    met = [dict(store.streams(one)) for one in against.met]
    with spent("measuring"), threadpool_limits(1, user_api="blas"):
        return reference(training, policy=loaded, met=met, action_range=action_range)


def run(
    store: Workspace,
    episodes: Sequence[Episode],
    against: Against,
    found: Reference,
    *,
    outcomes: Mapping[str, Outcome],
    spent: Spent,
    span_s: tuple[float, float] | None = None,
) -> tuple[Novelty, ...]:
    """Measure episodes and store the numbers, each with what it is relative to; what was stored before stays.

    Measured again, an episode gets new numbers once its outcome is another, or the policy was deployed.

    Args:
        store: the workspace.
        episodes: what is measured.
        against: what the numbers are relative to.
        found: the same, read by `refer`.
        outcomes: what each episode came to, by id.
        spent: books the time in which the policy answers, as "measuring".
        span_s: only this part, half-open, in seconds from each episode's start.

    Raises:
        InvalidEpisode: an episode lacks a stream, or has no step in the span.
    """
    from threadpoolctl import threadpool_limits

    spans = [_span(one, span_s) for one in episodes]
    streams = [dict(store.streams(one)) for one in episodes]
    # One thread: more of them change the last bit, and on a busy machine wait a hundred times longer for each other.
    with spent("measuring"), threadpool_limits(1, user_api="blas"):
        worths = []
        for one, held, span in zip(episodes, streams, spans, strict=True):
            try:
                worths.append(found.worth(held, outcomes.get(one.id, Outcome.UNKNOWN), span=span))
            except InvalidEpisode as error:
                raise InvalidEpisode(error.what, subject=store.catalog.key_of(one.id), remedy=error.remedy) from error
    met = "met" if against.met else "not deployed"
    judged = [outcomes.get(one.id, Outcome.UNKNOWN).value for one in episodes]
    rows = [
        (_novelty(store, one, worth, span, against), _key(store, one, span, against, f"{outcome}, {met}"))
        for one, worth, span, outcome in zip(episodes, worths, spans, judged, strict=True)
    ]
    return tuple(noun for noun in store.catalog.put_all(rows) if isinstance(noun, Novelty))


def _novelty(store: Workspace, episode: Episode, worth: Worth, span: Span | None, against: Against) -> Novelty:
    own = sorted(episode.start.factors) if episode.start is not None else []
    starts = [one.start for one in against.training if one.start is not None and sorted(one.start.factors) == own]
    comparable = episode.start if own and starts else None
    covered = start_coverage([comparable], starts, against.ranges)[0] if comparable else None
    relative_to = against.policy or against.dataset
    assert relative_to is not None
    return Novelty(
        id=store.catalog.new_id("novelty"),
        episode=episode.id,
        relative_to=relative_to.id,
        method=worth.bits.method,
        bits=worth.bits.total,
        bits_per_step=worth.bits.mean,
        steps=worth.bits.steps,
        coverage=covered.distance if covered else None,
        surprisal=worth.surprisal,
        learnable=worth.learnable,
        consistency=worth.consistency,
        junk=worth.junk,
        nearest=against.training[worth.nearest].id if worth.nearest is not None else None,
        worth=worth.worth,
        information=worth.information,
        dataset=against.dataset.id if against.dataset else None,
        span=span,
    )


def _key(store: Workspace, episode: Episode, span: Span | None, against: Against, rests_on: str) -> str:
    of = [one for one in (against.policy, against.dataset) if one is not None]
    parts = [store.catalog.key_of(episode.id), "novelty", *(store.catalog.key_of(one.id) for one in of)]
    part = [f"{span.start_ns}..{span.end_ns}"] if span else []
    return "/".join([*parts, *part, rests_on])


def _span(episode: Episode, span_s: tuple[float, float] | None) -> Span | None:
    if span_s is None:
        return None
    long_s = (episode.end_ns - episode.start_ns) / 1e9
    begin_s, end_s = (min(at, long_s) for at in span_s)
    return Span(episode.start_ns + round(1e9 * begin_s), episode.start_ns + round(1e9 * end_s))


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
