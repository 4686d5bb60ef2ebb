"""Joint states by the names in the messages, and transforms: one stream for each pair of frames."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.formats.messages.batch import Batch, Decoder
from saqiya.formats.messages.found import NO_STAMP, Found, Stamps, stamps_of

__all__ = ["joints", "transforms"]

MOST_SETS = 16
MOST_PAIRS = 1024
_VALUES = ("position", "velocity", "effort")
_SLIDES = re.compile(r"finger|gripper|prismatic|slide|lift|rail|torso|linear", re.IGNORECASE)
_MOVED = ("translation/x", "translation/y", "translation/z", "rotation/x", "rotation/y", "rotation/z", "rotation/w")
_MOVED_FIELDS = ("x", "y", "z", "qx", "qy", "qz", "qw")


@dataclass
class _Joints:
    """All samples of one set of joints: for each kind of value its rows and columns in the order of `names`."""

    names: tuple[str, ...]
    rows: dict[str, list[NDArray[np.int64]]] = field(default_factory=dict)
    values: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    count: int = 0

    def add(self, kind: str, rows: NDArray[np.int64], values: NDArray[Any]) -> None:
        self.rows.setdefault(kind, []).append(rows)
        self.values.setdefault(kind, []).append(values)


def joints(topic: str, decoder: Decoder, batches: Sequence[Batch], stamps: Stamps, found: Found) -> list[Batch]:
    """Add position, velocity and effort with a column a joint, by name; return what else the messages hold.

    One topic may carry several sets of joints (an arm's and a gripper's): each is streams of its own, the set with
    most messages under the topic's name. A list in another order is the same set.
    """
    if decoder.type not in {"sensor_msgs/JointState", "foxglove_msgs/JointStates"}:
        return list(batches)
    sets: dict[frozenset[str], _Joints] = {}
    rest = []
    for batch in batches:
        prefix = "joints/" if decoder.type == "foxglove_msgs/JointStates" else ""
        rest.append(_sort_joints(batch, prefix, sets, found, topic))
    ranked = sorted(sets.values(), key=lambda one: -one.count)
    for number, one in enumerate(ranked):
        base = topic if number == 0 else f"{topic}/{'+'.join(one.names)[:60]}"
        units = ("", "", "") if any(map(_SLIDES.search, one.names)) else ("rad", "rad/s", "N m")
        for kind, unit in zip(_VALUES, units, strict=True):
            if kind in one.rows:
                rows, values = np.concatenate(one.rows[kind]), np.concatenate(one.values[kind])
                turn = np.argsort(rows, kind="stable")
                found.stream(f"{base}/{kind}", stamps, rows[turn], values[turn], unit=unit, fields=one.names)
    if len(ranked) > 1:
        found.note(topic, f"carries {len(ranked)} sets of joints; each is streams of its own")
    return rest


def _sort_joints(batch: Batch, prefix: str, sets: dict[frozenset[str], _Joints], found: Found, topic: str) -> Batch:
    """Put a batch's joints where their names belong, and return the batch without them."""
    count = 0
    while (f"{prefix}{count}/name" if prefix else f"name/{count}") in batch.texts:
        count += 1
    columns = [batch.texts[f"{prefix}{i}/name" if prefix else f"name/{i}"] for i in range(count)]
    used_texts = {f"{prefix}{i}/name" if prefix else f"name/{i}" for i in range(count)}
    values = {kind: _joint_values(batch, prefix, kind, count) for kind in _VALUES}
    used = {path for path in batch.numbers if path.split("/")[-1] in _VALUES} if count else set()
    codes = np.stack([one.code for one in columns], axis=1) if columns else np.empty((len(batch.rows), 0), np.int64)
    lists, which = np.unique(codes, axis=0, return_inverse=True) if columns else (codes[:1], np.zeros(len(codes), int))
    for number, code in enumerate(lists):
        names = tuple(column.words[c] for column, c in zip(columns, code.tolist(), strict=True))
        if not names or len(set(names)) < len(names):
            used, used_texts = (used, used_texts) if names else (set(), set())
            if names:
                found.skipped[f"{topic} (joints)"] = "a list of joints names one twice"
            continue
        if frozenset(names) not in sets and len(sets) >= MOST_SETS:
            found.skipped[f"{topic} (joints)"] = f"more than {MOST_SETS} sets of joints"
            continue
        own = sets.setdefault(frozenset(names), _Joints(names))
        mine = which.reshape(-1) == number
        own.count += int(mine.sum())
        order = [names.index(name) for name in own.names]
        for kind, table in values.items():
            if table is not None:
                own.add(kind, batch.rows[mine], table[mine][:, order])
    kept = {path: column for path, column in batch.numbers.items() if path not in used}
    return replace(batch, numbers=kept, texts={k: v for k, v in batch.texts.items() if k not in used_texts})


