"""ROS 1 bags (version 2.0): raw, bz2 and lz4, of any type, through the definitions in the bag.

The bag is walked from its beginning and its index is not needed: what a recorder left behind that never closed its bag,
or a copy that was cut short, gives all messages up to there, and `metadata["damage"]` says so.
http://wiki.ros.org/Bags/Format/2.0
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.errors import UnreadableLog
from saqiya.formats.bounded import Allowance, Spoiled, unpack
from saqiya.formats.messages.types import Undecodable

if TYPE_CHECKING:
    from saqiya.formats.messages.log import Log, Topic

__all__ = ["Rosbag1Format"]

_MAGIC = b"#ROSBAG V"
_FIRST = b"#ROSBAG V2.0\n"
_LFS = b"version https://git-lfs.github.com/spec/"
_MESSAGE, _BAG, _CHUNK, _CONNECTION = 2, 3, 5, 7
_KNOWN = {_MESSAGE, _BAG, 4, _CHUNK, 6, _CONNECTION}
_MOST_HEADER_BYTES = 1 << 20
_LENGTH = struct.Struct("<I")
_TIME = struct.Struct("<II")


class _Broken(Exception):
    """The bag stops making sense here; inner to this module."""


@dataclass
class _Bag:
    """What is known of a bag while it is walked."""

    log: Log
    allowance: Allowance
    topics: dict[int, Topic] = field(default_factory=dict)
    messages: int = 0
    chunks: int = 0
    lost_chunks: int = 0
    why: str = ""
    declared_chunks: int = -1
    closed: bool = False
    template: _Template | None = None


class Rosbag1Format:
    """Reads ROS 1 bags, one episode a bag."""

    name = "rosbag1"

    def sniff(self, path: Path) -> bool:
        """Say whether `path` begins as a ROS bag does, or is named so (then `read` can say what is wrong with it)."""
        if not path.is_file():
            return False
        if path.suffix == ".bag" or path.name.endswith(".bag.active"):
            return True
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield the one episode in `path`.

        What could not be decoded is named in `metadata["skipped"]` (topic: reason); what a damaged bag lost is said in
        `metadata["damage"]`.

        Raises:
            UnreadableLog: the file is empty, foreign, encrypted, holds no messages, or none of them can be decoded.
        """
        from saqiya.formats.messages.log import Log

        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                _check_head(file.read(64), size, path)
                file.seek(len(_FIRST))
                bag = _Bag(Log("ros1", path), Allowance.of(size))
                damage = _walk(file, size, bag, path)
        except OSError as bad:
            raise UnreadableLog(
                f"the file cannot be read ({bad.strerror or bad})", subject=str(path), remedy="Check path and rights."
            ) from bad
        except Undecodable as why:
            raise UnreadableLog(str(why), subject=str(path), remedy="Record fewer topics.") from why
        if not bag.messages:
            raise UnreadableLog(
                f"the bag holds no messages ({damage})" if damage else "the bag holds no messages",
                subject=str(path),
                remedy="Copy it again." if damage else "Nothing was recorded; delete it.",
            )
        metadata: dict[str, JsonValue] = {"damage": damage} if damage else {}
        log = bag.log.finish(path.name.removesuffix(".active").removesuffix(".bag"), metadata)
        if not log.streams and not log.events and not log.videos:
            raise UnreadableLog(
                f"nothing in it can be decoded ({_reasons(log)})", subject=str(path), remedy="Convert it first."
            )
        yield log


