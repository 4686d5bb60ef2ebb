"""H.264, HEVC and AV1 packets as MP4 wants them: lengths before NAL units, and the set-up beside the stream.

ITU-T H.264 and H.265 (annex B and parameter sets), ISO/IEC 14496-15 (avcC, hvcC), the AV1 specification and its ISO
binding (av1C). Nothing in a NAL unit is changed, so what was unwrapped can be wrapped again bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

__all__ = ["begins_anew", "setup_of", "to_lengths", "to_starts"]

_START = b"\0\0\1"
_LENGTH_BYTES = 4


def to_lengths(packet: bytes) -> tuple[bytes, bytes]:
    """Return an annex B packet with 4-byte lengths for start codes, and how long each start code was (a byte each).

    Raises:
        ValueError: the packet does not begin with a start code.
    """
    out, widths = bytearray(), bytearray()
    for unit, width in _units(packet):
        out += len(unit).to_bytes(_LENGTH_BYTES, "big")
        out += unit
        widths.append(width)
    return bytes(out), bytes(widths)


def to_starts(packet: bytes, widths: Sequence[int]) -> bytes:
    """Undo `to_lengths`.

    Raises:
        ValueError: the packet is not made of as many NAL units.
    """
    out, at = bytearray(), 0
    for width in widths:
        size = int.from_bytes(packet[at : at + _LENGTH_BYTES], "big")
        at += _LENGTH_BYTES
        if at + size > len(packet) or not 3 <= width <= 4:
            raise ValueError("a NAL unit reaches over the packet's end")
        out += b"\0" * (width - 3) + _START + packet[at : at + size]
        at += size
    if at != len(packet):
        raise ValueError("a packet has more NAL units than it was made of")
    return bytes(out)


def begins_anew(codec: str, packet: bytes, form: str) -> bool:
    """Say whether a decoder that has other pictures behind it forgets them all at this packet."""
    if codec == "h264":
        return any(unit[0] & 31 == 5 for unit in _any_units(packet, form) if unit)
    if codec == "hevc":
        return any(16 <= unit[0] >> 1 & 63 <= 20 for unit in _any_units(packet, form) if unit)
    return True  # a key packet of AV1 and VP9 refreshes every reference


def setup_of(codec: str, packet: bytes) -> bytes:
    """Make the set-up box's content from what the first key packet brings; b"" where it brings none.

    Args:
        codec: "h264" or "hevc" (annex B packets), or "av1" (a temporal unit).
        packet: the packet.
    """
    if codec == "h264":
        return _avcc([unit for unit, _ in _units(packet) if unit])
    if codec == "hevc":
        return _hvcc([unit for unit, _ in _units(packet) if len(unit) > 2])
    return _av1c(packet) if codec == "av1" else b""


def _units(packet: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield each NAL unit and the length of the start code before it; zeros before a start code stay with its unit."""
    at = packet.find(_START)
    if at not in {0, 1} or (at == 1 and packet[0]):
        raise ValueError("a packet does not begin with a start code")
    width = at + 3
    while True:
        begin = at + 3
        at = packet.find(_START, begin)
        if at < 0:
            yield packet[begin:], width
            return
        wide = at > begin and packet[at - 1] == 0
        yield packet[begin : at - wide], width
        width = 3 + wide


def _any_units(packet: bytes, form: str) -> Iterator[bytes]:
    if form == "annexb":
        yield from (unit for unit, _ in _units(packet))
        return
    at = 0
    while at + _LENGTH_BYTES < len(packet):
        size = int.from_bytes(packet[at : at + _LENGTH_BYTES], "big")
        yield packet[at + _LENGTH_BYTES : at + _LENGTH_BYTES + size]
        at += _LENGTH_BYTES + size


