"""The shell of `ingest`: files become recordings, episodes, outcome claims, or a rejection that says why.

Bytes first, rows after: streams, cameras and the original lie in the object store, synced, before one transaction names
them. A crash in between leaves bytes that nothing refers to, which a sweep removes; the same command goes on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from saqiya.domain.contracts import Format, Progress, Unread
from saqiya.domain.ids import digest_of
from saqiya.domain.media import Bytes, Track, Video
from saqiya.domain.nouns import Alias, Audit, Cut, CutSpan, Episode, MediaInfo, Noun, Policy, Recording, Rejection
from saqiya.domain.streams import EpisodeLog, JsonValue, Span
from saqiya.errors import InputError, InvalidEpisode, UnknownId
from saqiya.formats.open import Ignored, read_logs
from saqiya.ingest.audit import Audited, audit
from saqiya.ingest.cut import Cutting
from saqiya.ingest.cut_rules import CutRules
from saqiya.ingest.describe import claim_of, episode_of, media_of, policy_name
from saqiya.ingest.findings import DEFAULT_RULES
from saqiya.ingest.originals import hash_file, recording_of
from saqiya.ingest.prints import TwinIndex, same_try
from saqiya.ingest.remap import Renaming, remap
from saqiya.stores import packed
from saqiya.stores import streams as codec
from saqiya.stores.workspace import Workspace

__all__ = ["Admitted", "Keep", "Manner", "admit", "cut_episode", "run"]

_BATCH_N = 64
_BATCH_BYTES = 64 << 20


class Keep(StrEnum):
    """What happens to the original bytes."""

    COPY = "copy"  # one copy of every file is imported
    CAMERAS = "cameras"  # only what holds pictures is imported; numbers live in the streams object
    LINK = "link"  # all stays where it lies; place and hash are noted


@dataclass(frozen=True)
class Manner:
    """How logs are taken in.

    Attributes:
        keep: what happens to the originals.
        facts: what the user says of all of them (task, embodiment, policy ...); what a log says itself wins.
        renaming: names and units that streams get.
        rules: which finding of the audit rejects, quarantines or only warns.
    """

    keep: Keep = Keep.COPY
    facts: Mapping[str, Any] = field(default_factory=dict)
    renaming: Renaming = field(default_factory=Renaming)
    rules: Mapping[str, str] = field(default_factory=lambda: DEFAULT_RULES)


@dataclass(frozen=True)
class Admitted:
    """What came of a batch of files; nothing that came in is missing here."""

    episodes: tuple[Episode, ...]
    aliases: tuple[Alias, ...]
    rejections: tuple[Rejection, ...]
    ignored: int
    audits: tuple[Audit, ...] = ()


@dataclass(frozen=True)
class _Parcel:
    """One try on its way in: its row as far as it is known before its bytes are stored, and the bytes."""

    key: str
    episode: Episode
    facts: Mapping[str, Any]
    recording: Recording
    recording_key: str
    streams: bytes
    audited: Audited | None = None
    rows: bytes = b""  # of the streams that are packed


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
    policies = _Policies(store)
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
            episode = _describe(store, log, log.span, recording, policies=policies)
            parcels.append(_Parcel(key, episode, log.metadata, recording, digest, codec.encode(log.streams)))
            raws.append(raw)
    return _commit(store, parcels, clock, raws=raws)[0]


def run(
    store: Workspace,
    paths: Iterable[Path],
    formats: Sequence[Format],
    manner: Manner,
    *,
    clock: Callable[[], int],
    progress: Progress,
) -> Admitted:
    """Take in files and folders of any known format; the same try in two formats is one episode with an alias.

    Every try is audited: what the rules reject becomes a rejection, what they quarantine comes in and is held back.

    Args:
        store: the workspace.
        paths: files or folders; folders are walked.
        formats: which formats may read them.
        manner: what is said of them, and how they are kept, named and judged.
        clock: stamps the outcome claims.
        progress: called with the number of tries that are done, of how many is not known before the end.
    """
    batch = _Batch(store, manner, clock)
    for (path, reader), items in groupby(read_logs(paths, formats), key=itemgetter(0, 1)):
        with contextlib.closing(_Original(store, path, reader, manner.keep)) as original:
            for _, _, item in items:
                batch.take(original, item)
                progress(f"ingest {path.name}", batch.taken, 0)
            batch.flush()
    return batch.admitted()


def cut_episode(
    store: Workspace, episode: Episode, rules: CutRules, cutting: Cutting, *, clock: Callable[[], int]
) -> Cut:
    """Keep a cut: the tries become episodes that read the same bytes, and the log they were cut from steps back.

    A cut is a claim. The first one supersedes the claim that the whole log is one try; each later one the one before.
    The newest cut is not made a second time.

    Args:
        store: the workspace.
        episode: the whole log as it came in.
        rules: what cut it.
        cutting: what they made of it.
        clock: stamps the outcome claims.

    Raises:
        InvalidEpisode: a try holds no sample.
    """
    own = store.catalog.key_of(episode.id)
    cuts = store.catalog.referring(episode.recordings[0], Cut)
    known = [one for one in cuts if store.catalog.key_of(one.id).rpartition("/")[0] == f"{own}/cut"]
    whole, policies = store.log(episode), _Policies(store)
    if not known:
        said = CutSpan(episode.start_ns, episode.end_ns, "the log as it came in")
        first = Cut(
            id=store.catalog.new_id("cut"),
            recording=episode.recordings[0],
            rules={},
            spans=(said,),
            episodes=(episode.id,),
        )
        known = [store.catalog.put(first, key=f"{own}/cut/0")]
    if known[-1].rules == rules.as_json() and known[-1].spans == cutting.spans:
        return known[-1]  # the same cut again
    number = len(known)
    recording = store.catalog.get(episode.recordings[0], Recording)
    rows: list[tuple[Noun, str]] = []
    made = []
    for place, (span, facts) in enumerate(zip(cutting.spans, cutting.facts, strict=True)):
        key = f"{own}/cut/{number}/{place}"
        log = _piece(whole, span, {**facts, **({"outcome": span.outcome} if span.outcome else {})}, key)
        piece = _describe(store, log, Span(span.start_ns, span.end_ns), recording, like=episode, policies=policies)
        made.append(piece)
        rows += [
            (piece, key),
            (audit(log, now_ns=clock()).held().as_noun(store.catalog.new_id("audit"), piece.id), f"{key}/audit"),
        ]
        claim = claim_of(store.catalog.new_id, piece.id, {"outcome": span.outcome, "site": episode.site}, clock())
        if claim is not None:
            rows.append((claim, f"{key}/cut"))
    cut = Cut(
        id=store.catalog.new_id("cut"),
        recording=episode.recordings[0],
        rules=rules.as_json(),
        spans=cutting.spans,
        episodes=tuple(one.id for one in made),
        supersedes=known[-1].id,
    )
    stored = store.catalog.put_all([*rows, (cut, f"{own}/cut/{number}")])
    return next(one for one in stored if isinstance(one, Cut))


def _piece(whole: EpisodeLog, span: CutSpan, facts: Mapping[str, Any], key: str) -> EpisodeLog:
    start, end = span.start_ns, span.end_ns
    videos = {name: Video(one.track.between(start, end), one.data, one.file) for name, one in whole.videos.items()}
    return EpisodeLog(
        f"{whole.key}/{key.rpartition('/')[2]}",
        codec.Cropped(whole.streams, start, end),
        tuple(event for event in whole.events if start <= event.t_ns < end),
        {**whole.metadata, **facts},
        videos,
    )


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

    def digest(self) -> str | None:
        """Return the log's digest, None where it may not be read; bytes of no try stay out of the store."""
        if self._recording is not None:
            return self._recording[1]
        try:
            return recording_of(self.path, id="", format="", digest=hash_file, ours=False).digest
        except OSError:
            return None

    def file(self, path: Path, *, pictures: bool = False) -> tuple[str, bool]:
        """Return a file's digest and whether its bytes are ours now."""
        wanted = self._keep is Keep.COPY or (pictures and self._keep is Keep.CAMERAS)
        place = path.resolve()
        known = self._digests.get(place)
        if known is None or (wanted and not known[1]):
            refused = wanted and self._store.catalog.has_erased() and self.is_erased(hash_file(place))
            known = (hash_file(place), False) if refused or not wanted else (self._store.objects.put_file(place), True)
            self._digests[place] = known
        return known

    def is_erased(self, digest: str) -> bool:
        """Say whether bytes were erased on purpose: they do not come back by themselves."""
        return self._store.catalog.has_erased() and bool(self._store.catalog.erased([digest]))

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
    manner: Manner
    clock: Callable[[], int]
    episodes: list[Episode] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    aliases: list[Alias] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    ignored: int = 0
    taken: int = 0
    waiting: list[_Parcel] = field(default_factory=list)
    seen_ns: int = -1

    def __post_init__(self) -> None:
        """Learn which tries are here already, and what the newest policy reads."""
        self.known = TwinIndex()
        self._catch_up()
        self.policies = _Policies(self.store)
        newest = self.store.catalog.last(Policy)
        self.spec = newest.spec if newest else None

    def admitted(self) -> Admitted:
        """Return what became of everything."""
        return Admitted(
            tuple(self.episodes), tuple(self.aliases), tuple(self.rejections), self.ignored, tuple(self.audits)
        )

    def take(self, original: _Original, item: EpisodeLog | Unread | Ignored) -> None:
        """Take one try, or note why there is none."""
        self.taken += 1
        if isinstance(item, Ignored):
            self.ignored += 1
        elif isinstance(item, Unread):
            self._reject(original, item)
        else:
            try:
                log, notes = remap(item, self.manner.renaming)
                said: dict[str, JsonValue] = {"renaming": list(notes)} if notes else {}
                self._take(original, replace(log, metadata={**self.manner.facts, **log.metadata, **said}))
            except InputError as error:
                self._reject(original, Unread(item.key, error.what, error.remedy or "Record again."))
            except PermissionError as error:  # a file beside the one that was read: its bytes are part of the log too
                why = f"cannot be taken in: {error.filename}: {error.strerror}"
                self._reject(original, Unread(item.key, why, "Check the rights of the file."))

    def _take(self, original: _Original, log: EpisodeLog) -> None:
        recording, digest = original.recording()
        key = f"{digest}/{log.key}"
        known = self.store.catalog.by_key(Episode, key)
        if isinstance(known, Episode):
            self.episodes.append(known)
            return
        audited = audit(log, rules=self.manner.rules, spec=self.spec, now_ns=self.clock())
        if audited.judgement.verdict == "rejected":
            why = "; ".join(one.what for one in audited.judgement.because[:3])
            raise InvalidEpisode(why, remedy="Record again, or give the check another rule (docs/audit.md).")
        cameras, media = _cameras(original, log)
        episode = _describe(self.store, log, log.span, recording, media=media, policies=self.policies)
        if any(same_try(one.episode.prints, episode.prints) for one in self.waiting if episode.prints):
            self.flush()
        twin = self.known.find(episode.prints)
        if twin is not None:
            self._alias(twin, log.key, recording, digest, key)
            return
        split = packed.split(log.streams, leave=log.videos.keys(), refused=original.is_erased)
        more = (media_of(name, track, digest=held, ours=True) for name, (track, held) in split.tracks.items())
        episode = replace(episode, media=(*episode.media, *more))
        encoded = codec.encode(split.plain, cameras | split.tracks)
        self.waiting.append(_Parcel(key, episode, log.metadata, recording, digest, encoded, audited, split.data))
        if len(self.waiting) >= _BATCH_N or sum(len(e.streams) + len(e.rows) for e in self.waiting) >= _BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        """Store what waits; what other processes took in meanwhile is known before anything is stored beside it."""
        while self.waiting:
            self._catch_up()
            alone = self.store.catalog.newer(Episode, self.seen_ns)
            made, audits = _commit(self.store, self.waiting, self.clock, unless=alone) if self.waiting else ([], [])
            if made:
                self.waiting = []
                self.episodes += made
                self.audits += audits
            for episode in made:
                self.known.add(episode.id, episode.prints)

    def _catch_up(self) -> None:
        """Learn which tries came in since the last look; what waits and is the same try as one of them is its alias."""
        for stored_ns, episode in self.store.catalog.since(Episode, self.seen_ns):
            self.known.add(episode.id, episode.prints)
            self.seen_ns = stored_ns
        waiting, self.waiting = self.waiting, []
        for parcel in waiting:
            twin = self.known.find(parcel.episode.prints)
            if twin is None or self.store.catalog.has(Episode, parcel.key):
                self.waiting.append(parcel)
            else:
                self._alias(twin, parcel.episode.key_in_recording, parcel.recording, parcel.recording_key, parcel.key)

    def _alias(self, twin: str, name: str, recording: Recording, digest: str, key: str) -> None:
        stored = self.store.catalog.put(recording, key=digest)
        alias = Alias(id=self.store.catalog.new_id("alias"), episode=twin, recording=stored.id, key_in_recording=name)
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
        # Two empty files of one name in two folders are two rejections.
        self.rejections.append(self.store.catalog.put(rejection, key=f"{digest}/{path.resolve()}/{unread.key}"))


