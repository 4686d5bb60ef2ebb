"""Foreign MCAP: Foxglove's messages in protobuf and JSON, and ROS messages with the definitions beside them."""

import base64
import json

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, Writer
from tests.formats.bags import STEP, T0, Maker, packets, still

from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.errors import UnreadableLog
from saqiya.formats.mcap.log import McapFormat

FORMAT = McapFormat()
FIELD = descriptor_pb2.FieldDescriptorProto
XYZ = dict.fromkeys("xyz", "double")
POSE = {"position": "foxglove.Vector3", "orientation": "foxglove.Quaternion"}
STAMPED = {"timestamp": "google.protobuf.Timestamp", "frame_id": "string"}
TYPES = {
    "Vector3": XYZ,
    "Quaternion": XYZ | {"w": "double"},
    "Pose": POSE,
    "PoseInFrame": STAMPED | {"pose": "foxglove.Pose"},
    "FrameTransform": {
        "timestamp": "google.protobuf.Timestamp",
        "parent_frame_id": "string",
        "child_frame_id": "string",
        "translation": "foxglove.Vector3",
        "rotation": "foxglove.Quaternion",
    },
    "LaserScan": STAMPED | {"pose": "foxglove.Pose", "start_angle": "double", "ranges": "double*"},
    "CompressedVideo": STAMPED | {"data": "bytes", "format": "string"},
    "CompressedImage": STAMPED | {"data": "bytes", "format": "string"},
    "RawImage": STAMPED
    | {"width": "fixed32", "height": "fixed32", "encoding": "string", "step": "fixed32", "data": "bytes"},
    "PackedElementField": {"name": "string", "offset": "fixed32", "type": "int32"},
    "PointCloud": STAMPED
    | {
        "pose": "foxglove.Pose",
        "point_stride": "fixed32",
        "fields": "foxglove.PackedElementField*",
        "data": "bytes",
    },
    "JointState": {"name": "string", "position": "double?", "velocity": "double?"},
    "JointStates": {"timestamp": "google.protobuf.Timestamp", "joints": "foxglove.JointState*"},
}


def schemas():
    """Describe Foxglove's messages as one file, and give it with the classes that write them."""
    files = descriptor_pb2.FileDescriptorSet()
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    file = files.file.add(name="foxglove.proto", package="foxglove", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    for name, fields in TYPES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            label = FIELD.LABEL_REPEATED if kind.endswith("*") else FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            bare = kind.rstrip("*?")
            if "." in bare:
                added.type, added.type_name = FIELD.TYPE_MESSAGE, f".{bare}"
            else:
                added.type = getattr(FIELD, f"TYPE_{bare.upper()}")
            if kind.endswith("?"):
                added.proto3_optional, added.oneof_index = True, len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field}")
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    made = {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"foxglove.{name}")) for name in TYPES}
    return files.SerializeToString(), made


SCHEMA, MESSAGES = schemas()


