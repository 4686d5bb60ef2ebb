"""What ROS messages mean, whichever bag they lie in."""

import numpy as np
import pytest
from tests.formats.bags import LATE, STEP, T0, Maker, packets, robot, still, write1, write2

from saqiya.domain.streams import Stamp
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.ros.rosbag1 import Rosbag1Format
from saqiya.formats.ros.rosbag2 import Rosbag2Format

KINDS = {
    "bag": (1, lambda path, make, items: write1(path / "x.bag", make, items)),
    "sqlite": (2, lambda path, make, items: write2(path / "x", make, items)),
    "mcap": (2, lambda path, make, items: write2(path / "x", make, items, "MCAP")),
}


@pytest.fixture(params=list(KINDS))
def bagged(request, tmp_path):
    """Write messages in one kind of bag and read them back."""
    version, write = KINDS[request.param]
    make = Maker(version)

    def read(items):
        path = write(tmp_path, make, items(make))
        [log] = (Rosbag1Format() if version == 1 else Rosbag2Format()).read(path)
        return log

    return read


def test_a_robots_log_comes_in_with_names_units_and_stamps(bagged):
    log = bagged(robot)
    position = log.streams["/joint_states/position"]
    assert position.values.tolist() == [[k, -k] for k in range(20)]
    assert (position.fields, position.unit, position.stamp) == (("a", "b"), "rad", Stamp.SENSOR)
    assert position.t_ns.tolist() == [T0 + k * STEP for k in range(20)]
    assert (log.streams["clock/joint_states"].values[:, 0] - position.t_ns == LATE).all()
    force = log.streams["/ft/wrench/force"]
    assert (force.unit, force.fields, force.values[3].tolist()) == ("N", ("x", "y", "z"), [3, 1, 2])
    assert log.streams["/ft/wrench/torque"].unit == "N m"
    moved = log.streams["/tf/base->hand"]
    assert moved.values[4].tolist() == [4, 0, 1, 0, 0, 0, 1]
    assert moved.fields == ("x", "y", "z", "qx", "qy", "qz", "qw")
    assert log.streams["/hand/grip"].values.shape == (20, 3)
    assert log.streams["/hand/fingers/1/angle"].values.tolist() == [k + 1 for k in range(20)]
    assert "skipped" not in log.metadata
    said = [(event.name, event.detail) for event in log.events if event.name in {"/mode", "/held"}]
    assert said == [("/mode", "grasp"), ("/held", "false"), ("/mode", "lift"), ("/held", "true")]


def test_raw_pictures_lose_their_filling_and_clouds_say_how_many_points_are_real(bagged):
    log = bagged(robot)
    colour, depth = log.streams["/rgb"], log.streams["/depth"]
    assert (colour.values.shape, colour.fields) == ((20, 4, 6, 3), ("b", "g", "r"))
    assert (colour.values == np.arange(20)[:, None, None, None]).all()
    assert (depth.values.dtype, depth.unit) == (np.dtype("uint16"), "mm")
    assert (depth.values == 500 + np.arange(20)[:, None, None]).all()
    points, ring, count = (log.streams[f"/points/{name}"] for name in ("points", "ring", "count"))
    assert points.values.shape == (20, 32, 3)
    assert count.values[:, 0].tolist() == [30 + k % 3 for k in range(20)]
    assert np.isnan(points.values[0, 30:]).all()
    assert np.isfinite(points.values[2]).all()
    assert ring.values[2, :, 0].tolist() == list(range(32))
    assert "filled up" in log.metadata["notes"]["/points"]


def test_joints_are_told_apart_by_name_in_any_order(bagged):
    def items(make):
        arm = [("/js", make.joints(T0 + k * STEP, ["a", "b"], [k, 10 + k]), T0 + k * STEP) for k in range(4)]
        turned = [("/js", make.joints(T0 + k * STEP, ["b", "a"], [10 + k, k]), T0 + k * STEP) for k in range(4, 8)]
        hand = [("/js", make.joints(T0 + k * STEP, ["finger"], [k]), T0 + k * STEP) for k in range(3)]
        return sorted([*arm, *turned, *hand], key=lambda item: item[2])

    log = bagged(items)
    assert log.streams["/js/position"].values.tolist() == [[k, 10 + k] for k in range(8)]
    assert log.streams["/js/finger/position"].values.tolist() == [[0], [1], [2]]
    assert (log.streams["/js/position"].unit, log.streams["/js/finger/position"].unit) == ("rad", "")
    assert "2 sets of joints" in log.metadata["notes"]["/js"]


def wrench(make, t_ns):
    inner = make("geometry_msgs/msg/Wrench", force=make.xyz(t_ns - T0, 0, 0), torque=make.xyz(0, 0, 0))
    return make("geometry_msgs/msg/WrenchStamped", header=make.header(t_ns), wrench=inner)


