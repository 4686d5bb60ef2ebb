"""ROS bags made on the spot with the `rosbags` library: what a robot with a hand, a laser and cameras logs."""

import io
from fractions import Fraction

import av
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

T0 = 1_700_000_000_000_000_000
STEP = 10_000_000
LATE = 2_000_000
"""How much later than its header stamp a message is in the log."""
CUSTOM = (
    "std_msgs/Header header\nstring mode\nfloat32[3] grip\nmy_msgs/Finger[] fingers\nuint8 STATE_IDLE=0\nuint8 state\n"
)
FINGER = "float64 angle\nstring name\n"
STORES = {1: Stores.ROS1_NOETIC, 2: Stores.ROS2_HUMBLE}


def store(version=2):
    made = get_typestore(STORES[version])
    made.register(get_types_from_msg(CUSTOM, "my_msgs/msg/Hand"))
    made.register(get_types_from_msg(FINGER, "my_msgs/msg/Finger"))
    if version == 1:
        made.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms\n", "tf2_msgs/msg/TFMessage"))
    return made


class Maker:
    """Builds messages of one ROS version by type name and keyword."""

    def __init__(self, version=2):
        self.version, self.store = version, store(version)

    def __call__(self, kind, **fields):
        return self.store.types[kind](**fields)

    def header(self, t_ns, frame="base"):
        stamp = self("builtin_interfaces/msg/Time", sec=t_ns // 10**9, nanosec=t_ns % 10**9)
        more = {"seq": 0} if self.version == 1 else {}
        return self("std_msgs/msg/Header", stamp=stamp, frame_id=frame, **more)

    def xyz(self, *values, kind="Vector3"):
        return self(f"geometry_msgs/msg/{kind}", **dict(zip("xyzw", map(float, values), strict=False)))

    def joints(self, t_ns, names, position, velocity=(), effort=()):
        arrays = [np.asarray(values, np.float64) for values in (position, velocity, effort)]
        fields = dict(zip(("position", "velocity", "effort"), arrays, strict=True))
        return self("sensor_msgs/msg/JointState", header=self.header(t_ns), name=list(names), **fields)

    def image(self, t_ns, picture, encoding, *, pad=0, big=False):
        rows = np.ascontiguousarray(picture).view(np.uint8).reshape(len(picture), -1)
        filled = np.hstack([rows, np.full((len(rows), pad), 7, np.uint8)])
        return self(
            "sensor_msgs/msg/Image",
            header=self.header(t_ns),
            height=picture.shape[0],
            width=picture.shape[1],
            encoding=encoding,
            is_bigendian=int(big),
            step=filled.shape[1],
            data=filled.reshape(-1),
        )

    def packed(self, t_ns, data, form):
        data = np.frombuffer(data, np.uint8)
        return self("sensor_msgs/msg/CompressedImage", header=self.header(t_ns), format=form, data=data)

    def cloud(self, t_ns, points, ring):
        kind = "sensor_msgs/msg/PointField"
        fields = [self(kind, name=n, offset=4 * i, datatype=7, count=1) for i, n in enumerate("xyz")]
        fields.append(self(kind, name="ring", offset=16, datatype=4, count=1))
        table = np.zeros((len(points), 20), np.uint8)
        table[:, :12] = np.ascontiguousarray(points, "<f4").view(np.uint8)
        table[:, 16:18] = np.ascontiguousarray(ring, "<u2").view(np.uint8).reshape(-1, 2)
        return self(
            "sensor_msgs/msg/PointCloud2",
            header=self.header(t_ns),
            height=1,
            width=len(points),
            fields=fields,
            is_bigendian=False,
            point_step=20,
            row_step=20 * len(points),
            data=table.reshape(-1),
            is_dense=True,
        )

    def transform(self, t_ns, parent, child, translation):
        moved = self(
            "geometry_msgs/msg/Transform",
            translation=self.xyz(*translation),
            rotation=self.xyz(0, 0, 0, 1, kind="Quaternion"),
        )
        header = self.header(t_ns, parent)
        return self("geometry_msgs/msg/TransformStamped", header=header, child_frame_id=child, transform=moved)

    def hand(self, t_ns, mode, angles):
        fingers = [self("my_msgs/msg/Finger", angle=float(a), name=f"f{i}") for i, a in enumerate(angles)]
        grip = np.arange(3, dtype=np.float32)
        return self("my_msgs/msg/Hand", header=self.header(t_ns), mode=mode, grip=grip, fingers=fingers, state=2)


def robot(make, count=20):
    """What a robot logs in `count` steps: (topic, message, log time)."""
    rng = np.random.default_rng(0)
    out = []
    for k in range(count):
        t_ns = T0 + k * STEP
        wrench = make("geometry_msgs/msg/Wrench", force=make.xyz(k, 1, 2), torque=make.xyz(3, 4, 5))
        said = [
            ("/joint_states", make.joints(t_ns, ["a", "b"], [k, -k], [0.5, 0.25], [1, 2])),
            ("/ft", make("geometry_msgs/msg/WrenchStamped", header=make.header(t_ns), wrench=wrench)),
            ("/tf", make("tf2_msgs/msg/TFMessage", transforms=[make.transform(t_ns, "base", "hand", (k, 0, 1))])),
            ("/mode", make("std_msgs/msg/String", data="grasp" if k < count // 2 else "lift")),
            ("/held", make("std_msgs/msg/Bool", data=k >= count // 2)),
            ("/hand", make.hand(t_ns, "soft", [k, k + 1])),
            ("/rgb", make.image(t_ns, np.full((4, 6, 3), k, np.uint8), "bgr8", pad=2)),
            ("/depth", make.image(t_ns, np.full((4, 6), 500 + k, "<u2"), "16UC1")),
            ("/points", make.cloud(t_ns, rng.normal(size=(30 + k % 3, 3)), np.arange(30 + k % 3))),
        ]
        out += [(topic, message, t_ns + LATE) for topic, message in said]
    return out


def long(make, count=150):
    """A force and a picture a step: enough bytes for several chunks."""
    rng, out = np.random.default_rng(0), []
    for k in range(count):
        t_ns = T0 + k * STEP
        wrench = make("geometry_msgs/msg/Wrench", force=make.xyz(k, 1, 2), torque=make.xyz(3, 4, 5))
        out.append(("/ft", make("geometry_msgs/msg/WrenchStamped", header=make.header(t_ns), wrench=wrench), t_ns))
        out.append(("/raw", make.image(t_ns, rng.integers(0, 255, (100, 400), dtype=np.uint8), "mono8"), t_ns))
    return out


def write1(path, make, items, compression=None):
    writer = Writer1(path)
    if compression:
        writer.set_compression(getattr(Writer1.CompressionFormat, compression))
    with writer:
        topics = {}
        for topic, message, t_ns in items:
            kind = message.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=make.store)
            writer.write(topics[topic], t_ns, make.store.serialize_ros1(message, kind))
    return path


def write2(path, make, items, storage="SQLITE3", compression=None):
    writer = Writer2(path, version=9, storage_plugin=StoragePlugin[storage])
    if compression:
        writer.set_compression(CompressionMode[compression], CompressionFormat.ZSTD)
    with writer:
        topics = {}
        for topic, message, t_ns in items:
            kind = message.__msgtype__
            if topic not in topics:
                topics[topic] = writer.add_connection(topic, kind, typestore=make.store)
            writer.write(topics[topic], t_ns, make.store.serialize_cdr(message, kind))
    return path


def packets(codec="libx264", count=20, size=(64, 48), options=None, *, order=False):
    """Encode moving noise; give each packet, whether decoding can begin at it, and with `order` when it is shown."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 30)
    context.options = options or {"g": "5", "bf": "0", "sc_threshold": "0"}
    rng, out = np.random.default_rng(1), []
    for k in range(count):
        frame = av.VideoFrame.from_ndarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8), format="rgb24")
        frame.pts = k
        out += context.encode(frame)
    out += context.encode(None)
    return [(bytes(packet), packet.is_keyframe, *([packet.pts] if order else [])) for packet in out]


def still(picture, codec="png"):
    """Encode one picture (H, W) uint16 or (H, W, 3) uint8."""
    context = av.CodecContext.create("mjpeg" if codec == "jpeg" else codec, "w")
    context.height, context.width = picture.shape[:2]
    form = {"uint16": "gray16be"}.get(picture.dtype.name, "yuvj420p" if codec == "jpeg" else "rgb24")
    source = "gray16le" if picture.dtype == np.uint16 else "rgb24"
    context.pix_fmt, context.time_base = form, Fraction(1, 30)
    frame = av.VideoFrame.from_ndarray(picture, format=source).reformat(format=form)
    out = io.BytesIO()
    for packet in [*context.encode(frame), *context.encode(None)]:
        out.write(bytes(packet))
    return out.getvalue()
