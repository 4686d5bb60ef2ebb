"""Decompression that never gives more than it was allowed to: a few bytes of file can claim terabytes."""

from __future__ import annotations

import bz2
import zlib
from dataclasses import dataclass

__all__ = ["Allowance", "Spoiled", "unpack"]

FLOOR_BYTES = 256 << 20
MOST_RATIO = 250
"""Real logs shrink ten to a hundred times at best: stamps and sensor noise do not compress."""
MOST_AT_ONCE_BYTES = 1 << 30


class Spoiled(Exception):
    """Packed bytes that do not unpack, or to more than they say; inner to the formats, never seen by callers."""


@dataclass
class Allowance:
    """How many bytes a file of a known size may still unpack to."""

    left_bytes: int

    @classmethod
    def of(cls, file_bytes: int) -> Allowance:
        """Return what a file of `file_bytes` may unpack to."""
        return cls(FLOOR_BYTES + MOST_RATIO * file_bytes)

    def take(self, size_bytes: int) -> None:
        """Note that `size_bytes` are about to be unpacked.

        Raises:
            Spoiled: that is more than any real log unpacks to.
        """
        if not 0 <= size_bytes <= min(self.left_bytes, MOST_AT_ONCE_BYTES):
            raise Spoiled("it claims to unpack to more bytes than any log of its size does")
        self.left_bytes -= size_bytes


def unpack(kind: str, data: bytes, size_bytes: int | None, allowance: Allowance) -> bytes:
    """Unpack `data`.

    Args:
        kind: "", "none", "zstd", "lz4" or "bz2".
        data: packed bytes.
        size_bytes: what they must unpack to; None where nothing says it.
        allowance: what is left of what the file may unpack to.

    Raises:
        Spoiled: the kind is unknown, the bytes are damaged, or they do not unpack to `size_bytes`.
    """
    if kind in {"", "none"}:
        out = data
    elif kind not in {"zstd", "lz4", "bz2"}:
        raise Spoiled(f"compression {kind[:40]!r} is not known")
    else:
        most = _claimed(kind, data, allowance) if size_bytes is None else size_bytes
        allowance.take(most)
        try:
            out = _unpacked(kind, data, most)
        except (ValueError, RuntimeError, OSError, EOFError, MemoryError, zlib.error) as bad:
            raise Spoiled(f"its {kind} data does not unpack ({bad})") from bad
        if size_bytes is None and len(out) > most:
            raise Spoiled("it unpacks to more bytes than any log of its size does")
    if size_bytes is not None and len(out) != size_bytes:
        raise Spoiled(f"it unpacks to {len(out):,} bytes or more, {size_bytes:,} were promised")
    return out


def _claimed(kind: str, data: bytes, allowance: Allowance) -> int:
    """Return what the packed bytes themselves say they unpack to, else the most that is allowed."""
    if kind == "zstd":
        import zstandard

        try:
            claimed: int = zstandard.frame_content_size(data)
        except zstandard.ZstdError as bad:
            raise Spoiled(f"its zstd data does not unpack ({bad})") from bad
        if claimed >= 0:
            return claimed
    return min(allowance.left_bytes, MOST_AT_ONCE_BYTES)


def _ended(plain: bytes, most_bytes: int, *, ended: bool) -> bytes:
    if not ended and len(plain) <= most_bytes:
        raise ValueError("it ends too early")
    return plain


def _unpacked(kind: str, data: bytes, most_bytes: int) -> bytes:
    """Unpack at most `most_bytes` and one, so that more is noticed."""
    if kind == "bz2":
        engine = bz2.BZ2Decompressor()
        return _ended(engine.decompress(data, most_bytes + 1), most_bytes, ended=engine.eof)
    if kind == "lz4":
        import lz4.frame

        with lz4.frame.LZ4FrameDecompressor() as unpacker:
            return _ended(unpacker.decompress(data, most_bytes + 1), most_bytes, ended=unpacker.eof)
    import zstandard

    try:
        whole: bytes
        if zstandard.frame_content_size(data) == most_bytes:
            whole = zstandard.ZstdDecompressor().decompress(data, max_output_size=most_bytes)
        else:
            whole = zstandard.ZstdDecompressor().stream_reader(data).read(most_bytes + 1)
    except zstandard.ZstdError as bad:
        raise ValueError(str(bad)) from bad
    return whole
