"""Recovery: all whole chunks are kept, what is lost is said, and the original stays as it was."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from saqiya.domain.streams import Stream
from saqiya.errors import AlreadyThere, UnreadableLog, UsageError
from saqiya.formats.mcap.container import ContainerWriter, pack_rows
from saqiya.formats.mcap.log import McapFormat, begin_log, stream_channel
from saqiya.formats.mcap.rows import layout_of
from saqiya.record.recover import recover

CHUNKS, ROWS = 6, 10
VALUES = np.random.default_rng(5).normal(size=(CHUNKS * ROWS, 3))


def log_of_chunks(path):
    layout = layout_of(VALUES.dtype, (3,), "x")
    with path.open("wb", buffering=0) as out:
        writer = ContainerWriter(out)
        begin_log(writer, "try", {"task": "pick"})
        channel = stream_channel(writer, "x", Stream(np.empty(0, np.int64), VALUES[:0]))
        for i in range(0, CHUNKS * ROWS, ROWS):
            t_ns = np.arange(i, i + ROWS)
            writer.write(
                [pack_rows(channel, t_ns, layout.encode(VALUES[i : i + ROWS]), prefix=layout.prefix, sequence=i)]
            )
        writer.finish()
    return path


def chunk_starts(path):
    with path.open("rb") as stream:
        return [index.chunk_start_offset for index in make_reader(stream).get_summary().chunk_indexes]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_cut_log_gives_a_prefix(data, tmp_path_factory):
    path = log_of_chunks(tmp_path_factory.mktemp("cut") / "log.mcap")
    content = path.read_bytes()
    with path.open("rb") as stream:
        first = make_reader(stream).get_summary().chunk_indexes[0]
    behind_first_chunk = first.chunk_start_offset + first.chunk_length
    torn = content[: data.draw(st.integers(8, len(content) - 1))]
    path.write_bytes(torn)
    with pytest.raises(UnreadableLog, match="saqiya record recover"):
        list(McapFormat().read(path))
    if len(torn) < behind_first_chunk:
        with pytest.raises(UnreadableLog, match="not one whole message"):
            recover(path)
        return
    done = recover(path)
    [log] = McapFormat().read(done.path)
    kept = log.streams["x"].values
    assert path.read_bytes() == torn
    assert len(kept) == done.messages == log.metadata["recovered"]["messages"]
    assert len(kept) % ROWS == 0
    assert kept.tobytes() == VALUES[: len(kept)].tobytes()
    assert log.metadata["task"] == "pick"


def test_every_chunk_before_the_cut_is_kept(tmp_path):
    path = log_of_chunks(tmp_path / "log.mcap")
    starts = chunk_starts(path)
    path.write_bytes(path.read_bytes()[: starts[4]])
    assert recover(path).messages == 4 * ROWS


def test_a_damaged_chunk_costs_only_itself(tmp_path):
    path = log_of_chunks(tmp_path / "log.mcap")
    content = bytearray(path.read_bytes())
    content[chunk_starts(path)[2] + 120] ^= 0xFF
    path.write_bytes(content)
    done = recover(path, tmp_path / "out.mcap")
    [log] = McapFormat().read(tmp_path / "out.mcap")
    assert (done.messages, done.damaged, done.why) == ((CHUNKS - 1) * ROWS, 1, "")
    assert done.lost_bytes > 0
    assert log.streams["x"].t_ns.tolist() == [t for t in range(CHUNKS * ROWS) if not 20 <= t < 30]


def test_a_cut_summary_loses_no_message(tmp_path):
    path = log_of_chunks(tmp_path / "log.mcap")
    path.write_bytes(path.read_bytes()[:-3])
    assert recover(path).messages == CHUNKS * ROWS


def test_a_whole_log_is_refused(tmp_path):
    path = log_of_chunks(tmp_path / "log.mcap")
    with pytest.raises(UsageError, match="whole"):
        recover(path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_earlier_recovery_is_not_overwritten(tmp_path):
    path = log_of_chunks(tmp_path / "log.mcap")
    path.write_bytes(path.read_bytes()[:-3])
    recover(path)
    with pytest.raises(AlreadyThere):
        recover(path)


def test_a_missing_file_is_unreadable(tmp_path):
    with pytest.raises(UnreadableLog, match="cannot be read"):
        recover(tmp_path / "none.mcap")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"compression": CompressionType.LZ4}, {"use_chunking": False}])
def test_a_foreign_log_keeps_its_channels_messages_and_attachments(tmp_path, options):
    path = tmp_path / "f.mcap"
    writer = Writer(str(path), chunk_size=300, **options)
    writer.start()
    schema = writer.register_schema("s", "jsonschema", b"{}")
    channels = [writer.register_channel(topic, "json", schema, {"k": topic}) for topic in ("/a", "/b")]
    writer.add_attachment(1, 2, "notes.txt", "text/plain", b"hello")
    for i in range(40):
        writer.add_message(channels[i % 2], i, b'{"v": %d}' % i, i + 100, i)
    writer.finish()
    path.write_bytes(path.read_bytes()[:-1])
    done = recover(path)
    with done.path.open("rb") as stream:
        reader = make_reader(stream, validate_crcs=True)
        rows = [(c.topic, c.metadata, m.log_time, m.publish_time, m.sequence) for _, c, m in reader.iter_messages()]
        assert [a.data for a in reader.iter_attachments()] == [b"hello"]
    topics = ["/a" if i % 2 == 0 else "/b" for i in range(40)]
    assert rows == [(topic, {"k": topic}, i, i + 100, i) for i, topic in enumerate(topics)]
