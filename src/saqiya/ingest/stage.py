"""The shell of `ingest`: files become recordings, episodes, outcome claims, or a rejection that says why.

Bytes first, rows after: the streams and the original lie in the object store, synced, before one transaction names
them. A crash in between leaves bytes that nothing refers to, which a sweep removes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from saqiya.domain.contracts import Format, Unread
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import (
    Alias,
    AuthorKind,
    Episode,
    Noun,
    Outcome,
    OutcomeClaim,
    Policy,
    Recording,
    Rejection,
    Source,
    StreamInfo,
)
from saqiya.domain.streams import EpisodeLog, Start
from saqiya.errors import InvalidEpisode, UnknownId
from saqiya.formats.open import Ignored, read_logs
from saqiya.ingest.prints import prints_of, same_try
from saqiya.stores import streams as codec
from saqiya.stores.workspace import Workspace

__all__ = ["Admitted", "admit", "claim_of", "run"]

W = TypeVar("W", bound=StrEnum)
_KNOWN = {"source", "task", "criterion", "embodiment", "site", "policy", "operator", "start", "outcome", "claimed_by"}


@dataclass(frozen=True)
class Admitted:
    """What came of a batch of files; nothing that came in is missing here."""

    episodes: tuple[Episode, ...]
    aliases: tuple[Alias, ...]
    rejections: tuple[Rejection, ...]
    ignored: int


@dataclass(frozen=True)
class _Parcel:
    """One try on its way in: what it is called, the bytes it came in, and what they say."""

    key: str
    name: str
    format: str
    raw: bytes | None
    size_bytes: int
    raw_digest: str
    location: str | None
    log: EpisodeLog


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
    parcels = []
    for path, key in files:
        for log in reader.read(path):
            if isinstance(log, Unread):
                raise InvalidEpisode(log.reason, subject=str(path), remedy=log.remedy)
            raw = path.read_bytes()
            parcels.append(_Parcel(key, path.name, reader.name, raw, len(raw), digest_of(raw), None, log))
    return _commit(store, parcels, clock)


def run(
    store: Workspace,
    paths: Iterable[Path],
    formats: Sequence[Format],
    *,
    facts: Mapping[str, Any],
    link: bool,
    clock: Callable[[], int],
) -> Admitted:
    """Take in files and folders of any known format; the same try in two formats is one episode with an alias.

    Args:
        store: the workspace.
        paths: files or folders; folders are walked.
        formats: which formats may read them.
        facts: what the user says of all of them (task, embodiment, policy ...); what a log says itself wins.
        link: leave the originals where they lie and note place and hash, instead of importing one copy.
        clock: stamps the outcome claims.
    """
    known = {episode.id: episode.prints for episode in store.catalog.all(Episode)}
    episodes: list[Episode] = []
    aliases: list[Alias] = []
    rejections: list[Rejection] = []
    ignored = 0
    for path, item in read_logs(paths, formats):
        if isinstance(item, Ignored):
            ignored += 1
            continue
        raw, digest = _bytes(path)
        if isinstance(item, Unread):
            rejections.append(_reject(store, path, item, digest))
            continue
        log = EpisodeLog(item.key, item.streams, item.events, {**facts, **item.metadata})
        key = f"{digest}/{item.key}"
        kept = None if link else raw
        parcel = _Parcel(key, path.name, _format_name(path, formats), kept, len(raw), digest, str(path.resolve()), log)
        if not store.catalog.has(Episode, key):
            prints = prints_of(log.streams)
            twin = next((one for one, own in known.items() if prints and same_try(own, prints)), None)
            if twin is not None:
                aliases.append(_alias(store, twin, parcel))
                continue
        try:
            made = _commit(store, [parcel], clock)
        except InvalidEpisode as error:
            rejections.append(
                _reject(store, path, Unread(item.key, error.what, error.remedy or "Record again."), digest)
            )
            continue
        episodes += made
        known.update({episode.id: episode.prints for episode in made})
    return Admitted(tuple(episodes), tuple(aliases), tuple(rejections), ignored)


def _format_name(path: Path, formats: Sequence[Format]) -> str:
    return next((one.name for one in formats if one.sniff(path)), "unknown")


def _bytes(path: Path) -> tuple[bytes, str]:
    """Read a file, or a folder's files in order of name: what is hashed is what was read."""
    if not path.exists():
        return b"", digest_of(b"")
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    raw = b"".join(one.read_bytes() for one in files)
    return raw, digest_of(raw)


def _reject(store: Workspace, path: Path, unread: Unread, digest: str) -> Rejection:
    rejection = Rejection(
        id=store.catalog.new_id("rejection"),
        name=str(path),
        reason=unread.reason,
        remedy=unread.remedy,
        digest=digest,
    )
    return store.catalog.put(rejection, key=f"{digest}/{path.name}/{unread.key}")


def _recording(store: Workspace, parcel: _Parcel, stored: str | None) -> tuple[Recording, str]:
    recording = Recording(
        id=store.catalog.new_id("recording"),
        digest=parcel.raw_digest,
        format=parcel.format,
        name=parcel.name,
        size_bytes=parcel.size_bytes,
        object=stored,
        location=parcel.location,
    )
    return recording, parcel.raw_digest


