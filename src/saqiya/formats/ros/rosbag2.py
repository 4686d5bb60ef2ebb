"""ROS 2 bags: a folder or a single file, SQLite or MCAP, split, packed with zstd, with or without metadata.yaml.

Types come from the definitions in the bag; older SQLite bags hold none, and there the standard types are known and all
others are named in `metadata["skipped"]`. A bag that was cut short gives what came before, and `metadata["damage"]`
says what is lost.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.errors import UnreadableLog
from saqiya.formats.bounded import Allowance, Spoiled
from saqiya.formats.messages.types import Undecodable

if TYPE_CHECKING:
    from saqiya.formats.messages.log import Log

__all__ = ["Rosbag2Format"]

_SQLITE = b"SQLite format 3\0"
_LFS = b"version https://git-lfs.github.com/spec/"
_NAME = "metadata.yaml"
_MARK = b"rosbag2_bagfile_information"
_HEAD_BYTES = 1 << 16
_MOST_YAML_BYTES = 4 << 20
_DATA = re.compile(r"\.(db3|mcap)(\.zstd)?$")
_PART = re.compile(r"^(.+)_(\d+)\.(db3|mcap)(\.zstd)?$")
_DATED = re.compile(r"^rosbag2_\d{4}_\d\d_\d\d-\d\d_\d\d_\d\d$")


@dataclass
class _Bag:
    """The parts of a bag in order, and what is said of it."""

    parts: list[Path]
    distro: str = ""
    facts: dict[str, JsonValue] = field(default_factory=dict)
    damage: list[str] = field(default_factory=list)
    messages: int = 0


class Rosbag2Format:
    """Reads ROS 2 bags, one episode a bag."""

    name = "rosbag2"

    def sniff(self, path: Path) -> bool:
        """Say whether `path` is a bag's folder, a SQLite bag, or a packed part of a bag.

        A folder is one bag when it has a bag's metadata.yaml, or when its files are the parts of one by their names
        (`run/run_0.db3`, `run/run_1.db3`). A single MCAP file is left to the MCAP format.
        """
        if path.is_dir():
            return _is_bag(path)
        if not path.is_file():
            return False
        if path.name.endswith((".db3", ".db3.zstd", ".mcap.zstd")):
            return True
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
        return head.startswith(_SQLITE) and b"messages" in head and b"topics" in head

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield the one episode in `path`, a folder or a file.

        Raises:
            UnreadableLog: it is empty, foreign or damaged beyond use, or nothing in it can be decoded.
        """
        from saqiya.formats.messages.log import Log

        bag = _Bag([path]) if path.is_file() else _bag(path)
        if not bag.parts:
            raise UnreadableLog(
                f"the bag's files are not there ({'; '.join(bag.damage) or 'the folder holds none'})",
                subject=str(path),
                remedy="Copy the whole folder again.",
            )
        alone = bag.parts[0] if len(bag.parts) == 1 and bag.parts[0].suffix == ".mcap" else None
        log = Log("ros2", alone)
        try:
            for part in bag.parts:
                _take_part(part, bag, log, single=len(bag.parts) == 1)
        except OSError as bad:
            raise UnreadableLog(
                f"the bag cannot be read ({bad.strerror or bad})", subject=str(path), remedy="Check path and rights."
            ) from bad
        except Undecodable as why:
            raise UnreadableLog(str(why), subject=str(path), remedy="Record fewer topics.") from why
        if bag.damage:
            bag.facts["damage"] = "; ".join(bag.damage)
        name = path.name if path.is_dir() else _DATA.sub("", path.name)
        episode = log.finish(name, bag.facts)
        if not episode.streams and not episode.events and not episode.videos:
            raise UnreadableLog(
                f"nothing in it can be decoded ({_reasons(episode, bag)})",
                subject=str(path),
                remedy="Record it again." if not bag.messages else "Convert it with ros2 bag convert, to MCAP.",
            )
        yield episode


def _reasons(log: EpisodeLog, bag: _Bag) -> str:
    skipped = log.metadata.get("skipped")
    listed = [f"{topic}: {why}" for topic, why in skipped.items()][:5] if isinstance(skipped, dict) else []
    return "; ".join([*bag.damage, *(listed if bag.messages else ["it holds no messages"])])


def _is_bag(folder: Path) -> bool:
    said = folder / _NAME
    if said.is_file():
        with said.open("rb") as file:
            if _MARK in file.read(_HEAD_BYTES):
                return True
    parts = [found for one in folder.iterdir() if (found := _PART.match(one.name))]
    if len(parts) < 2 or len({(found[1], found[3]) for found in parts}) > 1:
        return False
    prefix = parts[0][1]
    return (prefix == folder.name or _DATED.match(prefix) is not None) and len({int(one[2]) for one in parts}) > 1