def _check_head(head: bytes, size: int, path: Path) -> None:
    if not size:
        raise UnreadableLog("the file is empty (0 bytes)", subject=str(path), remedy="Nothing was recorded; delete it.")
    if head.startswith(_LFS):
        raise UnreadableLog(
            "the file is a Git LFS pointer, not the bag itself", subject=str(path), remedy="Run: git lfs pull"
        )
    if head.startswith(_MAGIC) and not head.startswith(_FIRST):
        version = head[len(_MAGIC) :].split(b"\n")[0][:8].decode("ascii", "replace")
        raise UnreadableLog(
            f"the bag is of version {version}, and this reader knows 2.0",
            subject=str(path),
            remedy="Run: rosbag migrate, or rosbag fix.",
        )
    if not head.startswith(_FIRST):
        raise UnreadableLog(
            "the file does not begin as a ROS 1 bag does",
            subject=str(path),
            remedy="Name its real format, or leave it out.",
        )


def _reasons(log: EpisodeLog) -> str:
    skipped = log.metadata.get("skipped")
    listed = list(skipped.items())[:5] if isinstance(skipped, dict) else []
    return "; ".join(f"{topic}: {reason}" for topic, reason in listed) or "it holds no messages"


def _walk(file: IO[bytes], size: int, bag: _Bag, path: Path) -> str:
    """Take in a whole bag, and say what of it is lost ("" for nothing)."""
    at = len(_FIRST)
    said: list[str] = []
    try:
        while at < size:
            at = _record(file, at, size, bag, path)
    except _Broken as broken:
        said.append(f"the bag is truncated or damaged after {at:,} of {size:,} bytes ({broken})")
    if bag.lost_chunks:
        said.append(f"{bag.lost_chunks} of {bag.chunks} chunks are damaged and left out ({bag.why})")
    if not said and not bag.closed:
        said.append("the bag was never closed (it has no index): the last messages may be missing")
    elif not said and bag.chunks < bag.declared_chunks:
        said.append(f"the bag holds {bag.chunks} of the {bag.declared_chunks} chunks that it declares")
    return "; ".join(said)


def _record(file: IO[bytes], at: int, size: int, bag: _Bag, path: Path) -> int:
    """Take in the record at `at` and return where the next one begins."""
    file.seek(at)
    header_size = _length(file.read(4))
    if not 0 < header_size <= min(_MOST_HEADER_BYTES, size - at - 8):
        raise _Broken("a record's header is longer than the file")
    head = _fields(file.read(header_size))
    length = _length(file.read(4))
    begin = at + 8 + header_size
    kind = _byte(head, b"op")
    if kind not in _KNOWN:
        raise _Broken(f"there is no kind of record {kind}")
    if length > size - begin:
        raise _Broken("the file ends in the middle of a record")
    if kind == _BAG:
        if head.get(b"encryptor"):
            raise UnreadableLog("the bag is encrypted", subject=str(path), remedy="Decrypt it with rosbag decrypt.")
        bag.closed = int.from_bytes(head.get(b"index_pos", b""), "little") > 0
        bag.declared_chunks = int.from_bytes(head.get(b"chunk_count", b""), "little")
    elif kind == _CONNECTION:
        _connection(head, file.read(length), bag)
    elif kind == _CHUNK:
        _chunk(head, file.read(length), bag, begin)
    elif kind == _MESSAGE:
        _message(head, file.read(length), bag, begin)
    return begin + length


def _chunk(head: dict[bytes, bytes], data: bytes, bag: _Bag, place: int) -> None:
    bag.chunks += 1
    compression = head.get(b"compression", b"").decode("ascii", "replace")
    try:
        plain = unpack(compression, data, _length(head.get(b"size", b"")[:4]), bag.allowance)
        _inside(plain, bag, place if compression == "none" else -1)
    except (Spoiled, _Broken) as bad:
        bag.lost_chunks += 1
        bag.why = bag.why or str(bad)


@dataclass(frozen=True)
class _Template:
    """How the header of the last message was laid out: the next one is likely to be alike."""

    size: int
    conn_at: int
    time_at: int
    rest: tuple[tuple[slice, bytes], ...]

    def fits(self, header: bytes) -> bool:
        return len(header) == self.size and all(header[where] == what for where, what in self.rest)


