"""Turn pictures into a video that every browser plays."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import UsageError

__all__ = ["write_mp4"]

GOP_FRAMES = 15  # a key frame this often: a player can jump to any moment
ALIGN_PX = 2  # yuv420p halves the colour planes


def write_mp4(frames: Iterable[NDArray[np.uint8]], path: Path, rate_hz: float) -> int:
    """Write RGB `frames`, uint8 (height, width, 3), as H.264 in MP4 and return how many there were.

    yuv420p, a key frame every 15 frames, index first (a browser can start before it has everything). The file appears
    under its name only when it is whole.

    Raises:
        UsageError: no frames, or a frame of another shape, dtype, or odd size.
    """
    import av

    partial = path.with_suffix(".partial")
    count, shape = 0, None
    rate = Fraction(rate_hz).limit_denominator(1000)
    try:
        with av.open(str(partial), "w", format="mp4", options={"movflags": "faststart"}) as container:
            for frame in frames:
                if shape is None:
                    shape = _checked(frame)
                    options = {"preset": "veryfast", "crf": "23"}
                    stream = container.add_stream("libx264", rate=rate, options=options)
                    stream.height, stream.width = shape[:2]
                    stream.pix_fmt, stream.gop_size = "yuv420p", GOP_FRAMES
                if frame.shape != shape:
                    raise UsageError(f"frame {count} is {frame.shape}, the first one {shape}", subject=path.name)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
                count += 1
            if shape is None:
                raise UsageError("there are no frames to write", subject=path.name)
            container.mux(stream.encode(None))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return count


def _checked(frame: NDArray[np.uint8]) -> tuple[int, ...]:
    shape = frame.shape
    if frame.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or shape[0] % ALIGN_PX or shape[1] % ALIGN_PX:
        raise UsageError(
            f"a frame is {frame.dtype} {shape}", remedy="Give uint8 (height, width, 3) with even height and width."
        )
    return shape