def _alias(store: Workspace, episode: str, parcel: _Parcel) -> Alias:
    stored = store.objects.put(parcel.raw) if parcel.raw is not None else None
    recording, key = _recording(store, parcel, stored)
    recording = store.catalog.put(recording, key=key)
    alias = Alias(
        id=store.catalog.new_id("alias"), episode=episode, recording=recording.id, key_in_recording=parcel.log.key
    )
    return store.catalog.put(alias, key=parcel.key)


def _commit(store: Workspace, parcels: Sequence[_Parcel], clock: Callable[[], int]) -> list[Episode]:
    encoded = [codec.encode(parcel.log.streams) for parcel in parcels]
    raws = [parcel.raw for parcel in parcels if parcel.raw is not None]
    digests = store.objects.put_many([*encoded, *raws])
    rows: list[tuple[Noun, str]] = []
    policies = _policies(store, {str(parcel.log.metadata.get("policy") or "") for parcel in parcels})
    for parcel, streams in zip(parcels, digests[: len(encoded)], strict=True):
        recording, recording_key = _recording(store, parcel, parcel.raw_digest if parcel.raw is not None else None)
        episode = _episode(store, parcel, recording, streams, policies)
        claim = claim_of(store, episode, parcel.log.metadata, clock())
        rows += [(recording, recording_key), (episode, parcel.key)]
        if claim is not None:
            rows.append((claim, f"{parcel.key}/log"))
    return [noun for noun in store.catalog.put_all(rows) if isinstance(noun, Episode)]


def _policies(store: Workspace, names: set[str]) -> dict[str, Policy]:
    """Find the policies that logs name, by whole id or key; a name that is not registered stays a name."""
    found = store.catalog.by_keys(Policy, sorted(names - {""}))
    for name in names - {""} - set(found):
        with contextlib.suppress(UnknownId):
            policy = store.catalog.get(name, Policy)
            if policy.id == name:  # `get` also takes a part of an id, which a name in a log may be by chance
                found[name] = policy
    return found


def _episode(
    store: Workspace, parcel: _Parcel, recording: Recording, streams: str, policies: Mapping[str, Policy]
) -> Episode:
    log, facts = parcel.log, parcel.log.metadata
    span = log.span
    policy = str(facts.get("policy") or "")
    registered = policies.get(policy)
    steps = max((len(s.t_ns) for name, s in log.streams.items() if name.startswith("action")), default=0)
    return Episode(
        id=store.catalog.new_id("episode"),
        recordings=(recording.id,),
        key_in_recording=log.key,
        start_ns=span.start_ns,
        end_ns=span.end_ns,
        streams=streams,
        infos=tuple(
            StreamInfo(name, s.values.dtype.str, s.values.shape, round(s.rate_hz, 6), s.clock, s.stamp.value, s.unit)
            for name, s in sorted(log.streams.items())
        ),
        prints=prints_of(log.streams),
        source=_word(Source, facts, "source", Source.UNKNOWN),
        task=str(facts.get("task", "")),
        embodiment=str(facts.get("embodiment", "")),
        site=str(facts.get("site", "")),
        steps=steps or max(len(s.t_ns) for s in log.streams.values()),
        events=log.events,
        policy=registered.id if registered else None,
        policy_name="" if registered else policy,
        operator=str(facts.get("operator", "")),
        start=_start(facts.get("start")),
        extra={name: value for name, value in facts.items() if name not in _KNOWN},
    )


def _start(value: object) -> Start | None:
    if not isinstance(value, dict):
        return None
    try:
        return Start(int(value.get("seed", 0)), dict(value.get("factors", {})))
    except (TypeError, ValueError) as error:
        raise InvalidEpisode(
            f"its start is no seed with factors: {error}", remedy="Correct the log's facts."
        ) from error


def _word(kind: type[W], facts: Mapping[str, Any], name: str, default: W) -> W:
    """Read a fact that must be one of a closed list of words."""
    try:
        return kind(str(facts.get(name, default)))
    except ValueError as error:
        raise InvalidEpisode(f"its {name} is {facts[name]!r}", remedy=f"Say one of: {', '.join(kind)}.") from error


def claim_of(store: Workspace, episode: Episode, facts: Mapping[str, Any], now_ns: int) -> OutcomeClaim | None:
    """Turn what a log says of its own outcome into a claim; None when it says nothing."""
    value = facts.get("outcome")
    if value not in {outcome.value for outcome in Outcome} or value == Outcome.UNKNOWN:
        return None
    return OutcomeClaim(
        id=store.catalog.new_id("outcome_claim"),
        episode=episode.id,
        value=Outcome(str(value)),
        author_kind=_word(AuthorKind, facts, "claimed_by", AuthorKind.RULE),
        author=str(facts.get("site") or "log"),
        version=str(facts.get("criterion", "")),
        time_ns=now_ns,
    )
