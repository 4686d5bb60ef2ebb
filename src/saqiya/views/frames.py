"""Pictures out of packets: any picture of a camera, from the key packet before it, without opening a container.

What comes out is bit for bit what FFmpeg's own conversion gives for that picture (swscale, 8-bit RGB), colour range and
matrix as the stream declares them; depth keeps its 16 bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video
from saqiya.errors import Corrupt

if TYPE_CHECKING:
    from av import Packet, VideoFrame
    from av.video.codeccontext import VideoCodecContext

__all__ = ["Clip", "Decoder", "dtype_of", "shape_of"]

_NAMES: Final = {"jpeg": "mjpeg", "av1": "libdav1d"}  # FFmpeg's own av1 decoder needs a graphics card
_LOW_DELAY: Final = 1 << 19  # AV_CODEC_FLAG_LOW_DELAY: each picture comes out as soon as its packet went in
_CONTEXTS: Final = 8
_REORDER: Final = 16  # the deepest reordering that H.264 and HEVC allow
_MARGIN: Final = 64  # decoders round sizes up to whole blocks


def shape_of(track: Track) -> tuple[int, ...]:
    """Return the shape of one picture: (height, width, 3) in colour, (height, width) for depth."""
    return (track.height, track.width) if track.unit else (track.height, track.width, 3)


def dtype_of(track: Track) -> np.dtype[Any]:
    """Return the dtype of one picture: uint8 in colour, uint16 for depth."""
    return np.dtype(np.uint16 if track.unit else np.uint8)


@dataclass(frozen=True, eq=False)
class Clip:
    """A video with what finding a picture in it needs.

    Attributes:
        video: stamps, packet places and bytes.
        name: what errors call it.
        packet: int64 (P,), the packet that becomes each picture.
        begin: int64 (P,), the key packet to decode from so that each picture comes out right.
        reordered: whether packets and pictures come in different orders (B-frames).
    """

    video: Video
    name: str
    packet: NDArray[np.int64]
    begin: NDArray[np.int64]
    reordered: bool

    @classmethod
    def of(cls, video: Video, name: str = "video") -> Clip:
        """Look through a track's packets once."""
        track = video.track
        count = len(track.t_ns)
        every = np.arange(count)
        reordered = not np.array_equal(track.rank, every)
        packet = every
        if reordered:
            packet = np.empty(count, dtype=np.int64)
            packet[track.rank] = every
        keys = np.flatnonzero(track.key)
        which = keys.searchsorted(packet, "right") - 1
        # A picture shown before its key picture leans on the group before (an open group).
        while reordered and (early := (which > 0) & (track.rank[keys[which]] > every)).any():
            which[early] -= 1
        return cls(video, name, packet, keys[which] if count else packet, reordered)

    @property
    def track(self) -> Track:
        """The video's track."""
        return self.video.track


