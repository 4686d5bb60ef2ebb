"""Write what a robot cell leaves behind: a folder of tries, one day's ROS 2 bag, and tables of a sensor.

    python examples/cell/make_cell.py FOLDER

`FOLDER/logs` has six tries as MCAP with a camera, force, joints and actions at their own rates (in one of them the
joints' readings hold NaN), one of the tries once more as HDF5, and a bag that is empty. `FOLDER/day` is a bag of
five minutes with eight tries in it. `FOLDER/tables` has CSV files.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.formats.mcap.log import McapFormat

BEGIN_NS = 1_780_000_000_000_000_000
LENGTH_S, HEIGHT, WIDTH, FPS, GOP = 4.0, 48, 64, 30, 15


def stamps(rate_hz: float, *, seconds: float = LENGTH_S) -> NDArray[np.int64]:
    """Return stamps at a rate from the day's beginning on."""
    return BEGIN_NS + np.rint(np.arange(0, seconds, 1 / rate_hz) * 1e9).astype(np.int64)


def camera(number: int) -> Video:
    """Return H.264 of a bright square that crosses the picture."""
    import av

    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.gop_size = Fraction(1, FPS), GOP
    encoder.options = {"preset": "veryfast", "bf": "0", "threads": "1"}
    t_ns = stamps(FPS)
    packets = []
    for place in range(len(t_ns)):
        picture = np.full((HEIGHT, WIDTH, 3), 30 + number, np.uint8)
        picture[16:32, place % (WIDTH - 16) :][:, :16] = 220
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts = place
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    size = np.array([packet.size for packet in packets], dtype=np.int64)
    key = np.array([packet.is_keyframe for packet in packets])
    rank = np.arange(len(t_ns))
    track = Track(t_ns, np.cumsum(size) - size, size, key, rank, "h264", WIDTH, HEIGHT, form="annexb")
    return Video(track, b"".join(bytes(packet) for packet in packets))


def one_try(number: int, *, spoiled: bool = False) -> EpisodeLog:
    """Make one try: joints at 100 Hz, force at 200 Hz, actions at 30 Hz, a camera at 30 Hz."""
    draw = np.random.default_rng(number)
    joints_ns, force_ns, action_ns = stamps(100), stamps(200), stamps(FPS)

    def path(t_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.sin(np.outer((t_ns - BEGIN_NS) / 1e9, np.arange(1, 8)) / 4 + number)

    joints = path(joints_ns) + draw.normal(0, 1e-3, (len(joints_ns), 7))
    if spoiled:
        joints[100:150] = np.nan
    streams = {
        "observation/joints": Stream(joints_ns, joints, unit="rad"),
        "contact/force": Stream(force_ns, draw.normal(2.0, 0.1, (len(force_ns), 3)), unit="N"),
        "action/executed": Stream(action_ns, path(action_ns + 33_000_000)),
    }
    events = (Event(BEGIN_NS, "phase/reach"), Event(BEGIN_NS + 2_000_000_000, "phase/insert"))
    facts = {"policy": "v7", "source": "rollout", "outcome": "failure" if number == 2 else "success"}
    return EpisodeLog(f"try-{number}", streams, events, facts, {"camera/front": camera(number)})


def write_logs(folder: Path) -> None:
    """Write six tries, a copy in another format, and a bag that nobody closed."""
    import h5py

    folder.mkdir(parents=True)
    for number in range(6):
        log = one_try(number, spoiled=number == 5)
        McapFormat().write(log, folder / f"try-{number}.mcap")
        if number == 0:
            with h5py.File(folder / "try-0.robomimic.hdf5", "w") as file:
                for name, stream in log.streams.items():
                    file[f"data/demo_0/{name}"] = stream.values
    (folder / "empty.bag").touch()


def write_day(folder: Path) -> None:
    """Write a ROS 2 bag of five minutes: an arm that rests, and eight tries that a topic begins and ends."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE)
    kinds = {"/left/joint_states": "sensor_msgs/msg/JointState", "/trial/status": "std_msgs/msg/String"}
    stamp, header, state, text = (
        types.types[name]
        for name in ("builtin_interfaces/msg/Time", "std_msgs/msg/Header", *kinds.values())
    )  # fmt: skip
    names, none = [f"joint_{n}" for n in range(7)], np.empty(0)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        opened = {topic: bag.add_connection(topic, kind, typestore=types) for topic, kind in kinds.items()}

        def put(topic: str, t_ns: int, message: object) -> None:
            bag.write(opened[topic], t_ns, types.serialize_cdr(message, kinds[topic]))

        for t_ns in stamps(20, seconds=300).tolist():
            second, moving = (t_ns - BEGIN_NS) / 1e9, 10 <= (t_ns - BEGIN_NS) / 1e9 % 36 < 28
            place = np.sin((second % 36 - 10) * np.arange(1, 8) / 6) if moving else np.zeros(7)
            head = header(stamp(*divmod(t_ns, 10**9)), "base")
            put("/left/joint_states", t_ns + 2_000_000, state(head, names, place, none, none))
            if second % 36 in (10, 28):
                word = "running" if second % 36 == 10 else "failure" if second > 250 else "success"
                put("/trial/status", t_ns, text(word))


def write_tables(folder: Path) -> None:
    """Write two tries of a force sensor as CSV."""
    folder.mkdir(parents=True)
    for number in range(2):
        rows = [f"{0.01 * n:.2f},{np.sin(n / 20 + number):.4f},{n / 100:.3f}" for n in range(300)]
        (folder / f"press-{number}.csv").write_text("\n".join(["time_s,fx,fz", *rows]) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: make_cell.py FOLDER")
    where = Path(sys.argv[1])
    write_logs(where / "logs")
    write_day(where / "day")
    write_tables(where / "tables")
