"""What a Zarr store of version 2 or 3 declares, checked before anything of it is decoded.

The metadata is plain JSON and the chunks are plain files or zip entries, so a folder's or zip's list says which chunks
are there: zarr itself takes a chunk that is missing for one of fill values, and a damaged copy would pass for zeros.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from saqiya.errors import UnreadableLog

__all__ = ["ArrayMeta", "ZarrTree", "tree_of"]

META_NAMES = (".zarray", ".zgroup", ".zattrs", ".zmetadata", "zarr.json")
SPOILED = (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, RuntimeError, OSError)
"""What zipfile and json raise over damaged files."""
MOST_META_BYTES = 1 << 24
MOST_FILES_N = 5_000_000
MOST_CHUNK_BYTES = 1 << 30
MOST_SIDES = 8
LARGEST = 2**62
CODECS = {
    "blosc", "zlib", "gzip", "bz2", "lzma", "zstd", "lz4", "shuffle", "delta", "fixedscaleoffset", "astype", "packbits",
    "quantize", "bitround", "crc32", "crc32c", "adler32", "fletcher32", "jenkins_lookup3", "vlen-utf8", "vlen-bytes",
    "bytes", "transpose", "sharding_indexed",
}  # fmt: skip
"""What is decoded. Others are not: "pickle" would run code of the file's, and zarr loads any that is installed."""
TEXT_CODECS = {"vlen-utf8", "vlen-bytes"}
V3_DTYPES = {name: np.dtype(name) for name in ("bool", "float16", "float32", "float64")} | {
    f"{kind}{bits}": np.dtype(f"{kind}{bits}") for kind in ("int", "uint") for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True)
class ArrayMeta:
    """One array as it is declared, and which of its chunks are there.

    Attributes:
        path: its place below the root of the store.
        meta: the metadata that zarr gets, as it was read.
        kind: "numbers", "texts", or "" with a `why`.
        chunk: sides of a chunk (of a shard, where there are shards).
        stored: how many chunk files begin at each chunk row, and their bytes.
        needs: the module that decodes it, beside zarr ("imagecodecs"), "" for none.
    """

    path: str
    meta: dict[str, Any]
    kind: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    stored: Mapping[int, tuple[int, int]] = field(default_factory=dict)
    why: str = ""
    needs: str = ""

    def missing_bytes(self, begin: int, end: int) -> int:
        """Return how many bytes of rows `[begin, end)` lie in chunks that are not there."""
        if not self.chunk or begin >= end:
            return 0
        across = 1
        for side, chunk in zip(self.shape[1:], self.chunk[1:], strict=True):
            across *= -(-side // chunk)
        row = self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=object))
        rows = 0.0
        first, last = begin // self.chunk[0], (end - 1) // self.chunk[0]
        if last - first > len(self.stored) + MOST_FILES_N:
            return LARGEST
        for number in range(first, last + 1):
            lost = max(0, across - self.stored.get(number, (0, 0))[0]) / across
            rows += lost * (min(end, (number + 1) * self.chunk[0]) - max(begin, number * self.chunk[0]))
        return int(rows * row)

    def stored_bytes(self, begin: int, end: int) -> int:
        """Return how many bytes the chunks of rows `[begin, end)` have as files."""
        if not self.chunk or begin >= end:
            return 0
        first, last = begin // self.chunk[0], (end - 1) // self.chunk[0]
        if last - first >= len(self.stored):
            return sum(size for number, (_, size) in self.stored.items() if first <= number <= last)
        return sum(self.stored.get(number, (0, 0))[1] for number in range(first, last + 1))


@dataclass(frozen=True)
class ZarrTree:
    """A store: attributes of groups and arrays by path, and oddities in words."""

    arrays: dict[str, ArrayMeta]
    words: dict[str, dict[str, Any]]
    prefix: str
    problems: tuple[str, ...] = ()

    def children(self, group: str) -> set[str]:
        """Name the groups and arrays that lie directly in a group."""
        head = f"{group}/" if group else ""
        return {path[len(head) :].split("/")[0] for path in self.arrays if path.startswith(head)}


