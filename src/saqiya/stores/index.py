"""What a dataset version holds, as flat arrays: opening ten thousand episodes reads one file and parses no header.

The index says for every episode and stream where its rows begin in the episode's object, how many lie in the episode's
range, and their first and last stamp. It depends on the version and the bytes of its episodes alone, never on where
those bytes lie, so equal versions have equal indexes and packing changes nothing in it. It is derived: it is made from
the catalog and the objects, and made again when it is missing, spoilt or of another version of this scheme.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from saqiya.domain.nouns import DatasetVersion, Episode, Role
from saqiya.errors import Corrupt
from saqiya.stores.disk import disk_errors, replace_file
from saqiya.stores.streams import Streams

__all__ = ["Index", "Kind", "build", "read", "write"]

SCHEME: Final = 2  # 1 knew no packed streams
_METADATA: Final = "saqiya.version"
_ROLES: Final = tuple(Role)


class Kind(NamedTuple):
    """A stream as it appears in some episodes; a camera's values are its stamps, its packets are in its track."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    camera: bool


class _Facts(msgspec.Struct):
    scheme: int
    version: str
    manifest_hash: str
    check: int
    tasks: list[str]
    kinds: list[tuple[str, str, list[int], bool]]
    roles: list[str]


@dataclass(frozen=True, eq=False)
class Index:
    """The arrays; N entries, E episodes in the order they first appear, P pairs of a kind and an episode.

    Attributes:
        kinds, tasks, roles: what numbers below stand for.
        entry_episode, entry_start_ns, entry_end_ns, entry_weight, entry_role: (N,), the version's entries.
        id: uint8 (E, L), ids as text, padded with zeros.
        digest: uint8 (E, 32), of the streams object.
        start_ns, end_ns: int64 (E,), the episode's range.
        task: int32 (E,), into `tasks`.
        first: int64 (kinds + 1,), pairs of kind k are `[first[k], first[k + 1])`, in order of episodes.
        pair_episode: int32 (P,).
        t_at, values_at: int64 (P,), the first byte of its stamps and values in the streams object; values at -1 lie
            packed elsewhere.
        count: int64 (P,), rows in the episode's range.
        first_ns, last_ns: int64 (P,), their stamps; 0 where there is none.
    """

    version: str
    manifest_hash: str
    kinds: tuple[Kind, ...]
    tasks: tuple[str, ...]
    roles: tuple[str, ...]
    entry_episode: NDArray[np.int32]
    entry_start_ns: NDArray[np.int64]
    entry_end_ns: NDArray[np.int64]
    entry_weight: NDArray[np.float64]
    entry_role: NDArray[np.uint8]
    id: NDArray[np.uint8]
    digest: NDArray[np.uint8]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    task: NDArray[np.int32]
    first: NDArray[np.int64]
    pair_episode: NDArray[np.int32]
    t_at: NDArray[np.int64]
    values_at: NDArray[np.int64]
    count: NDArray[np.int64]
    first_ns: NDArray[np.int64]
    last_ns: NDArray[np.int64]


_SHAPES: Final = {
    "entry_episode": ("<i4", "N"), "entry_start_ns": ("<i8", "N"), "entry_end_ns": ("<i8", "N"),
    "entry_weight": ("<f8", "N"), "entry_role": ("|u1", "N"), "id": ("|u1", "E"), "digest": ("|u1", "E"),
    "start_ns": ("<i8", "E"), "end_ns": ("<i8", "E"), "task": ("<i4", "E"), "first": ("<i8", "K"),
    "pair_episode": ("<i4", "P"), "t_at": ("<i8", "P"), "values_at": ("<i8", "P"), "count": ("<i8", "P"),
    "first_ns": ("<i8", "P"), "last_ns": ("<i8", "P"),
}  # fmt: skip


