"""The hash of a dataset version: equal contents and weights give equal hashes, whoever made them and when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from saqiya.domain.ids import digest_of

__all__ = ["SCHEME", "Line", "manifest_hash"]

SCHEME = "saqiya.manifest.1"


@dataclass(frozen=True, order=True)
class Line:
    """One span in a manifest: the digest of the episode's streams, nanoseconds from its beginning, weight and role."""

    streams: str
    start_ns: int
    end_ns: int
    weight: float
    role: str


def manifest_hash(lines: Sequence[Line]) -> str:
    """Return the SHA-256 of the manifest's canonical form: tagged with its scheme, sorted, no ids, no wall clock."""
    rows = [[line.streams, line.start_ns, line.end_ns, line.weight.hex(), line.role] for line in sorted(lines)]
    return digest_of(json.dumps([SCHEME, rows], separators=(",", ":")).encode())