def _cameras(original: _Original, log: EpisodeLog) -> tuple[dict[str, tuple[Track, str]], tuple[MediaInfo, ...]]:
    """Store or link what holds a try's pictures."""
    media: list[MediaInfo] = []
    tracks: dict[str, tuple[Track, str]] = {}
    for name, video in log.videos.items():
        held, ours = original.camera(video.data, video.file)
        media.append(media_of(name, video.track, digest=held, ours=ours))
        tracks[name] = (video.track, held)
    return tracks, tuple(media)


def _commit(
    store: Workspace,
    parcels: Sequence[_Parcel],
    clock: Callable[[], int],
    *,
    raws: Sequence[bytes] = (),
    unless: Callable[[Any], bool] | None = None,
) -> tuple[list[Episode], list[Audit]]:
    rows_of = [parcel.rows for parcel in parcels if parcel.rows]
    digests = store.objects.put_many([*(parcel.streams for parcel in parcels), *rows_of, *raws])
    rows: dict[tuple[str, str], Noun] = {}
    for parcel, streams in zip(parcels, digests[: len(parcels)], strict=True):
        episode = replace(parcel.episode, streams=streams)
        rows["recording", parcel.recording_key] = parcel.recording
        rows["episode", parcel.key] = episode
        claim = claim_of(store.catalog.new_id, episode.id, parcel.facts, clock())
        if claim is not None:
            rows["claim", f"{parcel.key}/log"] = claim
        if parcel.audited is not None:
            rows["audit", f"{parcel.key}/audit"] = parcel.audited.as_noun(store.catalog.new_id("audit"), episode.id)
            for one in parcel.audited.estimates:
                made = one.as_map(store.catalog.new_id("clock_map"), parcel.recording.id)
                rows["clock_map", f"{parcel.key}/clock/{one.source}"] = made
    stored = store.catalog.put_all([(noun, key) for (_, key), noun in rows.items()], unless=unless)
    return [one for one in stored if isinstance(one, Episode)], [one for one in stored if isinstance(one, Audit)]


