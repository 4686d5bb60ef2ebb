"""Erasure: the bytes of episodes go, wherever they lie, and tombstones stay; what was made from them is listed.

First the tombstones are committed: from then on no loader gives the bytes out. Then the bytes go. A crash in between
leaves bytes that `verify` names; the same erasure again, or a sweep, finishes the work.

An object may hold other tries too: a long log that was cut, or a video file of many episodes. It is replaced by one of
equal length in which everything that only the erased tries need is blank, so that the others read as before. Of a
video the few pictures stay that decoding another try begins with. What a row says in words (task, operator, events)
stays: the catalog only grows.
"""

from __future__ import annotations

import contextlib
import mmap
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from saqiya.domain.nouns import Alias, Episode, Noun, Recording, Redaction, Tombstone
from saqiya.errors import UsageError
from saqiya.stores.catalog import Catalog
from saqiya.stores.disk import disk_errors
from saqiya.stores.schema import nouns, object_refs, refs
from saqiya.stores.streams import Streams
from saqiya.stores.workspace import Workspace

__all__ = ["Erasure", "erase"]

_CHUNK: Final = 500
_COPY_BYTES: Final = 8 << 20
_KEPT: Final = {"objects", "verified.json", "workflow.sqlite", "workflow.sqlite-wal", "workflow.sqlite-shm"}
_FACTS: Final = {"alias", "audit", "clock_map", "cut", "episode", "outcome_claim", "redaction", "tombstone"}


@dataclass(frozen=True)
class Erasure:
    """What an erasure did, and what it leaves to do.

    Attributes:
        episodes: ids of the episodes whose bytes are gone.
        objects: digests that are gone.
        replaced: objects that hold other tries too: old digest and new.
        freed_bytes: what that freed here.
        originals: files outside the workspace that hold the same tries; they were not touched, deleting is up to you.
        touched: by kind, what was made from the episodes: versions, policies, exports, corrections, evaluations ...
    """

    episodes: tuple[str, ...]
    objects: tuple[str, ...]
    replaced: dict[str, str]
    freed_bytes: int
    originals: tuple[str, ...]
    touched: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Plan:
    """What is to go: digests as they were first named, and for each the live episodes that need it."""

    recordings: tuple[Recording, ...]
    digests: tuple[str, ...]
    sources: frozenset[tuple[str, str, str]]
    needed: dict[str, list[Episode]]

    def is_stale(self, connection: sa.Connection) -> bool:
        """Say whether something has come to refer to these bytes since, or no longer does."""
        return _sources(connection, self.digests) != self.sources


def erase(store: Workspace, episodes: Sequence[str], *, reason: str) -> Erasure:
    """Erase the bytes of episodes: streams, cameras, the recordings they came from, packs and caches that hold them.

    Indexes and snapshots under derived/ are dropped too and made again when they are wanted. What another process has
    mapped stays readable to it until it lets go.

    Args:
        store: the workspace.
        episodes: their whole ids.
        reason: stands on the tombstones.

    Raises:
        UnknownId, UsageError: an id names no episode, or there is none; nothing was done.
        StorageFull: no room for a replacement; nothing is given out any more, repeat it when there is room.
    """
    catalog = store.catalog
    wanted = list(catalog.each(Episode, list(dict.fromkeys(episodes))))
    if not wanted:
        raise UsageError("no episode was named", remedy="Give the ids of those whose bytes are to go")
    touched = _touched(catalog, [one.id for one in wanted])
    while True:
        plan = _plan(catalog, wanted)
        gone, instead = _bytes_of(store, wanted, plan)
        rows = _stones(catalog, wanted, gone, instead, touched, reason)
        # Another process may have cut a new try out of the same bytes meanwhile: look again under the write lock.
        if catalog.put_all(rows, unless=plan.is_stale):
            break
    freed = store.objects.expunge(_dead(catalog, plan.digests))
    _forget(store.derived)
    return Erasure(
        tuple(one.id for one in wanted),
        tuple(sorted(gone)),
        instead,
        freed,
        _originals(plan.recordings),
        {kind: ids for kind, ids in touched.items() if kind not in _FACTS},
    )


