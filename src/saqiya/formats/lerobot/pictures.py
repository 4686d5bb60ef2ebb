"""Pictures of a camera decoded, encoded again at one rate, or packed one by one: where packets cannot stay."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Bytes, Track, Video, closed_keys
from saqiya.errors import InvalidEpisode
from saqiya.formats.pictures.mp4_write import Shape
from saqiya.formats.pictures.nal import setup_of, to_lengths
from saqiya.formats.pictures.spool import Spool
from saqiya.formats.pictures.stills import size_of

__all__ = ["ENCODER", "Encoded", "depths_of", "encode", "is_deep", "pixels_of", "png_of", "samples_of"]

ENCODER = "H.264, crf 18"
_CRF = "18"
_MOST_CODE = 4095
_NEAR_N = 31
_MARGIN_PX = 256
"""Decoders ask for room beyond the picture: whole blocks, and edges that motion may point to."""
_MOST_RATIO = 1100
"""Deflate makes nothing smaller than by this."""
_DECODERS = {"h264": "h264", "hevc": "hevc", "av1": "libdav1d", "vp9": "vp9", "jpeg": "mjpeg", "png": "png"}
_LEAVE_OUT = "Leave this episode or this camera out."


@dataclass(frozen=True)
class Encoded:
    """Packets of an encoder, without B-frames: one a frame, in order."""

    shape: Shape
    data: Bytes
    size: NDArray[np.int64]
    key: NDArray[np.bool_]


def _decoder(track: Track) -> Any:  # noqa: ANN401 - PyAV
    import av

    context: Any = av.CodecContext.create(_DECODERS[track.codec], "r")
    if track.setup and (track.codec != "av1" or track.setup[:1] == b"\x81"):
        context.extradata = track.setup
    context.thread_count = 1  # for a few pictures threads cost more than they give
    # A damaged header cannot ask for more memory than the declared size does.
    context.options = {"max_pixels": str((track.width + _MARGIN_PX) * (track.height + _MARGIN_PX))}
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
    """Decode up to `count` pictures spread over a track: (H, W, C) arrays, and the pixel format's name.

    Where groups are short they are key pictures, where groups are long they are near their key: few others have to be
    decoded.

    Raises:
        InvalidEpisode: none of them can be decoded.
    """
    track = video.track
    closed = np.flatnonzero(closed_keys(track.key, track.rank))
    last = len(track.t_ns) - track.post - 1
    packet_of = np.argsort(track.rank)
    found: dict[int, NDArray[Any]] = {}
    kind = ""
    for wanted in np.linspace(track.pre, last, count).round().astype(int).tolist():
        before = int(np.searchsorted(closed, wanted, side="right"))
        first = int(closed[before - 1]) if before else 0
        near = first if len(closed) >= 2 * count and first >= track.pre else min(wanted, first + _NEAR_N)
        for number, frame in _decoded(video, first, int(packet_of[first : near + 1].max()) + 1):
            if number == near and number not in found:
                kind = frame.format.name
                deep = is_deep(kind)
                pixels = frame.to_ndarray(format=kind.replace("be", "le") if deep else "rgb24")
                found[number] = pixels[..., None] if deep else pixels
    if not found:
        raise InvalidEpisode("no picture of a camera can be decoded", remedy=_LEAVE_OUT)
    return list(found.values()), kind


def is_deep(kind: str) -> bool:
    """Say whether a pixel format is grey of more than 8 bits, as depth maps are."""
    return kind.startswith("gray1")


def depths_of(codes: NDArray[Any], about: Mapping[str, Any]) -> NDArray[Any]:
    """Return the depths that LeRobot's 12-bit codes stand for, in the unit that they were recorded in.

    Args:
        codes: 0 to 4095.
        about: what info.json says of the camera: "video.depth_min", "video.depth_max" and "video.shift" in metres,
            "video.use_log", and "depth_unit".
    """
    named = [about.get(f"video.{name}", 0.0) for name in ("depth_min", "depth_max", "shift")]
    if not all(isinstance(one, int | float) and np.isfinite(one) for one in named):
        return codes
    low, high, shift = named
    if not high > low or low + shift <= 0:
        return codes
    if about.get("video.use_log"):
        ends = np.log([low + shift, high + shift])
        metres = np.exp(ends[0] + codes / _MOST_CODE * (ends[1] - ends[0])) - shift
    else:
        metres = low + codes / _MOST_CODE * (high - low)
    found: NDArray[Any] = metres * (1.0 if about.get("depth_unit") == "m" else 1000.0)
    return found


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
    spool, sizes, key, head = Spool(), [], [], b""

    def keep(made: list[Any]) -> None:
        nonlocal head
        for one in made:
            head = head or bytes(one)
            packet, _ = to_lengths(bytes(one))
            spool.add(packet)
            sizes.append(len(packet))
            key.append(bool(one.is_keyframe))

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
    setup = setup_of("h264", bytes(context.extradata or b"") or head)
    return Encoded(Shape("h264", width, height, setup), spool.data(), np.array(sizes, dtype=np.int64), np.array(key))


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
