"""The shell of `mix`: demonstrations and corrections become a dataset version, if no evaluation start is among them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import (
    Audit,
    Correction,
    CorrectionKind,
    CorrectionRequest,
    DatasetEntry,
    DatasetVersion,
    Duplicate,
    Episode,
    Review,
    Role,
    Submission,
    Verdict,
)
from saqiya.domain.streams import Span, Start
from saqiya.errors import GuardRefusal, UsageError
from saqiya.mix.leakage import refuse_leakage
from saqiya.mix.weights import Lessons, entries, share_of_copies, taught_by_operator, whole
from saqiya.stores.workspace import Workspace

__all__ = ["run", "select", "taught"]


def run(
    store: Workspace,
    corrections: Sequence[Correction],
    *,
    parent: DatasetVersion | None,
    evaluation: Iterable[Start],
    note: str,
    key: str,
) -> DatasetVersion:
    """Mix a dataset version: the anchor set (bootstrap) always, everything the parent had replayed, new corrections.

    Weights are natural: each taught step counts once, and copies (`Duplicate`) together what one of them would.

    Args:
        store: the workspace.
        corrections: every accepted correction so far, bootstrap demonstrations included.
        parent: the version it grows from: what is not in it is new.
        evaluation: every start that a gate has used or will use.
        note: why this version was made.
        key: its logical key.

    Raises:
        Leakage: an episode began at an evaluation start.
        GuardRefusal: there is nothing to learn from.
    """
    held = _quarantined(store)
    accepted = [one for one in corrections if one.accepted and one.episode not in held]
    if not accepted:
        raise GuardRefusal("there is no accepted correction to mix", subject=key, remedy="Collect corrections first.")
    before = {entry.episode for entry in parent.entries} if parent else set()
    episodes = {one.episode: store.catalog.get(one.episode, Episode) for one in accepted}
    refuse_leakage({one: episode.start for one, episode in episodes.items()}, evaluation)
    within = _reviewed(store)
    lessons = [
        taught(
            store,
            one.correction_kind,
            episodes[one.episode],
            _role(store, one, known=one.episode in before),
            within.get(one.episode, ()),
        )
        for one in accepted
    ]
    made = entries(lessons, copies=_copies(store, episodes))
    version = DatasetVersion(
        id=store.catalog.new_id("dataset_version"),
        parent=parent.id if parent else None,
        entries=made,
        manifest_hash=manifest_hash(made, episodes, parent.manifest_hash if parent else None),
        note=note,
    )
    stored = store.catalog.put(version, key=key)
    store.seal(stored.id)
    return stored


def select(
    store: Workspace,
    episodes: Sequence[Episode],
    *,
    weights: Mapping[str, float],
    parent: DatasetVersion | None,
    note: str,
    key: str,
) -> DatasetVersion:
    """Make a dataset version of whole episodes, as a team does that has logs and no wheel yet.

    Args:
        store: the workspace.
        episodes: what it holds; each counts once, however often it is named.
        weights: of a sample, by episode id; 1.0 where nothing is said. Copies (`Duplicate`) share theirs.
        parent: the version it grows from, if any.
        note: why it was made.
        key: its logical key.

    Raises:
        GuardRefusal: there is nothing to learn from, or an episode is in quarantine.
        UsageError: the key is taken by a version with other contents.
    """
    chosen = {one.id: one for one in episodes}
    held = sorted(_quarantined(store) & set(chosen))
    if not chosen or held:
        what = f"{len(held)} of {len(chosen)} episodes are in quarantine" if held else "no episode was chosen"
        raise GuardRefusal(what, subject=held[0] if held else key, remedy="See saqiya audit, and choose without them.")
    part = _copies(store, chosen)
    given = {one: weights.get(one, 1.0) * part.get(one, 1.0) for one in chosen}
    made = tuple(DatasetEntry(one.id, one.start_ns, one.end_ns, given[one.id], Role.ANCHOR) for one in chosen.values())
    version = DatasetVersion(
        id=store.catalog.new_id("dataset_version"),
        parent=parent.id if parent else None,
        entries=made,
        manifest_hash=manifest_hash(made, chosen, parent.manifest_hash if parent else None),
        note=note,
    )
    stored = store.catalog.put(version, key=key)
    if stored.manifest_hash != version.manifest_hash:
        raise UsageError(
            "a dataset version of this name holds something else", subject=key, remedy="Take another name."
        )
    store.seal(stored.id)
    return stored


def _copies(store: Workspace, episodes: Iterable[str]) -> dict[str, float]:
    return share_of_copies(episodes, ((one.of, one.episode) for one in store.catalog.all(Duplicate)))


def _quarantined(store: Workspace) -> set[str]:
    """Return the episodes whose newest audit holds them back."""
    newest = {audit.episode: audit.verdict for audit in store.catalog.all(Audit)}
    return {episode for episode, verdict in newest.items() if verdict != "good"}


def taught(
    store: Workspace, correction_kind: CorrectionKind, episode: Episode, role: Role, within: Sequence[Span] = ()
) -> Lessons:
    """Return what of an episode teaches: of a takeover what its operator did, else all; of it what lies `within`.

    A recording that does not say who acted was all the operator's.

    Raises:
        InvalidEpisode: nothing does.
    """
    streams = store.streams(episode)
    author = streams.get("author")
    if correction_kind is CorrectionKind.TAKEOVER and author is not None and author.values.any():
        return taught_by_operator(episode.id, role, author, within)
    return whole(episode.id, role, streams["action/executed"], within)


def _role(store: Workspace, correction: Correction, *, known: bool) -> Role:
    target = store.catalog.get(correction.request, CorrectionRequest).target
    return Role.ANCHOR if target == "bootstrap" else Role.REPLAY if known else Role.CORRECTION


def _reviewed(store: Workspace) -> dict[str, tuple[Span, ...]]:
    """Return, by episode, the spans that a reviewer named when they accepted it."""
    named = [one for one in store.catalog.all(Review) if one.spans and one.verdict is Verdict.ACCEPT and not one.second]
    return {store.catalog.get(one.submission, Submission).episode: one.spans for one in named}
