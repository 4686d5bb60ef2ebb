"""The tries of a workspace as people look for one: in lines, the newest first, by words and by what is known of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from saqiya.detect.stage import outcomes_of
from saqiya.domain.media import PACKED
from saqiya.domain.nouns import Audit, Cut, Episode, Failure, Policy, Recording

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel
    from saqiya.stores.catalog import Catalog

__all__ = ["FILTERS", "Line", "Wanted", "choices", "lines_of", "name_of", "superseded"]

FILTERS: Final = ("task", "outcome", "source", "policy", "operator", "site", "verdict")
"""By what lines are asked for; "" is any."""


@dataclass(frozen=True)
class Line:
    """One try in the list.

    Attributes:
        name: what people call it: the file and the try in it, or its key where a turn made it.
        key: in the catalog.
        policy: by key, or as its log called it; "" where none acted.
        verdict: of its newest audit: "good" or "quarantined"; "" where nobody looked.
        failure: the failure that was found in it, "" for none.
        stored_ns: when it came in, ns since 1970.
    """

    id: str
    name: str
    key: str
    task: str
    site: str
    source: str
    policy: str
    operator: str
    outcome: str
    verdict: str
    failure: str
    length_s: float
    streams_n: int
    cameras_n: int
    stored_ns: int

    def holds(self, word: str) -> bool:
        """Say whether a word, in small letters, is in what is known of it."""
        told = (self.name, self.key, self.id, self.task, self.site, self.policy, self.operator)
        return any(word in one.casefold() for one in told)


@dataclass(frozen=True)
class Wanted:
    """Which tries are asked for: all of the words, and each filter that is not ""."""

    words: str = ""
    task: str = ""
    outcome: str = ""
    source: str = ""
    policy: str = ""
    operator: str = ""
    site: str = ""
    verdict: str = ""

    def among(self, lines: Iterable[Line]) -> list[Line]:
        """Return those that are asked for, in their order."""
        asked = {name: value for name in FILTERS if (value := getattr(self, name))}
        words = self.words.casefold().split()
        return [
            one
            for one in lines
            if all(getattr(one, name) == value for name, value in asked.items()) and all(map(one.holds, words))
        ]


def choices(lines: Sequence[Line]) -> dict[str, list[tuple[str, int]]]:
    """Return what there is to filter by, with how many tries each has, the most first; nothing where all are alike."""
    counts = {name: Counter(getattr(one, name) for one in lines) for name in FILTERS}
    return {
        name: sorted(((value, n) for value, n in found.items() if value), key=lambda pair: (-pair[1], pair[0]))
        for name, found in counts.items()
        if len(found) > 1
    }


def lines_of(wheel: Flywheel) -> tuple[Line, ...]:
    """Return every try that can be looked at, the newest first: without older cuts, and without what was erased."""
    catalog = wheel.store.catalog
    gone = superseded(catalog) | catalog.erased().keys()
    stored = [(at, one) for at, one in catalog.since(Episode, -1) if one.id not in gone]
    episodes = [one for _, one in stored]
    outcomes = outcomes_of(wheel.store, episodes)
    verdicts = {one.episode: one.verdict for one in catalog.all(Audit)}
    failures = {one.episode: one.id for one in catalog.all(Failure)}
    policies = {one.id: catalog.key_of(one.id) for one in catalog.all(Policy)}
    files = {one.id: one for one in catalog.all(Recording)}
    return tuple(
        Line(
            id=one.id,
            name=_name(one, key := catalog.key_of(one.id), files),
            key=key,
            task=one.task,
            site=one.site,
            source=one.source.value,
            policy=policies.get(one.policy or "", one.policy_name),
            operator=one.operator,
            outcome=outcomes[one.id].value,
            verdict=verdicts.get(one.id, ""),
            failure=failures.get(one.id, ""),
            length_s=(one.end_ns - one.start_ns) / 1e9,
            streams_n=len(one.infos),
            cameras_n=sum(media.codec != PACKED for media in one.media),
            stored_ns=at,
        )
        for at, one in reversed(stored)
    )


def name_of(catalog: Catalog, episode: Episode) -> str:
    """Return what people call a try: the file and the try in it, or its key where a turn made it."""
    files = {ref: catalog.get(ref, Recording) for ref in episode.recordings[:1]}
    return _name(episode, catalog.key_of(episode.id), files)


def superseded(catalog: Catalog) -> set[str]:
    """Return the tries of cuts that a newer one took the place of, and that are in no cut that stands."""
    cuts = catalog.all(Cut)
    older = {one.supersedes for one in cuts}
    alive = {episode for one in cuts if one.id not in older for episode in one.episodes}
    return {episode for one in cuts if one.id in older for episode in one.episodes} - alive


def _name(episode: Episode, key: str, files: Mapping[str, Recording]) -> str:
    """Where a file's digest is the key's beginning, say the file's name instead."""
    file = files.get(episode.recordings[0]) if episode.recordings else None
    if file is None or not key.startswith(file.digest):
        return key
    alone = episode.key_in_recording in {"", file.name, file.name.rpartition(".")[0]}
    return file.name if alone else f"{file.name} / {episode.key_in_recording}"
