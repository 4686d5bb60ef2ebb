"""Episodes for tests: small, drawn from a seed, and shaped like what the loop logs; cameras for tests of containers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Start, Stream

__all__ = ["make_episode", "make_video"]

_FORCE_PER_STEP = 4
_CHUNK, _EXECUTE = 4, 2
_GOP = 4
_START = b"\0\0\0\1"
_KEY_HEADS = {"h264": (b"\x67", b"\x68", b"\x65"), "hevc": (b"\x40\x01", b"\x42\x01", b"\x44\x01", b"\x26\x01")}
_OTHER_HEAD = {"h264": b"\x41", "hevc": b"\x02\x01"}


def make_episode(
    *,
    seed: int = 0,
    steps: int = 40,
    rate_hz: float = 20.0,
    success: bool = True,
    strange_from: int | None = None,
    streams: Mapping[str, NDArray[Any]] | None = None,
    metadata: Mapping[str, JsonValue] | None = None,
) -> EpisodeLog:
    """Build one try of a made-up reaching task, as `loop.tries.rollout` would log it.

    It has T + 1 rows of `observation/state` (4,) and `observation/goal` (2,), T rows of `action/executed` (2,),
    `author` and `policy/uncertainty`, `policy/chunk` (4, 2) at every second of these, and `contact/force` (3,) at four
    times the control rate.

    Args:
        seed: draws start, goal, path and noise; equal arguments give equal episodes.
        steps: T, control steps.
        rate_hz: control rate.
        success: ends with the event and outcome "success", else "timeout" and "failure".
        strange_from: from this step on the hand is far from where such tries lead, the policy's members disagree, and
            its chunks contradict one another.
        streams: further streams, or others in place of those above, one row for each of the first rows' stamps.
        metadata: further facts, or others in place of the usual ones.
    """
    rng = np.random.default_rng(seed)
    period_ns = round(1e9 / rate_hz)
    stamps = np.arange(steps + 1, dtype=np.int64) * period_ns
    start, goal = rng.uniform(-0.2, 0.2, 2), rng.uniform(-0.2, 0.2, 2)
    way = np.linspace(0.0, 1.0, steps + 1)[:, None]
    place = start + (goal - start) * way + rng.normal(0.0, 0.002, (steps + 1, 2))
    uncertainty = 0.05 + 0.01 * rng.random((steps, 1))
    if strange_from is not None:
        place[strange_from:] += 2.0
        uncertainty[strange_from:] += 1.0
    speed = np.diff(place, axis=0, prepend=place[:1]) * rate_hz
    executed = np.diff(place, axis=0) * rate_hz
    force_ns = np.arange(steps * _FORCE_PER_STEP, dtype=np.int64) * (period_ns // _FORCE_PER_STEP)
    made = {
        "observation/state": Stream(stamps, np.hstack([place, speed]), clock="sim"),
        "observation/goal": Stream(stamps.copy(), np.repeat(goal[None], steps + 1, axis=0), clock="sim", unit="m"),
        "action/executed": Stream(stamps[:-1].copy(), executed, clock="sim"),
        "author": Stream(stamps[:-1].copy(), np.zeros((steps, 1), dtype=np.uint8), clock="sim"),
        "policy/uncertainty": Stream(stamps[:-1].copy(), uncertainty, clock="sim"),
        "policy/chunk": Stream(stamps[:-1:_EXECUTE].copy(), _chunks(executed, strange_from, seed), clock="sim"),
        "contact/force": Stream(force_ns, rng.normal(0.0, 0.1, (force_ns.size, 3)), clock="sim", unit="N"),
    }
    for name, values in (streams or {}).items():
        made[name] = Stream(stamps[: len(values)].copy(), np.array(values), clock="sim")
    begun = Start(seed, {"goal_x": float(goal[0]), "goal_y": float(goal[1])})
    facts: dict[str, JsonValue] = {
        "task": "reach",
        "embodiment": "point",
        "site": "made",
        "source": "rollout",
        "outcome": "success" if success else "failure",
        "start": {"seed": begun.seed, "factors": dict(begun.factors)},
        **(metadata or {}),
    }
    last_ns = int(stamps[-1])
    events = (Event(0, "phase/reach"), Event(last_ns, "success" if success else "timeout"))
    return EpisodeLog(f"episode_{seed}", made, events, facts)


def _chunks(executed: NDArray[np.float64], strange_from: int | None, seed: int) -> NDArray[np.float32]:
    """Return what a policy wanted, float32 (n, 4, 2), at every second step: about what then came."""
    rng = np.random.default_rng([seed, 1])
    begun = np.arange(0, len(executed), _EXECUTE)
    ahead = np.minimum(begun[:, None] + np.arange(_CHUNK), len(executed) - 1)
    spread = np.where(begun < (len(executed) if strange_from is None else strange_from), 0.01, 1.0)
    noise = rng.normal(size=(len(begun), _CHUNK, executed.shape[1])) * spread[:, None, None]
    wanted: NDArray[np.float32] = (executed[ahead] + noise).astype(np.float32)
    return wanted


def make_video(
    *,
    seed: int = 0,
    pictures: int = 12,
    codec: str = "h264",
    form: str = "annexb",
    reordered: bool = False,
    unit: str = "",
) -> Video:
    """Build a camera whose packets are well-formed on the outside: units, lengths, start codes, sets, and no picture.

    A key packet begins every fourth picture; the stamps are those of a 30 Hz camera with jitter. A test that decodes
    must encode real pictures instead.

    Args:
        seed: draws stamps and packets; equal arguments give equal videos.
        pictures: how many.
        codec: one of CODECS; "png" packets are real 8 x 6 pictures, 16 bit where there is a `unit`.
        form: as for a `Track`.
        reordered: two packets in each group have changed places, as B-frames make it, and the first and last picture
            lie outside the episode's range.
        unit: "mm" or "m" for depth.
    """
    rng = np.random.default_rng(seed)
    t_ns = np.arange(pictures, dtype=np.int64) * 33_333_333 + rng.integers(0, 9_000_000, pictures)
    key = np.arange(pictures) % _GOP == 0
    rank = np.arange(pictures)
    if reordered:
        swap = np.flatnonzero(np.arange(pictures) % _GOP == 1)
        swap = swap[swap + 1 < pictures]
        rank[swap], rank[swap + 1] = rank[swap + 1], rank[swap].copy()
    make, setup = _packet_maker(rng, codec, form, deep=bool(unit))
    packets = [make(bool(one)) for one in key]
    size = np.array([len(packet) for packet in packets], dtype=np.int64)
    track = Track(
        t_ns=t_ns, offset=np.cumsum(size) - size, size=size, key=key, rank=rank, codec=codec, form=form, setup=setup,
        width=8, height=6, pre=int(reordered), post=int(reordered), clock="camera", unit=unit,
    )  # fmt: skip
    return Video(track, b"".join(packets))


def _packet_maker(
    rng: np.random.Generator, codec: str, form: str, *, deep: bool
) -> tuple[Callable[[bool], bytes], bytes]:
    """Return what makes a packet (key or not), and the set-up beside the packets."""

    def noise() -> bytes:
        return bytes(rng.integers(1, 256, int(rng.integers(8, 60)), dtype=np.uint8))  # no zero: no start code

    if codec in _KEY_HEADS:
        *sets, picture = (head + noise() for head in _KEY_HEADS[codec])
        if form == "annexb":
            return lambda key: b"".join(
                _START + unit for unit in ([*sets, picture + noise()] if key else [_OTHER_HEAD[codec] + noise()])
            ), b""
        head = _KEY_HEADS[codec][-1]
        return lambda key: _sized((head if key else _OTHER_HEAD[codec]) + noise(), ">I"), _setup(codec, sets)
    if codec == "av1":
        header = b"\x0a\x04" + noise()[:4]
        return lambda key: b"\x12\x00" + (header if key else b"") + b"\x32\x08" + noise()[:8], b"\x81\0\0\0" + header
    if codec == "png":
        return lambda _: _png(rng, deep=deep), b""
    return lambda _: b"\xff\xd8\xff\xe0" + noise() + b"\xff\xd9", b""


def _setup(codec: str, sets: list[bytes]) -> bytes:
    """Return an avcC or hvcC box's bytes with NAL lengths of four bytes."""
    if codec == "h264":
        return b"\x01\x42\xc0\x1e\xff\xe1" + _sized(sets[0], ">H") + b"\x01" + _sized(sets[1], ">H")
    arrays = b"".join(struct.pack(">BH", 0xA0 | one[0] >> 1, 1) + _sized(one, ">H") for one in sets)
    return b"\x01" + bytes(20) + b"\x03" + bytes((len(sets),)) + arrays


def _sized(data: bytes, kind: str) -> bytes:
    return struct.pack(kind, len(data)) + data


def _png(rng: np.random.Generator, *, deep: bool) -> bytes:
    rows = rng.integers(0, 65536, (6, 8)).astype(">u2") if deep else rng.integers(0, 256, (6, 8), dtype=np.uint8)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    head = struct.pack(">IIBBBBB", 8, 6, 16 if deep else 8, 0, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    chunks = (_sized(data, ">I")[:4] + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
