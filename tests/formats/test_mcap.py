"""MCAP: what is written comes back bit for bit, and what cannot be read is named."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.errors import AlreadyThere, InvalidEpisode, UnreadableLog
from saqiya.formats.mcap.log import McapFormat

FORMAT = McapFormat()

dtypes = st.one_of(
    hnp.floating_dtypes(endianness="?"),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.boolean_dtypes(),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def streams(draw: st.DrawFn) -> Stream:
    count = draw(st.integers(0, 5))
    shape = (count, *draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)))
    dtype = draw(dtypes)
    size = int(np.prod(shape)) * dtype.itemsize
    bits = draw(st.binary(min_size=size, max_size=size))
    values = np.ndarray(shape, dtype, buffer=bits or b"\0").copy()
    if dtype.kind == "b":
        values = np.ndarray(shape, np.uint8, buffer=bits or b"\0") % 2 == 1
    stamps = sorted(draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=count, max_size=count)))
    return Stream(
        np.array(stamps, np.int64),
        values,
        clock=draw(names),
        stamp=draw(st.sampled_from(Stamp)),
        unit=draw(names),
        fields=tuple(draw(st.lists(names, max_size=2))),
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
episodes = st.builds(
    EpisodeLog,
    key=names,
    streams=st.dictionaries(names, streams(), max_size=3),
    events=st.lists(st.builds(Event, st.integers(-(2**63), 2**63 - 1), names, st.text(max_size=5)), max_size=4).map(
        lambda events: tuple(sorted(events, key=lambda event: event.t_ns))
    ),
    metadata=st.dictionaries(names, json_values, max_size=3),
)


def episode(count=20):
    t_ns = np.arange(count, dtype=np.int64) * 12_500_000
    rng = np.random.default_rng(3)
    return EpisodeLog(
        "try",
        {
            "observation/state": Stream(t_ns, rng.normal(size=(count, 7)), clock="sim", unit="rad"),
            "author": Stream(t_ns, np.zeros((count, 1), np.uint8), clock="sim"),
        },
        (Event(5, "phase/grasp"), Event(7, "success", "held")),
        {"task": "pick", "start": {"seed": 3, "factors": {"x": 0.25}}},
    )


def written(tmp_path, log=None):
    path = tmp_path / "log.mcap"
    FORMAT.write(log or episode(), path)
    return path


def foreign(path, channels, **options):
    """Write a file as others do: `channels` maps a topic to (encoding, schema, [(t, payload)])."""
    writer = Writer(str(path), **options)
    writer.start("prof", "lib")
    for topic, (encoding, schema, messages) in channels.items():
        schema_id = writer.register_schema(*schema) if schema else 0
        channel = writer.register_channel(topic, encoding, schema_id)
        for t_ns, payload in messages:
            writer.add_message(channel, t_ns, payload, t_ns)
    writer.finish()
    return path


def json_rows(*rows):
    return ("json", None, [(i, json.dumps(row).encode()) for i, row in enumerate(rows)])


def same(a, b):
    assert (a.key, a.events, dict(a.metadata)) == (b.key, b.events, dict(b.metadata))
    assert set(a.streams) == set(b.streams)
    for name, x in a.streams.items():
        y = b.streams[name]
        assert (x.clock, x.stamp, x.unit, x.fields) == (y.clock, y.stamp, y.unit, y.fields)
        assert (x.values.dtype, x.values.shape) == (y.values.dtype, y.values.shape)
        assert (x.t_ns.tobytes(), x.values.tobytes()) == (y.t_ns.tobytes(), y.values.tobytes())


@settings(max_examples=60, deadline=None)
@given(log=episodes)
def test_every_episode_comes_back_bit_for_bit(log, tmp_path_factory):
    path = written(tmp_path_factory.mktemp("round"), log)
    [back] = FORMAT.read(path)
    same(log, back)


def test_equal_episodes_give_equal_bytes(tmp_path):
    FORMAT.write(episode(), tmp_path / "a.mcap")
    shuffled = EpisodeLog(
        "try", dict(reversed(episode().streams.items())), episode().events, dict(reversed(episode().metadata.items()))
    )
    FORMAT.write(shuffled, tmp_path / "b.mcap", fsync=True)
    assert (tmp_path / "a.mcap").read_bytes() == (tmp_path / "b.mcap").read_bytes()


def test_large_episode_is_cut_into_chunks_and_comes_back(tmp_path):
    log = EpisodeLog("big", {"x": Stream(np.arange(3000, dtype=np.int64), np.ones((3000, 100)))})
    path = written(tmp_path, log)
    with path.open("rb") as stream:
        assert make_reader(stream, validate_crcs=True).get_summary().statistics.chunk_count > 2
    same(log, next(iter(FORMAT.read(path))))


def test_mcap_library_reads_our_messages_in_time_order(tmp_path):
    with written(tmp_path).open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        stamps = [message.log_time for _, _, message in reader.iter_messages()]
        statistics = reader.get_summary().statistics
    assert stamps == sorted(stamps)
    assert statistics.message_count == len(stamps) == 42


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u8", "i4", "u4", "u1", "i2", "?"])
def test_protobuf_reads_our_rows_through_the_embedded_schema(tmp_path, dtype):
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    values = np.array([[0, 1, 1], [1, 0, 1]], dtype)
    path = written(tmp_path, EpisodeLog("p", {"x": Stream(np.array([1, 2], np.int64), values)}))
    with path.open("rb") as stream:
        rows = [(schema, message.data) for schema, _, message in make_reader(stream).iter_messages(topics=["x"])]
    files = descriptor_pb2.FileDescriptorSet.FromString(rows[0][0].data)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(files.file[0])
    row = message_factory.GetMessageClass(pool.FindMessageTypeByName(rows[0][0].name))
    assert [list(row.FromString(data).values) for _, data in rows] == values.tolist()


def test_existing_file_is_not_touched(tmp_path):
    path = written(tmp_path)
    before = path.read_bytes()
    with pytest.raises(AlreadyThere, match="exists"):
        FORMAT.write(episode(3), path)
    assert path.read_bytes() == before


def test_failed_write_leaves_nothing_behind(tmp_path):
    log = EpisodeLog("bad", {"x": Stream(np.array([1], np.int64), np.array(["text"]))})
    with pytest.raises(InvalidEpisode, match="not numbers"):
        FORMAT.write(log, tmp_path / "bad.mcap")
    assert list(tmp_path.iterdir()) == []


def test_a_fact_that_is_not_json_is_refused(tmp_path):
    with pytest.raises(InvalidEpisode, match="not JSON"):
        FORMAT.write(EpisodeLog("bad", {}, (), {"x": object()}), tmp_path / "bad.mcap")


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.9, 0.99])
def test_truncated_log_names_the_recovery_step(tmp_path, share):
    path = written(tmp_path)
    data = path.read_bytes()
    path.write_bytes(data[: max(9, int(len(data) * share))])
    with pytest.raises(UnreadableLog, match=r"truncated.*saqiya record recover .*log\.mcap"):
        list(FORMAT.read(path))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_flipped_byte_goes_unnoticed(data, tmp_path_factory):
    """Beyond the data section a flip may hit the summary, which is not read; then the episode is untouched."""
    path = written(tmp_path_factory.mktemp("flip"))
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        [back] = FORMAT.read(path)
    except UnreadableLog:
        return
    same(episode(), back)


def test_a_damaged_summary_does_not_change_the_episode(tmp_path):
    path = written(tmp_path)
    before, _, after = path.read_bytes().rpartition(b"observation/state")
    path.write_bytes(before + b"observation/store" + after)
    same(episode(), next(iter(FORMAT.read(path))))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
        (b"#ROSBAG V2.0\n" * 9, "does not begin as MCAP does"),
        (b"\x89MCAP0\r\n", "truncated"),
    ],
)
def test_what_is_no_log_is_named(tmp_path, content, words):
    path = tmp_path / "x.mcap"
    path.write_bytes(content)
    with pytest.raises(UnreadableLog, match=words):
        list(FORMAT.read(path))


def test_missing_file_is_unreadable(tmp_path):
    with pytest.raises(UnreadableLog, match="cannot be read"):
        list(FORMAT.read(tmp_path / "none.mcap"))


def test_sniff_goes_by_magic_or_name(tmp_path):
    path = written(tmp_path)
    assert FORMAT.sniff(path.rename(tmp_path / "log.bin"))
    (tmp_path / "empty.mcap").touch()
    (tmp_path / "other.bin").write_bytes(b"other")
    assert FORMAT.sniff(tmp_path / "empty.mcap")
    assert not FORMAT.sniff(tmp_path / "other.bin")
    assert not FORMAT.sniff(tmp_path)


@pytest.mark.parametrize(
    "options", [{}, {"compression": CompressionType.LZ4}, {"use_chunking": False}, {"enable_data_crcs": True}]
)
def test_foreign_json_becomes_streams_and_events(tmp_path, options):
    rows = [{"a": {"b": i}, "v": [i, 0.5], "on": True, "frame": "base", "text": str(i // 2)} for i in range(4)]
    [log] = FORMAT.read(foreign(tmp_path / "f.mcap", {"/t": json_rows(*rows)}, **options))
    assert log.key == "f"
    assert log.streams["/t/a/b"].values.tolist() == [0, 1, 2, 3]
    assert log.streams["/t/a/b"].values.dtype == np.int64
    assert log.streams["/t/v"].values.tolist() == [[i, 0.5] for i in range(4)]
    assert log.streams["/t/on"].values.dtype == np.bool_
    assert [(e.t_ns, e.name, e.detail) for e in log.events if e.name == "/t/text"] == [
        (0, "/t/text", "0"),
        (2, "/t/text", "1"),
    ]
    assert log.metadata["mcap"] == {"profile": "prof", "library": "lib"}


def test_foreign_fields_that_do_not_fit_are_named(tmp_path):
    [log] = FORMAT.read(
        foreign(
            tmp_path / "f.mcap",
            {
                "/t": json_rows({"ok": 1, "grows": [1], "mixed": 1}, {"ok": 2, "grows": [1, 2], "mixed": "x"}),
                "/bad": ("json", None, [(1, b"{")]),
                "/ros": ("cdr", ("std_msgs/msg/String", "ros2msg", b"string data"), [(1, b"\0\1\0\0")]),
            },
        )
    )
    assert set(log.streams) == {"/t/ok", "/t/grows", "/t/grows/count"}
    assert log.streams["/t/grows"].values.tolist() == [[1, 0], [1, 2]]
    assert log.streams["/t/grows/count"].values.tolist() == [[1], [2]]
    assert set(log.metadata["skipped"]) == {"/t/mixed", "/bad", "/ros"}
    assert "ends before its fields do" in log.metadata["skipped"]["/ros"]


def test_foreign_protobuf_is_decoded_through_its_schema(tmp_path):
    from google.protobuf import descriptor_pb2, timestamp_pb2

    files = descriptor_pb2.FileDescriptorSet()
    file = files.file.add(name="w.proto", package="x", syntax="proto3", dependency=["google/protobuf/timestamp.proto"])
    field = descriptor_pb2.FieldDescriptorProto
    message = file.message_type.add(name="Wrench")
    message.field.add(name="force", number=1, type=field.TYPE_DOUBLE, label=field.LABEL_REPEATED)
    message.field.add(name="n", number=2, type=field.TYPE_INT32, label=field.LABEL_OPTIONAL)
    message.field.add(
        name="at", number=3, type=field.TYPE_MESSAGE, label=field.LABEL_OPTIONAL, type_name=".google.protobuf.Timestamp"
    )
    timestamp_pb2.DESCRIPTOR.CopyToProto(files.file.add())  # listed after the file that imports it, as some writers do
    payload = b"\x0a\x10" + np.array([1.5, -2.0]).tobytes() + b"\x10\x07" + b"\x1a\x02\x08\x09"
    path = foreign(
        tmp_path / "p.mcap", {"/w": ("protobuf", ("x.Wrench", "protobuf", files.SerializeToString()), [(4, payload)])}
    )
    [log] = FORMAT.read(path)
    assert log.streams["/w/force"].values.tolist() == [[1.5, -2.0]]
    assert log.streams["/w/n"].values.tolist() == [7]
    assert log.streams["/w/at/seconds"].values.tolist() == [9]
    assert log.streams["/w/n"].stamp is Stamp.RECEIVE


def test_file_with_nothing_decodable_is_unreadable(tmp_path):
    path = foreign(tmp_path / "r.mcap", {"/ros": ("cdr", ("a/B", "ros2msg", b""), [(1, b"\0\1\0\0" + bytes(9))])})
    with pytest.raises(UnreadableLog, match=r"nothing in it can be decoded.*a/B"):
        list(FORMAT.read(path))


def test_importing_the_format_loads_no_mcap_library():
    code = "import sys, saqiya.formats.mcap.log; sys.exit('mcap' in sys.modules or 'google.protobuf' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
