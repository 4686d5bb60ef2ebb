"""The hash of a dataset version: equal contents, weights and parents give equal hashes, whoever made them and when."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import DatasetEntry, Episode

__all__ = ["manifest_hash"]

_SCHEME = "saqiya.manifest.1"


def manifest_hash(entries: Iterable[DatasetEntry], episodes: Mapping[str, Episode], parent_hash: str | None) -> str:
    """Return the SHA-256 of a manifest's canonical form, in any order of its entries.

    An entry stands in it as: digest of the episode's streams, key of its start ("" when unknown), span in nanoseconds
    from the episode's beginning, weight (exact) and role. Ids and wall clocks are left out, so the hash of the same
    data collected into another workspace is the same.

    Args:
        entries: what the version holds.
        episodes: every episode that an entry names, by id.
        parent_hash: the parent version's hash; None for a first version.
    """
    lines = []
    for entry in entries:
        episode = episodes[entry.episode]
        lines.append([
            episode.streams,
            episode.start.key if episode.start else "",
            entry.start_ns - episode.start_ns,
            entry.end_ns - episode.start_ns,
            float(entry.weight).hex(),
            str(entry.role),
        ])  # fmt: skip
    return digest_of(json.dumps([_SCHEME, parent_hash, sorted(lines)], separators=(",", ":")).encode())