def _plan(catalog: Catalog, wanted: Sequence[Episode]) -> _Plan:
    mine = {one.id for one in wanted}
    ids = dict.fromkeys(one for episode in wanted for one in episode.recordings)
    for episode in wanted:
        ids |= dict.fromkeys(alias.recording for alias in catalog.referring(episode.id, Alias))
    recordings = tuple(catalog.each(Recording, list(ids)))
    digests = {episode.streams for episode in wanted}
    digests |= {media.object for episode in wanted for media in episode.media if media.object}
    digests |= {one for recording in recordings for one in _objects(recording)}
    ordered = tuple(sorted(digests))
    with catalog.database.reading() as connection:
        sources = _sources(connection, ordered)
    others = sorted({source for _, source, kind in sources if kind == Episode.kind} - mine)
    erased = catalog.erased(others)
    needed: defaultdict[str, list[Episode]] = defaultdict(list)
    for episode in catalog.each(Episode, [one for one in others if one not in erased]):
        for digest in {episode.streams, *(media.object for media in episode.media if media.object)} & digests:
            needed[digest].append(episode)
    return _Plan(recordings, ordered, sources, dict(needed))


def _sources(connection: sa.Connection, digests: Sequence[str]) -> frozenset[tuple[str, str, str]]:
    found: set[tuple[str, str, str]] = set()
    joined = object_refs.join(nouns, nouns.c.id == object_refs.c.source)
    query = sa.select(object_refs.c.digest, nouns.c.id, nouns.c.kind).select_from(joined)
    for part in _chunks(digests):
        found |= {(row[0], row[1], row[2]) for row in connection.execute(query.where(object_refs.c.digest.in_(part)))}
    return frozenset(found)


def _bytes_of(store: Workspace, wanted: Sequence[Episode], plan: _Plan) -> tuple[set[str], dict[str, str]]:
    """Return the digests that go, and those that are replaced, each by a new object that is stored already."""
    gone: set[str] = set()
    instead: dict[str, str] = {}
    stones = store.catalog.erased(plan.digests)
    for digest in plan.digests:
        now = _now(store.catalog, digest, stones)
        if now is None:
            continue
        others = plan.needed.get(digest)
        if not others:
            gone.add(now)
            continue
        is_streams = any(digest == one.streams for one in others)
        made = _without(store, now, digest, wanted, others) if is_streams else _with_only(store, now, digest, others)
        if made != now:  # else it was blank already
            instead[now] = made
    return gone, instead


def _now(catalog: Catalog, digest: str, stones: dict[str, str | None]) -> str | None:
    """Return the digest that an object's bytes have now, None when they are gone already."""
    while digest in stones:
        new = stones[digest]
        if new is None:
            return None
        digest, stones = new, catalog.erased([new])
    return digest


def _stones(
    catalog: Catalog,
    wanted: Sequence[Episode],
    gone: Iterable[str],
    instead: dict[str, str],
    touched: dict[str, tuple[str, ...]],
    reason: str,
) -> list[tuple[Noun, str]]:
    affected = tuple(one for kind, ids in sorted(touched.items()) if kind not in _FACTS for one in ids)
    rows: list[tuple[Noun, str]] = []
    for episode in wanted:
        stone = Tombstone(
            id=catalog.new_id("tombstone"), digest=episode.streams, reason=reason, affected=(episode.id, *affected)
        )
        rows.append((stone, episode.id))
    rows += [(Tombstone(id=catalog.new_id("tombstone"), digest=one, reason=reason), one) for one in sorted(gone)]
    rows += [
        (Redaction(id=catalog.new_id("redaction"), digest=one, replacement=new, reason=reason), one)
        for one, new in sorted(instead.items())
    ]
    return rows


def _dead(catalog: Catalog, digests: Iterable[str]) -> set[str]:
    """Return all of these digests, and of those that replaced them, that nobody may load any more."""
    dead: set[str] = set()
    level = set(digests)
    while level:
        stones = catalog.erased(level)
        dead |= stones.keys()
        level = {new for new in stones.values() if new is not None} - dead
    return dead


