"""The tax on a team's own data: what Saqiya wrote and kept for each byte that came in, and who waited for what.

What lies on the disk is counted now. What it took on the way is in the ledger, from the day it was first kept; where
nothing was counted, the answer is None: unknown, not zero.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from saqiya.domain.ids import Clock
from saqiya.domain.nouns import DatasetVersion, Episode, Export, Recording
from saqiya.ingest.stage import Admitted
from saqiya.stores.ledger import Delivered, Exported, Ingested, Ledger
from saqiya.stores.query import Questions
from saqiya.stores.schema import nouns
from saqiya.stores.workspace import Workspace

__all__ = ["FormatTax", "Tax", "exporting", "ingesting", "tax"]

_CHUNK = 500


@dataclass(frozen=True)
class FormatTax:
    """What became of the bytes that came in one format.

    Attributes:
        read_bytes: size of the originals.
        imported_bytes: how much of the originals lies here as it came.
        numbers_bytes: their numeric streams, decoded once into objects.
        cameras_bytes: packets that had to be joined into an object of their own; those that lie in an original are not.
        originals_bytes: how much of the originals still lies where it was read, outside the workspace.
        written_bytes: all that was written of them: imported, numbers and cameras.
        per_byte: written for each byte read; None when nothing was read.
        copies: of each byte, originals included; None when nothing was read.
    """

    format: str
    recordings: int
    episodes: int
    read_bytes: int
    imported_bytes: int
    numbers_bytes: int
    cameras_bytes: int
    originals_bytes: int
    written_bytes: int
    per_byte: float | None
    copies: float | None


@dataclass(frozen=True)
class Tax:
    """What data costs in this workspace; None stands for what nobody counted.

    Attributes:
        formats: by the format that it came in, the largest first.
        read_bytes: all originals.
        catalog_bytes, derived_bytes, spool_bytes: on the disk now.
        kept_per_byte: objects of the data, catalog and derived files for each byte of originals.
        written_per_byte: the same as it was written, from the ledger; also what was replaced since.
        copies: of each byte, originals that still lie outside included.
        first_batch_s: from a closed log to the first batch with a try of it: median, worst, and of how many ingests.
        first_batch_after_ingest_s: the same from when ingest began.
        not_trained_on: ingests of which no batch has come yet.
        exports: conversions into others' formats: how many, by format.
        exported_bytes: what they wrote.
        resampled: streams that an export had to bring to another's rate, each counted once an export.
        samples_per_s: samples that training got, per second.
        asked_per_s: what it would have taken, had it never waited.
        waited_hours: what training stood waiting for data.
        since_ns: when the ledger begins.
        unreadable: its lines that cannot be read.
    """

    formats: tuple[FormatTax, ...]
    read_bytes: int
    catalog_bytes: int
    derived_bytes: int
    spool_bytes: int
    kept_per_byte: float | None
    written_per_byte: float | None
    copies: float | None
    first_batch_s: tuple[float, float, int] | None
    first_batch_after_ingest_s: tuple[float, float, int] | None
    not_trained_on: int | None
    exports: dict[str, int]
    exported_bytes: int | None
    resampled: int | None
    samples_per_s: float | None
    asked_per_s: float | None
    waited_hours: float | None
    since_ns: int | None
    unreadable: int


def tax(store: Workspace) -> Tax:
    """Count what lies here and what the ledger says.

    Raises:
        UsageError: DuckDB is not installed.
        Corrupt: a row of the catalog was changed after it was stored.
    """
    entries, unreadable = Ledger(store.derived).read()
    ingests = [one for one in entries if isinstance(one, Ingested)]
    passes = [one for one in entries if isinstance(one, Delivered)]
    exports = [one for one in entries if isinstance(one, Exported)]
    formats = _formats(store)
    read = sum(one.read_bytes for one in formats)
    written = sum(one.written_bytes for one in formats)
    catalog = store.catalog.database.size_bytes()
    derived, spool = _size(store.derived), _size(store.spool)
    told = sum(one.read_bytes for one in ingests)
    closed, begun, waiting = _first_batches(store, ingests, passes)
    made: defaultdict[str, int] = defaultdict(int)
    for export in store.catalog.all(Export):
        made[export.format] += 1
    busy_s, waited_s = sum(one.seconds for one in passes), sum(one.waited_s for one in passes)
    samples = sum(one.samples for one in passes)
    starts = [one.opened_ns if isinstance(one, Delivered) else one.began_ns for one in entries]
    return Tax(
        formats=formats,
        read_bytes=read,
        catalog_bytes=catalog,
        derived_bytes=derived,
        spool_bytes=spool,
        kept_per_byte=(written + catalog + derived) / read if read else None,
        written_per_byte=sum(one.written_bytes for one in ingests) / told if told else None,
        copies=(written + sum(one.originals_bytes for one in formats)) / read if read else None,
        first_batch_s=_spread(closed),
        first_batch_after_ingest_s=_spread(begun),
        not_trained_on=waiting if ingests else None,
        exports=dict(sorted(made.items())),
        exported_bytes=sum(one.written_bytes for one in exports) if exports or not made else None,
        resampled=sum(len(one.resampled) for one in exports) if exports or not made else None,
        samples_per_s=samples / busy_s if busy_s else None,
        asked_per_s=samples / (busy_s - waited_s) if busy_s > waited_s else None,
        waited_hours=waited_s / 3600 if passes else None,
        since_ns=min(starts, default=None),
        unreadable=unreadable,
    )


@contextmanager
def ingesting(store: Workspace, clock: Clock) -> Iterator[Callable[[Admitted, Sequence[Path]], None]]:
    """Time an ingest; what it yields is called with what came in and the paths that were given, and notes it.

    Bytes written are those of objects and of the catalog's rows. Tries that were here before count for nothing.
    """
    began_ns, mark = clock(), _newest(store)

    def note(admitted: Admitted, paths: Sequence[Path]) -> None:
        ids = dict.fromkeys(
            one for episode in admitted.episodes for one in (episode.id, *episode.recordings)
        ) | dict.fromkeys(alias.recording for alias in admitted.aliases)
        fresh = _stored_after(store, list(ids), mark)
        recordings = list(store.catalog.each(Recording, [one for one in fresh if one.startswith("recording-")]))
        episodes = list(store.catalog.each(Episode, [one for one in fresh if one.startswith("episode-")]))
        digests = {digest for one in recordings for digest in _objects(one)}
        digests |= {one.streams for one in episodes}
        digests |= {media.object for one in episodes for media in one.media if media.object}
        closed = [_closed_ns(path) for path in paths if path.exists()]
        Ledger(store.derived).add(
            Ingested(
                began_ns=began_ns,
                ended_ns=clock(),
                closed_ns=max(closed, default=None),
                recordings=tuple(one.id for one in recordings),
                read_bytes=sum(one.size_bytes for one in recordings),
                written_bytes=sum(store.objects.sizes(sorted(digests)).values()) + sum(fresh.values()),
            )
        )

    yield note


@contextmanager
def exporting(store: Workspace, clock: Clock) -> Iterator[Callable[[Export, Sequence[str]], None]]:
    """Time an export; what it yields is called with the export and the streams that were resampled, and notes it."""
    began_ns = clock()

    def note(export: Export, resampled: Sequence[str]) -> None:
        Ledger(store.derived).add(
            Exported(
                export=export.id,
                began_ns=began_ns,
                ended_ns=clock(),
                written_bytes=_size(Path(export.location)),
                resampled=tuple(resampled),
            )
        )

    yield note


def _formats(store: Workspace) -> tuple[FormatTax, ...]:
    recordings: defaultdict[str, list[Recording]] = defaultdict(list)
    for recording in store.catalog.all(Recording):
        recordings[recording.format].append(recording)
    episodes, numbers, cameras = _decoded(store)
    found = []
    for name, mine in recordings.items():
        imported = {digest for one in mine for digest in _objects(one)}
        originals = [(path, size) for one in mine for path, _, size in one.files() if path]
        read = sum(one.size_bytes for one in mine)
        ours = _sizes(store, imported)
        decoded = _sizes(store, numbers.get(name, set()))
        joined = _sizes(store, cameras.get(name, set()) - imported)
        outside = sum(size for path, size in originals if _is_there(Path(path), size))
        written = ours + decoded + joined
        found.append(
            FormatTax(
                format=name,
                recordings=len(mine),
                episodes=episodes.get(name, 0),
                read_bytes=read,
                imported_bytes=ours,
                numbers_bytes=decoded,
                cameras_bytes=joined,
                originals_bytes=outside,
                written_bytes=written,
                per_byte=written / read if read else None,
                copies=(written + outside) / read if read else None,
            )
        )
    return tuple(sorted(found, key=lambda one: one.read_bytes, reverse=True))


def _decoded(store: Workspace) -> tuple[dict[str, int], dict[str, set[str]], dict[str, set[str]]]:
    """Return by format: how many episodes, the objects of their streams, and those of their cameras."""
    with Questions(store) as questions:
        streams = questions.table(
            "SELECT format, count(*) AS n, list(DISTINCT object) AS digests FROM episodes GROUP BY ALL"
        )
        cameras = questions.table(
            "SELECT e.format, list(DISTINCT c.digest) AS digests FROM cameras c JOIN episodes e ON e.id = c.episode "
            "GROUP BY ALL"
        )
    rows = streams.to_pylist()
    return (
        {row["format"]: row["n"] for row in rows},
        {row["format"]: set(row["digests"]) for row in rows},
        {row["format"]: set(row["digests"]) for row in cameras.to_pylist()},
    )


def _objects(recording: Recording) -> list[str]:
    return [one for one in (recording.object, *(part.object for part in recording.parts)) if one]


def _sizes(store: Workspace, digests: set[str]) -> int:
    return sum(store.objects.sizes(sorted(digests)).values())


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _size(path: Path) -> int:
    if path.is_file():
        return path.stat().st_size
    return sum(one.stat().st_size for one in path.rglob("*") if one.is_file() and not one.is_symlink())


def _closed_ns(path: Path) -> int:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return max((one.stat().st_mtime_ns for one in files), default=path.stat().st_mtime_ns)


def _newest(store: Workspace) -> int:
    with store.catalog.database.reading() as connection:
        return int(connection.execute(sa.select(sa.func.max(nouns.c.created_ns))).scalar() or -1)


def _stored_after(store: Workspace, ids: Sequence[str], mark: int) -> dict[str, int]:
    """Return those of some nouns that were stored after `mark`, each with the bytes of its row."""
    found: dict[str, int] = {}
    length = sa.func.length
    size = length(nouns.c.id) + length(nouns.c.key) + length(nouns.c.payload) + length(nouns.c.seal)
    for first in range(0, len(ids), _CHUNK):
        query = sa.select(nouns.c.id, size).where(
            nouns.c.id.in_(ids[first : first + _CHUNK]), nouns.c.created_ns > mark
        )
        with store.catalog.database.reading() as connection:
            found.update({row[0]: int(row[1]) for row in connection.execute(query)})
    return found


def _first_batches(
    store: Workspace, ingests: Sequence[Ingested], passes: Sequence[Delivered]
) -> tuple[list[float], list[float], int]:
    """Return seconds to the first batch with a try of each ingest, from its logs' closing and from its beginning."""
    trained = _trained_on(store, passes)
    closed, begun, waiting = [], [], 0
    for one in ingests:
        first = min((trained[name] for name in one.recordings if trained.get(name, -1) >= one.began_ns), default=None)
        if first is None:
            waiting += 1
            continue
        begun.append((first - one.began_ns) / 1e9)
        if one.closed_ns is not None:
            closed.append((first - one.closed_ns) / 1e9)
    return closed, begun, waiting


def _trained_on(store: Workspace, passes: Sequence[Delivered]) -> Mapping[str, int]:
    """Return for each recording when the first batch of a version with a try of it was there."""
    first: dict[str, int] = {}
    for one in passes:
        if one.dataset:
            first[one.dataset] = min(one.first_ns, first.get(one.dataset, one.first_ns))
    found: dict[str, int] = {}
    for dataset, first_ns in first.items():
        version = store.catalog.get(dataset, DatasetVersion)
        ids = sorted({entry.episode for entry in version.entries})
        for episode in store.catalog.each(Episode, ids):
            for recording in episode.recordings:
                found[recording] = min(first_ns, found.get(recording, first_ns))
    return found


def _spread(seconds: Sequence[float]) -> tuple[float, float, int] | None:
    return (statistics.median(seconds), max(seconds), len(seconds)) if seconds else None
