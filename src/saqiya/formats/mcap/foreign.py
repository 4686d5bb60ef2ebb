"""Read what others logged as MCAP: JSON, protobuf and ROS channels through the schemas in the file.

What stays behind is named, with the reason, in `metadata["skipped"]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from saqiya.domain.streams import JsonValue
from saqiya.formats.bounded import Spoiled, unpack
from saqiya.formats.mcap.rows import MARK
from saqiya.formats.messages.decoders import decoder_of
from saqiya.formats.messages.log import Log, Topic
from saqiya.formats.messages.types import Undecodable

if TYPE_CHECKING:
    from saqiya.formats.mcap.scan import Contents

__all__ = ["ForeignTopics"]

_FACTS = {"task", "embodiment", "site", "policy", "operator", "source", "outcome", "claimed_by", "start", "skipped"}
_ZSTD = b"\x28\xb5\x2f\xfd"
_BOOKKEEPING = {"serialized_metadata"}


class ForeignTopics:
    """Takes the messages of one file's channels into a log, which may go on in further files."""

    def __init__(self, log: Log) -> None:
        """Begin with a new file."""
        self._log = log
        self._topics: dict[int, Topic] = {}
        self._cdr: set[int] = set()
        self.messages = 0

    def add(self, contents: Contents, channel: int, t_ns: int, payload: bytes, place: int) -> None:
        """Take in one message of a channel that is not ours; `place` as for `Log`."""
        topic = self._topics.get(channel)
        if topic is None:
            topic = self._topics[channel] = self._declared(contents, channel)
        self.messages += 1
        # Some recorders pack message by message; no CDR message begins as zstd does.
        if payload[:4] == _ZSTD and channel in self._cdr:
            try:
                payload, place = unpack("zstd", payload, None, contents.allowance), -1
            except Spoiled as bad:
                self._log.skip(f"{contents.channels[channel].topic} (packed messages)", str(bad))
                return
        topic.add(t_ns, payload, place)

    def _declared(self, contents: Contents, number: int) -> Topic:
        channel = contents.channels[number]
        schema = contents.schemas.get(channel.schema_id)
        if channel.message_encoding == "cdr":
            self._cdr.add(number)
        name, kind, data = (schema.name, schema.encoding, schema.data) if schema is not None else ("", "", b"")
        return self._log.topic(channel.topic, name, decoder_of(channel.message_encoding, name, kind, data))

    def close(self, contents: Contents) -> dict[str, JsonValue]:
        """Name the channels without messages and the attachments, and return what the file says of itself."""
        for number, channel in contents.channels.items():
            if MARK not in channel.metadata and number not in self._topics:
                try:
                    self._topics[number] = self._declared(contents, number)
                except Undecodable as why:
                    self._log.skip(channel.topic, str(why))
        for name in contents.attachments:
            self._log.skip(f"attachment {name}", "attachments are not read")
        said: dict[str, JsonValue] = {"mcap": {"profile": contents.profile, "library": contents.library}}
        for name, entries in contents.metadata:
            kept: dict[str, JsonValue] = {key: text for key, text in entries.items() if key not in _BOOKKEEPING}
            if kept:
                said[f"record {name}" if name in _FACTS else name] = kept
        return said