def _without(store: Workspace, now: str, first: str, gone: Sequence[Episode], others: Sequence[Episode]) -> str:
    """Store a streams object again, with zeros for the rows that only erased tries hold."""
    streams = Streams(store.objects.view(now), now)
    with _copy(store, now) as (made, data):
        for name in streams:
            at, values = streams.place(f"{name}/values")
            t_ns = streams[name].t_ns
            blank = _inside(t_ns, [one for one in gone if one.streams == first])
            blank &= ~_inside(t_ns, [one for one in others if one.streams == first])
            if values.nbytes:
                rows = np.frombuffer(data, dtype=np.uint8, count=values.nbytes, offset=at).reshape(len(values), -1)
                rows[blank] = 0
                del rows  # else the mapping could not be closed
        data.flush()
        return store.objects.put_file(made)


def _inside(t_ns: NDArray[np.int64], episodes: Sequence[Episode]) -> NDArray[np.bool_]:
    found = np.zeros(len(t_ns), dtype=bool)
    for one in episodes:
        low, high = np.searchsorted(t_ns, (one.start_ns, one.end_ns))
        found[low:high] = True
    return found


def _with_only(store: Workspace, now: str, first: str, others: Sequence[Episode]) -> str:
    """Store a file of pictures again, with zeros for all but the packets that other tries need."""
    source = store.objects.view(now)
    made = store.objects.temporary()
    try:
        with disk_errors(made):
            with made.open("xb") as file:
                file.truncate(len(source))
                for episode in others:
                    streams = Streams(store.catalog.object_view(episode.streams, of=episode.id), episode.streams)
                    for media in (one for one in episode.media if one.object == first):
                        track = streams.track(media.name).between(episode.start_ns, episode.end_ns)
                        for offset, size in zip(track.offset.tolist(), track.size.tolist(), strict=True):
                            file.seek(offset)
                            file.write(source[offset : offset + size])
            return store.objects.put_file(made)
    finally:
        made.unlink(missing_ok=True)


@contextlib.contextmanager
def _copy(store: Workspace, digest: str) -> Iterator[tuple[Path, mmap.mmap]]:
    """Give a copy of an object's bytes to be changed, as a file and mapped; it is gone afterwards."""
    source = store.objects.view(digest)
    made = store.objects.temporary()
    try:
        with disk_errors(made):
            with made.open("xb") as file:
                for at in range(0, len(source), _COPY_BYTES):
                    file.write(source[at : at + _COPY_BYTES])
            with made.open("r+b") as again, mmap.mmap(again.fileno(), 0) as data:
                yield made, data
    finally:
        made.unlink(missing_ok=True)


def _touched(catalog: Catalog, ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Walk down from episodes and return what came of them, by kind: not through other episodes.

    A later version whose parent held an episode holds it only if an entry of its own says so.
    """
    found: dict[str, str] = {}
    level = list(ids)
    with catalog.database.reading() as connection:
        while level:
            following: dict[str, str] = {}
            for part in _chunks(level):
                query = sa.select(nouns.c.id, nouns.c.kind, refs.c.field).select_from(
                    refs.join(nouns, nouns.c.id == refs.c.source)
                )
                for row in connection.execute(query.where(refs.c.target.in_(part))):
                    if row.kind != Episode.kind and not (row.kind == "dataset_version" and row.field == "parent"):
                        following[row.id] = row.kind
            level = sorted(following.keys() - found.keys())
            found |= following
    by_kind: defaultdict[str, list[str]] = defaultdict(list)
    for one, kind in sorted(found.items()):
        by_kind[kind].append(one)
    return {kind: tuple(some) for kind, some in sorted(by_kind.items())}


def _objects(recording: Recording) -> list[str]:
    return [one for one in (recording.object, *(part.object for part in recording.parts)) if one]


def _originals(recordings: Iterable[Recording]) -> tuple[str, ...]:
    """Return where originals lie: linked ones always, imported ones while they are still there."""
    found: dict[str, None] = {}
    for recording in recordings:
        ours = set(_objects(recording))
        for place, digest, _ in recording.files():
            if place and (digest not in ours or Path(place).exists()):
                found[place] = None
    return tuple(found)


def _forget(derived: Path) -> None:
    """Drop what was derived from bytes, but for copies by digest, which went with their objects."""
    with disk_errors(derived):
        for child in derived.iterdir() if derived.is_dir() else ():
            if child.name in _KEPT:
                continue
            if child.is_dir():
                shutil.rmtree(child)
            else:
                child.unlink(missing_ok=True)


def _chunks(items: Sequence[str]) -> Iterator[Sequence[str]]:
    return (items[first : first + _CHUNK] for first in range(0, len(items), _CHUNK))