@dataclass
class _Listing:
    """The files of a store with their sizes, and how to read the small ones."""

    sizes: dict[str, int]
    odd: list[str]
    path: Path
    packed: dict[str, int] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)

    def read(self, names: list[str]) -> Iterator[tuple[str, bytes | Exception]]:
        """Yield the content of small files, or why it cannot be had; a zip is opened once for all of them."""
        with zipfile.ZipFile(self.path) if not self.path.is_dir() else nullcontext() as archive:
            for name in names:
                try:
                    if self.sizes[name] > MOST_META_BYTES:
                        raise ValueError(f"it has {self.sizes[name]} bytes")
                    yield name, (archive.read(name) if archive else (self.path / name).read_bytes())
                except SPOILED as error:
                    yield name, error


def tree_of(path: Path) -> ZarrTree:
    """List a store, a folder or a zip file.

    Raises:
        UnreadableLog: it is no store, or holds no array.
    """
    try:
        listing = _folder(path) if path.is_dir() else _zip(path)
        prefix = _prefix(listing)
        said = _metadata(listing, prefix)
    except SPOILED as error:
        raise UnreadableLog(
            f"is no readable Zarr store ({error})", subject=str(path), remedy="Copy it again, whole."
        ) from error
    problems = [f"{name}: left out: it leads out of the store" for name in listing.odd[:20]] + listing.damaged[:20]
    chunks = _chunks(listing, prefix, {name for name, kinds in said.items() if "array" in kinds})
    arrays, words = {}, {}
    for name, kinds in said.items():
        words[name] = kinds["attributes"] if isinstance(kinds.get("attributes"), dict) else {}
        if "array" in kinds:
            arrays[name] = _array(name, kinds["array"], chunks.get(name, []))
    if not arrays:
        raise UnreadableLog("holds no array", subject=str(path), remedy="Copy it again, whole.")
    return ZarrTree(arrays, words, prefix, tuple(problems))


def _folder(path: Path) -> _Listing:
    found = _Listing({}, [], path)
    root = path.resolve()
    for folder, folders, files in os.walk(path):
        here = Path(folder)
        for name in [name for name in folders if (here / name).is_symlink()]:
            folders.remove(name)  # a link to a folder could lead anywhere, or in a circle
            found.odd.append((here / name).relative_to(path).as_posix())
        for name in files:
            file = here / name
            inner = file.relative_to(path).as_posix()
            if file.is_symlink() and not file.resolve().is_relative_to(root):
                found.odd.append(inner)
            elif file.is_file():
                found.sizes[inner] = file.stat().st_size
        if len(found.sizes) > MOST_FILES_N:
            raise ValueError("it has too many files")
    return found


def _zip(path: Path) -> _Listing:
    found = _Listing({}, [], path)
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if len(entries) > MOST_FILES_N:
        raise ValueError("it has too many files")
    for entry in entries:
        if entry.filename.endswith("/"):
            continue
        if _leads_out(entry.filename):
            found.odd.append(entry.filename[:200])
        elif entry.flag_bits & 1:
            raise ValueError("it is encrypted")
        else:
            found.sizes[entry.filename] = entry.file_size
            found.packed[entry.filename] = entry.compress_size
    return found


def _leads_out(name: str) -> bool:
    parts = name.split("/")
    return "\\" in name or "\0" in name or any(part in {"", ".", ".."} for part in parts) or ":" in parts[0]


def _prefix(listing: _Listing) -> str:
    """Find the shallowest folder with metadata: a zip often holds the store in a folder of its name."""
    roots = [str(PurePosixPath(name).parent) for name in listing.sizes if name.rsplit("/", 1)[-1] in META_NAMES]
    if not roots:
        raise ValueError("it holds no metadata of a Zarr store")
    shallow = min(roots, key=lambda root: (0 if root == "." else root.count("/") + 1, root))
    siblings = {root for root in roots if root.count("/") == shallow.count("/") and root != "."}
    if shallow == "." or len(siblings) > 1:  # groups without metadata of their own lie above
        return os.path.commonpath(siblings).rstrip("/") + "/" if shallow != "." and os.path.commonpath(siblings) else ""
    return f"{shallow}/"


