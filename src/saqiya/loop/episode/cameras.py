"""The pictures of an episode for a browser: any one of them as an image, and a camera as a film that plays.

Which picture belongs to a moment is looked up among the camera's own stamps, never computed from a rate: picture i is
what was seen in `[t_i, t_i+1)`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from threading import Lock, get_ident
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import PACKED, Video
from saqiya.domain.streams import Stream
from saqiya.errors import UsageError
from saqiya.formats.pictures.mp4_write import Mp4Writer, Shape
from saqiya.formats.pictures.nal import setup_of, to_lengths
from saqiya.stores.packed import layout_of, unpack
from saqiya.views.frames import Clip, Decoder

__all__ = ["Camera", "EncodedCamera", "Picture", "RawCamera", "is_pictures", "write_film"]

QUALITY: Final = 90
PLAYABLE: Final = ("h264", "hevc", "av1", "vp9")
WHOLE: Final = {"jpeg": "image/jpeg", "png": "image/png"}
"""Codecs whose packets are whole pictures that a browser shows as they are."""
LEAST_PX: Final = 8


@dataclass(frozen=True)
class Picture:
    """One image file and its media type."""

    data: bytes
    kind: str


@dataclass
class EncodedCamera:
    """A camera that came as packets; one decoder, which goes on where it stands, and one caller at a time."""

    name: str
    video: Video
    clip: Clip = field(init=False)
    decoder: Decoder = field(init=False)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        """Look through the packets once."""
        self.clip, self.decoder = Clip.of(self.video, self.name), Decoder()

    @property
    def t_ns(self) -> NDArray[np.int64]:
        """When each picture was taken, int64 (T,)."""
        return self.video.track.shown_ns

    def picture(self, index: int) -> Picture:
        """Return a picture, counted from the first of the episode.

        Raises:
            UsageError: there is no such picture.
            Corrupt: its packets cannot be decoded.
        """
        track = self.video.track
        number = _checked(self, index) + track.pre
        if track.codec in WHOLE and not track.unit:
            return Picture(self.video.packet(int(self.clip.packet[number])), WHOLE[track.codec])
        with self.lock:
            return jpeg_of(self.decoder.pictures(self.clip, [number])[0])

    @property
    def film_rate_hz(self) -> int:
        """How many pictures a second its film counts; 0 where no browser plays it."""
        track = self.video.track
        playable = track.codec in PLAYABLE and not track.unit
        return max(1, round(Stream(track.t_ns, track.t_ns).rate_hz)) if playable and len(track) else 0


@dataclass
class RawCamera:
    """A camera whose pictures are rows of numbers: an array, or a stream that lies packed."""

    name: str
    t_ns: NDArray[np.int64]
    rows: NDArray[Any] | Video

    @property
    def form(self) -> tuple[np.dtype[Any], tuple[int, ...]]:
        """Dtype and shape of one picture."""
        return row_of(self.rows) if isinstance(self.rows, Video) else (self.rows.dtype, self.rows.shape[1:])

    def picture(self, index: int) -> Picture:
        """Return a picture, counted from the first of the episode.

        Raises:
            UsageError: there is no such picture.
            Corrupt: it cannot be unpacked.
        """
        row = _checked(self, index)
        if isinstance(self.rows, Video):
            return jpeg_of(next(unpack(self.rows, [row + self.rows.track.pre], subject=self.name)))
        return jpeg_of(self.rows[row])


Camera = EncodedCamera | RawCamera


def is_pictures(name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bool:
    """Say whether rows of this dtype and shape are pictures: colour, grey or depth, by what they are and by name."""
    channels = shape[2] if len(shape) == 3 else 1
    if len(shape) not in {2, 3} or channels not in {1, 3, 4} or min(shape[:2]) < LEAST_PX:
        return False
    named = name.startswith(("camera/", "depth/")) or any(
        part in {"image", "images", "rgb"} for part in name.split("/")
    )
    return dtype == np.uint8 or (named and dtype.kind in "uif")


def row_of(video: Video) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape of the rows that a packed stream holds."""
    layout = layout_of(video.track.form, subject=PACKED)
    return layout.dtype, layout.shape


def jpeg_of(pixels: NDArray[Any]) -> Picture:
    """Encode one picture; of depth and other numbers each picture is stretched from its least to its greatest value."""
    from PIL import Image

    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if flat.dtype != np.uint8:
        flat = _stretched(flat)
    made = BytesIO()
    Image.fromarray(np.ascontiguousarray(flat[..., :3] if flat.ndim == 3 else flat)).save(made, "JPEG", quality=QUALITY)
    return Picture(made.getvalue(), "image/jpeg")


def write_film(video: Video, rate_hz: int, path: Path) -> None:
    """Write a camera's packets, as they are, as an MP4 in which picture i is shown from i / rate_hz on.

    The film has no gaps where the camera had some: whoever plays it looks up the stamps. It appears under its name only
    when it is whole.

    Raises:
        UsageError: the packets do not fit into an MP4.
    """
    track, annexb = video.track, video.track.form == "annexb"
    setup = track.setup
    if not setup or (annexb and setup[:1] != b"\x01"):
        setup = setup_of(track.codec, video.packet(0))
    shape = Shape(track.codec, track.width, track.height, setup)
    if not shape.writable:
        raise UsageError("its packets cannot lie in an MP4", subject=track.codec, remedy="Look at single pictures.")
    partial = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(len(track.offset))

    def pieces() -> Iterator[bytes]:
        for number in numbers:
            packet = video.packet(number)
            yield to_lengths(packet)[0] if annexb else packet

    size = np.array([len(piece) for piece in pieces()], dtype=np.int64) if annexb else track.size
    try:
        with Mp4Writer(partial, shape, Fraction(rate_hz)) as writer:
            writer.append(pieces(), size, track.key, track.rank)
        partial.replace(path)
    except ValueError as error:
        raise UsageError(f"its packets are no {track.codec} ({error})", remedy="Look at single pictures.") from error
    finally:
        partial.unlink(missing_ok=True)


def _checked(camera: Camera, index: int) -> int:
    if not 0 <= index < len(camera.t_ns):
        raise UsageError(
            f"there is no picture {index}", subject=camera.name, remedy=f"It has {len(camera.t_ns)}, the first is 0."
        )
    return index


def _stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = values.astype(np.float64)
    known = np.isfinite(numbers) & (numbers > 0 if values.ndim == 2 else np.ones(values.shape, np.bool_))
    if not known.any():
        return np.zeros(values.shape, np.uint8)
    least, most = numbers[known].min(), numbers[known].max()
    scaled = np.where(known, (numbers - least) / max(most - least, 1e-12), 0.0)
    return (scaled * 255).astype(np.uint8)
