"""The shell of retention: reads what the catalog knows of every try, decides, writes the decision down, then erases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import sqlalchemy as sa

from saqiya.domain.media import PACKED
from saqiya.domain.nouns import Episode, Outcome, Retention
from saqiya.stores.erase import Erasure, erase
from saqiya.stores.retain import Candidate, Rule, choose
from saqiya.stores.schema import nouns, refs
from saqiya.stores.workspace import Workspace

__all__ = ["candidates", "retain"]

_CHUNK: Final = 500
_NEEDING: Final = (
    "calibration", "correction", "dataset_version", "deployment", "evaluation_plan", "failure", "trial",
)  # fmt: skip


def candidates(store: Workspace, outcomes: Mapping[str, Outcome], *, now_ns: int) -> Iterator[Candidate]:
    """Yield every episode whose bytes are here: its stratum is `site|policy|task`.

    Args:
        store: the workspace.
        outcomes: of each episode, by whatever precedence of claims; one that is not in it is unknown.
        now_ns: to tell ages by.
    """
    query = sa.select(nouns.c.id, nouns.c.created_ns).where(nouns.c.kind == Episode.kind).order_by(nouns.c.created_ns)
    with store.catalog.database.reading() as connection:
        born = {row.id: row.created_ns for row in connection.execute(query)}
    ids = list(born)
    for part in (ids[first : first + _CHUNK] for first in range(0, len(ids), _CHUNK)):
        episodes = list(store.catalog.each(Episode, part))
        gone = store.catalog.erased([*part, *(one.streams for one in episodes)])
        needed = _needed(store, part)
        held = {
            one.id: {one.streams, *(media.digest for media in one.media if media.codec == PACKED)} for one in episodes
        }
        sizes = store.objects.sizes([digest for digests in held.values() for digest in digests])
        for one in episodes:
            if one.id in gone or gone.get(one.streams, "") is None:
                continue
            yield Candidate(
                one.id,
                f"{one.site}|{one.policy or one.policy_name}|{one.task}",
                outcomes.get(one.id, Outcome.UNKNOWN),
                (now_ns - born[one.id]) / 1e9,
                sum(sizes[digest] for digest in held[one.id]),
                one.id in needed,
            )


def retain(
    store: Workspace, outcomes: Mapping[str, Outcome], rule: Rule, *, seed: int, now_ns: int, key: str
) -> tuple[Retention, Erasure | None]:
    """Decide what is kept, write it down under `key`, and erase what is not. After a crash, the same call goes on.

    Facts of dropped tries stay: outcomes, audits, spans. What can only be measured on the bytes is read from those that
    were kept, each counting 1/p; see `fleet_rate`.
    """
    noun = store.catalog.by_key(Retention, key)
    if noun is None:
        chosen = choose(candidates(store, outcomes, now_ns=now_ns), rule, seed=seed)
        noun = Retention(
            id=store.catalog.new_id("retention"),
            rule={
                "probability": dict(rule.probability),
                "otherwise": rule.otherwise,
                "younger_s": rule.younger_s,
                "sampled": [str(one) for one in rule.sampled],
                "counts": {name: list(pair) for name, pair in chosen.counts.items()},
                "kept_bytes": chosen.kept_bytes,
                "dropped_bytes": chosen.dropped_bytes,
            },
            seed=seed,
            probability=chosen.probability,
            kept=chosen.kept,
            dropped=chosen.dropped,
        )
        noun = store.catalog.put(noun, key=key)
    return noun, erase(store, noun.dropped, reason=f"retention {noun.id}") if noun.dropped else None


def _needed(store: Workspace, ids: Sequence[str]) -> set[str]:
    joined = refs.join(nouns, nouns.c.id == refs.c.source)
    query = sa.select(refs.c.target).select_from(joined).where(refs.c.target.in_(ids), nouns.c.kind.in_(_NEEDING))
    with store.catalog.database.reading() as connection:
        return set(connection.execute(query).scalars())
