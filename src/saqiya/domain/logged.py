"""The nouns of what came in: recordings, episodes, what is said of them, and what became of their bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from saqiya.domain.ids import CutId, DatasetVersionId, Digest, EpisodeId, PolicyId, RecordingId
from saqiya.domain.streams import Event, JsonValue, Start
from saqiya.domain.words import AuthorKind, Outcome, Source

__all__ = [
    "Alias",
    "Audit",
    "ClockMap",
    "Cut",
    "CutSpan",
    "Episode",
    "Export",
    "MediaInfo",
    "Noun",
    "OutcomeClaim",
    "Part",
    "Recording",
    "Redaction",
    "Rejection",
    "Retention",
    "StreamInfo",
    "Subset",
    "Tombstone",
]


@dataclass(frozen=True, kw_only=True)
class Noun:
    """What every noun has: an id. `kind` names its class in ids, keys and the catalog."""

    kind: ClassVar[str] = ""
    id: str


@dataclass(frozen=True)
class Part:
    """One file of a recording that is a folder; `name` is its path below that folder, with forward slashes."""

    name: str
    digest: str
    size_bytes: int
    object: Digest | None = None


@dataclass(frozen=True, kw_only=True)
class Recording(Noun):
    """Bytes as they came: a log file or folder, imported (one copy in the object store) or linked where it lies.

    Attributes:
        digest: SHA-256 of the file; of a folder, that of its list of names and digests.
        object: the file's bytes where they are ours.
        location: where the original lay when it came in.
        parts: the files of a folder.
    """

    kind: ClassVar[str] = "recording"
    digest: str
    format: str
    name: str
    size_bytes: int
    object: Digest | None = None
    location: str | None = None
    parts: tuple[Part, ...] = ()

    def files(self) -> list[tuple[str, str, int]]:
        """Return (location, digest, size) of every file of the original."""
        if not self.parts:
            return [(self.location or "", self.digest, self.size_bytes)]
        return [(f"{self.location}/{part.name}", part.digest, part.size_bytes) for part in self.parts]


@dataclass(frozen=True, kw_only=True)
class Rejection(Noun):
    """Input that could not be used, why, and what to do: rejected data is kept as a fact, never dropped."""

    kind: ClassVar[str] = "rejection"
    name: str
    reason: str
    remedy: str
    digest: str | None = None


@dataclass(frozen=True)
class StreamInfo:
    """What an episode's stream looks like, without its samples."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    rate_hz: float
    clock: str
    stamp: str
    unit: str = ""


@dataclass(frozen=True)
class MediaInfo:
    """An episode's camera without its pictures.

    Attributes:
        name: as in the streams object, which holds stamps and packet places.
        frames: pictures in the episode's range.
        digest: SHA-256 of the bytes that hold the packets: an object here, or a recording that was linked in place.
        object: the same digest where the bytes are ours; None where they stay in a linked file.
    """

    name: str
    codec: str
    width: int
    height: int
    frames: int
    rate_hz: float
    clock: str
    stamp: str
    digest: str
    object: Digest | None = None


