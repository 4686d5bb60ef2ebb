"""Packets as players want them: H.264 and HEVC with start codes and parameter sets, AV1 with its sequence header.

Files such as MP4 put a length before each NAL unit and the parameter sets beside the stream (avcC, hvcC, av1C: ISO/IEC
14496-15 and the AV1 binding). Players of single packets want start codes and the sets before each key picture. A
`Wrap` turns one into the other, and is only made where the way back gives the same bytes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from saqiya.domain.media import Track, Video

__all__ = ["Wrap", "obstacle", "wrap_of"]

_START = b"\0\0\0\1"
_NAL_CODECS = ("h264", "hevc")


@dataclass(frozen=True)
class Wrap:
    """What is done to a packet on its way to a player, and undone on the way back.

    Attributes:
        prefix: put before every key packet (parameter sets, or a sequence header).
        length_bytes: of each NAL unit's length where lengths become start codes; 0 where packets stay as they are.
    """

    prefix: bytes = b""
    length_bytes: int = 0

    def wrap(self, packet: bytes, *, key: bool) -> bytes:
        """Return what a player wants.

        Raises:
            ValueError: the packet is not made of NAL units with lengths, or could not be told apart afterwards.
        """
        body = packet
        if self.length_bytes:
            body = _with_starts(packet, self.length_bytes)
            if _with_lengths(body, self.length_bytes) != packet:
                raise ValueError("its NAL units hold start codes")
        return self.prefix + body if key else body

    def unwrap(self, data: bytes, *, key: bool) -> bytes:
        """Return the packet that was wrapped.

        Raises:
            ValueError: the data is nothing that `wrap` makes.
        """
        if key and not data.startswith(self.prefix):
            raise ValueError("a key packet lacks the parameter sets")
        body = data[len(self.prefix) :] if key else data
        return _with_lengths(body, self.length_bytes) if self.length_bytes else body


def wrap_of(video: Video) -> Wrap | None:
    """Return the wrap under which every packet of `video` plays and comes back; None where there is no such wrap."""
    try:
        found = _wrap(video)
        for number, key in enumerate(video.track.key.tolist()):
            if found.length_bytes:
                found.wrap(video.packet(number), key=key)
    except (ValueError, IndexError, struct.error):
        return None
    return found


def obstacle(track: Track) -> str:
    """Say what keeps players of single packets from showing a track; "" where nothing does."""
    if len(track.rank) and bool((track.rank[1:] < track.rank[:-1]).any()):
        return "it has B-frames, and packets are shown in the order in which they come"
    return ""


def _wrap(video: Video) -> Wrap:
    track = video.track
    if track.codec == "av1":
        return Wrap(_av1_header(video))
    if track.codec not in _NAL_CODECS:
        return Wrap()
    if track.form != "avcc":
        return Wrap(track.setup if track.setup.startswith((_START, _START[1:])) else b"")
    sets, length_bytes = (_avc_sets if track.codec == "h264" else _hevc_sets)(track.setup)
    return Wrap(b"".join(_START + one for one in sets), length_bytes)


def _avc_sets(setup: bytes) -> tuple[list[bytes], int]:
    """Return the parameter sets of an avcC box and the bytes of a NAL unit's length."""
    sets, at = [], 5
    for mask in (0x1F, 0xFF):
        count, at = setup[at] & mask, at + 1
        for _ in range(count):
            one, at = _sized(setup, at)
            sets.append(one)
    return sets, (setup[4] & 3) + 1


def _hevc_sets(setup: bytes) -> tuple[list[bytes], int]:
    """Return the parameter sets of an hvcC box and the bytes of a NAL unit's length."""
    sets, at = [], 23
    for _ in range(setup[22]):
        (count,) = struct.unpack_from(">H", setup, at + 1)
        at += 3
        for _ in range(count):
            one, at = _sized(setup, at)
            sets.append(one)
    return sets, (setup[21] & 3) + 1


def _sized(setup: bytes, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from(">H", setup, at)
    end = at + 2 + size
    if end > len(setup):
        raise ValueError("a parameter set reaches over the end")
    return setup[at + 2 : end], end


def _av1_header(video: Video) -> bytes:
    """Return the sequence header of an av1C box where the key packets do not bring their own."""
    setup = video.track.setup
    configured = setup[4:] if setup[:1] == b"\x81" else b""
    keys = [number for number, key in enumerate(video.track.key.tolist()) if key]
    return b"" if all(_has_sequence_header(video.packet(number)) for number in keys) else configured


def _has_sequence_header(packet: bytes) -> bool:
    """Say whether a sequence header OBU (type 1) comes first, or next after a temporal delimiter (type 2)."""
    kinds = [packet[at] >> 3 & 15 for at in (0, 2) if at < len(packet)]
    return kinds[:1] == [1] or kinds == [2, 1]


def _with_starts(packet: bytes, length_bytes: int) -> bytes:
    out, at = bytearray(), 0
    while at < len(packet):
        begin = at + length_bytes
        at = begin + int.from_bytes(packet[at:begin], "big")
        if begin > len(packet) or at > len(packet):
            raise ValueError("a NAL unit reaches over the packet's end")
        out += _START + packet[begin:at]
    return bytes(out)


def _with_lengths(data: bytes, length_bytes: int) -> bytes:
    if not data:
        return b""
    first, *units = data.split(_START)
    if first:
        raise ValueError("a packet does not begin with a start code")
    try:
        return b"".join(len(unit).to_bytes(length_bytes, "big") + unit for unit in units)
    except OverflowError as bad:
        raise ValueError("a NAL unit is too long for its length") from bad
