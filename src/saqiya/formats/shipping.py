"""Write a folder with one file an episode, all or nothing, and a list that says which file is which."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Mapping, Sized
from pathlib import Path

from saqiya.domain.contracts import Progress, Shipped
from saqiya.domain.streams import JsonValue
from saqiya.errors import AlreadyThere, UsageError, WorkspaceError

__all__ = ["LISTING", "file_name", "write_folder"]

LISTING = "episodes.json"
"""The list beside the files: uid, key, file, spans and notes of each episode."""
_LONGEST_NAME = 80


def write_folder(
    episodes: Iterable[Shipped],
    path: Path,
    write: Callable[[Shipped, Path], tuple[str, ...]],
    *,
    suffix: str,
    settings: Mapping[str, JsonValue],
    progress: Progress,
) -> tuple[str, ...]:
    """Write each episode with `write(episode, file)` and return its notes, each behind the episode's key.

    Raises:
        AlreadyThere: `path` exists.
        UsageError: there are settings; this format has none.
        WorkspaceError: the file system refused.
    """
    if settings:
        raise UsageError(f"unknown settings: {', '.join(sorted(settings))}", remedy="This format has none; leave them.")
    if path.exists():
        raise AlreadyThere("exists already", subject=str(path), remedy="Choose another name.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    listed: list[JsonValue] = []
    notes: list[str] = []
    taken: set[str] = set()
    total = len(episodes) if isinstance(episodes, Sized) else 0
    try:
        partial.mkdir(parents=True)
        for number, shipped in enumerate(episodes):
            name = file_name(shipped.log.key, suffix, taken)
            said = write(shipped, partial / name)
            notes += [f"{shipped.log.key}: {note}" for note in said]
            listed.append(_entry(shipped, name, said))
            progress("write", number + 1, max(total, number + 1))
        (partial / LISTING).write_text(json.dumps({"episodes": listed}, indent=1) + "\n", encoding="utf-8")
        partial.rename(path)
    except OSError as bad:
        raise WorkspaceError(
            f"the episodes could not be written ({bad.strerror or bad})",
            subject=str(path),
            remedy="Check room and rights in its folder, then write them again.",
        ) from bad
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return tuple(notes)


def file_name(key: str, suffix: str, taken: set[str]) -> str:
    """Return a name that every file system takes and that is not in `taken`, and put it there.

    What is left of the key is letters, digits, ".", "_" and "-": no path, nothing hidden, nothing of a shell's.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", key).strip(".-")[:_LONGEST_NAME].rstrip(".-")
    if not plain or re.fullmatch(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", plain, re.IGNORECASE):
        plain = f"episode-{plain}".rstrip("-")
    name, count = f"{plain}{suffix}", 1
    while name.lower() in taken:
        count += 1
        name = f"{plain}-{count}{suffix}"
    taken.add(name.lower())
    return name


def _entry(shipped: Shipped, name: str, notes: tuple[str, ...]) -> JsonValue:
    spans: list[JsonValue] = [
        {"start_ns": start_ns, "end_ns": end_ns, "weight": weight, "role": role}
        for start_ns, end_ns, weight, role in shipped.spans
    ]
    return {"uid": shipped.uid, "key": shipped.log.key, "file": name, "spans": spans, "notes": list(notes)}