@dataclass(frozen=True, kw_only=True)
class Episode(Noun):
    """One reset-to-reset try: a half-open time range over recordings, its streams as one object.

    Attributes:
        recordings: the bytes it was read from.
        key_in_recording: which try of the recording it is.
        start_ns, end_ns: int64 ns on the episode's clock.
        streams: the safetensors object with every numeric stream at its own rate.
        prints: a digest of each informative stream's values, whatever the format: equal prints betray the same try.
        policy: the policy that acted, when a policy acted and is known.
        policy_name: what the log or table called it, when it is not registered.
        start: where it began, when known; leakage checks compare `start.key`.
    """

    kind: ClassVar[str] = "episode"
    recordings: tuple[RecordingId, ...]
    key_in_recording: str
    start_ns: int
    end_ns: int
    streams: Digest
    infos: tuple[StreamInfo, ...]
    prints: tuple[str, ...]
    source: Source
    task: str
    embodiment: str
    site: str
    steps: int
    events: tuple[Event, ...] = ()
    policy: PolicyId | None = None
    policy_name: str = ""
    operator: str = ""
    start: Start | None = None
    extra: dict[str, JsonValue] = field(default_factory=dict)
    media: tuple[MediaInfo, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Audit(Noun):
    """What was found when an episode came in: its clocks, its hard faults, and what a later stage will miss.

    Attributes:
        findings: one dict a finding: check, stream, severity ("fault", "warning", "note"), what, figures.
        verdict: "good", or "quarantined" (kept, and left out of mixtures until a person says otherwise).
        missing: streams that a diagnosis or a retraining would need and that are not there, each with what for.
    """

    kind: ClassVar[str] = "audit"
    episode: EpisodeId
    version: str
    verdict: str
    findings: tuple[dict[str, JsonValue], ...] = ()
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ClockMap(Noun):
    """How one clock of a recording reads on another.

    `target = source + offset_ns + drift_ppm * 1e-6 * (source - at_ns)`. Stamps are never changed; whoever aligns two
    clocks names the map it used.
    """

    kind: ClassVar[str] = "clock_map"
    recording: RecordingId
    source: str
    target: str
    at_ns: int
    offset_ns: int
    drift_ppm: float
    uncertainty_ns: int
    method: str
    version: str


@dataclass(frozen=True)
class CutSpan:
    """One try found in a long log, and which rule began and ended it."""

    start_ns: int
    end_ns: int
    why: str
    outcome: str = ""


@dataclass(frozen=True, kw_only=True)
class Cut(Noun):
    """How a long log was cut into tries: a claim with a version. A newer cut of a recording supersedes the older."""

    kind: ClassVar[str] = "cut"
    recording: RecordingId
    rules: dict[str, JsonValue]
    spans: tuple[CutSpan, ...]
    episodes: tuple[EpisodeId, ...]
    supersedes: CutId | None = None


@dataclass(frozen=True, kw_only=True)
class Subset(Noun):
    """A named set of episodes that is a query: nothing is copied, and asking again gives what is there then."""

    kind: ClassVar[str] = "subset"
    name: str
    sql: str


@dataclass(frozen=True, kw_only=True)
class Retention(Noun):
    """A decision on what to keep: by which rule, and with which probability each kind of episode was kept.

    `probability[stratum]` makes fleet rates unbiased: an episode that was kept counts 1/p.
    """

    kind: ClassVar[str] = "retention"
    rule: dict[str, JsonValue]
    seed: int
    probability: dict[str, float]
    kept: tuple[EpisodeId, ...]
    dropped: tuple[EpisodeId, ...]


@dataclass(frozen=True, kw_only=True)
class Export(Noun):
    """Episodes written in another's format, and in words what that format could not hold."""

    kind: ClassVar[str] = "export"
    dataset: DatasetVersionId | None
    episodes: tuple[EpisodeId, ...]
    format: str
    location: str
    settings: dict[str, JsonValue]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Alias(Noun):
    """Says that a recording holds a try that is already an episode, in another format or copy."""

    kind: ClassVar[str] = "alias"
    episode: EpisodeId
    recording: RecordingId
    key_in_recording: str


@dataclass(frozen=True, kw_only=True)
class OutcomeClaim(Noun):
    """Somebody's word on how an episode ended. Claims add up; none is edited."""

    kind: ClassVar[str] = "outcome_claim"
    episode: EpisodeId
    value: Outcome
    author_kind: AuthorKind
    author: str
    version: str
    time_ns: int
    confidence: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Tombstone(Noun):
    """Says that bytes were erased on purpose; `verify` accepts it, loaders refuse it.

    Its key is what may not be loaded any more: a digest, or the id of an episode whose object holds other tries too.

    Attributes:
        digest: the object's.
        affected: ids of what was made from it.
    """

    kind: ClassVar[str] = "tombstone"
    digest: str
    reason: str
    affected: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Redaction(Noun):
    """Says that an object was replaced by one of equal length in which erased tries are blank; its key is `digest`.

    Whoever names the old digest is given the replacement, in which every other try reads as before.
    """

    kind: ClassVar[str] = "redaction"
    digest: str
    replacement: Digest
    reason: str
