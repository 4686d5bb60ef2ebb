"""An episode at one rate, as robomimic wants it: what is seen at each action, and what that leaves out, in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import InvalidEpisode

__all__ = ["ACTIONS", "Notes", "decoded", "key_of", "latest", "observed"]

ACTIONS = ("action/executed", "action/intended", "action/operator")
"""What may be imitated, the first that is there."""
OBSERVED = ("observation/", "contact/", "camera/", "depth/", "/")
DECODERS = {"jpeg": "mjpeg", "av1": "libdav1d"}
MARGIN_PX = 64


@dataclass
class Notes:
    """What was resampled or left out, each sentence once, with how many episodes it is true of."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, text: str) -> None:
        """Note `text` for one episode more."""
        self.counts[text] = self.counts.get(text, 0) + 1

    def listed(self, episodes: int) -> tuple[str, ...]:
        """Return every sentence; one that is not true of all episodes says of how many."""
        return tuple(
            text if count >= episodes else f"{text} (in {count} of {episodes} episodes)"
            for text, count in self.counts.items()
        )


def observed(log: EpisodeLog) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Choose what becomes an observation: (key: stream), (key: camera), and the names of what does not."""
    streams: dict[str, str] = {}
    videos: dict[str, str] = {}
    left: list[str] = []
    for name in sorted(log.streams):
        if not name.startswith(OBSERVED):
            left.append(name)
        elif name != "observation/states":
            streams[key_of(name, streams)] = name
    for name in sorted(log.videos):
        videos[key_of(name, streams | videos)] = name
    return streams, videos, left


def key_of(name: str, taken: dict[str, str]) -> str:
    """Name an observation as robomimic does: flat, a camera's ending in "_image", depth's in "_depth"."""
    head, _, rest = name.lstrip("/").partition("/")
    kept = rest if rest and head in {"observation", "contact", "camera", "depth"} else name.lstrip("/")
    key = kept.replace("/", "_") or "values"
    for prefix, ending in (("camera/", "_image"), ("depth/", "_depth")):
        if name.startswith(prefix) and not key.endswith(ending):
            key += ending
    if key not in taken:
        return key
    return next(one for number in range(2, len(taken) + 3) if (one := f"{key}_{number}") not in taken)


def latest(t_ns: NDArray[np.int64], at_ns: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Return the row that was the latest at each moment, int64 (T,), and how many moments came before the first row.

    Those get the first row.
    """
    rows: NDArray[np.int64] = np.searchsorted(t_ns, at_ns, side="right").astype(np.int64) - 1
    early = int((rows < 0).sum())
    return np.maximum(rows, 0), early


def how_taken(name: str, stream: Stream | Video, at: Stream) -> str:
    """Say how a stream was brought to the actions' stamps, "" when it has them already."""
    t_ns = stream.t_ns if isinstance(stream, Stream) else stream.track.t_ns
    if np.array_equal(t_ns, at.t_ns):
        return ""
    rate = Stream(t_ns, t_ns).rate_hz
    return (
        f"{name} ({rate:.4g} Hz) is given as the latest sample at each action ({at.rate_hz:.4g} Hz); "
        "its own samples and stamps are in the group saqiya"
    )


def decoded(video: Video, name: str) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Yield each picture's number and pixels in the order of pictures: uint8 (H, W, 3), depth uint16 (H, W, 1).

    Raises:
        InvalidEpisode: a packet cannot be decoded, or pictures are not of the declared size.
    """
    import av
    from av.error import FFmpegError

    track = video.track
    context = av.CodecContext.create(DECODERS.get(track.codec, track.codec), "r")
    context.thread_count = 1
    if track.setup:
        context.extradata = track.setup
    context.options = {"max_pixels": str((track.width + MARGIN_PX) * (track.height + MARGIN_PX))}
    try:
        for number in [*range(len(track.t_ns)), -1]:
            packet = None
            if number >= 0:
                packet = av.Packet(video.packet(number))
                packet.pts = int(track.rank[number])
                packet.is_keyframe = bool(track.key[number])
            for frame in context.decode(packet):
                if (frame.width, frame.height) != (track.width, track.height):
                    raise InvalidEpisode(f"{name}: a picture is {frame.width} x {frame.height}, not as declared")
                pixels = frame.to_ndarray(format="gray16le" if track.unit else "rgb24")
                yield int(frame.pts), pixels[..., None] if track.unit else pixels
    except (FFmpegError, MemoryError) as error:
        raise InvalidEpisode(
            f"{name}: a picture cannot be decoded ({error})", remedy="Leave the episode out, or set frames to false."
        ) from error
