"""The shell of `mix`: demonstrations and corrections become a dataset version, if no evaluation start is among them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import Correction, CorrectionKind, CorrectionRequest, DatasetVersion, Episode, Role
from saqiya.domain.streams import Start
from saqiya.errors import GuardRefusal
from saqiya.mix.leakage import refuse_leakage
from saqiya.mix.weights import Lessons, entries, taught_by_operator, whole
from saqiya.stores.workspace import Workspace

__all__ = ["run"]


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

    Weights are natural: each taught step counts once.

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
    accepted = [one for one in corrections if one.accepted]
    if not accepted:
        raise GuardRefusal("there is no accepted correction to mix", subject=key, remedy="Collect corrections first.")
    before = {entry.episode for entry in parent.entries} if parent else set()
    episodes = {one.episode: store.catalog.get(one.episode, Episode) for one in accepted}
    refuse_leakage({one: episode.start for one, episode in episodes.items()}, evaluation)
    lessons = [_lessons(store, one, episodes[one.episode], known=one.episode in before) for one in accepted]
    made = entries(lessons)
    version = DatasetVersion(
        id=store.catalog.new_id("dataset_version"),
        parent=parent.id if parent else None,
        entries=made,
        manifest_hash=manifest_hash(made, episodes, parent.manifest_hash if parent else None),
        note=note,
    )
    return store.catalog.put(version, key=key)


def _lessons(store: Workspace, correction: Correction, episode: Episode, *, known: bool) -> Lessons:
    streams = store.streams(episode)
    target = store.catalog.get(correction.request, CorrectionRequest).target
    role = Role.ANCHOR if target == "bootstrap" else Role.REPLAY if known else Role.CORRECTION
    if correction.correction_kind is CorrectionKind.TAKEOVER:
        return taught_by_operator(episode.id, role, streams["author"])
    return whole(episode.id, role, streams["action/executed"])