def _metadata(listing: _Listing, prefix: str) -> dict[str, dict[str, Any]]:
    """Read what every group and array says: "array" metadata and "attributes" by path below the prefix."""
    said: dict[str, dict[str, Any]] = {}
    names = [name for name in listing.sizes if name.rsplit("/", 1)[-1] in META_NAMES and name.startswith(prefix)]
    for name, content in listing.read(names):
        folder, _, leaf = name.rpartition("/")
        place = f"{folder}/"[len(prefix) :].strip("/")
        body = _json(content)
        if isinstance(body, Exception):
            listing.damaged.append(f"{name}: left out: it is damaged ({str(body)[:200]})")
            if place and leaf in {".zarray", "zarr.json"}:
                said.setdefault(place, {})["array"] = {"damaged": True}
            continue
        if leaf == "zarr.json":
            said.setdefault(place, {})["attributes"] = body.get("attributes")
            if body.get("node_type") == "array":
                said[place]["array"] = body
            _add_consolidated(said, place, (body.get("consolidated_metadata") or {}), "metadata")
        elif leaf == ".zmetadata":
            _add_consolidated(said, place, body, "metadata")
        elif leaf == ".zarray":
            said.setdefault(place, {})["array"] = body
        elif leaf == ".zattrs":
            said.setdefault(place, {})["attributes"] = body
        else:
            said.setdefault(place, {})
    return {name: said[name] for name in sorted(said)}


def _add_consolidated(said: dict[str, dict[str, Any]], place: str, body: Mapping[str, Any], key: str) -> None:
    """Take from a consolidated list what has no metadata of its own; its names are the file's word, and checked."""
    listed = body.get(key)
    for name, meta in listed.items() if isinstance(listed, dict) else ():
        folder, _, leaf = str(name).rpartition("/")
        path = "/".join(part for part in (place, str(name) if leaf not in META_NAMES else folder) if part)
        if not isinstance(meta, dict) or (path and _leads_out(path)):
            continue
        own = said.setdefault(path, {})
        if leaf == ".zarray" or meta.get("node_type") == "array":
            own.setdefault("array", meta)
        if leaf == ".zattrs":
            own.setdefault("attributes", meta)
        elif isinstance(meta.get("attributes"), dict):
            own.setdefault("attributes", meta["attributes"])


def _json(data: bytes | Exception) -> dict[str, Any] | Exception:
    if isinstance(data, Exception):
        return data
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        return error
    return body if isinstance(body, dict) else ValueError("no JSON object")


def _chunks(listing: _Listing, prefix: str, arrays: set[str]) -> dict[str, list[tuple[str, int]]]:
    """List the chunk keys of every array, and their bytes in the folder or zip."""
    found: dict[str, list[tuple[str, int]]] = {name: [] for name in arrays}
    for name, size in listing.sizes.items():
        if name.rsplit("/", 1)[-1] in META_NAMES or not name.startswith(prefix):
            continue
        folder, key = name[len(prefix) :], ""
        while folder:
            folder, _, leaf = folder.rpartition("/")
            key = f"{leaf}/{key}" if key else leaf
            if folder in found:
                found[folder].append((key, listing.packed.get(name, size)))
                break
    return found