def _avcc(units: Sequence[bytes]) -> bytes:
    sps = [unit.rstrip(b"\0") for unit in units if unit[0] & 31 == 7]
    pps = [unit.rstrip(b"\0") for unit in units if unit[0] & 31 == 8]
    if not sps or not pps or len(sps[0]) < 4 or len(sps) > 31:
        return b""
    out = bytes((1, *sps[0][1:4], 0xFC | _LENGTH_BYTES - 1, 0xE0 | len(sps)))
    out += b"".join(len(one).to_bytes(2, "big") + one for one in sps)
    return out + bytes((len(pps),)) + b"".join(len(one).to_bytes(2, "big") + one for one in pps)


def _hvcc(units: Sequence[bytes]) -> bytes:
    sets = {kind: [unit.rstrip(b"\0") for unit in units if unit[0] >> 1 & 63 == kind] for kind in (32, 33, 34)}
    if not all(sets.values()):
        return b""
    sps = _unescaped(sets[33][0])
    if len(sps) < 16:
        return b""
    layers = sps[2] >> 1 & 7
    chroma, depth, depth_chroma = _sps_pictures(sps, layers)
    out = bytes((1, *sps[3:15], 0xF0, 0, 0xFC, 0xFC | chroma, 0xF8 | depth, 0xF8 | depth_chroma, 0, 0))
    out += bytes(((layers + 1) << 3 | (sps[2] & 1) << 2 | _LENGTH_BYTES - 1, len(sets)))
    for kind, ones in sets.items():
        out += bytes((0x80 | kind,)) + len(ones).to_bytes(2, "big")
        out += b"".join(len(one).to_bytes(2, "big") + one for one in ones)
    return out


def _sps_pictures(sps: bytes, layers: int) -> tuple[int, int, int]:
    """Return chroma format and the bit depths above 8 of luma and chroma that an HEVC parameter set has."""
    bits = _Bits(sps, 15 * 8)
    flags = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in flags:
        bits.take(88 * profile + 8 * level)
    bits.golomb()  # the set's id
    chroma = bits.golomb()
    if chroma == 3:
        bits.take(1)
    bits.golomb(), bits.golomb()  # width and height
    if bits.take(1):
        for _ in range(4):
            bits.golomb()  # the window that is shown
    return chroma & 3, bits.golomb() & 7, bits.golomb() & 7


def _av1c(packet: bytes) -> bytes:
    """Make av1C from the sequence header; levels and chroma are read where the header is of the usual kind."""
    header = next((one for kind, one in _obus(packet) if kind == 1), b"")
    if not header:
        return b""
    bits = _Bits(header, _obu_head(header) * 8)
    profile, _, reduced = bits.take(3), bits.take(1), bits.take(1)
    level = tier = 0
    if reduced:
        level = bits.take(5)
    elif not bits.take(1):  # no timing information
        bits.take(1 + 5 + 12)  # initial display delay, number of operating points, the first one's id
        level = bits.take(5)
        tier = bits.take(1) if level > 7 else 0
    return bytes((0x81, profile << 5 | level, tier << 7 | 0x0C, 0)) + header


def _obu_head(obu: bytes) -> int:
    """Return how many bytes come before an OBU's payload."""
    at = 2 if obu[0] & 4 else 1
    while obu[at] & 0x80:
        at += 1
    return at + 1


def _obus(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield type and bytes (head and all) of the OBUs of a temporal unit, as far as they say their size."""
    at = 0
    while at < len(packet) and packet[at] & 2:
        size, shift, here = 0, 0, at + (2 if packet[at] & 4 else 1)
        while here < len(packet) and shift < 35:
            size |= (packet[here] & 0x7F) << shift
            shift, here = shift + 7, here + 1
            if packet[here - 1] < 0x80:
                break
        end = here + size
        if end > len(packet):
            return
        yield packet[at] >> 3 & 15, packet[at:end]
        at = end


def _unescaped(unit: bytes) -> bytes:
    return unit.replace(b"\0\0\3", b"\0\0")


class _Bits:
    """Bits of a header, from the first on; behind the end are zeros."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data, self._at = data, at

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            byte = self._data[self._at >> 3] if self._at >> 3 < len(self._data) else 0
            value = value << 1 | byte >> (7 - (self._at & 7)) & 1
            self._at += 1
        return value

    def golomb(self) -> int:
        zeros = 0
        while zeros < 32 and not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
