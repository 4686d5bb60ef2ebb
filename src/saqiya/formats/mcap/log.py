"""MCAP logs: ours in both directions bit for bit, anybody's as far as its encodings can be read.

One file is one episode. Our files hold a metadata record `saqiya.log` (version and key), `saqiya.episode` (facts known
at the start), one protobuf channel a stream, a JSON channel `events`, and where a recorder wrote them `saqiya.end`
(facts known at the end), `saqiya.losses` and `saqiya.recovered`. A message's log time is the row's stamp. A camera is a
channel of Foxglove's own video or picture messages (`mcap_video`).
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import IO, TYPE_CHECKING

from saqiya.domain.contracts import Unread
from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Stream
from saqiya.errors import AlreadyThere, InvalidEpisode, StorageFull, UnreadableLog, WorkspaceError
from saqiya.formats.mcap.rows import MARK, layout_of, layout_read, schema_of, stream_read

if TYPE_CHECKING:
    from saqiya.formats.mcap.container import Block, ContainerWriter
    from saqiya.formats.mcap.scan import Contents, Messages

__all__ = ["McapFormat", "begin_log", "event_channel", "event_payload", "facts", "new_file", "stream_channel"]

_MAGIC = b"\x89MCAP0\r\n"
_VERSION = "1"
_EVENT_SCHEMA = {
    "title": "saqiya.Event",
    "type": "object",
    "properties": {"name": {"type": "string"}, "detail": {"type": "string"}},
}
_LFS = b"version https://git-lfs.github.com/spec/"
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class McapFormat:
    """Reads and writes MCAP (mcap.dev), one episode a file."""

    name = "mcap"

    def sniff(self, path: Path) -> bool:
        """Say whether `path` begins as MCAP does, or is named so (then `read` can say what is wrong with it)."""
        if not path.is_file():
            return False
        with path.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC or path.suffix == ".mcap"

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield the one episode in `path`.

        What could not be decoded is named in `metadata["skipped"]` (topic: reason).

        Raises:
            UnreadableLog: the file is empty, foreign, truncated or corrupt, or nothing in it can be decoded.
        """
        from saqiya.formats.mcap.foreign import ForeignTopics
        from saqiya.formats.mcap.scan import Cut, Damaged, gather
        from saqiya.formats.messages.log import Log
        from saqiya.formats.messages.types import Undecodable

        try:
            size = path.stat().st_size
            with path.open("rb") as stream:
                _check_head(stream.read(64), size, path)
                stream.seek(0)
                log = Log("mcap", path)
                topics = ForeignTopics(log)
                contents = gather(stream, size, topics)
        except Cut as cut:
            raise UnreadableLog(
                f"the log is truncated after {cut.at:,} of {size:,} bytes ({cut})",
                subject=str(path),
                remedy=f"Run: saqiya record recover {path}",
            ) from cut
        except Damaged as bad:
            raise UnreadableLog(
                f"the log is corrupt: {bad}",
                subject=str(path),
                remedy=f"Copy it again; if the original is as bad, run: saqiya record recover {path}",
            ) from bad
        except Undecodable as why:
            raise UnreadableLog(str(why), subject=str(path), remedy="Record fewer topics.") from why
        except OSError as bad:
            raise UnreadableLog(
                f"the file cannot be read ({bad.strerror or bad})", subject=str(path), remedy="Check path and rights."
            ) from bad
        yield _episode(contents, path, lambda: log.finish(path.stem, topics.close(contents)))

    def write(self, episode: EpisodeLog, path: Path, *, fsync: bool = False) -> None:
        """Write one episode to `path`, all or nothing; equal episodes give equal bytes.

        Raises:
            AlreadyThere: `path` exists.
            InvalidEpisode: a stream is not numeric, or a fact is not JSON.
            StorageFull: the disk has no room; nothing is left behind.
            WorkspaceError: the file system refused otherwise.
        """
        from saqiya.formats.mcap.container import ContainerWriter

        with new_file(path, fsync=fsync) as out:
            if episode.videos:  # too much to hold at once
                _write_episode(ContainerWriter(out), episode)
                return
            whole = io.BytesIO()
            _write_episode(ContainerWriter(whole), episode)
            left = whole.getbuffer()
            while left:
                left = left[out.write(left) :]


