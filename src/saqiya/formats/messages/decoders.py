"""Find the decoder of a topic from what the file says of its type and encoding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from saqiya.formats.messages.batch import Decoded, Decoder
from saqiya.formats.messages.plain import json_decoder, protobuf_decoder
from saqiya.formats.messages.ros import RosDecoder
from saqiya.formats.messages.types import Struct, Undecodable, from_idl, from_msg, short, standard

__all__ = ["decoder_of", "ros_decoder"]


def decoder_of(encoding: str, name: str, kind: str, data: bytes) -> Decoder | Undecodable:
    """Return the decoder of an MCAP channel, or the reason why there is none.

    Args:
        encoding: of the messages ("json", "protobuf", "cdr", "ros1").
        name: of the schema, "" without one.
        kind: the schema's encoding ("jsonschema", "protobuf", "ros1msg", "ros2msg", "ros2idl").
        data: the schema.
    """
    try:
        if encoding == "json":
            return json_decoder(name)
        if encoding == "protobuf" and kind == "protobuf":
            return protobuf_decoder(name, data)
        if (encoding, kind) in {("cdr", "ros2msg"), ("cdr", "ros2idl"), ("cdr", ""), ("ros1", "ros1msg")}:
            return ros_decoder(name, kind, data.decode("utf-8", "replace"), "")
    except Undecodable as why:
        return why
    said = f"{encoding or 'no'} encoding" + (f", schema {name} ({kind or 'none'})" if name else "")
    return Undecodable(f"{said}: this reader decodes JSON, protobuf and ROS messages")


def ros_decoder(name: str, kind: str, text: str, distro: str) -> Decoder:
    """Return the decoder of a ROS type.

    Args:
        name: of the type.
        kind: what `text` is: "ros1msg", "ros2msg" or "ros2idl".
        text: the definition; "" takes the standard type of that name.
        distro: the ROS 2 distribution to look in first for a standard type.

    Raises:
        Undecodable: the definition does not parse, or there is none.
    """
    known = _forms(name, kind, text, distro)
    if not known:
        raise Undecodable(f"{name} is no standard type, and the log does not define it")
    return known[0] if len(known) == 1 else _Guessed(known)


@lru_cache(maxsize=256)
def _forms(name: str, kind: str, text: str, distro: str) -> tuple[RosDecoder, ...]:
    """Return what a type may look like; the next log is likely to ask for the same."""
    if kind == "ros1msg":
        return (RosDecoder(from_msg(name, text, ros1=True), ros1=True),)
    known: list[Struct] = []
    why: Undecodable | None = None
    try:
        if kind == "ros2idl":
            known.append(from_idl(name, text))
        elif text.strip():
            known.append(from_msg(name, text, ros1=False))
    except Undecodable as bad:
        why = bad
    # Some bags hold definitions that are not those of their messages: then a standard one may fit.
    known += [one for one in standard(name, distro) if one not in known]
    if not known and why is not None:
        raise why
    if not known and kind == "ros2msg":
        known = [Struct(short(name), ())]  # an empty definition: fits messages that hold nothing, and no other
    return tuple(RosDecoder(one, ros1=False) for one in known)


class _Guessed:
    """A standard type that changed over the years: the first message shows which form the log has."""

    def __init__(self, known: Sequence[RosDecoder]) -> None:
        self.type = known[0].type
        self._known = list(known)

    @property
    def units(self) -> Mapping[str, str]:
        return self._known[0].units

    @property
    def inner(self) -> Mapping[str, tuple[str, ...]]:
        return self._known[0].inner

    def _settle(self, payload: bytes) -> RosDecoder:
        if len(self._known) > 1:
            self._known = [next((one for one in self._known if one.fits(payload)), self._known[0])]
        return self._known[0]

    def batches(self, payloads: Sequence[bytes], first: int) -> Decoded:
        return self._settle(payloads[0]).batches(payloads, first)

    def message(self, payload: bytes) -> dict[str, Any]:
        return self._settle(payload).message(payload)

    def data_at(self, payload: bytes) -> int:
        return self._settle(payload).data_at(payload)
