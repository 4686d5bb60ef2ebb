"""A folder that came from outside, or a zip of one: nothing leaves it, nothing in it is a link, its sums are true."""

from __future__ import annotations

import errno
import hashlib
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from saqiya.errors import InvalidMapping, UnreadableLog
from saqiya.formats.bounded import Allowance, Spoiled

__all__ = ["SUMS", "checked", "inside", "opened_parcel", "sums_of"]

SUMS = "SHA256SUMS"
MOST_FILES = 20_000
MOST_SUMS_BYTES = 8 << 20
_CHUNK_BYTES = 1 << 20
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_STRANGE = re.compile(r'[\x00-\x1f\\:*?"<>|]')
_SENDER = "Ask for it again, as a plain folder or a zip of one."


def inside(name: str) -> PurePosixPath:
    """Return a path that stays below whatever folder it is put in, on any system.

    Raises:
        UnreadableLog: it does not.
    """
    path = PurePosixPath(name.removeprefix("./"))
    if not path.parts or path.is_absolute() or ".." in path.parts or _STRANGE.search(name) or len(name) > 500:
        raise UnreadableLog("is a path that leads elsewhere", subject=ascii(name[:80]), remedy=_SENDER)
    return path


@contextmanager
def opened_parcel(path: Path, scratch: Path) -> Iterator[Path]:
    """Yield a folder in which no file is a link: `path` itself, or a zip unpacked below `scratch` for as long.

    Raises:
        UnreadableLog: it is neither, is damaged, unpacks to more than any log does, or holds links or paths elsewhere.
    """
    if path.is_dir() and not path.is_symlink():
        _demand_plain(path)
        yield path
        return
    if not zipfile.is_zipfile(path):
        raise UnreadableLog("is neither a folder nor a zip", subject=str(path), remedy=_SENDER)
    scratch.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="parcel-", dir=scratch) as made:
        root = Path(made)
        try:
            _unpack(path, root)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as bad:
            raise UnreadableLog(f"does not unpack ({bad})"[:200], subject=str(path), remedy=_SENDER) from bad
        except OSError as bad:
            if bad.errno != errno.EINVAL:  # of places that lie before the file's beginning
                raise
            raise UnreadableLog("does not unpack", subject=str(path), remedy=_SENDER) from bad
        except Spoiled as bad:
            raise UnreadableLog(str(bad), subject=str(path), remedy=_SENDER) from bad
        only = [one for one in root.iterdir() if one.name != "__MACOSX"]
        yield only[0] if len(only) == 1 and only[0].is_dir() else root  # most tools zip the folder, not what is in it


def _unpack(path: Path, root: Path) -> None:
    """Write every file of a zip below `root`; what it claims is never believed, what comes out is counted."""
    allowance = Allowance.of(path.stat().st_size)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if len(entries) > MOST_FILES:
            raise Spoiled(f"it holds {len(entries):,} files, and {MOST_FILES:,} at most are read")
        seen: set[str] = set()
        for entry in entries:
            name = inside(entry.filename)
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in {0, stat.S_IFREG, stat.S_IFDIR}:
                raise Spoiled(f"{entry.filename[:80]!a} is a link or a device")
            if entry.is_dir():
                continue
            place = unicodedata.normalize("NFC", name.as_posix()).casefold()
            if place in seen:
                raise Spoiled(f"{entry.filename[:80]!a} comes twice")
            seen.add(place)
            _write(archive, entry, root / name, allowance)


def _write(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, allowance: Allowance) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(entry) as source, target.open("xb") as out:
            while chunk := source.read(_CHUNK_BYTES):
                allowance.take(len(chunk))
                out.write(chunk)
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as bad:
        raise Spoiled(f"{entry.filename[:80]!a} is a file and a folder at once") from bad


def _demand_plain(root: Path) -> None:
    for count, one in enumerate(root.rglob("*")):
        kind = one.lstat().st_mode
        if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise UnreadableLog("is a link or a device", subject=str(one), remedy=_SENDER)
        if count > MOST_FILES:
            raise UnreadableLog(f"holds more than {MOST_FILES:,} files", subject=str(root), remedy=_SENDER)


def sums_of(root: Path, *, beside: tuple[str, ...] = ()) -> str:
    """Return what `sha256sum` says of every file below `root`, in order of name; files named `beside` are left out."""
    files = sorted(one.relative_to(root).as_posix() for one in root.rglob("*") if one.is_file())
    return "".join(f"{_digest(root / name)}  {name}\n" for name in files if name not in {SUMS, *beside})


def checked(root: Path, *, beside: tuple[str, ...]) -> frozenset[str]:
    """Return the files below `root` after comparing each with SHA256SUMS; those named `beside` need no sum.

    Raises:
        InvalidMapping: a sum is wrong, a file that is named is not there, or one that is there is not named.
        UnreadableLog: SHA256SUMS is missing, or no such list.
    """
    listing = root / SUMS
    if not listing.is_file() or listing.stat().st_size > MOST_SUMS_BYTES:
        remedy = f"In that folder: find . -type f ! -name {SUMS} | xargs sha256sum > {SUMS}"
        raise UnreadableLog(f"has no {SUMS}", subject=str(root), remedy=remedy)
    said: dict[str, str] = {}
    for line in listing.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            raise UnreadableLog(f"has a line that is no sum: {line[:60]!a}", subject=SUMS, remedy=_SENDER)
        said[inside(match[2]).as_posix()] = match[1].lower()
    there = {one.relative_to(root).as_posix() for one in root.rglob("*") if one.is_file()} - {SUMS}
    odd = [f"{name} is named and not there" for name in sorted(said.keys() - there)]
    odd += [f"{name} is there and not named" for name in sorted(there - said.keys() - set(beside))]
    odd += [
        f"{name} is not what its sum says" for name in sorted(said.keys() & there) if _digest(root / name) != said[name]
    ]
    if odd:
        more = f"; and {len(odd) - 5} more" if len(odd) > 5 else ""
        raise InvalidMapping("; ".join(odd[:5]) + more, subject=SUMS, remedy="Nothing was taken in. Ask for it again.")
    return frozenset(there)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
