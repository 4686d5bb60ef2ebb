"""An episode whose cameras draw the number of each picture into it, so that a screen can be read back."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Event, Stream

BITS = 16
CELLS = BITS + 2
"""A white and a black cell come before the bits, so that a picture that was not drawn is no number."""


@dataclass(frozen=True)
class Eye:
    """A camera: its rate, the jitter of its stamps (share of a period), and how it is encoded."""

    name: str
    rate_hz: float
    jitter: float
    options: dict[str, str]
    size: tuple[int, int] = (432, 324)


EYES = (
    Eye("camera/front", 30.0, 0.3, {"g": "15", "bf": "0"}),
    Eye("camera/side", 24.0, 0.45, {"g": "48", "bf": "2"}),
    Eye("camera/wrist", 15.0, 0.2, {"g": "250", "bf": "0"}),
)


def drawn(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw a picture with its number as black and white cells along its top, over a ground that moves."""
    width, height = size
    across, down = np.arange(width), np.arange(height)[:, None]
    ground = (90 + 40 * np.sin(across / 37 + number / 9) + 40 * np.cos(down / 29 - number / 13)).astype(np.uint8)
    picture = np.stack([ground, np.roll(ground, 3 * number, axis=1), 255 - ground], axis=2)
    cell = width // CELLS
    bits = [1, 0, *(number >> bit & 1 for bit in range(BITS))]
    for place, bit in enumerate(bits):
        picture[: height // 6, place * cell : (place + 1) * cell] = 255 * bit
    return picture


def read(picture: NDArray[np.uint8]) -> int:
    """Read the number off a picture of any size, RGB; -1 where none is drawn."""
    height, width = picture.shape[:2]
    row = picture[height // 12, :, :3].mean(axis=1)
    edges = (np.arange(CELLS) + 0.5) * (width / CELLS)
    bits = row[edges.astype(int)] > 128
    return int(sum(1 << place for place, bit in enumerate(bits[2:]) if bit)) if bits[0] and not bits[1] else -1


def video_of(eye: Eye, seconds: float, rng: np.random.Generator) -> Video:
    """Encode a camera of so many seconds, with stamps that are not those of a clock: jitter, and a pause halfway."""
    import av

    count = int(seconds * eye.rate_hz)
    period_ns = 1e9 / eye.rate_hz
    t_ns = (np.arange(count) + rng.uniform(-eye.jitter, eye.jitter, count)) * period_ns + rng.uniform(0, 2) * period_ns
    t_ns[count // 2 :] += min(0.7e9, seconds * 1e8)
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        stream: Any = out.add_stream("libx264", rate=round(eye.rate_hz), options={"preset": "ultrafast", **eye.options})
        stream.width, stream.height, stream.pix_fmt = *eye.size, "yuv420p"
        stream.time_base = Fraction(1, round(eye.rate_hz))
        for number in range(count):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(drawn(number, eye.size), format="rgb24")))
        out.mux(stream.encode())
    file.seek(0)
    with av.open(file) as container:
        source = container.streams.video[0]
        packets = [packet for packet in container.demux(source) if packet.size]
        setup = source.codec_context.extradata or b""
    size = np.array([packet.size for packet in packets], dtype=np.int64)
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort([packet.pts for packet in packets])] = np.arange(count)
    track = Track(
        t_ns=np.sort(t_ns.astype(np.int64)),
        offset=np.cumsum(size) - size,
        size=size,
        key=np.array([packet.is_keyframe for packet in packets]),
        rank=rank,
        codec="h264",
        form="avcc",
        setup=setup,
        width=eye.size[0],
        height=eye.size[1],
    )
    return Video(track, b"".join(bytes(packet) for packet in packets))


def coded_episode(
    *, seed: int, seconds: float, streams: int = 6, rate_hz: float = 200.0, eyes: tuple[Eye, ...] = EYES
) -> EpisodeLog:
    """Make an episode of cameras and streams, in which a person takes over at two thirds of its time."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate_hz)
    t_ns = (np.arange(count) * (1e9 / rate_hz)).astype(np.int64)
    rows = dict(_signals(rng, t_ns, streams))
    tick = t_ns[:: max(1, int(rate_hz / 20))].copy()
    turn = int(len(tick) * 2 / 3)
    wanted = np.stack([np.sin(tick / 1e9 + phase) for phase in range(3)], axis=1)
    shown = wanted + np.where(np.arange(len(tick))[:, None] >= turn, 0.4, 0.0)
    made = {
        **rows,
        "action/intended": Stream(tick, wanted),
        "action/executed": Stream(tick.copy(), shown),
        "action/operator": Stream(tick[turn:].copy(), shown[turn:]),
        "author": Stream(tick.copy(), (np.arange(len(tick)) >= turn).astype(np.uint8)),
        "policy/uncertainty": Stream(tick.copy(), np.exp(-(((np.arange(len(tick)) - turn) / (turn / 6)) ** 2))),
        "contact/held": Stream(tick.copy(), (np.sin(tick / (seconds * 1e8)) > 0.3).astype(np.uint8)),
    }
    third = int(seconds * 1e9 / 3)
    events = (Event(0, "phase/reach"), Event(third, "phase/grasp"), Event(int(tick[turn]), "takeover", "by hand"),
              Event(2 * third, "phase/place"), Event(int(t_ns[-1]), "success"))  # fmt: skip
    facts = {
        "task": "put the peg into the hole", "embodiment": "arm", "site": "bench", "source": "rollout",
        "policy": "act-7", "operator": "Ann", "outcome": "success",
        "start": {"seed": 3, "factors": {"peg_x": 0.12, "light": "lamp"}},
    }  # fmt: skip
    videos = {eye.name: video_of(eye, seconds, rng) for eye in eyes}
    return EpisodeLog(f"coded_{seed}", made, tuple(sorted(events, key=lambda one: one.t_ns)), facts, videos)


def _signals(rng: np.random.Generator, t_ns: NDArray[np.int64], streams: int) -> Iterator[tuple[str, Stream]]:
    at_s = t_ns / 1e9
    for number in range(streams):
        width = 7 if number % 3 == 0 else 3
        phase = rng.uniform(0, 6, width)
        rows = np.sin(at_s[:, None] * rng.uniform(0.2, 3, width) + phase) + rng.normal(0, 0.02, (len(t_ns), width))
        name = ("observation/joint", "observation/wrench", "observation/imu")[number % 3]
        unit = ("rad", "N", "m/s2")[number % 3]
        yield f"{name}_{number}", Stream(t_ns.copy(), rows.astype(np.float32), unit=unit)
