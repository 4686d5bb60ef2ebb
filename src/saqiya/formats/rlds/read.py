"""RLDS: tries as TFDS writes them, one `tf.train.Example` a try, in TFRecord shards; read without TensorFlow.

A step's features lie flat, all steps of a try behind one another: `steps/action` holds T times the numbers of one
action, `steps/observation/image` T encoded pictures (Ramos et al., 2021). `features.json` says shapes and dtypes;
without it they follow from the number of steps.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.arrays.clock import rate_said
from saqiya.formats.arrays.episode import Column, Packets, Rate, episode_of
from saqiya.formats.pictures import stills
from saqiya.formats.rlds.features import FEATURES, INFO, FeatureSpec, Said, Shard, said_of, shard_of
from saqiya.formats.rlds.tfrecord import HEAD_BYTES, Feature, Torn, begins_like, example, records

__all__ = ["RldsFormat"]

DEFAULT_RATE_HZ = 10.0
STEPS = "steps/"
COUNTED = ("is_first", "is_last", "is_terminal", "reward", "discount", "language_instruction", "timestamp")
"""Features that hold one value a step, whatever else a data set has."""
MOST_PLAIN_BYTES = 1 << 30
_COPY_AGAIN = "Copy the shard again, whole."


@dataclass(frozen=True)
class RldsFormat:
    """Reads a TFDS folder, or one TFRecord file, of tries.

    The format keeps no stamps: a `timestamp` feature is used where there is one, else `rate_hz` is assumed.
    """

    name = "rlds"
    rate_hz: float = DEFAULT_RATE_HZ

    def sniff(self, path: Path) -> bool:
        """Say whether `path` is a folder with TFRecord shards and TFDS's JSON, or a file that begins with a record."""
        if path.is_dir():
            told = (path / FEATURES).is_file() or (path / INFO).is_file()
            return told and bool(_shards(path))
        if not path.is_file():
            return False
        if shard_of(path) is not None:
            return True
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return len(head) == HEAD_BYTES and begins_like(head)

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield every try, shard by shard; a spoiled record and the rest of a truncated shard are `Unread`.

        Raises:
            UnreadableLog: there is no shard, or not one record can be used.
        """
        said = said_of(path if path.is_dir() else path.parent)
        shards = _shards(path) if path.is_dir() else [shard_of(path) or Shard(path, path.stem, -1, -1)]
        good, bad = 0, []
        for item in self._all(shards, said, whole=path.is_dir()):
            if isinstance(item, Unread) and not good:
                bad.append(item)
                continue
            good += 1
            yield from bad
            bad = []
            yield item
        if not good:
            why = bad[0].reason if bad else "it holds no record"
            remedy = bad[0].remedy if bad else _COPY_AGAIN
            raise UnreadableLog(f"no try in it can be used: {why}", subject=str(path), remedy=remedy)

    def _all(self, shards: Sequence[Shard], said: Said, *, whole: bool) -> Iterator[EpisodeLog | Unread]:
        for shard in shards:
            stem = f"{shard.split}-{shard.number}" if shard.number >= 0 else shard.split
            count = 0
            torn = False
            for record in _records(shard):
                key = f"{stem}/{count}"
                if isinstance(record, Torn):
                    torn = torn or record.last
                    rest = f"{key}#rest" if record.last else key
                    yield Unread(rest, f"{shard.path.name} {record.what}", _COPY_AGAIN)
                else:
                    yield self._one(key, record, shard, said)
                count += 1
            expected = said.lengths.get(shard.split, ())
            told = expected[shard.number] if 0 <= shard.number < len(expected) else count
            if count < told and not torn:
                reason = f"{shard.path.name} holds {count} records of the {told} that {INFO} lists"
                yield Unread(f"{stem}/{count}#rest", reason, _COPY_AGAIN)
        if whole:
            yield from _missing(shards, said)

    def _one(self, key: str, record: bytes, shard: Shard, said: Said) -> EpisodeLog | Unread:
        try:
            features = example(record)
            steps = _steps(features, said)
            flat = not any(name.startswith(STEPS) for name in features)
            chosen = {
                name: one for name, one in features.items() if name.startswith(STEPS) or (flat and len(one) >= steps)
            }
            columns = [_column(name, feature, steps, said.features.get(name)) for name, feature in chosen.items()]
            facts: dict[str, JsonValue] = {"dataset": dict(said.facts)} if said.facts else {}
            facts |= _facts({name: one for name, one in features.items() if name not in chosen}, said)
            declared = rate_said(facts)
            rate = Rate(declared, "the data set") if declared is not None else Rate(self.rate_hz)
            log = episode_of(key, columns, facts, rate)
        except (UnreadableLog, InvalidEpisode) as error:
            return Unread(key, error.what, error.remedy or _COPY_AGAIN)
        listed = log.metadata["problems"]
        problems: list[JsonValue] = [*said.problems, *(listed if isinstance(listed, list) else ())]
        more: dict[str, JsonValue] = {"format": self.name, "problems": problems, "splits": [shard.split]}
        return EpisodeLog(log.key, log.streams, log.events, {**log.metadata, **more}, log.videos)


def _records(shard: Shard) -> Iterator[bytes | Torn]:
    try:
        with shard.path.open("rb") as file:
            head = file.read(64)
        if head.startswith(b"version https://git-lfs"):
            yield Torn(0, "is a Git LFS pointer, not the shard itself: run git lfs pull", last=True)
        elif not head:
            yield Torn(0, "is empty (0 bytes)", last=True)
        else:
            yield from records(shard.path)
    except OSError as error:
        yield Torn(0, f"cannot be read ({error.strerror or error})", last=True)


def _shards(folder: Path) -> list[Shard]:
    found = [shard_of(path) for path in sorted(folder.iterdir()) if path.is_file() and not path.name.startswith(".")]
    return sorted((one for one in found if one is not None), key=lambda one: (one.split, one.number, one.path.name))


def _missing(shards: Sequence[Shard], said: Said) -> Iterator[Unread]:
    """Name shards that others of their split, or the folder's list, say there are."""
    for split in sorted({shard.split for shard in shards} | set(said.lengths)):
        there = {shard.number for shard in shards if shard.split == split}
        whole = max([len(said.lengths.get(split, ())), *(one.of for one in shards if one.split == split)])
        gone = [number for number in range(min(whole, 100_000)) if number not in there]
        if gone and there != {-1}:
            listed = ", ".join(str(number) for number in gone[:8]) + (", ..." if len(gone) > 8 else "")
            reason = f"{len(gone)} of {whole} shards of {split} are not there: {listed}"
            yield Unread(f"{split}#missing", reason, "Copy the missing shards beside the others.")