def build(version: DatasetVersion, episodes: Iterator[Episode], view: Callable[[Episode], memoryview]) -> Index:
    """Make the index of a version.

    Args:
        version: what it is of.
        episodes: its episodes, each once, in the order in which its entries first name them.
        view: gives the bytes of an episode's streams object.

    Raises:
        Corrupt: an episode's streams are damaged.
    """
    numbers: dict[str, int] = {}
    tasks: dict[str, int] = {}
    pairs: dict[Kind, list[tuple[int, int, int, int, int, int]]] = {}
    facts: list[tuple[str, int, int, int]] = []
    for number, episode in enumerate(episodes):
        numbers[episode.id] = number
        task = tasks.setdefault(episode.task, len(tasks))
        facts.append((episode.streams, episode.start_ns, episode.end_ns, task))
        for kind, places in _places(Streams(view(episode), episode.streams), episode.start_ns, episode.end_ns):
            pairs.setdefault(kind, []).append((number, *places))
    kinds = tuple(sorted(pairs))
    flat = np.array([row for kind in kinds for row in pairs[kind]], dtype=np.int64).reshape(-1, 6)
    edges = np.cumsum([0, *(len(pairs[kind]) for kind in kinds)], dtype=np.int64)
    ids = np.array([one.encode() for one in numbers], dtype=np.bytes_)
    spans = np.array([row[1:] for row in facts], dtype=np.int64).reshape(-1, 3)
    entries = version.entries
    return Index(
        version.id,
        version.manifest_hash,
        kinds,
        tuple(tasks),
        tuple(str(role) for role in _ROLES),
        np.array([numbers[entry.episode] for entry in entries], dtype=np.int32),
        np.array([entry.start_ns for entry in entries], dtype=np.int64),
        np.array([entry.end_ns for entry in entries], dtype=np.int64),
        np.array([entry.weight for entry in entries], dtype=np.float64),
        np.array([_ROLES.index(entry.role) for entry in entries], dtype=np.uint8),
        np.frombuffer(ids.tobytes(), dtype=np.uint8).reshape(len(ids), -1 if len(ids) else 0),
        np.frombuffer(b"".join(bytes.fromhex(row[0]) for row in facts), dtype=np.uint8).reshape(-1, 32),
        np.ascontiguousarray(spans[:, 0]),
        np.ascontiguousarray(spans[:, 1]),
        spans[:, 2].astype(np.int32),
        edges,
        flat[:, 0].astype(np.int32),
        *(np.ascontiguousarray(flat[:, column]) for column in range(1, 6)),
    )


def _places(streams: Streams, start_ns: int, end_ns: int) -> Iterator[tuple[Kind, tuple[int, int, int, int, int]]]:
    for name in sorted({*streams, *streams.media}):
        layout = streams.packed.get(name)
        camera = name in streams.media and layout is None
        t_at, t_ns = streams.place(f"{name}/t_ns")
        values_at, values = (t_at, t_ns) if camera or layout else streams.place(f"{name}/values")
        if t_at % 8 or values_at % values.itemsize or t_ns.dtype != np.int64:
            raise Corrupt("its arrays are not aligned", subject=name, remedy="Ingest the recording again")
        low, high = (int(place) for place in np.searchsorted(t_ns, (start_ns, end_ns)))
        row_bytes = values[:1].nbytes if len(values) else 0
        edges = (int(t_ns[low]), int(t_ns[high - 1])) if high > low else (0, 0)
        if layout is not None:
            yield Kind(name, layout.dtype.str, layout.shape, False), (t_at + 8 * low, -1, high - low, *edges)
            continue
        kind = Kind(name, values.dtype.str, values.shape[1:], camera)
        yield kind, (t_at + 8 * low, values_at + row_bytes * low, high - low, *edges)


def write(path: Path, index: Index) -> None:
    """Write an index as one safetensors file, at once or not at all; equal indexes give equal bytes."""
    from safetensors.numpy import save

    arrays = {name: getattr(index, name).astype(dtype, copy=False) for name, (dtype, _) in _SHAPES.items()}
    facts = {
        "scheme": SCHEME,
        "version": index.version,
        "manifest_hash": index.manifest_hash,
        "check": _check(arrays),
        "tasks": index.tasks,
        "kinds": index.kinds,
        "roles": index.roles,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {_METADATA: json.dumps(facts, sort_keys=True, separators=(",", ":"))}
    replace_file(path, bytes(save({name: arrays[name] for name in sorted(arrays)}, metadata=metadata)))


def read(path: Path, version: str) -> Index | None:
    """Read the index of a version; None when there is none, or what is there is spoilt or of another scheme."""
    from safetensors import SafetensorError, deserialize

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        with disk_errors(path):
            raise
    try:
        length = int.from_bytes(data[:8], "little")
        header = msgspec.json.decode(data[8 : 8 + length], type=dict[str, Any])
        facts = msgspec.json.decode(header["__metadata__"][_METADATA], type=_Facts)
        if facts.scheme != SCHEME or facts.version != version:
            return None
        tensors = dict(deserialize(data))  # type: ignore[no-untyped-call]
        arrays = {
            name: np.frombuffer(tensors[name]["data"], dtype=dtype).reshape(tensors[name]["shape"])
            for name, (dtype, _) in _SHAPES.items()
        }
        kinds = tuple(Kind(name, dtype, tuple(shape), camera) for name, dtype, shape, camera in facts.kinds)
    except (SafetensorError, msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        return None
    if not _fits(arrays, len(kinds)) or _check(arrays) != facts.check:
        return None
    return Index(version, facts.manifest_hash, kinds, tuple(facts.tasks), tuple(facts.roles), **arrays)


def _fits(arrays: dict[str, NDArray[Any]], kinds: int) -> bool:
    sizes: dict[str, int] = {"K": kinds + 1}
    return all(len(arrays[name]) == sizes.setdefault(side, len(arrays[name])) for name, (_, side) in _SHAPES.items())


def _check(arrays: dict[str, NDArray[Any]]) -> int:
    check = 0
    for name in sorted(arrays):
        check = zlib.crc32(arrays[name].tobytes(), check)
    return check


assert {one.name for one in fields(Index)} >= set(_SHAPES)
