"""Taking messages in runs finds what a walk from record to record finds."""

from __future__ import annotations

import io
import struct
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.records import Channel
from mcap.writer import CompressionType, Writer

from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.mcap.scan import Contents, Damaged, runs, split


def message(channel, width, number):
    payload = bytes((channel * 7 + number + i) % 256 for i in range(width))
    return struct.pack("<BQHIQQ", Opcode.MESSAGE, 22 + width, channel, number, number * 3, number) + payload


def walked(data):
    """The plain walk: each record's length says where the next one begins."""
    at, found = 0, []
    while at < len(data):
        if at + 9 > len(data):
            raise Damaged("head")
        opcode, length = struct.unpack_from("<BQ", data, at)
        if at + 9 + length > len(data) or (opcode == Opcode.MESSAGE and length < 22):
            raise Damaged("length")
        found.append((opcode, at + 9, at + 9 + length))
        at += 9 + length
    return found


def outcome(call):
    try:
        return list(call())
    except Damaged:
        return Damaged


stretches = st.lists(
    st.tuples(st.sampled_from([0, 1, 2]), st.sampled_from([0, 1, 8]), st.sampled_from([1, 2, 5, 40])), max_size=6
)


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """Stretches of equal messages of two channels, with other records between, now and then cut or flipped."""
    data = bytearray()
    for channel, width, count in draw(stretches):
        for number in range(count):
            data += message(channel, width, number) if channel else struct.pack("<BQ", 0x80, width) + bytes(width)
    if data and draw(st.booleans()):
        del data[draw(st.integers(0, len(data) - 1)) :]
    if data and draw(st.booleans()):
        data[draw(st.integers(0, len(data) - 1))] ^= draw(st.integers(1, 255))
    return bytes(data)


@settings(max_examples=300, deadline=None)
@given(data=chunks())
def test_runs_are_what_a_walk_finds_in_whole_and_in_broken_chunks(data):
    assert outcome(lambda: split(data)) == outcome(lambda: walked(data))


@settings(max_examples=100, deadline=None)
@given(plan=stretches)
def test_messages_taken_in_runs_are_those_taken_one_by_one(plan):
    data = b"".join(message(c, width, n) for c, width, count in plan if c for n in range(count))
    whole, single = Contents(), Contents()
    for contents in (whole, single):
        contents.channels = {c: Channel(c, "t", "json", {}, 0) for c in (1, 2)}
    whole._take_chunk(data)
    for opcode, start, end in walked(data):
        single.take(opcode, data[start:end])
    assert set(whole.messages) == set(single.messages)
    for channel, messages in whole.messages.items():
        assert messages.each() == single.messages[channel].each()
        assert messages.t_ns.tolist() == single.messages[channel].t_ns.tolist()
        for width in (0, 1, 8):
            np.testing.assert_array_equal(messages.rows(width), single.messages[channel].rows(width))


def test_a_long_run_is_one_run():
    data = b"".join(message(1, 8, n) for n in range(5000))
    assert list(runs(data)) == [(Opcode.MESSAGE, 0, 5000, len(data))]


def test_a_message_of_an_undeclared_channel_is_damage():
    with pytest.raises(Damaged, match="channel 1"):
        Contents()._take_chunk(message(1, 8, 0))


def episode():
    t_ns = np.arange(60, dtype=np.int64) * 1_000_000
    rng = np.random.default_rng(5)
    streams = {"state": rng.normal(size=(60, 3)), "force": rng.normal(size=(60, 1)), "author": np.zeros((60, 1), "u1")}
    made = {name: Stream(t_ns, values) for name, values in streams.items()}
    return EpisodeLog("try", made, (Event(2, "phase/grasp"), Event(9_000_000, "success")), {"task": "pick"})


def interleaved(path, out, **options):
    """Copy one of our files with the library's writer: message by message, in the order of time."""
    with path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        rows, metadata = list(reader.iter_messages()), list(reader.iter_metadata())
        declared = reader.get_summary()
    writer = Writer(str(out), **options)
    writer.start()
    for record in metadata:
        writer.add_metadata(record.name, record.metadata)
    schemas = {one.id: writer.register_schema(one.name, one.encoding, one.data) for one in declared.schemas.values()}
    channels = {
        one.id: writer.register_channel(one.topic, one.message_encoding, schemas[one.schema_id], one.metadata)
        for one in declared.channels.values()
    }
    for _, channel, row in rows:
        writer.add_message(channels[channel.id], row.log_time, row.data, row.publish_time, row.sequence)
    writer.finish()


@pytest.mark.parametrize("options", [{}, {"compression": CompressionType.NONE, "chunk_size": 500}])
def test_rows_side_by_side_and_rows_in_turn_read_as_the_same_episode(tmp_path, options):
    McapFormat().write(episode(), tmp_path / "runs.mcap")
    interleaved(tmp_path / "runs.mcap", tmp_path / "turns.mcap", **options)
    [ours], [other] = (list(McapFormat().read(tmp_path / name)) for name in ("runs.mcap", "turns.mcap"))
    assert (ours.events, ours.metadata) == (other.events, other.metadata)
    for name, stream in ours.streams.items():
        assert stream.t_ns.tolist() == other.streams[name].t_ns.tolist()
        assert stream.values.tobytes() == other.streams[name].values.tobytes()


def test_chunks_follow_each_other_in_time_and_every_index_points_at_its_message(tmp_path):
    t_ns = np.arange(9000, dtype=np.int64)
    streams = {name: Stream(t_ns + shift, np.ones((9000, 30))) for name, shift in (("a", 0), ("b", 4), ("c", 9000))}
    McapFormat().write(EpisodeLog("big", streams), tmp_path / "big.mcap")
    data = (tmp_path / "big.mcap").read_bytes()
    reader = make_reader(io.BytesIO(data), validate_crcs=True)
    chunks = reader.get_summary().chunk_indexes
    assert len(chunks) > 5
    assert all(a.message_end_time <= b.message_start_time for a, b in pairwise(chunks))
    stamps = [row.log_time for _, _, row in reader.iter_messages()]
    assert stamps == sorted(stamps)
    assert len(stamps) == 27000