def stamped(name, t_ns, **fields):
    return MESSAGES[name](timestamp={"seconds": t_ns // 10**9, "nanos": t_ns % 10**9}, **fields)


def write(path, channels, **options):
    """Write channels of (encoding, (schema name, kind, data), [(log time, payload)])."""
    writer = Writer(str(path), **options)
    writer.start("", "test")
    for topic, (encoding, schema, messages) in channels.items():
        channel = writer.register_channel(topic, encoding, writer.register_schema(*schema) if schema else 0)
        for t_ns, payload in messages:
            writer.add_message(channel, t_ns, payload, t_ns)
    writer.finish()
    return path


def foxglove(path, topics, **options):
    channels = {}
    for topic, (name, messages) in topics.items():
        sent = [(T0 + k * STEP + 5, message.SerializeToString()) for k, message in enumerate(messages)]
        channels[topic] = ("protobuf", (f"foxglove.{name}", "protobuf", SCHEMA), sent)
    [log] = FORMAT.read(write(path, channels, **options))
    return log


def each(name, count=6, **fields):
    """Make messages whose fields are functions of their number."""
    return name, [stamped(name, T0 + k * STEP, **{f: make(k) for f, make in fields.items()}) for k in range(count)]


def xyz(*values):
    return dict(zip("xyzw", values, strict=False))


def test_foxglove_numbers_have_vectors_units_and_sensor_stamps(tmp_path):
    pose = {"position": xyz(1.0, 2.0, 3.0), "orientation": xyz(0.0, 0.0, 0.0, 1.0)}
    topics = {
        "/pose": each("PoseInFrame", frame_id=lambda _: "base", pose=lambda _: pose),
        "/scan": each("LaserScan", start_angle=lambda _: -1.5, ranges=lambda k: [k + i for i in range(4)]),
        "/tf": each(
            "FrameTransform",
            parent_frame_id=lambda _: "base",
            child_frame_id=lambda k: "left" if k % 2 else "right",
            translation=lambda k: xyz(float(k), 0.0, 1.0),
            rotation=lambda _: xyz(0.0, 0.0, 0.0, 1.0),
        ),
        "/joints": each(
            "JointStates",
            joints=lambda k: [{"name": "a", "position": float(k)}, {"name": "b", "position": 0.5, "velocity": 1.0}],
        ),
    }
    log = foxglove(tmp_path / "x.mcap", topics)
    position = log.streams["/pose/pose/position"]
    assert (position.values[2].tolist(), position.unit, position.stamp) == ([1, 2, 3], "m", Stamp.SENSOR)
    assert position.t_ns.tolist() == [T0 + k * STEP for k in range(6)]
    assert (log.streams["clock/pose"].values[:, 0] - position.t_ns).tolist() == [5] * 6
    assert (log.streams["/scan/ranges"].values[3].tolist(), log.streams["/scan/ranges"].unit) == ([3, 4, 5, 6], "m")
    assert log.streams["/tf/base->left"].values[:, 0].tolist() == [1, 3, 5]
    joints = log.streams["/joints/position"]
    assert (joints.fields, joints.values[4].tolist()) == (("a", "b"), [4, 0.5])
    assert log.metadata["frames"]["/pose"] == {"frame_id": "base"}


@pytest.mark.parametrize("options", [{}, {"compression": CompressionType.NONE}, {"use_chunking": False}])
@pytest.mark.parametrize(("codec", "form"), [("libx264", "h264"), ("libx265", "h265"), ("libsvtav1", "av1")])
def test_video_packets_are_kept_and_stay_in_an_unpacked_file(tmp_path, options, codec, form):
    extra = {"x265-params": "keyint=5:bframes=0:log-level=none"} if codec == "libx265" else None
    settings_of = {"libsvtav1": {"g": "5", "svtav1-params": "pred-struct=1"}}.get(codec, extra)
    sent = packets(codec, 12, options=settings_of)
    topic = each("CompressedVideo", len(sent), data=lambda k: sent[k][0], format=lambda _: form)
    log = foxglove(tmp_path / "x.mcap", {"/cam": topic}, **options)
    video = log.videos["/cam"]
    track = video.track
    assert (track.codec, track.width, track.height) == ({"h265": "hevc"}.get(form, form), 64, 48)
    assert track.key.tolist() == [key for _, key in sent]
    assert [video.packet(k) for k in range(len(sent))] == [one for one, _ in sent]
    assert (video.file is not None) == bool(options)


def test_settings_that_come_alone_stand_before_the_video(tmp_path):
    sent = packets(count=10)
    head, first = sent[0][0][:-1], sent[0][0]
    at = first.rindex(b"\0\0\1", 0, first.index(b"\0\0\1\x65") + 1)
    sets, picture = first[:at], first[at:]
    assert head
    data = [sets, picture, *[one for one, _ in sent[1:5]]]
    log = foxglove(
        tmp_path / "x.mcap", {"/cam": each("CompressedVideo", 6, data=lambda k: data[k], format=lambda _: "h264")}
    )
    track = log.videos["/cam"].track
    assert len(track) == 5
    assert track.setup.strip(b"\0") == sets.strip(b"\0").rstrip(b"\0")
    assert (track.width, track.height) == (64, 48)


def test_pictures_clouds_and_raw_images_of_foxglove(tmp_path):
    picture = still(np.zeros((8, 16, 3), np.uint8), "jpeg")
    cloud = np.arange(24, dtype="<f4").reshape(8, 3)
    fields = [{"name": n, "offset": 4 * i, "type": 7} for i, n in enumerate("xyz")]
    topics = {
        "/still": each("CompressedImage", data=lambda _: picture, format=lambda _: "jpeg"),
        "/raw": each(
            "RawImage",
            width=lambda _: 3,
            height=lambda _: 2,
            encoding=lambda _: "rgb8",
            step=lambda _: 12,
            data=lambda k: bytes([k] * 24),
        ),
        "/cloud": each(
            "PointCloud", point_stride=lambda _: 12, fields=lambda _: fields, data=lambda _: cloud.tobytes()
        ),
    }
    log = foxglove(tmp_path / "x.mcap", topics)
    assert (log.videos["/still"].track.codec, log.videos["/still"].track.width) == ("jpeg", 16)
    assert log.streams["/raw"].values.shape == (6, 2, 3, 3)
    assert (log.streams["/cloud/points"].values == cloud).all()
    assert log.streams["/cloud/points"].unit == "m"


def test_foxglove_in_json_carries_pictures_as_base64(tmp_path):
    picture = base64.b64encode(still(np.zeros((8, 16, 3), np.uint8), "jpeg")).decode()
    stamp = {"sec": T0 // 10**9, "nsec": 7}
    said = [(T0, json.dumps({"timestamp": stamp, "data": picture, "format": "jpeg"}).encode())]
    path = write(tmp_path / "x.mcap", {"/cam": ("json", ("foxglove.CompressedImage", "jsonschema", b"{}"), said)})
    [log] = FORMAT.read(path)
    assert log.videos["/cam"].track.t_ns.tolist() == [T0 + 7]
    assert log.videos["/cam"].track.stamp is Stamp.SENSOR


def ros(version, message, make):
    return (
        make.store.serialize_ros1(message, message.__msgtype__)
        if version == 1
        else make.store.serialize_cdr(message, message.__msgtype__)
    )


@pytest.mark.parametrize(("version", "encoding", "kind"), [(1, "ros1", "ros1msg"), (2, "cdr", "ros2msg")])
def test_ros_messages_are_read_through_the_definition_beside_them(tmp_path, version, encoding, kind):
    make = Maker(version)
    text, _ = make.store.generate_msgdef("my_msgs/msg/Hand", ros_version=version)
    sent = [(T0 + k, bytes(ros(version, make.hand(T0 + k, "soft", [k, 2 * k]), make))) for k in range(5)]
    name = "my_msgs/Hand" if version == 1 else "my_msgs/msg/Hand"
    [log] = FORMAT.read(write(tmp_path / "x.mcap", {"/hand": (encoding, (name, kind, text.encode()), sent)}))
    assert log.streams["/hand/fingers/1/angle"].values.tolist() == [0, 2, 4, 6, 8]
    assert log.streams["/hand/grip"].values.dtype == np.float32


IDL = b"""================================================================================
IDL: my_msgs/msg/Touch
#include "my_msgs/msg/Point.idl"
module my_msgs { module msg {
  typedef double double__3[3];
  struct Touch { double__3 force; sequence<my_msgs::msg::Point> at; string name; uint8 state; };
}; };
================================================================================
IDL: my_msgs/msg/Point
module my_msgs { module msg { struct Point { double x; double y; }; }; };
"""


def test_ros_messages_are_read_through_idl(tmp_path):
    head = b"\0\1\0\0" + np.array([1.0, 2.0, 3.0]).tobytes()
    body = (2).to_bytes(4, "little") + bytes(4) + np.arange(4.0).tobytes() + b"\2\0\0\0a\0" + b"\7"
    [log] = FORMAT.read(
        write(tmp_path / "x.mcap", {"/t": ("cdr", ("my_msgs/msg/Touch", "ros2idl", IDL), [(1, head + body)])})
    )
    assert log.streams["/t/force"].values.tolist() == [[1, 2, 3]]
    assert log.streams["/t/at"].values.tolist() == [[[0, 1], [2, 3]]]
    assert log.streams["/t/at"].fields == ("x", "y")
    assert log.streams["/t/state"].values.tolist() == [7]
    assert [(event.name, event.detail) for event in log.events] == [("/t/name", "a")]


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_damaged_schemas_and_messages_do_no_harm(data, tmp_path_factory):
    """Without checksums, so that damage reaches the decoders."""
    path = tmp_path_factory.mktemp("fuzz") / "x.mcap"
    make = Maker(2)
    text, _ = make.store.generate_msgdef("my_msgs/msg/Hand", ros_version=2)
    hands = [(T0 + k, bytes(ros(2, make.hand(T0 + k, "soft", [k, k]), make))) for k in range(6)]
    _, joints = each("JointStates", joints=lambda k: [{"name": "a", "position": float(k)}])
    sent = [(T0 + k, one.SerializeToString()) for k, one in enumerate(joints)]
    _, shown = each("CompressedVideo", 6, data=lambda k: PACKETS[k][0], format=lambda _: "h264")
    seen = [(T0 + k, one.SerializeToString()) for k, one in enumerate(shown)]
    channels = {
        "/hand": ("cdr", ("my_msgs/msg/Hand", "ros2msg", text.encode()), hands),
        "/touch": ("cdr", ("my_msgs/msg/Touch", "ros2idl", IDL), hands),
        "/joints": ("protobuf", ("foxglove.JointStates", "protobuf", SCHEMA), sent),
        "/cam": ("protobuf", ("foxglove.CompressedVideo", "protobuf", SCHEMA), seen),
    }
    write(path, channels, compression=CompressionType.NONE, enable_crcs=False)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 12))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        [log] = FORMAT.read(path)
    except UnreadableLog as error:
        assert error.remedy  # noqa: PT017 - either outcome is right, and each must be whole
        return
    assert isinstance(log, EpisodeLog)


PACKETS = packets(count=6)


def test_a_chunk_that_claims_more_than_it_holds_is_damage(tmp_path):
    path = write(tmp_path / "x.mcap", {"/t": ("json", None, [(1, b'{"a": 1}')])}, compression=CompressionType.ZSTD)
    data = bytearray(path.read_bytes())
    at = data.index(b"zstd") - 4 - 4 - 8
    data[at : at + 8] = (1 << 40).to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(UnreadableLog, match="more bytes than any log"):
        list(FORMAT.read(path))


@pytest.mark.parametrize("stamped_by", ["the header", "the log alone"])
def test_b_frames_are_shown_in_the_order_of_their_stamps(tmp_path, stamped_by):
    sent = packets(count=12, options={"g": "6", "bf": "2", "b_adapt": "0", "sc_threshold": "0"}, order=True)
    shown = np.argsort(np.argsort([pts for _, _, pts in sent]))
    assert shown.tolist() != sorted(shown.tolist())
    unset = MESSAGES["CompressedVideo"]
    made = [
        stamped("CompressedVideo", T0 + pts * STEP, data=one, format="h264")
        if stamped_by == "the header"
        else unset(data=one, format="h264")
        for one, _, pts in sent
    ]
    log = foxglove(tmp_path / "x.mcap", {"/cam": ("CompressedVideo", made)})
    track = log.videos["/cam"].track
    if stamped_by == "the header":
        assert track.rank.tolist() == shown.tolist()
        assert track.t_ns.tolist() == sorted(T0 + pts * STEP for _, _, pts in sent)
    else:
        assert track.stamp is Stamp.RECEIVE
        assert "B-frames" in log.metadata["notes"]["/cam"]


def test_h264_stamps_that_go_back_without_b_frames_are_not_believed(tmp_path):
    sent = packets(count=6)
    stamps = [0, 1, 3, 2, 4, 5]
    made = [
        stamped("CompressedVideo", T0 + k * STEP, data=one, format="h264")
        for k, (one, _) in zip(stamps, sent, strict=True)
    ]
    log = foxglove(tmp_path / "x.mcap", {"/cam": ("CompressedVideo", made)})
    track = log.videos["/cam"].track
    assert (track.stamp, track.rank.tolist()) == (Stamp.RECEIVE, list(range(6)))
    assert "do not follow the pictures" in log.metadata["notes"]["/cam"]
    assert log.streams["/cam/header_stamp"].values[:, 0].tolist() == [T0 + k * STEP for k in stamps]
