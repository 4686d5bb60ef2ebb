"""Small videos made on the spot, with the pictures that FFmpeg itself sees in them."""

import io
from fractions import Fraction

import av
import numpy as np

from saqiya.domain.media import Track, Video

SIZE = (64, 48)


def scene(count, size=SIZE, seed=0):
    """Pictures that move, so that no picture is like its neighbours."""
    rng = np.random.default_rng(seed)
    width, height = size
    base = np.kron(rng.integers(30, 220, (height // 8 + 1, width // 8 + 1, 3)), np.ones((8, 8, 1)))
    pictures = [np.roll(base, (3 * k, 5 * k), axis=(0, 1))[:height, :width] for k in range(count)]
    return [(one + rng.normal(0, 3, one.shape)).clip(0, 255).astype(np.uint8) for one in pictures]


def encoded(codec="libx264", count=40, size=SIZE, pix_fmt="yuv420p", seed=0, options=None, colour=None):
    """Encode a scene; give its video and what a container read of it decodes to, RGB (T, H, W, 3)."""
    file = io.BytesIO()
    options = options or {"g": "10", "bf": "0"}
    with av.open(file, "w", format="mp4" if codec != "png" else "mov") as out:
        stream = out.add_stream(codec, rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        stream.time_base = Fraction(1, 30)
        if colour is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = colour
        for picture in scene(count, size, seed):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
    return video_of(file)


def video_of(file):
    """Read packets and pictures of an open file with PyAV's own container reader."""
    names = {"mjpeg": "jpeg"}
    file.seek(0)
    with av.open(file) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        codec, setup = stream.codec_context.name, stream.codec_context.extradata or b""
        width, height = stream.width, stream.height
    file.seek(0)
    with av.open(file) as container:
        pictures = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    codec = {"libdav1d": "av1", "libx264": "h264"}.get(codec, names.get(codec, codec))
    size = np.array([packet.size for packet in packets], dtype=np.int64)
    order = np.argsort([packet.pts for packet in packets])
    rank = np.empty(len(packets), dtype=np.int64)
    rank[order] = np.arange(len(packets))
    track = Track(
        t_ns=np.rint(np.arange(len(packets)) * 1e9 / 30).astype(np.int64),
        offset=np.concatenate([[0], np.cumsum(size)[:-1]]),
        size=size,
        key=np.array([packet.is_keyframe for packet in packets]),
        rank=rank,
        codec=codec,
        width=width,
        height=height,
        form="avcc" if codec in {"h264", "hevc"} else "",
        setup=setup,
    )
    return Video(track, b"".join(bytes(packet) for packet in packets)), pictures
