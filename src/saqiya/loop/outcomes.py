"""How tries ended, on a person's word: said of some by name, or read from the table that a team keeps of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from saqiya.domain.ids import Clock
from saqiya.domain.nouns import AuthorKind, Episode, Outcome, OutcomeClaim, Recording
from saqiya.domain.visible import line
from saqiya.errors import UsageError
from saqiya.ingest.join import Joined, TryName, join
from saqiya.ingest.trials import TrialRow, TrialTable, read_trials
from saqiya.loop.episode.listing import superseded
from saqiya.stores.workspace import Workspace

__all__ = ["TableSaid", "read_outcomes", "say_outcomes"]


@dataclass(frozen=True)
class TableSaid:
    """What a table of trials said, and what in it said nothing.

    Attributes:
        claims: one a try, those that were there already among them.
        table: how its columns and words were understood.
        lost: rows that name no try here, each with the reason.
        ambiguous: rows that could mean several tries: how many.
        silent: rows with a try and no outcome.
        conflicts: tries whose rows disagree, by key, in sentences; doubt does not raise a rate, so failure wins.
        unnamed_n: tries that no row names.
    """

    claims: tuple[OutcomeClaim, ...]
    table: TrialTable
    lost: tuple[tuple[TrialRow, str], ...]
    ambiguous: tuple[tuple[TrialRow, int], ...]
    silent: tuple[TrialRow, ...]
    conflicts: tuple[tuple[str, str], ...]
    unnamed_n: int


def say_outcomes(
    store: Workspace, outcomes: Mapping[str, Outcome], *, author: str, clock: Clock
) -> tuple[OutcomeClaim, ...]:
    """Put down a person's word on how tries ended, by episode id; it counts before any rule, log or simulator.

    `Outcome.UNKNOWN` says that nobody can tell: the try counts neither way then. Of two people the newer word stands.
    Saying the same again adds nothing.

    Raises:
        UsageError: nobody is named.
        UnknownId: there is no such episode.
    """
    if not line(author):
        raise UsageError("needs somebody who says it", remedy="Give --by NAME.")
    rows = []
    for ref, value in outcomes.items():
        episode = store.catalog.get(ref, Episode)
        own = [one for one in store.catalog.referring(episode.id, OutcomeClaim) if one.author == line(author)]
        if own and own[-1].value is value and own[-1].author_kind is AuthorKind.PERSON:
            rows.append((own[-1], store.catalog.key_of(own[-1].id)))
            continue
        claim = OutcomeClaim(
            id=store.catalog.new_id("outcome_claim"),
            episode=episode.id,
            value=value,
            author_kind=AuthorKind.PERSON,
            author=line(author),
            version="",
            time_ns=clock(),
        )
        rows.append((claim, f"{store.catalog.key_of(episode.id)}/outcome/{claim.id}"))
    stored = store.catalog.put_all(rows)
    return tuple(one for one in stored if isinstance(one, OutcomeClaim))


def read_outcomes(store: Workspace, path: Path, *, author: str, columns: Mapping[str, str], clock: Clock) -> TableSaid:
    """Join a table of trials to the tries of the workspace, as `saqiya report` does, and keep its outcomes.

    Args:
        store: the workspace.
        path: CSV or TSV; which columns say what is guessed.
        author: whose word the table is.
        columns: overrules the guesses, field to column name.
        clock: ns since 1970.

    Raises:
        InvalidMapping: the table cannot be understood; file and line are named.
        UsageError: nobody is named.
    """
    table = read_trials(path, columns)
    older = superseded(store.catalog)
    episodes = [one for one in store.catalog.all(Episode) if one.id not in older]
    files = {one.id: one for one in store.catalog.all(Recording)}
    found = join(table, [_name_of(one, files) for one in episodes])
    said = {episodes[one.index].id: one.row.outcome for one in found.matches if one.row.outcome is not Outcome.UNKNOWN}
    return TableSaid(
        claims=say_outcomes(store, said, author=author, clock=clock),
        table=table,
        lost=found.lost_rows,
        ambiguous=tuple((row, len(which)) for row, which in found.ambiguous_rows),
        silent=tuple(one.row for one in found.matches if one.row.outcome is Outcome.UNKNOWN),
        conflicts=_conflicts(store, found, episodes),
        unnamed_n=len(found.unnamed),
    )


def _conflicts(store: Workspace, found: Joined, episodes: Sequence[Episode]) -> tuple[tuple[str, str], ...]:
    return tuple((store.catalog.key_of(episodes[one.index].id), one.conflict) for one in found.matches if one.conflict)


def _name_of(episode: Episode, files: Mapping[str, Recording]) -> TryName:
    """Return what a table may call a try: the files it was read from, its key in them, and its id and key here."""
    read = [files[one] for one in episode.recordings if one in files]
    facts = {name: episode.extra.get(name) for name in ("number", "date")}
    return TryName(
        paths=tuple(path for one in read for path, _, _ in one.files() if path) or tuple(one.name for one in read),
        keys=(episode.key_in_recording, episode.id),
        **{name: str(value) if value not in (None, "") else "" for name, value in facts.items()},
    )