@pytest.mark.parametrize(
    ("stamps", "kind", "words"),
    [
        ([0, 1, 3, 2], Stamp.SENSOR, "sorted by stamp"),
        ([0, 1, -T0 // STEP, 3], Stamp.RECEIVE, "unset or over 10 s"),
        ([1000 * 10**9 // STEP + k for k in range(4)], Stamp.RECEIVE, "the log's stamps are used"),
    ],
)
def test_header_stamps_that_cannot_be_trusted_are_said(bagged, stamps, kind, words):
    def items(make):
        return [("/ft", wrench(make, max(0, T0 + k * STEP)), T0 + i * STEP) for i, k in enumerate(stamps)]

    log = bagged(items)
    force = log.streams["/ft/wrench/force"]
    assert force.stamp is kind
    assert words in log.metadata["notes"]["/ft"]
    assert ("clock/ft" in log.streams) == (kind is Stamp.SENSOR)
    if kind is Stamp.SENSOR:
        assert (force.values[:, 0] == force.t_ns - T0).all()


def test_one_unset_stamp_among_many_takes_the_logs(bagged):
    def items(make):
        return [("/ft", wrench(make, T0 + k * STEP if k else 0), T0 + k * STEP + LATE) for k in range(40)]

    log = bagged(items)
    assert log.streams["/ft/wrench/force"].t_ns[0] == T0 + LATE
    assert "1 of 40 header stamps" in log.metadata["notes"]["/ft"]


def test_pictures_are_not_decoded_but_pointed_at(bagged):
    colour = [still(np.full((48, 64, 3), 10 * k, np.uint8), "jpeg") for k in range(5)]
    depth = [still(np.full((12, 16), 900 + k, np.uint16)) for k in range(5)]

    def items(make):
        out = []
        for k in range(5):
            t_ns = T0 + k * STEP
            out.append(("/cam/compressed", make.packed(t_ns, colour[k], "bgr8; jpeg compressed bgr8"), t_ns + LATE))
            packed = make.packed(t_ns, b"\0" * 12 + depth[k], "16UC1; compressedDepth png")
            out.append(("/cam/compressedDepth", packed, t_ns + LATE))
        return out

    log = bagged(items)
    camera, deep = log.videos["/cam/compressed"], log.videos["/cam/compressedDepth"]
    assert (camera.track.codec, camera.track.width, camera.track.height, len(camera.track)) == ("jpeg", 64, 48, 5)
    assert [camera.packet(k) for k in range(5)] == colour
    assert [deep.packet(k) for k in range(5)] == depth
    assert (deep.track.codec, deep.track.unit, deep.track.stamp) == ("png", "mm", Stamp.SENSOR)
    assert camera.track.t_ns.tolist() == [T0 + k * STEP for k in range(5)]


def test_a_camera_that_changes_its_size_becomes_two_and_bad_pictures_are_counted(bagged):
    sizes = [(48, 64)] * 4 + [(24, 32)] * 2
    pictures = [still(np.zeros((*size, 3), np.uint8), "jpeg") for size in sizes]

    def items(make):
        shown = [make.packed(T0 + k * STEP, one, "jpeg") for k, one in enumerate([*pictures, b"", b"nothing"])]
        return [("/cam", one, T0 + k * STEP) for k, one in enumerate(shown)]

    log = bagged(items)
    assert {name: len(video.track) for name, video in log.videos.items()} == {"/cam": 4, "/cam/jpeg-32x24": 2}
    assert {"/cam (1 of 8 messages)"} == set(log.metadata["skipped"])


def test_raw_pictures_of_several_sizes_and_unknown_encodings_do_not_stop_the_log(bagged):
    def items(make):
        shapes = [((4, 6), "mono8"), ((4, 6), "mono8"), ((2, 2), "mono8"), ((4, 6), "bayer_odd9")]
        made = [make.image(T0 + k * STEP, np.zeros(s, np.uint8), e) for k, (s, e) in enumerate(shapes)]
        return [("/raw", one, T0 + k * STEP) for k, one in enumerate(made)]

    log = bagged(items)
    assert log.streams["/raw"].values.shape == (2, 4, 6)
    assert log.streams["/raw/uint8-2x2-1"].values.shape == (1, 2, 2)
    assert "bayer_odd9" in log.metadata["skipped"]["/raw (1 of 4 messages)"]


def test_big_endian_pictures_come_in_as_numbers_of_this_machine(bagged):
    def items(make):
        return [("/raw", make.image(T0, np.full((2, 3), 258, ">u2"), "mono16", big=True), T0)]

    assert (bagged(items).streams["/raw"].values == 258).all()


def test_h264_in_compressed_images_begins_at_a_key_packet(bagged):
    sent = packets(count=20)
    first = next(k for k in range(2, 20) if sent[k][1])

    def items(make):
        late = sent[2:]  # the recorder joined in the middle of a group
        return [("/cam", make.packed(T0 + k * STEP, one, "h264"), T0 + k * STEP) for k, (one, _) in enumerate(late)]

    log = bagged(items)
    video = log.videos["/cam"]
    assert (video.track.codec, video.track.form, video.track.width, video.track.height) == ("h264", "annexb", 64, 48)
    assert [video.packet(k) for k in range(len(video.track))] == [one for one, _ in sent[first:]]
    assert video.track.key.tolist() == [key for _, key in sent[first:]]
    assert list(log.metadata["skipped"]) == [f"/cam ({first - 2} of 18 messages)"]


def test_packets_of_an_unpacked_mcap_stay_in_the_file(tmp_path):
    from rosbags.rosbag2 import storage_mcap  # noqa: F401 - the writer under test lives there

    make = Maker(2)
    pictures = [still(np.full((48, 64, 3), 10 * k, np.uint8), "jpeg") for k in range(5)]
    items = [("/cam", make.packed(T0 + k * STEP, one, "jpeg"), T0 + k * STEP) for k, one in enumerate(pictures)]
    folder = write2(tmp_path / "x", make, items, "MCAP")
    [path] = folder.glob("*.mcap")
    for log in (*McapFormat().read(path), *Rosbag2Format().read(folder)):
        video = log.videos["/cam"]
        assert video.file == path
        assert [video.packet(k) for k in range(5)] == pictures