def _bag(folder: Path) -> _Bag:
    """Find a bag's parts: those that metadata.yaml lists, else all in the order of their numbers."""
    there = {one.name: one for one in folder.iterdir() if one.is_file() and _DATA.search(one.name)}
    said = _said(folder / _NAME)
    bag = _Bag([], str(said.get("ros_distro") or ""))
    custom = said.get("custom_data")
    if isinstance(custom, dict) and custom:
        bag.facts["custom_data"] = {str(key): str(value) for key, value in custom.items()}
    listed = said.get("relative_file_paths")
    for item in listed if isinstance(listed, list) else []:
        name = str(item).split("/")[-1]  # older bags name their folder too; what lies elsewhere is not ours to read
        found = next((one for one in (name, name.removesuffix(".zstd"), f"{name}.zstd") if one in there), "")
        if found and there[found] not in bag.parts:
            bag.parts.append(there[found])
        elif not found:
            bag.damage.append(f"{name[:80]} is not there")
    if bag.parts:
        left = sorted(set(there) - {part.name for part in bag.parts})
        if left:
            bag.damage.append(f"{_NAME} does not list {', '.join(left[:4])}: left out")
    else:
        bag.parts = sorted(there.values(), key=_number)
    return bag


def _number(part: Path) -> list[Any]:
    return [int(piece) if piece.isdigit() else piece for piece in re.split(r"(\d+)", part.name)]


def _said(path: Path) -> dict[str, Any]:
    """Return what metadata.yaml says; nothing where it is missing, damaged or absurdly long (the bag is enough)."""
    if not path.is_file() or path.stat().st_size > _MOST_YAML_BYTES:
        return {}
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        found = YAML(typ="safe").load(path.read_bytes())
    except (YAMLError, ValueError, TypeError, RecursionError, AttributeError):
        return {}
    inner = found.get("rosbag2_bagfile_information") if isinstance(found, dict) else None
    return inner if isinstance(inner, dict) else {}


def _take_part(part: Path, bag: _Bag, log: Log, *, single: bool) -> None:
    """Take in one file; in a bag of many a damaged part is said and the others come in."""
    try:
        size = part.stat().st_size
        with part.open("rb") as file:
            head = file.read(64)
        if not size:
            raise Spoiled("the file is empty (0 bytes)")
        if head.startswith(_LFS):
            raise Spoiled("the file is a Git LFS pointer, not the bag itself")
        if part.name.endswith(".zstd"):
            with tempfile.TemporaryDirectory() as folder:
                plain = Path(folder) / part.name.removesuffix(".zstd")
                _unpacked(part, plain, Allowance.of(size))
                _take_plain(plain, bag, log)
        else:
            _take_plain(part, bag, log)
    except Spoiled as bad:
        if single:
            remedy = "Run: git lfs pull" if "LFS" in str(bad) else "Copy or record it again."
            raise UnreadableLog(str(bad), subject=str(part), remedy=remedy) from bad
        bag.damage.append(f"{part.name}: {bad}")


def _unpacked(part: Path, out: Path, allowance: Allowance) -> None:
    import zstandard

    with part.open("rb") as packed, out.open("wb") as plain:
        reader = zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True)
        try:
            while data := reader.read(1 << 20):
                allowance.take(len(data))
                plain.write(data)
        except zstandard.ZstdError as bad:
            raise Spoiled(f"its zstd data does not unpack ({bad})") from bad


def _take_plain(part: Path, bag: _Bag, log: Log) -> None:
    with part.open("rb") as file:
        head = file.read(16)
    if head == _SQLITE:
        from saqiya.formats.ros.rosbag2_sqlite import take_sqlite

        count, damage = take_sqlite(part, bag.distro, log)
    elif head.startswith(b"\x89MCAP0\r\n"):
        count, damage = _take_mcap(part, log)
    else:
        raise Spoiled("the file is neither SQLite nor MCAP")
    bag.messages += count
    if damage and not count:
        raise Spoiled(damage)
    if damage:
        bag.damage.append(f"{part.name}: {damage}")


def _take_mcap(part: Path, log: Log) -> tuple[int, str]:
    """Take in an MCAP part up to its first damage; return how many messages, and what is wrong."""
    from saqiya.formats.mcap.foreign import ForeignTopics
    from saqiya.formats.mcap.scan import Contents, Cut, Damaged, gather_into

    size = part.stat().st_size
    topics = ForeignTopics(log)
    contents = Contents(foreign=topics, allowance=Allowance.of(size))
    damage = ""
    try:
        with part.open("rb") as file:
            gather_into(contents, file, size)
    except Cut as cut:
        damage = f"truncated after {cut.at:,} of {size:,} bytes ({cut})"
    except Damaged as bad:
        damage = f"damaged: {bad}"
    topics.close(contents)
    return topics.messages, damage