@contextmanager
def new_file(path: Path, *, fsync: bool) -> Iterator[IO[bytes]]:
    """Give an unbuffered file that becomes `path` when the block ends well, and nothing when it does not.

    Raises:
        AlreadyThere: `path` exists.
        StorageFull: the disk has no room.
        WorkspaceError: the file system refused otherwise.
    """
    if path.exists():
        raise AlreadyThere("the file exists already", subject=str(path), remedy="Choose another name.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            with partial.open("wb", buffering=0) as out:
                yield out
                if fsync:
                    os.fsync(out.fileno())
            partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as bad:
        kind = StorageFull if bad.errno in _NO_ROOM else WorkspaceError
        raise kind(
            f"the log could not be written ({bad.strerror or bad})",
            subject=str(path),
            remedy="Check room and rights in its folder, then write it again.",
        ) from bad


def begin_log(writer: ContainerWriter, key: str, metadata: Mapping[str, JsonValue]) -> None:
    """Write the records that make a file one of ours."""
    writer.metadata("saqiya.log", {"version": _VERSION, "key": key})
    writer.metadata("saqiya.episode", facts(metadata, key))


def facts(metadata: Mapping[str, JsonValue], subject: str) -> dict[str, str]:
    """Turn facts into what an MCAP metadata record holds: each value as JSON text, in the order of their names.

    Raises:
        InvalidEpisode: a value is not JSON.
    """
    try:
        return {name: json.dumps(value, sort_keys=True) for name, value in sorted(metadata.items())}
    except (TypeError, ValueError) as bad:
        raise InvalidEpisode(f"a fact of the episode is not JSON ({bad})", subject=subject) from bad


def stream_channel(writer: ContainerWriter, name: str, stream: Stream) -> int:
    """Declare the channel of `stream`, which may be empty, and return its id."""
    layout = layout_of(stream.values.dtype, stream.values.shape[1:], name)
    schema_name, schema = schema_of(layout.wire)
    return writer.channel(
        name,
        encoding="protobuf",
        schema=writer.schema(schema_name, "protobuf", schema),
        metadata=layout.metadata(stream=stream),
    )


def event_channel(writer: ContainerWriter) -> int:
    """Declare the channel of events and return its id."""
    schema = writer.schema("saqiya.Event", "jsonschema", json.dumps(_EVENT_SCHEMA).encode())
    return writer.channel("events", encoding="json", schema=schema, metadata={MARK: "events"})


def event_payload(name: str, detail: str) -> bytes:
    """Return the message of one event."""
    return json.dumps({"name": name, "detail": detail}).encode()


def _write_episode(writer: ContainerWriter, episode: EpisodeLog) -> None:
    from saqiya.formats.mcap.container import pack_payloads, pack_rows

    begin_log(writer, episode.key, episode.metadata)
    blocks: list[Block] = []
    for name, stream in sorted(episode.streams.items()):
        channel = stream_channel(writer, name, stream)
        layout = layout_of(stream.values.dtype, stream.values.shape[1:], name)
        blocks.append(pack_rows(channel, stream.t_ns, layout.encode(stream.values), prefix=layout.prefix))
    channel = event_channel(writer)
    payloads = [event_payload(event.name, event.detail) for event in episode.events]
    blocks.append(pack_payloads(channel, [event.t_ns for event in episode.events], payloads))
    if episode.videos:
        from saqiya.formats.mcap.video import VideoChannel, write_beside

        cameras = [VideoChannel(writer, name, video) for name, video in sorted(episode.videos.items())]
        write_beside(writer, cameras, blocks)
    else:
        writer.write(blocks)
    writer.finish()


def _check_head(head: bytes, size: int, path: Path) -> None:
    if not size:
        raise UnreadableLog("the file is empty", subject=str(path), remedy="Nothing was recorded; delete it.")
    if head.startswith(_LFS):
        raise UnreadableLog(
            "the file is a Git LFS pointer, not the log itself", subject=str(path), remedy="Run: git lfs pull"
        )
    if not head.startswith(_MAGIC):
        raise UnreadableLog(
            "the file does not begin as MCAP does", subject=str(path), remedy="Name its real format, or leave it out."
        )


def _episode(contents: Contents, path: Path, foreign: Callable[[], EpisodeLog]) -> EpisodeLog:
    records = {name: entries for name, entries in contents.metadata if name.startswith("saqiya.")}
    ours = "saqiya.log" in records
    if ours and records["saqiya.log"].get("version") != _VERSION:
        raise UnreadableLog(
            f"the log is of version {records['saqiya.log'].get('version')!r}, and this Saqiya reads {_VERSION}",
            subject=str(path),
            remedy="Read it with a newer Saqiya.",
        )
    streams, events, videos, metadata = _own_channels(contents, path)
    if not ours:
        log = foreign()
        streams, videos = {**streams, **log.streams}, {**videos, **log.videos}
        events = sorted([*events, *log.events], key=lambda event: event.t_ns)
        metadata = {**log.metadata, "skipped": {**_dict(log.metadata.get("skipped")), **_dict(metadata.get("skipped"))}}
        if not metadata["skipped"]:
            del metadata["skipped"]
        if not streams and not events and not videos:
            raise UnreadableLog(
                f"nothing in it can be decoded ({_reasons(metadata)})",
                subject=str(path),
                remedy="Record as protobuf, JSON or ROS channels, or convert it first.",
            )
        return EpisodeLog(path.stem, streams, tuple(events), metadata, videos)
    for name in ("saqiya.episode", "saqiya.end"):
        metadata |= _facts_read(records.get(name, {}), path)
    for name in ("saqiya.losses", "saqiya.recovered"):
        if name in records:
            metadata[name.removeprefix("saqiya.")] = _facts_read(records[name], path)
    return EpisodeLog(records["saqiya.log"].get("key", path.stem), streams, tuple(events), metadata, videos)


def _own_channels(
    contents: Contents, path: Path
) -> tuple[dict[str, Stream], list[Event], dict[str, Video], dict[str, JsonValue]]:
    from saqiya.formats.mcap.scan import Messages

    streams: dict[str, Stream] = {}
    events: list[Event] = []
    videos: dict[str, Video] = {}
    lost: dict[str, JsonValue] = {}
    for number, channel in contents.channels.items():
        messages = contents.messages.get(number) or Messages()
        subject = f"{path}: {channel.topic}"
        if channel.metadata.get(MARK) == "stream":
            layout = layout_read(channel.metadata, subject)
            values = layout.decode(messages.rows(layout.width), subject)
            streams[channel.topic] = stream_read(channel.metadata, messages.t_ns, values, subject)
        elif channel.metadata.get(MARK) == "events":
            events.extend(_events(messages, subject))
        elif channel.metadata.get(MARK) == "video":
            from saqiya.formats.mcap.video import Pieces, video_read

            pieces = contents.cameras.get(number) or Pieces()
            videos[channel.topic], gap = video_read(channel.metadata, pieces, path, subject)
            lost |= {channel.topic: gap} if gap else {}
    return streams, events, videos, {"skipped": lost} if lost else {}


def _events(messages: Messages, subject: str) -> list[Event]:
    try:
        said = [(t_ns, json.loads(payload)) for t_ns, _, payload in sorted(messages.each(), key=itemgetter(0, 1))]
        return [Event(t_ns, str(body["name"]), str(body["detail"])) for t_ns, body in said]
    except (ValueError, KeyError, TypeError) as bad:
        raise UnreadableLog(f"an event does not parse ({bad})", subject=subject, remedy="Copy it again.") from bad


def _facts_read(entries: Mapping[str, str], path: Path) -> dict[str, JsonValue]:
    try:
        return {name: json.loads(text) for name, text in entries.items()}
    except ValueError as bad:
        raise UnreadableLog(f"a fact does not parse ({bad})", subject=str(path), remedy="Copy it again.") from bad


def _dict(value: JsonValue) -> dict[str, JsonValue]:
    return value if isinstance(value, dict) else {}


def _reasons(metadata: Mapping[str, JsonValue]) -> str:
    skipped = metadata.get("skipped")
    if not isinstance(skipped, dict) or not skipped:
        return "it holds no messages"
    return "; ".join(f"{topic}: {reason}" for topic, reason in list(skipped.items())[:5])
