"""What encoded pictures say of themselves: codec, size, and whether decoding can begin at them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from saqiya.errors import UnreadableLog
from saqiya.formats.pictures.stills import MOST_HEAD_BYTES, MOST_SIDE_PX, codec_of, size_of

__all__ = ["NEEDED", "Still", "Unit", "nals", "still", "unit"]

NEEDED: dict[str, set[int]] = {"h264": {7, 8}, "hevc": {32, 33, 34}, "av1": {1}, "vp9": set()}
"""The kinds of settings without which a codec's key pictures cannot be decoded."""

_START = b"\0\0\1"
_HIGH = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


@dataclass(frozen=True)
class Still:
    """One whole picture: its codec and size, and whether its samples have 16 bits."""

    codec: str
    width: int
    height: int
    deep: bool = False


@dataclass(frozen=True)
class Unit:
    """One packet of a video.

    Attributes:
        picture: it holds a picture, not only settings.
        key: decoding can begin here once the settings are known.
        sets: the settings that it brings along (parameter sets, a sequence header), by kind, ready to be put before
            a packet.
        size: (width, height) where it says it.
        backward: it is a picture between others (a B-frame).
    """

    picture: bool
    key: bool
    sets: dict[int, bytes]
    size: tuple[int, int] | None = None
    backward: bool = False


def still(data: bytes | memoryview) -> Still | None:
    """Say what picture `data` is, None where it is neither JPEG nor PNG."""
    head = bytes(data[:MOST_HEAD_BYTES])
    try:
        width, height = size_of(head)
    except UnreadableLog:
        return None
    codec = codec_of(head)
    return Still(codec, width, height, codec == "png" and head[24:25] == b"\x10")


def _sane(width: int, height: int) -> bool:
    return 0 < width <= MOST_SIDE_PX and 0 < height <= MOST_SIDE_PX


def nals(data: bytes | memoryview) -> Iterator[tuple[int, int]]:
    """Yield where each NAL unit of an Annex B packet begins and ends."""
    whole = bytes(data)
    at = whole.find(_START)
    while at >= 0:
        end = whole.find(_START, at + 3)
        yield at + 3, len(whole) if end < 0 else end
        at = end


def unit(codec: str, data: bytes | memoryview) -> Unit | None:
    """Look into one packet of h264 or hevc (Annex B), av1 (OBUs) or vp9; None where it is no such packet."""
    try:
        match codec:
            case "h264":
                return _h264(bytes(data))
            case "hevc":
                return _hevc(bytes(data))
            case "av1":
                return _av1(bytes(data))
            case "vp9":
                return _vp9(bytes(data))
    except (IndexError, ValueError):
        return None
    return None


def _begins(data: bytes) -> bool:
    return data[:3] == _START or data[:4] == b"\0" + _START


def _h264(data: bytes) -> Unit | None:
    if not _begins(data):
        return None
    kinds: set[int] = set()
    sets: dict[int, bytes] = {}
    size, backward = None, False
    for start, end in nals(data):
        kind = data[start] & 31
        kinds.add(kind)
        if kind in {7, 8}:
            sets[kind] = sets.get(kind, b"") + b"\0" + _START + data[start:end].rstrip(b"\0")
        if kind == 7:
            size = _h264_size(data[start:end])
        if kind in {1, 5}:
            bits = _Bits(_unescaped(data[start + 1 : start + 24]))
            bits.ue()
            backward = bits.ue() % 5 == 1
            break
    return Unit(bool(kinds & {1, 5}), 5 in kinds, sets, size, backward)


def _hevc(data: bytes) -> Unit | None:
    if not _begins(data):
        return None
    kinds: set[int] = set()
    sets: dict[int, bytes] = {}
    size = None
    for start, end in nals(data):
        kind = data[start] >> 1 & 63
        kinds.add(kind)
        if kind in {32, 33, 34}:
            sets[kind] = sets.get(kind, b"") + b"\0" + _START + data[start:end].rstrip(b"\0")
        if kind == 33:
            size = _hevc_size(data[start:end])
        if kind < 32:
            break
    picture = min(kinds, default=63) < 32
    return Unit(picture, any(16 <= kind <= 21 for kind in kinds), sets, size)


