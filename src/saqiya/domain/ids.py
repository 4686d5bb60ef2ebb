"""Ids made without coordination, and what a reference is.

An id reads `<kind>-<site>-<uuid7>`: sortable by birth, unique without a counter, so that two sites can merge.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

__all__ = [
    "AlarmId",
    "CalibrationId",
    "Clock",
    "CorrectionRequestId",
    "CutId",
    "DatasetVersionId",
    "DeploymentId",
    "Digest",
    "EpisodeId",
    "EvaluationId",
    "EvaluationPlanId",
    "FailureId",
    "FailureModeId",
    "GateDecisionId",
    "Mint",
    "NounId",
    "PolicyId",
    "RecordingId",
    "Ref",
    "SubmissionId",
    "digest_of",
]

Clock = Callable[[], int]
"""Returns now as int64 nanoseconds since the Unix epoch."""


@dataclass(frozen=True)
class Ref:
    """Marks a field as a reference: to a noun of `kind` ("" for any), or to an object when `kind` is "object"."""

    kind: str


NounId = Annotated[str, Ref("")]
RecordingId = Annotated[str, Ref("recording")]
CutId = Annotated[str, Ref("cut")]
EpisodeId = Annotated[str, Ref("episode")]
CalibrationId = Annotated[str, Ref("calibration")]
AlarmId = Annotated[str, Ref("alarm")]
FailureId = Annotated[str, Ref("failure")]
FailureModeId = Annotated[str, Ref("failure_mode")]
CorrectionRequestId = Annotated[str, Ref("correction_request")]
SubmissionId = Annotated[str, Ref("submission")]
DatasetVersionId = Annotated[str, Ref("dataset_version")]
PolicyId = Annotated[str, Ref("policy")]
EvaluationPlanId = Annotated[str, Ref("evaluation_plan")]
EvaluationId = Annotated[str, Ref("evaluation")]
GateDecisionId = Annotated[str, Ref("gate_decision")]
DeploymentId = Annotated[str, Ref("deployment")]
Digest = Annotated[str, Ref("object")]
"""The SHA-256 of an immutable object, as 64 hex digits."""


def digest_of(data: bytes | memoryview) -> str:
    """Return the SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Mint:
    """Makes ids for one site: `clock` gives milliseconds of birth, `entropy(n)` gives n random bytes."""

    site: str
    clock: Clock
    entropy: Callable[[int], bytes]

    def id(self, kind: str) -> str:
        """Return a new id of `kind` (UUID version 7, RFC 9562, written as 32 hex digits)."""
        milliseconds = self.clock() // 1_000_000
        random = int.from_bytes(self.entropy(10), "big")
        value = (milliseconds & (2**48 - 1)) << 80 | (random & (2**80 - 1))
        value = value & ~(0xF << 76) | 0x7 << 76
        value = value & ~(0x3 << 62) | 0x2 << 62
        return f"{kind}-{self.site}-{value:032x}"
