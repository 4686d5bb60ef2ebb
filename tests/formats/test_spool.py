"""Pictures that go through a file are the same bytes, and memory stays small."""

import mmap
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.formats import bounded
from saqiya.formats.bounded import Allowance, Spoiled, unpack
from saqiya.formats.messages import log as messages
from saqiya.formats.messages.ros import RosDecoder
from saqiya.formats.messages.types import from_msg
from saqiya.formats.pictures.spool import Spool


@settings(deadline=None)
@given(parts=st.lists(st.binary(max_size=40)), most=st.integers(0, 100))
def test_what_was_added_comes_back_and_every_place_is_right(parts, most):
    spool = Spool(most)
    places = [spool.add(part) for part in parts]
    data = memoryview(spool.data())
    assert [bytes(data[at : at + len(part)]) for at, part in zip(places, parts, strict=True)] == parts
    assert len(data) == spool.size_bytes == sum(map(len, parts))


def test_many_bytes_lie_in_a_file():
    spool = Spool()
    tracemalloc.start()
    for number in range(64):
        spool.add(bytes([number]) * (1 << 20))
    data = spool.data()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(data, mmap.mmap)
    assert peak < 16 << 20
    assert data[63 << 20] == 63


def test_a_days_maps_do_not_fill_memory(monkeypatch):
    monkeypatch.setattr("saqiya.formats.messages.meaning.MOST_IN_MEMORY_BYTES", 1 << 20)
    decoder = RosDecoder(from_msg("a/msg/Map", "int32 id\nint8[] cells\n", ros1=True), ros1=True)
    log = messages.Log("ros1", None)
    topic = log.topic("/map", "a/Map", decoder)
    cells = np.arange(1 << 18, dtype=np.uint8).astype(np.int8).tobytes()
    tracemalloc.start()
    for k in range(400):
        topic.add(k, k.to_bytes(4, "little") + (1 << 18).to_bytes(4, "little") + cells, -1)
    episode = log.finish("x", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    values = episode.streams["/map/cells"].values
    assert values.shape == (400, 1 << 18)
    assert values[150].tobytes() == cells
    assert episode.streams["/map/id"].values.tolist() == list(range(400))
    assert peak < 64 << 20


@pytest.mark.parametrize("kind", ["zstd", "lz4", "bz2"])
def test_packed_bytes_come_back_and_never_more_than_was_promised(kind, monkeypatch):
    import bz2

    import lz4.frame
    import zstandard

    pack = {"zstd": zstandard.ZstdCompressor().compress, "lz4": lz4.frame.compress, "bz2": bz2.compress}[kind]
    plain = bytes(range(256)) * 4096
    assert unpack(kind, pack(plain), len(plain), Allowance.of(0)) == plain
    assert unpack(kind, pack(plain), None, Allowance.of(0)) == plain
    for claimed in (len(plain) - 1, len(plain) + 1, 0):
        with pytest.raises(Spoiled):
            unpack(kind, pack(plain), claimed, Allowance.of(0))
    with pytest.raises(Spoiled):
        unpack(kind, pack(plain)[:-9], len(plain), Allowance.of(0))
    monkeypatch.setattr(bounded, "FLOOR_BYTES", 1000)
    with pytest.raises(Spoiled, match=r"more bytes than any log|does not unpack"):
        unpack(kind, pack(plain), None, Allowance.of(1))


def test_an_unknown_packing_is_named():
    with pytest.raises(Spoiled, match="'snappy'"):
        unpack("snappy", b"", 0, Allowance.of(0))