class Decoder:
    """Decodes pictures of clips; for pictures that follow each other it goes on where it stands.

    Contexts are kept, not containers: a decoder costs nothing to open, and a clip one look at its track. One decoder
    serves one thread; a camera that is read in order deserves one of its own.
    """

    def __init__(self, *, threads: int = 1) -> None:
        """Use `threads` threads inside FFmpeg; one is the cheapest per picture where several workers run."""
        self._threads = threads
        self._contexts: dict[tuple[object, ...], VideoCodecContext] = {}
        self._context: VideoCodecContext | None = None
        self._clip: Clip | None = None
        self._next = -1  # the packet to go on with; -1: the context was drained
        self._shown: dict[int, VideoFrame] = {}
        self._wanted: set[int] = set()
        self._newest = -1
        self._scaler: Any = None
        self._faults: tuple[type[Exception], ...] = ()

    def frames(self, clip: Clip, pictures: Sequence[int]) -> list[VideoFrame]:
        """Return pictures as FFmpeg decodes them, in the order asked; each is decoded once, however often it is asked.

        Args:
            clip: the video.
            pictures: indices into `clip.track.t_ns`.

        Raises:
            Corrupt: packets do not give these pictures, or not in the declared size.
        """
        wanted = sorted(set(pictures), key=clip.packet.__getitem__)
        found: dict[int, VideoFrame] = {}
        for begin, group in groupby(wanted, key=clip.begin.__getitem__):
            found.update(self._group(clip, int(begin), list(group)))
        return [found[picture] for picture in pictures]

    def pictures(self, clip: Clip, pictures: Sequence[int], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return pictures as arrays: RGB uint8 (N, H, W, 3), or depth uint16 (N, H, W), written into `out` if given.

        Raises:
            Corrupt: see `frames`; or a picture's kind is not what the track says.
        """
        if out is None:
            out = np.empty((len(pictures), *shape_of(clip.track)), dtype=dtype_of(clip.track))
        for place, frame in enumerate(self.frames(clip, pictures)):
            self.write(frame, out[place], name=clip.name, depth=bool(clip.track.unit))
        return out

    def write(self, frame: VideoFrame, out: NDArray[Any], *, name: str, depth: bool) -> None:
        """Convert one frame into `out`, (H, W, 3) or for depth (H, W); one copy, from FFmpeg's buffer.

        Raises:
            Corrupt: the frame is of the other kind; `name` is whose.
        """
        kind = frame.format.name
        if depth:
            if not kind.startswith("gray"):
                raise _lie(name, f"depth pictures hold {kind}")
            out[...] = _plane(self._as(frame, "gray16le") if kind != "gray" else frame)
            return
        if kind.startswith(("gray1", "grayf")):
            raise _lie(name, f"pictures of {kind} have no unit", "Declare the camera's unit (mm or m): it is depth")
        out[...] = _plane(self._as(frame, "rgb24"))

    def _as(self, frame: VideoFrame, name: str) -> VideoFrame:
        if self._scaler is None:
            from av.video.reformatter import VideoReformatter

            self._scaler = VideoReformatter()  # one for all frames: making one costs more than using it
        converted: VideoFrame = self._scaler.reformat(frame, format=name, threads=1)
        return converted

    def _group(self, clip: Clip, begin: int, pictures: list[int]) -> dict[int, VideoFrame]:
        """Decode pictures that need the same key packet, in the order of their packets."""
        follows = clip is self._clip and self._next >= 0
        if not follows:
            self._shown = {}
        found = {picture: self._shown[picture] for picture in pictures if picture in self._shown}
        missing = [picture for picture in pictures if picture not in found]
        self._wanted, self._newest = set(missing), max(missing, default=-1)
        if missing:
            first, last = int(clip.packet[missing[0]]), int(clip.packet[missing[-1]])
            if not (follows and begin <= self._next <= first):
                follows = False
                self._restart(clip, begin)
            self._feed(clip, last + 1)
            if follows and clip.reordered:  # pictures behind B-frames come out when later packets went in
                for end in range(last + 2, min(last + 2 + _REORDER, len(clip.packet) + 1)):
                    if all(picture in self._shown for picture in missing):
                        break
                    self._feed(clip, end)
            if any(picture not in self._shown for picture in missing):
                self._decode(clip, None)
                self._next = -1
        found |= {picture: self._shown[picture] for picture in missing if picture in self._shown}
        if len(found) < len(pictures):
            lost = next(picture for picture in pictures if picture not in found)
            raise _lie(clip.name, f"its packets do not give picture {lost}")
        if any(frame.is_corrupt for frame in found.values()):
            raise _lie(clip.name, f"pictures from {pictures[0]} on are damaged")
        newest = max(pictures)
        self._shown = {picture: frame for picture, frame in (self._shown | found).items() if picture >= newest}
        return found

    def _restart(self, clip: Clip, begin: int) -> None:
        track = clip.track
        key = (track.codec, track.form, track.setup, track.width, track.height, clip.reordered)
        context = self._contexts.get(key)
        if context is None:
            if len(self._contexts) >= _CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
            context = self._contexts[key] = self._open(clip)
        elif context.is_open:
            context.flush_buffers()
        self._context, self._clip, self._next, self._shown = context, clip, begin, {}

    def _open(self, clip: Clip) -> VideoCodecContext:
        import av
        from av.error import FFmpegError

        self._faults = (FFmpegError, MemoryError)
        track = clip.track
        context = av.CodecContext.create(_NAMES.get(track.codec, track.codec), "r")
        context.thread_count = self._threads
        if track.setup:
            context.extradata = track.setup
        if not clip.reordered:
            context.flags |= _LOW_DELAY
        # A damaged header cannot ask for more memory than the declared size does.
        context.options = {"max_pixels": str((track.width + _MARGIN) * (track.height + _MARGIN))}
        opened: VideoCodecContext = context
        return opened

    def _feed(self, clip: Clip, end: int) -> None:
        """Decode the packets up to `end`."""
        from av import Packet

        track, data, part = clip.track, memoryview(clip.video.data), slice(self._next, end)
        columns = (track.offset[part], track.size[part], track.rank[part], track.key[part])
        for at, size, picture, key in zip(*(column.tolist() for column in columns), strict=True):
            packet = Packet(data[at : at + size])
            packet.pts = picture
            packet.is_keyframe = key  # FFmpeg adds a PNG that is none to the one before
            if clip.reordered and self._context is not None:  # B-frames that nobody wants and nothing leans on
                self._context.skip_frame = "DEFAULT" if self._keeps(picture) else "NONREF"
            self._decode(clip, packet)
        self._next = max(end, self._next)

    def _decode(self, clip: Clip, packet: Packet | None) -> None:
        if self._context is None:
            return
        try:
            frames: Iterable[VideoFrame] = self._context.decode(packet)
        except self._faults as error:
            self._next, self._clip = -1, None
            raise _lie(clip.name, f"a packet cannot be decoded ({error})") from error
        for frame in frames:
            # Frames nobody asked for go back to FFmpeg's pool at once: memory that is used again costs nothing.
            picture = frame.pts
            if picture is None or not self._keeps(picture):
                continue
            if (frame.width, frame.height) != (clip.track.width, clip.track.height):
                self._next, self._clip = -1, None
                raise _lie(clip.name, f"a picture is {frame.width} x {frame.height}, not as declared")
            self._shown[picture] = frame

    def _keeps(self, picture: int) -> bool:
        """Say whether a picture is wanted, or may be asked for next."""
        return picture in self._wanted or picture > self._newest


def _plane(frame: VideoFrame) -> NDArray[Any]:
    """View a packed frame's only plane as an array, without the padding at the end of its lines."""
    plane, width, height = frame.planes[0], frame.width, frame.height
    if frame.format.name == "rgb24":
        lines = np.frombuffer(plane, np.uint8).reshape(height, plane.line_size)
        return lines[:, : width * 3].reshape(height, width, 3)
    kind = np.uint8 if frame.format.name == "gray" else np.dtype("<u2")
    cells: NDArray[Any] = np.frombuffer(plane, kind).reshape(height, -1)
    return cells[:, :width]


def _lie(
    name: str, what: str, remedy: str = "Run `saqiya verify`, and leave the episode out if it stays so"
) -> Corrupt:
    return Corrupt(what, subject=name, remedy=remedy)
