"""Small videos, made with a real encoder; `movies` gives the functions to tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

CODECS: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
    "libsvtav1": {"preset": "12", "svtav1-params": "rc=0"},
}


def frames_of(count: int, *, width: int = 64, height: int = 48, seed: int = 0) -> NDArray[np.uint8]:
    """Moving texture, uint8 (T, H, W, 3); neighbours differ."""
    rng = np.random.default_rng(seed)
    tile = np.kron(
        rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8), np.ones((8, 8, 1), dtype=np.uint8)
    )
    return np.stack([np.roll(tile, 3 * number, axis=1) for number in range(count)])


def film(
    path: Path,
    frames: NDArray[np.uint8],
    *,
    codec: str = "libx264",
    fps: int = 30,
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
    stamps_ms: Sequence[int] | None = None,
) -> Path:
    """Encode frames into an MP4."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=dict(container or {})) as target:
        stream: Any = target.add_stream(codec, rate=fps, options={**CODECS[codec], **(options or {})})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if stamps_ms is not None:
                frame.pts, frame.time_base = stamps_ms[number], Fraction(1, 1000)
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return path


def shown(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Decode a file with the reference library: seconds and pixels of each picture."""
    import av

    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        base = float(stream.time_base or 0)
        return [(float(frame.pts or 0) * base, frame.to_ndarray(format="rgb24")) for frame in source.decode(stream)]


@pytest.fixture(scope="session")
def movies() -> SimpleNamespace:
    return SimpleNamespace(film=film, frames_of=frames_of, shown=shown)
