"""What teaches, and how much: spans of episodes and the weight of each sample."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from saqiya.domain.nouns import DatasetEntry, Role
from saqiya.domain.streams import Span, Stream
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.models.groups import earliest

__all__ = ["Lessons", "entries", "share_of_copies", "taught_by_operator", "whole"]

OPERATOR_CODE = 1


@dataclass(frozen=True)
class Lessons:
    """The spans of one episode that teach, and how many action samples they hold."""

    episode: str
    role: Role
    spans: tuple[Span, ...]
    samples_n: int


def whole(episode: str, role: Role, executed: Stream, within: Sequence[Span] = ()) -> Lessons:
    """Every step teaches: a demonstration, by its stream of executed actions; of it what lies `within`, where named.

    Raises:
        InvalidEpisode: there is no such step.
    """
    return _lessons(episode, role, executed.t_ns, np.ones(len(executed.t_ns), dtype=np.bool_), within)


def taught_by_operator(episode: str, role: Role, author: Stream, within: Sequence[Span] = ()) -> Lessons:
    """Only the steps that an operator authored teach.

    What the policy did before a takeover led to the failure, so it is left out (Sirius, Liu et al. 2022, keeps it with
    almost no weight). The stream `author` has one row for each executed action: 0 policy, 1 operator. Where a
    reviewer named spans, what lies `within` them teaches.

    Raises:
        InvalidEpisode: no such step is the operator's.
    """
    acted = author.values.reshape(len(author.t_ns), -1)[:, 0] == OPERATOR_CODE
    return _lessons(episode, role, author.t_ns, acted, within)


def _lessons(episode: str, role: Role, t_ns: np.ndarray, teaches: np.ndarray, within: Sequence[Span]) -> Lessons:
    if within:
        teaches = teaches & np.any([(t_ns >= one.start_ns) & (t_ns < one.end_ns) for one in within], axis=0)
    if not teaches.any():
        raise InvalidEpisode("has no step that teaches", subject=episode, remedy="Leave it out of the mix.")
    padded = np.concatenate([[False], teaches, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    ends = np.append(t_ns, t_ns[-1] + 1)
    pairs = zip(edges[::2], edges[1::2], strict=True)
    spans = tuple(Span(int(t_ns[first]), int(ends[last])) for first, last in pairs)
    return Lessons(episode, role, spans, int(teaches.sum()))


def share_of_copies(episodes: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, float]:
    """Return the weight of each episode that has copies among `episodes`: one over how many of its group are there.

    So a group weighs together what one episode weighs. Pairs may name episodes that are not there: two copies of one
    that was left out are copies of each other.
    """
    first = earliest(pairs)
    here = {one: first[one] for one in dict.fromkeys(episodes) if one in first}
    count = Counter(here.values())
    return {one: 1.0 / count[root] for one, root in here.items() if count[root] > 1}


def entries(
    lessons: Sequence[Lessons],
    *,
    shares: Mapping[Role, float] | None = None,
    copies: Mapping[str, float] | None = None,
) -> tuple[DatasetEntry, ...]:
    """Turn lessons into dataset entries with weights, in the order given.

    Natural weights (`shares` is None) count every sample once. Equal loss mass for a handful of corrections sounds
    better and was worse: measured over 7 seeds, half of the mass on the first three demonstrations gave .46 success
    where natural weights gave .65. So another split is something to declare.

    Args:
        lessons: what teaches.
        shares: share of the loss mass for each role, adding up to 1; the mean weight of a sample stays 1.
        copies: by episode, what its weights are multiplied with: `share_of_copies`.

    Raises:
        UsageError: the shares do not add up to 1, or name other roles than the lessons have.
    """
    samples: dict[Role, int] = {}
    for lesson in lessons:
        samples[lesson.role] = samples.get(lesson.role, 0) + lesson.samples_n
    weights = dict.fromkeys(samples, 1.0) if shares is None else _declared(samples, shares)
    part = copies or {}
    return tuple(
        DatasetEntry(one.episode, span.start_ns, span.end_ns, weights[one.role] * part.get(one.episode, 1.0), one.role)
        for one in lessons
        for span in one.spans
    )


def _declared(samples: Mapping[Role, int], shares: Mapping[Role, float]) -> dict[Role, float]:
    if set(shares) != set(samples) or abs(sum(shares.values()) - 1.0) > 1e-6 or min(shares.values()) < 0.0:
        declared = ", ".join(f"{role.value} {share}" for role, share in shares.items())
        have = ", ".join(role.value for role in samples)
        raise UsageError(
            f"loss shares must add up to 1 over the roles there are ({have}), not: {declared}",
            remedy="Correct the shares, or leave them out: natural weights are the default.",
        )
    total = sum(samples.values())
    return {role: shares[role] * total / count for role, count in samples.items()}