def _steps(features: Mapping[str, Feature], said: Said) -> int:
    """Tell how many steps a try has."""
    for name in COUNTED:
        if f"{STEPS}{name}" in features and len(said.features.get(f"{STEPS}{name}", FeatureSpec("")).shape) == 0:
            return len(features[f"{STEPS}{name}"])
    counts: Counter[int] = Counter()
    for name, feature in features.items():
        spec = said.features.get(name)
        if name.startswith(STEPS) and spec is not None and not spec.nested and -1 not in spec.shape:
            each = int(np.prod(spec.shape, dtype=object)) if spec.kind == "tensor" and not spec.encoding else 1
            counts[len(feature) // max(1, each)] += 1
        elif isinstance(feature, list) and (name.startswith(STEPS) or len(feature) > 1):
            counts[len(feature)] += 1
    if counts:
        return counts.most_common(1)[0][0]
    names = ", ".join(sorted(features)[:8]) or "nothing"
    raise UnreadableLog(f"the number of steps cannot be told from its features: {names}", remedy="Keep features.json.")


def _column(name: str, feature: Feature, steps: int, spec: FeatureSpec | None) -> Column:
    path = name.removeprefix(STEPS)
    nothing = np.dtype(np.uint8)
    if name.endswith(("/ragged_flat_values", "/ragged_row_lengths_0")) or (spec is not None and spec.nested):
        return Column(path, "", (), nothing, tuple, "its length differs from step to step")
    if isinstance(feature, list):
        return _bytes_column(path, feature, steps, spec)
    return _number_column(path, feature, steps, spec)


def _number_column(
    path: str, feature: NDArray[np.float32] | NDArray[np.int64], steps: int, spec: FeatureSpec | None
) -> Column:
    sides = spec.shape if spec is not None and spec.kind == "tensor" else ()
    each = int(np.prod(sides, dtype=object)) if sides else 1
    dtype = spec.dtype if spec is not None and spec.dtype is not None else feature.dtype
    if sides and (min(sides) < 1 or each * steps != feature.size):
        if -1 not in sides or feature.size % steps:
            why = f"it has {feature.size} numbers for {steps} steps of {list(sides)}"
            return Column(path, "", (), np.dtype(np.uint8), tuple, why)
        sides = (feature.size // steps,)
    elif not sides and feature.size % steps:
        why = f"it has {feature.size} numbers for {steps} steps"
        return Column(path, "", (), np.dtype(np.uint8), tuple, why)
    shape = (steps, *sides) if sides else (steps, feature.size // steps)
    with np.errstate(over="ignore", invalid="ignore"):
        values = feature.astype(dtype).reshape(shape)
    return Column(path, "numbers", shape, values.dtype, lambda: values)


def _bytes_column(path: str, feature: list[bytes], steps: int, spec: FeatureSpec | None) -> Column:
    nothing = np.dtype(np.uint8)
    kind = spec.kind if spec is not None else ""
    if len(feature) != steps:
        return Column(path, "", (), nothing, tuple, f"it has {len(feature)} values for {steps} steps")
    if kind == "tensor" and spec is not None and spec.dtype is not None:
        return _packed_column(path, feature, spec.dtype, (steps, *spec.shape), spec.encoding)
    if kind == "image" or (not kind and stills.codec_of(feature[0][:8])):
        size = np.array([len(one) for one in feature], dtype=np.int64)
        packets = Packets(np.cumsum(size) - size, size, b"".join(feature))
        return Column(path, "packets", (steps,), nothing, lambda: packets)
    if kind == "text" or all(_is_text(one) for one in feature[:16]):
        texts = [one.decode("utf-8", "replace") for one in feature]
        return Column(path, "texts", (steps,), nothing, lambda: texts)
    return Column(path, "", (), nothing, tuple, "its bytes are neither a picture nor a text")


def _packed_column(
    path: str, feature: list[bytes], dtype: np.dtype[np.generic], shape: tuple[int, ...], encoding: str
) -> Column:
    """Read tensors that are stored as bytes, one a step, packed or not."""
    size = int(np.prod(shape[1:], dtype=object)) * dtype.itemsize
    nothing = np.dtype(np.uint8)
    if -1 in shape or size * len(feature) > MOST_PLAIN_BYTES:
        return Column(path, "", (), nothing, tuple, f"its shape {list(shape[1:])} is not fixed, or too large")
    rows = []
    for one in feature:
        try:
            row = zlib.decompressobj().decompress(one, size + 1) if encoding == "zlib" else one
        except zlib.error as error:
            return Column(path, "", (), nothing, tuple, f"its bytes do not unpack ({error})")
        if len(row) != size:
            return Column(path, "", (), nothing, tuple, f"a step has {len(row)} bytes, {size} were expected")
        rows.append(row)
    values = np.frombuffer(b"".join(rows), dtype=dtype).reshape(shape)
    return Column(path, "numbers", shape, values.dtype, lambda: values)


def _is_text(value: bytes) -> bool:
    try:
        return value.decode().isprintable() or value.decode().replace("\n", " ").isprintable()
    except UnicodeDecodeError:
        return False


def _facts(features: Mapping[str, Feature], said: Said) -> dict[str, JsonValue]:
    """Give what is said of the whole try: `episode_metadata/*` and others that are no steps."""
    facts: dict[str, JsonValue] = {}
    for name, feature in features.items():
        if len(feature) > 64:
            continue
        leaf = name.removeprefix("episode_metadata/")
        spec = said.features.get(name)
        listed: list[JsonValue] = (
            [one.decode("utf-8", "replace")[:65536] for one in feature]
            if isinstance(feature, list)
            else [bool(one) for one in feature]
            if spec is not None and spec.dtype == np.bool_
            else feature.tolist()
        )
        facts[leaf] = listed[0] if len(listed) == 1 else listed
    return facts