def _template(header: bytes) -> _Template | None:
    conn_at, time_at = header.find(b"conn=") + 5, header.find(b"time=") + 5
    if conn_at < 5 or time_at < 5:
        return None
    first, second = sorted(((conn_at, 4), (time_at, 8)))
    rest = (slice(0, first[0]), slice(first[0] + first[1], second[0]), slice(second[0] + second[1], len(header)))
    return _Template(len(header), conn_at, time_at, tuple((where, header[where]) for where in rest))


def _inside(data: bytes, bag: _Bag, place: int) -> None:
    """Take in the connections and messages of a chunk; `place` is where its data lies in the file, or -1."""
    at, size = 0, len(data)
    while at < size:
        if at + 4 > size:
            raise _Broken("a chunk ends in the middle of a record")
        header_size = _LENGTH.unpack_from(data, at)[0]
        begin = at + 8 + header_size
        if begin > size:
            raise _Broken("a chunk ends in the middle of a record")
        length = _LENGTH.unpack_from(data, begin - 4)[0]
        if begin + length > size:
            raise _Broken("a chunk ends in the middle of a record")
        header = data[at + 4 : begin - 4]
        template = bag.template
        if template is not None and template.fits(header):
            topic = bag.topics.get(_LENGTH.unpack_from(header, template.conn_at)[0])
            if topic is None:
                raise _Broken("a message is of a connection that the bag does not declare")
            seconds, nanoseconds = _TIME.unpack_from(header, template.time_at)
            bag.messages += 1
            lies = place + begin if place >= 0 else -1
            topic.add(seconds * 1_000_000_000 + nanoseconds, data[begin : begin + length], lies)
        else:
            head = _fields(header)
            if _byte(head, b"op") == _CONNECTION:
                _connection(head, data[begin : begin + length], bag)
            elif _byte(head, b"op") == _MESSAGE:
                _message(head, data[begin : begin + length], bag, place + begin if place >= 0 else -1)
                bag.template = _template(header)
        at = begin + length


def _message(head: dict[bytes, bytes], data: bytes, bag: _Bag, place: int) -> None:
    time = head.get(b"time", b"")
    topic = bag.topics.get(_length(head.get(b"conn", b"")))
    if topic is None or len(time) != 8:
        raise _Broken("a message is of a connection that the bag does not declare")
    seconds, nanoseconds = _TIME.unpack(time)
    bag.messages += 1
    topic.add(seconds * 1_000_000_000 + nanoseconds, data, place)


def _connection(head: dict[bytes, bytes], data: bytes, bag: _Bag) -> None:
    from saqiya.formats.messages.decoders import ros_decoder

    number = _length(head.get(b"conn", b""))
    if number in bag.topics:
        return
    said = _fields(data)
    topic, kind, text = (
        part.decode("utf-8", "replace")
        for part in (head.get(b"topic", b""), said.get(b"type", b""), said.get(b"message_definition", b""))
    )
    try:
        decoder = ros_decoder(kind, "ros1msg", text, "")
    except Undecodable as why:
        bag.topics[number] = bag.log.topic(topic, kind, why)
        return
    bag.topics[number] = bag.log.topic(topic, kind, decoder)


def _fields(header: bytes) -> dict[bytes, bytes]:
    fields: dict[bytes, bytes] = {}
    at = 0
    while at < len(header):
        size = _length(header[at : at + 4])
        name, mark, value = header[at + 4 : at + 4 + size].partition(b"=")
        if not mark or at + 4 + size > len(header):
            raise _Broken("a record's header does not parse")
        fields[name] = value
        at += 4 + size
    return fields


def _byte(head: dict[bytes, bytes], name: bytes) -> int:
    value = head.get(name, b"")
    if len(value) != 1:
        raise _Broken("a record does not say what it is")
    return value[0]


def _length(data: bytes) -> int:
    if len(data) != 4:
        raise _Broken("a length is missing")
    return int.from_bytes(data, "little")
