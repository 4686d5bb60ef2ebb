"""What a TFDS folder says of its records: the shape and dtype of each feature, and the shards of each split."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from saqiya.errors import UnreadableLog

__all__ = ["FeatureSpec", "Said", "Shard", "said_of", "shard_of"]

INFO, FEATURES = "dataset_info.json", "features.json"
MOST_JSON_BYTES = 1 << 24
MOST_DEPTH = 24
SHARD = re.compile(
    r"^(?P<name>.*?)-?(?P<split>[A-Za-z0-9_]+)\.(?:tfrecord|tfrecords)(?:-(?P<number>\d{1,9})-of-(?P<of>\d{1,9}))?$"
)
PLAIN = re.compile(r"^(?P<split>.+?)(?:[-_.](?P<number>\d{1,9})(?:-of-(?P<of>\d{1,9}))?)?\.tfrecords?$")
DTYPES = {
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
}


@dataclass(frozen=True)
class FeatureSpec:
    """One leaf of `features.json`.

    Attributes:
        kind: "tensor", "image", "text" or another name of TFDS.
        dtype: of its values when decoded; None for texts and what numpy does not know.
        shape: of one step, -1 where it is not fixed.
        encoding: how a tensor is stored beside plain lists ("bytes", "zlib"), "" for lists.
        nested: it lies in a sequence inside of a step.
    """

    kind: str
    dtype: np.dtype[Any] | None = None
    shape: tuple[int, ...] = ()
    encoding: str = ""
    nested: bool = False


@dataclass(frozen=True)
class Shard:
    """A file of a split: which of how many, -1 where the name does not say."""

    path: Path
    split: str
    number: int
    of: int


@dataclass(frozen=True)
class Said:
    """What the folder's two JSON files say; empty where they are missing.

    Attributes:
        features: by flat name ("steps/observation/image").
        lengths: records of each shard by split.
        facts: the dataset's name and version.
        problems: what of the two files could not be used.
    """

    features: Mapping[str, FeatureSpec] = field(default_factory=dict)
    lengths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def shard_of(path: Path) -> Shard | None:
    """Take a file's name apart, None when it is no TFRecord's."""
    found = SHARD.match(path.name) if "-of-" in path.name and ".tfrecord-" in path.name else None
    found = found or PLAIN.match(path.name) or SHARD.match(path.name)
    if found is None:
        return None
    number, of = found["number"], found["of"]
    return Shard(path, found["split"], int(number) if number else -1, int(of) if of else -1)


def said_of(folder: Path) -> Said:
    """Read `features.json` and `dataset_info.json` where they are; what is wrong with them is said."""
    problems: list[str] = []
    features = _load(folder / FEATURES, problems)
    info = _load(folder / INFO, problems)
    specs: dict[str, FeatureSpec] = {}
    try:
        _flatten(features, "", specs, nested=False, depth=MOST_DEPTH)
    except (UnreadableLog, ValueError, TypeError, AttributeError, KeyError) as error:
        specs = {}
        problems.append(f"{FEATURES} is not used: {error}")
    facts = {key: str(info[key]) for key in ("name", "version", "configName") if isinstance(info.get(key), str)}
    return Said(specs, _lengths(info), facts, tuple(problems))


def _load(path: Path, problems: list[str]) -> dict[str, Any]:
    if not path.is_file():
        return {}
    if path.stat().st_size > MOST_JSON_BYTES:
        problems.append(f"{path.name} is not used: it has {path.stat().st_size} bytes")
        return {}
    try:
        body = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        problems.append(f"{path.name} is not used: {error}")
        return {}
    return body if isinstance(body, dict) else {}


def _lengths(info: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    splits = info.get("splits")
    for split in splits if isinstance(splits, list) else ():
        lengths = split.get("shardLengths") if isinstance(split, dict) else None
        if isinstance(lengths, list) and all(str(one).isdecimal() and len(str(one)) < 12 for one in lengths):
            found[str(split.get("name"))] = tuple(int(one) for one in lengths)
    return found


def _flatten(node: Any, path: str, specs: dict[str, FeatureSpec], *, nested: bool, depth: int) -> None:  # noqa: ANN401
    """Walk the tree of features: dictionaries and sequences hold others, all else is a leaf."""
    if not isinstance(node, dict) or not node:
        return
    if depth == 0:
        raise UnreadableLog("it is nested too deep")
    if isinstance(inner := (node.get("featuresDict") or {}).get("features"), dict):
        for name, child in inner.items():
            _flatten(child, f"{path}/{name}".strip("/"), specs, nested=nested, depth=depth - 1)
    elif isinstance(inner := (node.get("sequence") or {}).get("feature"), dict):
        _flatten(inner, path, specs, nested=nested or path != "steps", depth=depth - 1)
    elif "tensor" in node or "image" in node:
        kind = "tensor" if "tensor" in node else "image"
        said = node[kind]
        dtype = np.dtype(said["dtype"]) if said.get("dtype") in DTYPES else None
        text = kind == "tensor" and said.get("dtype") in {"string", "object", "str"}
        sides = tuple(int(side) for side in (said.get("shape") or {}).get("dimensions", ()))
        encoding = str(said.get("encoding") or "").removeprefix("none")
        specs[path] = FeatureSpec("text" if text else kind, dtype, sides, encoding, nested)
    elif "text" in node:
        specs[path] = FeatureSpec("text", nested=nested)
    else:
        named = str(node.get("pythonClassName", "")).rsplit(".", 1)[-1]
        words = {"Text": "text", "ClassLabel": "tensor", "Scalar": "tensor"}
        specs[path] = FeatureSpec(words.get(named, named or "unknown"), nested=nested)
