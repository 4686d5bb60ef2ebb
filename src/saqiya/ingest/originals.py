"""A log's original bytes: one file, or a folder that is one log; hashed once, and named as a recording."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import Part, Recording

__all__ = ["hash_file", "recording_of"]

_CHUNK_BYTES = 1 << 20


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            hasher.update(chunk)
    return hasher.hexdigest()


def recording_of(
    path: Path,
    *,
    id: str,
    format: str,
    digest: Callable[[Path], str],
    ours: bool,
) -> Recording:
    """Return the recording noun of a log.

    Args:
        path: a file or a folder; what does not exist, or is a pipe or a device, is a recording without bytes.
        id: of the noun.
        format: that read it.
        digest: gives the SHA-256 of a file, and puts it into the store where it is to be imported.
        ours: whether `digest` did put it there.
    """
    location = str(path.resolve())
    if not path.is_dir():
        whole = path.is_file()  # to hash a pipe would wait for ever
        size_bytes, own = (path.stat().st_size, digest(path)) if whole else (0, digest_of(b""))
        kept = own if ours and whole else None
        return Recording(
            id=id, digest=own, format=format, name=path.name, size_bytes=size_bytes, object=kept, location=location
        )
    parts = []
    for file in _files(path):
        own = digest(file)
        name = file.relative_to(path).as_posix()
        parts.append(Part(name, own, file.stat().st_size, own if ours else None))
    listing = "".join(f"{part.digest}  {part.name}\n" for part in parts)
    return Recording(
        id=id,
        digest=digest_of(listing.encode(errors="surrogateescape")),
        format=format,
        name=path.name,
        size_bytes=sum(part.size_bytes for part in parts),
        location=location,
        parts=tuple(parts),
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in order of name; hidden folders are tools' own, and no part of a log."""
    for child in sorted(folder.iterdir(), key=lambda one: one.name):
        if child.is_dir():
            if not child.is_symlink() and not child.name.startswith("."):
                yield from _files(child)
        elif child.is_file():
            yield child
