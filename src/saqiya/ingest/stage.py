"""The shell of `ingest`: files become recordings, episodes, outcome claims, or a rejection that says why.

Bytes first, rows after: streams, cameras and the original lie in the object store, synced, before one transaction names
them. A crash in between leaves bytes that nothing refers to, which a sweep removes; the same command goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from saqiya.domain.contracts import Format, Progress, Unread
from saqiya.domain.ids import digest_of
from saqiya.domain.media import Bytes, Track
from saqiya.domain.nouns import Alias, Episode, MediaInfo, Noun, Policy, Recording, Rejection
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import InvalidEpisode, UnknownId
from saqiya.formats.open import Ignored, read_logs
from saqiya.ingest.describe import claim_of, episode_of, media_of, policy_name
from saqiya.ingest.originals import hash_file, recording_of
from saqiya.ingest.prints import TwinIndex, prints_of, same_try
from saqiya.stores import streams as codec
from saqiya.stores.workspace import Workspace

__all__ = ["Admitted", "Keep", "admit", "run"]

_BATCH_N = 64
_BATCH_BYTES = 64 << 20


class Keep(StrEnum):
    """What happens to the original bytes."""

    COPY = "copy"  # one copy of every file is imported
    CAMERAS = "cameras"  # only what holds pictures is imported; numbers live in the streams object
    LINK = "link"  # all stays where it lies; place and hash are noted


@dataclass(frozen=True)
class Admitted:
    """What came of a batch of files; nothing that came in is missing here."""

    episodes: tuple[Episode, ...]
    aliases: tuple[Alias, ...]
    rejections: tuple[Rejection, ...]
    ignored: int


@dataclass(frozen=True)
class _Parcel:
    """One try on its way in: its key, what it says, and its bytes, which are stored before its row is."""

    key: str
    log: EpisodeLog
    recording: Recording
    recording_key: str
    streams: bytes
    media: tuple[MediaInfo, ...]


def admit(
    store: Workspace, files: Sequence[tuple[Path, str]], reader: Format, *, clock: Callable[[], int]
) -> list[Episode]:
    """Take in recordings of our own under given logical keys, one try each, in one transaction.

    Args:
        store: the workspace.
        files: each recording with the key its episode gets.
        reader: the format they are in.
        clock: stamps the outcome claims.

    Raises:
        UnreadableLog, InvalidEpisode: a recording of our own is damaged: a fault, not input to be sorted out.
    """
    parcels, raws = [], []
    for path, key in files:
        raw = path.read_bytes()
        for log in reader.read(path):
            if isinstance(log, Unread):
                raise InvalidEpisode(log.reason, subject=str(path), remedy=log.remedy)
            digest = digest_of(raw)
            recording = Recording(
                id=store.catalog.new_id("recording"),
                digest=digest,
                format=reader.name,
                name=path.name,
                size_bytes=len(raw),
                object=digest,
            )
            encoded = codec.encode(log.streams)
            parcels.append(_Parcel(key, log, recording, digest, encoded, ()))
            raws.append(raw)
    return _commit(store, parcels, clock, raws=raws)


def run(
    store: Workspace,
    paths: Iterable[Path],
    formats: Sequence[Format],
    *,
    facts: Mapping[str, Any],
    keep: Keep,
    clock: Callable[[], int],
    progress: Progress,
) -> Admitted:
    """Take in files and folders of any known format; the same try in two formats is one episode with an alias.

    Args:
        store: the workspace.
        paths: files or folders; folders are walked.
        formats: which formats may read them.
        facts: what the user says of all of them (task, embodiment, policy ...); what a log says itself wins.
        keep: what happens to the originals.
        clock: stamps the outcome claims.
        progress: called with the number of tries that are done, of how many is not known before the end.
    """
    batch = _Batch(store, keep, clock, facts)
    for (path, reader), items in groupby(read_logs(paths, formats), key=itemgetter(0, 1)):
        with contextlib.closing(_Original(store, path, reader, keep)) as original:
            for _, _, item in items:
                batch.take(original, item)
                progress(f"ingest {path.name}", batch.taken, 0)
            batch.flush()
    return Admitted(tuple(batch.episodes), tuple(batch.aliases), tuple(batch.rejections), batch.ignored)


class _Original:
    """One log's bytes, hashed (and imported, where they are to be) when they are first asked for."""

    def __init__(self, store: Workspace, path: Path, reader: str, keep: Keep) -> None:
        self._store, self.path, self._reader, self._keep = store, path, reader, keep
        self._digests: dict[Path, tuple[str, bool]] = {}
        self._joined: dict[int, tuple[Bytes, str]] = {}  # the bytes are held, so that no other gets their id()
        self._recording: tuple[Recording, str] | None = None

    def recording(self) -> tuple[Recording, str]:
        """Return the recording noun, the stored one where there is one, and its key."""
        if self._recording is None:
            made = recording_of(
                self.path,
                id=self._store.catalog.new_id("recording"),
                format=self._reader,
                digest=lambda file: self.file(file)[0],
                ours=self._keep is Keep.COPY,
            )
            known = self._store.catalog.by_key(Recording, made.digest)
            self._recording = (known if isinstance(known, Recording) else made, made.digest)
        return self._recording

    def digest(self) -> str:
        """Return the log's digest; bytes of which no try came in stay out of the store."""
        if self._recording is None:
            return recording_of(self.path, id="", format="", digest=hash_file, ours=False).digest
        return self._recording[1]

    def file(self, path: Path, *, pictures: bool = False) -> tuple[str, bool]:
        """Return a file's digest and whether its bytes are ours now."""
        wanted = self._keep is Keep.COPY or (pictures and self._keep is Keep.CAMERAS)
        place = path.resolve()
        known = self._digests.get(place)
        if known is None or (wanted and not known[1]):
            known = (self._store.objects.put_file(place), True) if wanted else (hash_file(place), False)
            self._digests[place] = known
        return known

    def camera(self, data: Bytes, file: Path | None) -> tuple[str, bool]:
        """Return the digest of what a camera's packets lie in, and whether it is an object here."""
        if file is not None:
            return self.file(file, pictures=True)
        if id(data) not in self._joined:
            self._joined[id(data)] = (data, self._store.objects.put_many([memoryview(data)])[0])
        return self._joined[id(data)][1], True

    def close(self) -> None:
        """Let the pictures' bytes go."""
        self._joined.clear()


