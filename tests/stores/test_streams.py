from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saqiya.domain.streams import Stamp, Stream
from saqiya.errors import Corrupt, InvalidEpisode, WorkspaceError
from saqiya.stores.streams import Streams, encode, load

DTYPES = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]


@st.composite
def any_stream(draw):
    rows = draw(st.integers(0, 5))
    side = draw(st.lists(st.integers(0, 3), max_size=2))
    stamps = sorted(draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=rows, max_size=rows)))
    return Stream(
        t_ns=np.array(stamps, dtype=np.int64),
        values=draw(hnp.arrays(draw(st.sampled_from(DTYPES)), (rows, *side))),
        clock=draw(st.text(max_size=5)),
        stamp=draw(st.sampled_from(Stamp)),
        unit=draw(st.text(max_size=5)),
        fields=tuple(draw(st.lists(st.text(max_size=5), max_size=2))),
    )


def assert_same(first, second):
    assert (first.clock, first.stamp, first.unit, first.fields) == (
        second.clock, second.stamp, second.unit, second.fields,
    )  # fmt: skip
    for a, b in ((first.t_ns, second.t_ns), (first.values, second.values)):
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def some():
    stamps = np.arange(4, dtype=np.int64)
    return {
        "observation/state": Stream(t_ns=stamps, values=np.ones((4, 3)), unit="m", fields=("x", "y", "z")),
        "author": Stream(t_ns=stamps, values=np.zeros((4, 1), np.uint8)),
    }


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.text(max_size=6) | st.sampled_from(["a", "a/values", "a/t_ns", "/"]), any_stream(), max_size=3)
)
def test_every_dtype_shape_and_name_comes_back_to_the_bit(streams):
    back = Streams(memoryview(encode(streams)), "test")
    assert set(back) == set(streams)
    for name, stream in streams.items():
        assert_same(back[name], stream)


def test_the_order_of_streams_does_not_change_the_bytes():
    assert encode(some()) == encode(dict(reversed(some().items())))


def test_the_bytes_stay_what_they_were_in_the_first_version():
    assert hashlib.sha256(encode(some())).hexdigest().startswith("ad14e27f111735e9")


def test_another_reader_of_safetensors_reads_them():
    arrays = safetensors.numpy.load(encode(some()))
    assert sorted(arrays) == ["author/t_ns", "author/values", "observation/state/t_ns", "observation/state/values"]
    assert arrays["observation/state/values"].tolist() == np.ones((4, 3)).tolist()


def test_big_endian_and_strided_arrays_keep_their_values():
    values = np.arange(12, dtype=">f4").reshape(6, 2)[::2]
    back = Streams(memoryview(encode({"s": Stream(t_ns=np.arange(3), values=values)})), "test")
    assert back["s"].values.tolist() == values.tolist()
    assert back["s"].values.dtype == np.float32


@pytest.mark.parametrize("samples", [10, 100_000])
def test_loaded_arrays_are_views_that_cannot_be_written(tmp_path, samples):
    path = tmp_path / "object"
    path.write_bytes(encode({"s": Stream(t_ns=np.arange(samples), values=np.zeros((samples, 2)))}))
    stream = load(path)["s"]
    assert stream.values.base is not None
    with pytest.raises(ValueError, match="read-only"):
        stream.values[0] = 1


def test_text_has_no_place_in_a_stream_object():
    with pytest.raises(InvalidEpisode, match="s: values of dtype"):
        encode({"s": Stream(t_ns=np.arange(1), values=np.array(["a"]))})


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_bytes_are_corrupt_or_harmless_and_never_anything_else(data):
    good = bytearray(encode(some()))
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged = memoryview(bytes(good[: data.draw(st.integers(0, len(good)))]))
    try:
        total = sum(stream.values.nbytes for stream in Streams(damaged, "test").values())
    except Corrupt:
        return
    assert total <= len(damaged)


def header(tensors, about=None):
    text = json.dumps({"version": 1, "streams": about or {}})
    raw = json.dumps({"__metadata__": {"saqiya.streams": text}, **tensors}).encode()
    return len(raw).to_bytes(8, "little") + raw + bytes(16)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 8,
        (2**62).to_bytes(8, "little") + b"{}",
        header({"s/t_ns": {"dtype": "I64", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}),
        header({"s/t_ns": {"dtype": "I64", "shape": [-1, -2], "data_offsets": [0, 16]}}),
        header({"s/t_ns": {"dtype": "I64", "shape": [2], "data_offsets": [-16, 0]}}),
        header({"s/t_ns": {"dtype": "PICKLE", "shape": [2], "data_offsets": [0, 16]}}),
        header({}, {"s": {"clock": "", "stamp": "sensor", "unit": "", "fields": []}}),
        header({}, {"s": {"clock": "", "stamp": "hearsay", "unit": "", "fields": []}}),
        safetensors.numpy.save({"weights": np.zeros(2)}),
    ],
)
def test_a_hostile_or_foreign_file_is_corrupt(tmp_path, data):
    path = tmp_path / "object"
    path.write_bytes(data)
    with pytest.raises(Corrupt, match="object"):
        load(path)


def test_a_missing_file_is_no_foreign_error():
    with pytest.raises(WorkspaceError, match="nowhere"):
        load(Path("/nowhere"))