def _describe(
    store: Workspace,
    log: EpisodeLog,
    span: Span,
    recording: Recording,
    *,
    policies: _Policies,
    media: tuple[MediaInfo, ...] = (),
    like: Episode | None = None,
) -> Episode:
    """Return a try's row; its streams object is `like`'s, or is filled in when it is stored."""
    if like is not None:
        held = {one.name: one for one in like.media}
        tracks = {name: video.track for name, video in log.videos.items()}
        tracks |= {name: rows.track.between(span.start_ns, span.end_ns) for name, rows in store.packed(like).items()}
        media = tuple(
            media_of(name, track, digest=held[name].digest, ours=held[name].object is not None)
            for name, track in tracks.items()
        )
    return episode_of(
        log,
        span,
        id=store.catalog.new_id("episode"),
        recording=recording.id,
        streams=like.streams if like is not None else "0" * 64,
        media=media,
        policy=policies.find(policy_name(log.metadata)),
    )


class _Policies:
    """Finds the policies that logs name, by whole id or key; a name that is not registered stays a name."""

    def __init__(self, store: Workspace) -> None:
        self._catalog = store.catalog
        self._found: dict[str, Policy | None] = {"": None}

    def find(self, name: str) -> Policy | None:
        """Return the policy of a name, None where none is registered."""
        if name not in self._found:
            by_key = self._catalog.by_key(Policy, name)
            self._found[name] = by_key if isinstance(by_key, Policy) else self._by_id(name)
        return self._found[name]

    def _by_id(self, name: str) -> Policy | None:
        with contextlib.suppress(UnknownId):
            policy = self._catalog.get(name, Policy)
            if policy.id == name:  # `get` also takes a part of an id, which a name in a log may be by chance
                return policy
        return None