class _Bits:
    """Bits of a byte string, most significant first.

    Raises:
        ValueError: more is asked for than there is.
    """

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise ValueError("the header ends too early")
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def ue(self) -> int:
        """Return an Exp-Golomb number."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("a number of the header is too long")
        return (1 << zeros) - 1 + self.take(zeros)

    def se(self) -> int:
        value = self.ue()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def _unescaped(data: bytes) -> bytes:
    return data.replace(b"\0\0\3", b"\0\0")


def _checked(width: int, height: int) -> tuple[int, int] | None:
    return (width, height) if _sane(width, height) else None


def _h264_size(nal: bytes) -> tuple[int, int] | None:
    """Read the size out of a sequence parameter set (ITU-T H.264, 7.3.2.1.1)."""
    bits = _Bits(_unescaped(nal[1:512]))
    profile = bits.take(8)
    bits.take(16)
    bits.ue()
    chroma = 1
    if profile in _HIGH:
        chroma = bits.ue()
        if chroma == 3:
            bits.take(1)
        bits.ue()
        bits.ue()
        bits.take(1)
        if bits.take(1):
            for number in range(8 if chroma != 3 else 12):
                if bits.take(1):
                    _skip_scaling(bits, 16 if number < 6 else 64)
    bits.ue()
    order = bits.ue()
    if order == 0:
        bits.ue()
    elif order == 1:
        bits.take(1)
        bits.se()
        bits.se()
        for _ in range(min(bits.ue(), 255)):
            bits.se()
    bits.ue()
    bits.take(1)
    width, height = 16 * (bits.ue() + 1), 16 * (bits.ue() + 1)
    frames_only = bits.take(1)
    height *= 2 - frames_only
    if not frames_only:
        bits.take(1)
    bits.take(1)
    if bits.take(1):
        left, right, top, bottom = (bits.ue() for _ in range(4))
        across = 2 if chroma in {1, 2} else 1
        down = (2 if chroma == 1 else 1) * (2 - frames_only)
        width, height = width - across * (left + right), height - down * (top + bottom)
    return _checked(width, height)


def _skip_scaling(bits: _Bits, count: int) -> None:
    last = following = 8
    for _ in range(count):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _hevc_size(nal: bytes) -> tuple[int, int] | None:
    """Read the size out of a sequence parameter set (ITU-T H.265, 7.3.2.2)."""
    bits = _Bits(_unescaped(nal[2:512]))
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + 88 + 8)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in present:
        bits.take(88 * profile + 8 * level)
    bits.ue()
    chroma = bits.ue()
    if chroma == 3:
        bits.take(1)
    width, height = bits.ue(), bits.ue()
    if bits.take(1):
        left, right, top, bottom = (bits.ue() for _ in range(4))
        width -= (2 if chroma in {1, 2} else 1) * (left + right)
        height -= (2 if chroma == 1 else 1) * (top + bottom)
    return _checked(width, height)


def _av1(data: bytes) -> Unit | None:
    """Walk the OBUs of one temporal unit (AV1 specification, 5.3)."""
    at, size, key, picture = 0, None, False, False
    sets: dict[int, bytes] = {}
    while at < len(data):
        head, begin = data[at], at
        if head & 0x80 or not head & 2:  # forbidden bit, or an OBU without its length
            return None
        kind = head >> 3 & 15
        at += 2 if head & 4 else 1
        length, at = _leb128(data, at)
        if at + length > len(data):
            return None
        body = data[at : at + length]
        at += length
        if kind == 1:
            sets[1], size = data[begin:at], _av1_size(body)
        if kind in {3, 6} and not picture:
            picture = True
            key = body[0] >> 7 == 0 and body[0] >> 5 & 3 == 0
    return Unit(picture, key, sets, size) if picture or sets else None


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 56, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    return value, at


def _av1_size(body: bytes) -> tuple[int, int] | None:
    bits = _Bits(body[:128])
    bits.take(3)
    bits.take(1)
    if bits.take(1):
        bits.take(5)
    else:
        _av1_points(bits)
    across, down = bits.take(4) + 1, bits.take(4) + 1
    return _checked(bits.take(across) + 1, bits.take(down) + 1)


def _av1_points(bits: _Bits) -> None:
    """Pass over timing and operating points (AV1 specification, 5.5.1)."""
    model, delay_bits = 0, 0
    if bits.take(1):
        bits.take(64)
        if bits.take(1):
            bits.ue()
        model = bits.take(1)
        if model:
            delay_bits = bits.take(5) + 1
            bits.take(32 + 5 + 5)
    delays = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if model and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if delays and bits.take(1):
            bits.take(4)


def _vp9(data: bytes) -> Unit | None:
    """Read an uncompressed header (VP9 bitstream specification, 6.2)."""
    bits = _Bits(data[:24])
    if bits.take(2) != 2:
        return None
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3:
        bits.take(1)
    if bits.take(1):  # show_existing_frame
        return Unit(picture=True, key=False, sets={})
    delta = bits.take(1)
    bits.take(2)
    if delta:
        return Unit(picture=True, key=False, sets={})
    if bits.take(24) != 0x498342:
        return None
    if profile >= 2:
        bits.take(1)
    if bits.take(3) != 7:
        bits.take(1)
        if profile in {1, 3}:
            bits.take(3)
    elif profile in {1, 3}:
        bits.take(1)
    return Unit(picture=True, key=True, sets={}, size=_checked(bits.take(16) + 1, bits.take(16) + 1))