@dataclass
class _Batch:
    """Tries that wait for their transaction, and what became of those before."""

    store: Workspace
    keep: Keep
    clock: Callable[[], int]
    facts: Mapping[str, Any]
    episodes: list[Episode] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    ignored: int = 0
    taken: int = 0
    waiting: list[_Parcel] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Learn which tries are here already."""
        self.known = TwinIndex((episode.id, episode.prints) for episode in self.store.catalog.all(Episode))

    def take(self, original: _Original, item: EpisodeLog | Unread | Ignored) -> None:
        """Take one try, or note why there is none."""
        self.taken += 1
        if isinstance(item, Ignored):
            self.ignored += 1
        elif isinstance(item, Unread):
            self._reject(original, item)
        else:
            log = EpisodeLog(item.key, item.streams, item.events, {**self.facts, **item.metadata}, item.videos)
            try:
                self._take(original, log)
            except InvalidEpisode as error:
                self._reject(original, Unread(item.key, error.what, error.remedy or "Record again."))

    def _take(self, original: _Original, log: EpisodeLog) -> None:
        recording, digest = original.recording()
        key = f"{digest}/{log.key}"
        known = self.store.catalog.by_key(Episode, key)
        if isinstance(known, Episode):
            self.episodes.append(known)
            return
        prints = prints_of(log.streams)
        if any(same_try(prints_of(one.log.streams), prints) for one in self.waiting if prints):
            self.flush()
        twin = self.known.find(prints)
        if twin is not None:
            self._alias(twin, log, recording, digest, key)
            return
        _ = log.span  # a try without a sample is refused before anything of it is written
        media: list[MediaInfo] = []
        cameras: dict[str, tuple[Track, str]] = {}
        for name, video in log.videos.items():
            held, ours = original.camera(video.data, video.file)
            media.append(media_of(name, video.track, digest=held, ours=ours))
            cameras[name] = (video.track, held)
        parcel = _Parcel(key, log, recording, digest, codec.encode(log.streams, cameras), tuple(media))
        _describe(self.store, parcel, "0" * 64, {})  # what the catalog would refuse is refused here, alone
        self.waiting.append(parcel)
        if len(self.waiting) >= _BATCH_N or sum(len(one.streams) for one in self.waiting) >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Store what waits."""
        made = _commit(self.store, self.waiting, self.clock) if self.waiting else []
        self.waiting = []
        self.episodes += made
        for episode in made:
            self.known.add(episode.id, episode.prints)

    def _alias(self, twin: str, log: EpisodeLog, recording: Recording, digest: str, key: str) -> None:
        stored = self.store.catalog.put(recording, key=digest)
        alias = Alias(
            id=self.store.catalog.new_id("alias"), episode=twin, recording=stored.id, key_in_recording=log.key
        )
        self.aliases.append(self.store.catalog.put(alias, key=key))

    def _reject(self, original: _Original, unread: Unread) -> None:
        path, digest = original.path, original.digest()
        rejection = Rejection(
            id=self.store.catalog.new_id("rejection"),
            name=str(path),
            reason=unread.reason,
            remedy=unread.remedy,
            digest=digest,
        )
        self.rejections.append(self.store.catalog.put(rejection, key=f"{digest}/{path.name}/{unread.key}"))


def _commit(
    store: Workspace, parcels: Sequence[_Parcel], clock: Callable[[], int], *, raws: Sequence[bytes] = ()
) -> list[Episode]:
    digests = store.objects.put_many([*(parcel.streams for parcel in parcels), *raws])
    rows: list[tuple[Noun, str]] = []
    policies = _policies(store, {policy_name(parcel.log.metadata) for parcel in parcels})
    for parcel, streams in zip(parcels, digests[: len(parcels)], strict=True):
        episode = _describe(store, parcel, streams, policies)
        claim = claim_of(store.catalog.new_id, episode.id, parcel.log.metadata, clock())
        rows += [(parcel.recording, parcel.recording_key), (episode, parcel.key)]
        if claim is not None:
            rows.append((claim, f"{parcel.key}/log"))
    unique = {(type(noun), key): (noun, key) for noun, key in rows}
    return [noun for noun in store.catalog.put_all(list(unique.values())) if isinstance(noun, Episode)]


def _describe(store: Workspace, parcel: _Parcel, streams: str, policies: Mapping[str, Policy]) -> Episode:
    return episode_of(
        parcel.log,
        parcel.log.span,
        id=store.catalog.new_id("episode"),
        recording=parcel.recording.id,
        streams=streams,
        media=parcel.media,
        policy=policies.get(policy_name(parcel.log.metadata)),
    )


def _policies(store: Workspace, names: set[str]) -> dict[str, Policy]:
    """Find the policies that logs name, by whole id or key; a name that is not registered stays a name."""
    found = store.catalog.by_keys(Policy, sorted(names - {""}))
    for name in names - {""} - set(found):
        with contextlib.suppress(UnknownId):
            policy = store.catalog.get(name, Policy)
            if policy.id == name:  # `get` also takes a part of an id, which a name in a log may be by chance
                found[name] = policy
    return found