def _array(path: str, meta: dict[str, Any], keys: list[tuple[str, int]]) -> ArrayMeta:
    nothing = ArrayMeta(path, meta, "", (), np.dtype(np.uint8), (), why="its metadata is damaged")
    if "damaged" in meta:
        return nothing
    try:
        shape, chunk, dtype, codecs = _v3(meta) if meta.get("zarr_format") == 3 else _v2(meta)
        texts = bool(set(codecs) & TEXT_CODECS) or dtype.kind in "US"
        why, needs = _codec_trouble(codecs)
        if dtype.kind not in "fiubUSO" or (dtype.kind == "O" and not texts):
            why = why or f"its values are no numbers ({dtype})"
        if len(shape) > MOST_SIDES or len(shape) != len(chunk) or min((*shape, 0)) < 0 or min((*chunk, 1)) < 1:
            why = "its shape is absurd"
        elif prod(shape) * dtype.itemsize > LARGEST or prod(chunk) * dtype.itemsize > MOST_CHUNK_BYTES:
            why = f"it claims {prod(shape) * dtype.itemsize} bytes in chunks of {prod(chunk) * dtype.itemsize}"
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        return replace(nothing, why=f"its metadata is damaged ({error!r})"[:200])
    if why:
        return replace(nothing, why=why)
    kind = "texts" if texts else "numbers"
    return ArrayMeta(path, meta, kind, shape, dtype, chunk, _rows_stored(keys), needs=needs)


def _codec_trouble(codecs: list[str]) -> tuple[str, str]:
    needs = ""
    for codec in codecs:
        if codec.startswith("imagecodecs_"):
            needs = "imagecodecs"
            if find_spec("imagecodecs") is None:
                return f"its pictures are coded with {codec}: pip install imagecodecs, then ingest it again", needs
        elif codec not in CODECS:
            return f"its chunks are coded with {codec[:40]!r}, which is not decoded here: write it again with blosc", ""
    return "", needs


def _v2(meta: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any], list[str]]:
    if not isinstance(meta["dtype"], str):
        raise ValueError("its rows are records")
    listed = [meta.get("compressor"), *(meta.get("filters") or [])]
    codecs = [str(one["id"]) for one in listed if one is not None]
    return _sides(meta["shape"]), _sides(meta["chunks"]), np.dtype(meta["dtype"]), codecs


def _v3(meta: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any], list[str]]:
    if meta["chunk_grid"]["name"] != "regular" or meta.get("storage_transformers"):
        raise ValueError("its chunks are not a regular grid")
    name = meta["data_type"]
    texts = name == "string" or (isinstance(name, dict) and "string" in str(name.get("name")))
    dtype = np.dtype(object) if texts else V3_DTYPES[name]
    return _sides(meta["shape"]), _sides(meta["chunk_grid"]["configuration"]["chunk_shape"]), dtype, _names(meta, 4)


def _names(configured: Mapping[str, Any], depth: int) -> list[str]:
    names: list[str] = []
    if depth == 0:
        raise ValueError("its codecs are nested too deep")
    for codec in [*configured.get("codecs", ()), *configured.get("index_codecs", ())]:
        names.append(str(codec["name"]).removeprefix("numcodecs."))
        inner = codec.get("configuration") or {}
        if names[-1] == "sharding_indexed":
            if any(not 0 < side <= LARGEST for side in _sides(inner["chunk_shape"])):
                raise ValueError("its inner chunks have an absurd shape")
            names += _names(inner, depth - 1)
    return names


def _sides(listed: Any) -> tuple[int, ...]:  # noqa: ANN401 - JSON
    if not isinstance(listed, list) or any(not isinstance(side, int) or isinstance(side, bool) for side in listed):
        raise ValueError("its shape is no list of whole numbers")
    return tuple(listed)


def _rows_stored(keys: list[tuple[str, int]]) -> dict[int, tuple[int, int]]:
    """Count the chunks that begin at each chunk row: their keys are "3.0.0", "3/0/0", "c/3/0" or "c.3.0"."""
    rows: dict[int, tuple[int, int]] = {}
    for key, size in keys:
        parts = key.replace(".", "/").split("/")
        first = parts[1] if parts[0] == "c" and len(parts) > 1 else parts[0]
        if first.isdecimal() and len(first) < 19:
            count, held = rows.get(int(first), (0, 0))
            rows[int(first)] = (count + 1, held + size)
    return rows
