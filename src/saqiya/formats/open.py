"""Open any path: walk folders, ask each format, and say of every file what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from saqiya.domain.contracts import Format, Unread
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import InputError
from saqiya.formats.shipping import LISTING

__all__ = ["Ignored", "read_logs"]

DOCUMENTS = (
    "readme",
    "license",
    "licence",
    "copying",
    "changelog",
    "notice",
    "authors",
    "citation",
    "sha256sums",
    "md5sums",
)
NO_LOGS = {
    "a document": (".md", ".rst", ".html", ".pdf", ".bib"),
    "a picture": (".png", ".jpg", ".jpeg", ".svg", ".gif"),
    "a robot or scene model": (".xml", ".urdf", ".xacro", ".stl", ".obj", ".dae", ".mtl"),
    "a program": (".py", ".m", ".sh", ".ipynb"),
    "settings": (".toml", ".yaml", ".yml", ".ini", ".cfg"),
    "a side file of a database": (".db3-wal", ".db3-shm", ".db3-journal"),
    "checksums": (".sha256", ".md5", ".sha1"),
}
LFS_POINTER = b"version https://git-lfs"
RERUN = ".rrd"
NOTES_BYTES = 1 << 16
"""A JSON object up to here describes logs (metadata.json); one with samples in it is larger."""


@dataclass(frozen=True)
class Ignored:
    """A file that is no log and does not claim to be one: counted, not rejected."""

    why: str


def read_logs(
    paths: Iterable[Path], formats: Sequence[Format], *, skip: Iterable[Path] = ()
) -> Iterator[tuple[Path, str, EpisodeLog | Unread | Ignored]]:
    """Yield what every file or folder under `paths` holds, and the name of the format that read it ("" for none).

    The order is stable, and nothing is passed over in silence.

    A folder that a format takes as one log is not walked into. Hidden folders and links to folders are not followed;
    a path that is given twice is read once. `skip` are files the caller has another use for.
    """
    seen = {path.resolve() for path in skip}
    for path in paths:
        if not path.exists():
            yield path, "", Unread(path.name, "there is no such file or folder", "Check the path.")
        else:
            yield from _walk(path, formats, seen)


def _walk(
    path: Path, formats: Sequence[Format], seen: set[Path]
) -> Iterator[tuple[Path, str, EpisodeLog | Unread | Ignored]]:
    resolved = path.resolve()
    if resolved in seen:
        return
    seen.add(resolved)
    if path.exists() and not (path.is_file() or path.is_dir()):  # to open a pipe or a device could wait for ever
        yield path, "", Unread(path.name, "is neither a file nor a folder", "Leave it out.")
        return
    try:
        reader = next((item for item in formats if item.sniff(path)), None)
        children = sorted(path.iterdir(), key=lambda child: child.name) if reader is None and path.is_dir() else []
    except OSError as error:
        yield path, "", Unread(path.name, f"cannot be opened: {error.strerror}", "Check the rights of the file.")
        return
    if reader is not None:
        yield from _read(path, reader)
    elif not path.is_dir():
        yield path, "", _unknown(path, formats)
    for child in children:
        if child.name.startswith("."):
            yield child, "", Ignored("hidden")
        elif child.is_dir() and child.is_symlink():
            yield child, "", Ignored("a link to a folder")
        else:
            yield from _walk(child, formats, seen)


def _read(path: Path, reader: Format) -> Iterator[tuple[Path, str, EpisodeLog | Unread]]:
    try:
        for item in reader.read(path):
            yield path, reader.name, item
    except InputError as error:
        inside = Path(error.subject).is_relative_to(path) and Path(error.subject) != path if error.subject else False
        what = f"{Path(error.subject).relative_to(path).as_posix()}: {error.what}" if inside else error.what
        yield path, reader.name, Unread(path.name, what, error.remedy or "Record or copy the file again.")
    except OSError as error:
        yield (
            path,
            reader.name,
            Unread(path.name, f"cannot be read: {error.strerror or error}", "Check the file and its rights."),
        )


def _unknown(path: Path, formats: Sequence[Format]) -> Unread | Ignored:
    try:
        with path.open("rb") as file:
            head = file.read(64)
        why = _no_log(path, head)
    except FileNotFoundError:
        return Unread(path.name, "is a link to nothing", "Fetch what it points to (git annex get, hf download).")
    except OSError as error:
        return Unread(path.name, f"cannot be opened: {error.strerror}", "Check the rights of the file.")
    if why:
        return Ignored(why)
    if not head:
        return Unread(path.name, "is empty (0 bytes)", "Copy or record it again.")
    if head.startswith(LFS_POINTER):
        return Unread(path.name, "is a Git LFS pointer, not the file itself", "Run git lfs pull.")
    known = ", ".join(sorted({item.name for item in formats})) or "none"
    hint = "A table of numbers needs a mapping: saqiya ingest --suggest FOLDER drafts one."
    if path.suffix.lower() == RERUN:
        hint = "Rerun recordings are written and not read: take in what this was made from, or an export as mcap."
    return Unread(path.name, "is of no known format", f"Formats here: {known}. {hint}")


def _no_log(path: Path, head: bytes) -> str:
    """Say what a file is that does not claim to be a log, "" for any other."""
    name, suffix = path.name.lower(), path.suffix.lower()
    if name.split(".")[0] in DOCUMENTS or name == LISTING:
        return "a document"
    if suffix == ".json" and head.lstrip().startswith(b"{") and path.stat().st_size <= NOTES_BYTES:
        return "notes beside a log"
    return next((why for why, suffixes in NO_LOGS.items() if suffix in suffixes), "")
