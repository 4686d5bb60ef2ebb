"""Pictures of a camera decoded, encoded again at one rate, or packed one by one: where packets cannot stay."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video, closed_keys
from saqiya.errors import InvalidEpisode
from saqiya.formats.mp4_write import Shape
from saqiya.formats.nal import setup_of, to_lengths
from saqiya.formats.stills import size_of

__all__ = ["ENCODER", "Encoded", "encode", "pixels_of", "png_of", "samples_of"]

ENCODER = "H.264, crf 18"
_CRF = "18"
_MOST_RATIO = 1100
"""Deflate makes nothing smaller than by this."""
_DECODERS = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d", "vp9": "vp9", "jpeg": "mjpeg", "png": "png"}
_LEAVE_OUT = "Leave this episode or this camera out."


@dataclass(frozen=True)
class Encoded:
    """Packets of an encoder, without B-frames: one a frame, in order."""

    shape: Shape
    packets: list[bytes]
    key: NDArray[np.bool_]


def _decoder(track: Track) -> Any:  # noqa: ANN401 - PyAV
    import av

    context: Any = av.CodecContext.create(_DECODERS[track.codec], "r")
    if track.setup and (track.codec != "av1" or track.setup[:1] == b"\x81"):
        context.extradata = track.setup
    return context


def _decoded(video: Video, first: int, last: int) -> Iterator[tuple[int, Any]]:
    """Yield (picture number, frame) for packets `first` to `last`, in the order in which they are shown."""
    import av

    context = _decoder(video.track)
    try:
        for number in [*range(first, last), None]:
            packet = None
            if number is not None:
                packet = av.Packet(video.packet(number))
                packet.pts = packet.dts = int(video.track.rank[number])
                packet.is_keyframe = bool(video.track.key[number])
            for frame in context.decode(packet):
                if frame.pts is not None:
                    yield int(frame.pts), frame
    except av.FFmpegError as error:
        raise InvalidEpisode(f"a camera cannot be decoded: {error}", remedy=_LEAVE_OUT) from error


def samples_of(video: Video, count: int) -> tuple[list[NDArray[Any]], str]:
    """Decode up to `count` key pictures spread over a track: (H, W, C) arrays, and the pixel format's name.

    Raises:
        InvalidEpisode: none of them can be decoded.
    """
    keys = np.flatnonzero(closed_keys(video.track.key, video.track.rank))
    keys = keys if len(keys) else np.array([0])
    chosen = keys[np.unique(np.linspace(0, len(keys) - 1, min(count, len(keys))).round().astype(int))]
    found: list[NDArray[Any]] = []
    kind = ""
    for number in chosen.tolist():
        for _, frame in _decoded(video, number, number + 1):
            kind = frame.format.name
            deep = kind.startswith("gray1")
            pixels = frame.to_ndarray(format="gray16le" if deep else "rgb24")
            found.append(pixels[..., None] if deep else pixels)
    if not found:
        raise InvalidEpisode("no picture of a camera can be decoded", remedy=_LEAVE_OUT)
    return found, kind


def encode(video: Video, numbers: NDArray[np.int64], fps: Fraction, size: tuple[int, int]) -> Encoded:
    """Show picture `numbers[k]` (counted over the whole track) in frame k, encoded anew.

    Args:
        video: the camera.
        numbers: int64 (N,), not decreasing.
        fps: of what is encoded.
        size: width and height of what is encoded.

    Raises:
        InvalidEpisode: a picture is missing when the track is decoded.
    """
    import av

    width, height = size
    even = width % 2 == 0 and height % 2 == 0
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p" if even else "yuv444p"
    context.time_base, context.framerate = 1 / fps, fps
    context.options = {"crf": _CRF, "preset": "veryfast", "bf": "0", "g": str(max(1, round(fps / 2)))}
    packets: list[bytes] = []
    key: list[bool] = []

    def keep(made: list[Any]) -> None:
        packets.extend(bytes(one) for one in made)
        key.extend(bool(one.is_keyframe) for one in made)

    made, frame = 0, None
    for number, frame in _decoded(video, 0, len(video.track.rank)):
        while made < len(numbers) and numbers[made] <= number:
            if numbers[made] < number:
                raise InvalidEpisode(f"picture {int(numbers[made])} of a camera cannot be decoded", remedy=_LEAVE_OUT)
            plain = frame.reformat(width=width, height=height, format=context.pix_fmt)
            plain.pts, plain.time_base, plain.pict_type = made, 1 / fps, 0
            keep(context.encode(plain))
            made += 1
        if made == len(numbers):
            break
    if made < len(numbers):
        raise InvalidEpisode(f"picture {int(numbers[made])} of a camera cannot be decoded", remedy=_LEAVE_OUT)
    keep(context.encode(None))
    head = bytes(context.extradata or b"")
    setup = setup_of("h264", head or packets[0])
    return Encoded(Shape("h264", width, height, setup), [to_lengths(one)[0] for one in packets], np.array(key))


def png_of(pixels: NDArray[Any]) -> bytes:
    """Return a picture as PNG, losslessly: (H, W) or (H, W, C), C of 1, 3 or 4; uint8, or uint16 of one channel."""
    import av

    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    kind = {2: "gray", 3: "rgb24" if flat.shape[-1] == 3 else "rgba"}[flat.ndim]
    frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(flat), format="gray16le" if flat.dtype == np.uint16 else kind
    )
    if flat.dtype == np.uint16:
        kind = "gray16be"
        frame = frame.reformat(format=kind)
    context: Any = av.CodecContext.create("png", "w")
    context.width, context.height, context.pix_fmt = frame.width, frame.height, kind
    context.time_base = Fraction(1, 1)
    return b"".join(bytes(one) for one in [*context.encode(frame), *context.encode(None)])


def pixels_of(video: Video, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the raw pictures that `png_of` packed, (T, H, W) or (T, H, W, C).

    Raises:
        ValueError: the pictures are no such PNGs.
    """
    import av

    height, width = shape[1:3]
    track = video.track
    if (
        not 3 <= len(shape) <= 4
        or dtype not in {np.dtype(np.uint8), np.dtype(np.uint16)}
        or len(track.size) != shape[0]
    ):
        raise ValueError("raw pictures are not as their record says")
    heads = [video.packet(number)[:32] for number in range(len(track.size))]
    if any(size_of(head) != (width, height) for head in heads):
        raise ValueError("a picture is of another size than its record says")
    whole = np.empty(shape, dtype=dtype)
    if whole.nbytes > _MOST_RATIO * max(1, int(track.size.sum())):
        raise ValueError("raw pictures claim more bytes than PNG can hold")
    kind = "gray16le" if dtype == np.uint16 else {1: "gray", 3: "rgb24", 4: "rgba"}[shape[3] if len(shape) == 4 else 1]
    context: Any = av.CodecContext.create("png", "r")
    try:
        for number in range(len(track.size)):
            packet = av.Packet(video.packet(number))
            packet.is_keyframe = True  # else FFmpeg's decoder adds the picture before
            (frame,) = context.decode(packet)
            whole[number] = frame.to_ndarray(format=kind).reshape(shape[1:])
    except av.FFmpegError as error:
        raise ValueError(f"a picture cannot be decoded: {error}") from error
    return whole