def _joint_values(batch: Batch, prefix: str, kind: str, count: int) -> NDArray[Any] | None:
    """Return (n, count) values of one kind, None where the messages do not hold one a joint."""
    if not prefix:
        values = batch.numbers.get(kind)
        return values if values is not None and values.ndim == 2 and values.shape[1] == count and count else None
    columns = [batch.numbers.get(f"{prefix}{i}/{kind}") for i in range(count)]
    known = [column for column in columns if column is not None and column.ndim == 1]
    return np.stack(known, axis=1) if known and len(known) == count else None


def transforms(topic: str, batches: Sequence[Batch], stamps: Stamps, found: Found) -> list[Batch]:
    """Add a stream for each pair of frames (translation and quaternion); return what else the messages hold."""
    pairs: dict[tuple[str, str], list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]] = {}
    rest = []
    for batch in batches:
        prefixes = _transform_prefixes(batch)
        for prefix in prefixes:
            _sort_transforms(batch, prefix, pairs)
        rest.append(_without_transforms(batch, prefixes))
    for number, ((parent, child), parts) in enumerate(pairs.items()):
        name = f"{topic}/{parent}->{child}"
        if number >= MOST_PAIRS:
            found.skipped[name] = f"more than {MOST_PAIRS} pairs of frames"
            continue
        rows = np.concatenate([rows for rows, _, _ in parts])
        sensor = np.concatenate([sensor for _, sensor, _ in parts])
        values = np.concatenate([values for _, _, values in parts])
        turn = np.argsort(rows, kind="stable")
        # The log's stamps in the order of arrival, so that only the transforms' own stamps can be out of it.
        arrival = np.empty(len(stamps.order), np.int64)
        arrival[stamps.order] = stamps.receive_ns
        own = stamps_of(arrival[rows[turn]], sensor[turn] if (sensor != NO_STAMP).any() else None)
        found.receive(name, own)
        found.stream(name, own, None, values[turn], fields=_MOVED_FIELDS)
    return rest


def _without_transforms(batch: Batch, prefixes: Sequence[str]) -> Batch:
    if not prefixes:
        return batch
    used = {f"{prefix}{part}" for prefix in prefixes for part in _MOVED}
    for prefix in prefixes:
        outer = prefix.removesuffix("transform/")
        used |= {f"{outer}{one}" for one in ("header/frame_id", "child_frame_id", "parent_frame_id")}
        if outer:
            used |= {f"{outer}header/stamp", f"{outer}timestamp", f"{outer}header/seq"}
    numbers = {path: column for path, column in batch.numbers.items() if path not in used}
    return replace(batch, numbers=numbers, texts={k: v for k, v in batch.texts.items() if k not in used}, bare=False)


def _transform_prefixes(batch: Batch) -> list[str]:
    """Say below which paths a batch holds whole transforms between named frames."""
    ends = "rotation/w"
    prefixes = [path.removesuffix(ends) for path in batch.numbers if path.endswith(ends)]
    kept = []
    for prefix in prefixes:
        outer = prefix.removesuffix("transform/")
        whole = all(f"{prefix}{part}" in batch.numbers for part in _MOVED)
        parents = (f"{outer}header/frame_id", f"{outer}parent_frame_id")
        if whole and f"{outer}child_frame_id" in batch.texts and any(one in batch.texts for one in parents):
            kept.append(prefix)
    return kept


def _sort_transforms(
    batch: Batch,
    prefix: str,
    pairs: dict[tuple[str, str], list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]]],
) -> None:
    outer = prefix.removesuffix("transform/")
    child = batch.texts[f"{outer}child_frame_id"]
    parent = batch.texts.get(f"{outer}header/frame_id") or batch.texts[f"{outer}parent_frame_id"]
    values = np.stack([batch.numbers[f"{prefix}{part}"] for part in _MOVED], axis=1)
    sensor = batch.numbers.get(f"{outer}header/stamp")
    sensor = batch.numbers.get(f"{outer}timestamp") if sensor is None else sensor
    if sensor is None or sensor.dtype != np.int64:
        sensor = np.full(len(batch.rows), NO_STAMP, np.int64)
    both = parent.code * len(child.words) + child.code
    for code in np.unique(both).tolist():
        mine = both == code
        names = (parent.words[code // len(child.words)].lstrip("/"), child.words[code % len(child.words)].lstrip("/"))
        pairs.setdefault(names, []).append((batch.rows[mine], sensor[mine], values[mine]))
