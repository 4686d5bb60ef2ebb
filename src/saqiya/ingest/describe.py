"""What a log says of itself, as the nouns that the catalog keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from saqiya.domain.media import Track
from saqiya.domain.nouns import AuthorKind, Episode, MediaInfo, Outcome, OutcomeClaim, Policy, Source, StreamInfo
from saqiya.domain.streams import EpisodeLog, Span, Start
from saqiya.errors import InvalidEpisode
from saqiya.ingest.prints import prints_of

__all__ = ["claim_of", "episode_of", "media_of", "policy_name"]

W = TypeVar("W", bound=StrEnum)
_KNOWN = {"source", "task", "criterion", "embodiment", "site", "policy", "operator", "start", "outcome", "claimed_by"}


def episode_of(
    log: EpisodeLog,
    span: Span,
    *,
    id: str,
    recording: str,
    streams: str,
    media: tuple[MediaInfo, ...],
    policy: Policy | None,
) -> Episode:
    """Return the episode noun of a try: `log` holds what lies in `span`.

    Raises:
        InvalidEpisode: its source, its start or who claims its outcome is none.
    """
    facts = log.metadata
    _word(AuthorKind, facts, "claimed_by", AuthorKind.RULE)  # said now, of this try, not when all are stored
    steps = max((len(s.t_ns) for name, s in log.streams.items() if name.startswith("action")), default=0)
    longest = [len(s.t_ns) for s in log.streams.values()] + [len(one.track) for one in log.videos.values()]
    return Episode(
        id=id,
        recordings=(recording,),
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
        steps=steps or max(longest),
        events=log.events,
        policy=policy.id if policy else None,
        policy_name="" if policy else policy_name(facts),
        operator=str(facts.get("operator", "")),
        start=_start(facts.get("start")),
        extra={name: value for name, value in facts.items() if name not in _KNOWN},
        media=media,
    )


def policy_name(facts: Mapping[str, Any]) -> str:
    """Return what a log calls the policy that acted, "" when it does not say."""
    return str(facts.get("policy") or "")


def media_of(name: str, track: Track, *, digest: str, ours: bool) -> MediaInfo:
    """Return a camera's facts; `ours` says that the bytes of that digest are an object here."""
    gaps = np.diff(track.shown_ns)
    period_ns = float(np.median(gaps)) if gaps.size else 0.0
    return MediaInfo(
        name=name,
        codec=track.codec,
        width=track.width,
        height=track.height,
        frames=len(track),
        rate_hz=round(1e9 / period_ns, 6) if period_ns > 0 else 0.0,
        clock=track.clock,
        stamp=track.stamp.value,
        digest=digest,
        object=digest if ours else None,
    )


def claim_of(new_id: Callable[[str], str], episode: str, facts: Mapping[str, Any], now_ns: int) -> OutcomeClaim | None:
    """Turn what a log says of its own outcome into a claim; None when it says nothing.

    Raises:
        InvalidEpisode: it was claimed by nobody who can claim.
    """
    value = facts.get("outcome")
    if value not in {outcome.value for outcome in Outcome} or value == Outcome.UNKNOWN:
        return None
    return OutcomeClaim(
        id=new_id("outcome_claim"),
        episode=episode,
        value=Outcome(str(value)),
        author_kind=_word(AuthorKind, facts, "claimed_by", AuthorKind.RULE),
        author=str(facts.get("site") or "log"),
        version=str(facts.get("criterion", "")),
        time_ns=now_ns,
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
