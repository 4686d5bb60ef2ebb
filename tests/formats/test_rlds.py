import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UnreadableLog
from saqiya.formats.rlds.read import RldsFormat
from saqiya.formats.rlds.tfrecord import _message, masked
from saqiya.testing import check_format, make_video

pytest.importorskip("google_crc32c")

SHARD = "toy-train.tfrecord-{:05d}-of-{:05d}"
TENSOR = "tensorflow_datasets.core.features.tensor_feature.Tensor"


def frame(data: bytes) -> bytes:
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked(head)) + data + struct.pack("<I", masked(data))


def record(**features: object) -> bytes:
    """Serialise a tf.train.Example; "__" in a name stands for "/"."""
    message = _message()()
    for name, values in features.items():
        feature = message.features.feature[name.replace("__", "/")]
        if isinstance(values[0], bytes):
            feature.bytes_list.value.extend(values)
        elif isinstance(values[0], float):
            feature.float_list.value.extend(values)
        else:
            feature.int64_list.value.extend(values)
    return message.SerializeToString()


def pictures(count: int) -> list[bytes]:
    video = make_video(pictures=count, codec="png")
    return [video.packet(number) for number in range(count)]


def a_try(steps: int, number: int = 0) -> bytes:
    rng = np.random.default_rng(number)
    return record(
        steps__action=rng.normal(size=steps * 3).tolist(),
        steps__observation__state=rng.normal(size=steps * 4).tolist(),
        steps__observation__image=pictures(steps),
        steps__observation__grid=rng.integers(0, 9, steps * 6).tolist(),
        steps__observation__zipped=[zlib.compress(np.full(2, row, "<f4").tobytes()) for row in range(steps)],
        steps__is_first=[int(row == 0) for row in range(steps)],
        steps__is_last=[int(row == steps - 1) for row in range(steps)],
        steps__reward=[float(row == steps - 1) for row in range(steps)],
        steps__language_instruction=[b"stack the cups"] * steps,
        episode_metadata__success=[number % 2],
        episode_metadata__file_path=[f"/x/{number}".encode()],
    )


def leaf(dtype: str, *sides: int, encoding: str = "none") -> dict[str, object]:
    shape = {"dimensions": [str(side) for side in sides]} if sides else {}
    return {"pythonClassName": TENSOR, "tensor": {"shape": shape, "dtype": dtype, "encoding": encoding}}


def group(**features: object) -> dict[str, object]:
    return {"featuresDict": {"features": features}}


def folder(path: Path, shards: tuple[int, ...] = (2, 1)) -> Path:
    """Write a TFDS folder; every try has three steps more than the one before."""
    path.mkdir()
    steps = group(
        action=leaf("float32", 3),
        observation=group(
            state=leaf("float64", 4),
            image={"image": {"shape": {"dimensions": ["6", "8", "3"]}, "dtype": "uint8"}},
            grid=leaf("uint8", 2, 3),
            zipped=leaf("float32", 2, encoding="zlib"),
        ),
        is_first=leaf("bool"),
        is_last=leaf("bool"),
        reward=leaf("float32"),
        language_instruction={"text": {}},
    )
    features = group(
        steps={"sequence": {"feature": steps, "length": "-1"}},
        episode_metadata=group(success=leaf("bool"), file_path={"text": {}}),
    )
    (path / "features.json").write_text(json.dumps(features))
    splits = [{"name": "train", "shardLengths": [str(count) for count in shards]}]
    (path / "dataset_info.json").write_text(json.dumps({"name": "toy", "version": "1.0.0", "splits": splits}))
    number = 0
    for shard, count in enumerate(shards):
        tries = [a_try(4 + 3 * (number + one), number + one) for one in range(count)]
        (path / SHARD.format(shard, len(shards))).write_bytes(b"".join(map(frame, tries)))
        number += count
    return path


def test_a_folder_is_one_log_of_all_its_shards(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0")
    assert RldsFormat().sniff(path)
    items = list(RldsFormat().read(path))
    assert [item.key for item in items] == ["train-0/0", "train-0/1", "train-1/0"]
    log = items[1]
    assert isinstance(log, EpisodeLog)
    rng = np.random.default_rng(1)
    action, state = rng.normal(size=(7, 3)), rng.normal(size=(7, 4))
    assert np.array_equal(log.streams["action/executed"].values, action.astype(np.float32))
    assert np.array_equal(log.streams["observation/state"].values, state.astype(np.float32).astype(np.float64))
    assert log.streams["observation/grid"].values.dtype == np.uint8
    assert log.streams["observation/grid"].values.shape == (7, 2, 3)
    assert log.streams["observation/zipped"].values[:, 1].tolist() == list(range(7))
    assert log.streams["is_last"].values.ravel().tolist() == [False] * 6 + [True]
    video = log.videos["camera/image"]
    assert [video.packet(number) for number in range(7)] == pictures(7)
    assert log.metadata["task"] == "stack the cups"
    assert (log.metadata["outcome"], log.metadata["file_path"], log.metadata["splits"]) == (
        "success",
        "/x/1",
        ["train"],
    )
    assert "10 Hz assumed" in str(log.metadata["clock"])


def test_shapes_follow_from_the_steps_where_nothing_says_them(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0")
    (path / "features.json").unlink()
    log = next(iter(RldsFormat().read(path / SHARD.format(0, 2))))
    assert isinstance(log, EpisodeLog)
    assert log.streams["action/executed"].values.shape == (4, 3)
    assert log.streams["observation/grid"].values.shape == (4, 6)
    assert "camera/image" in log.videos
    assert "neither a picture nor a text" in str(log.metadata["skipped"]["observation/zipped"])


def test_of_a_truncated_shard_whole_records_come_in(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0")
    shard = path / SHARD.format(0, 2)
    shard.write_bytes(shard.read_bytes()[:-10])
    first, rest, last = RldsFormat().read(path)
    assert isinstance(first, EpisodeLog)
    assert isinstance(last, EpisodeLog)
    assert isinstance(rest, Unread)
    assert "ends inside record 1" in rest.reason


def test_a_spoiled_record_costs_itself_alone(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0")
    shard = path / SHARD.format(0, 2)
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(bytes(data))
    first, *others = RldsFormat().read(path)
    assert isinstance(first, Unread)
    assert "wrong sum over record 0" in first.reason
    assert all(isinstance(item, EpisodeLog) for item in others)


def test_shards_that_are_not_there_are_named(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0", (1, 1, 1))
    (path / SHARD.format(1, 3)).unlink()
    (path / SHARD.format(2, 3)).write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    first, pointer, missing = RldsFormat().read(path)
    assert isinstance(first, EpisodeLog)
    assert "Git LFS pointer" in pointer.reason
    assert "1 of 3 shards of train are not there: 1" in missing.reason


def test_a_shard_with_fewer_records_than_listed_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0")
    shard = path / SHARD.format(0, 2)
    shard.write_bytes(frame(a_try(4)))
    _, short, _ = RldsFormat().read(path)
    assert isinstance(short, Unread)
    assert "holds 1 records of the 2" in short.reason


def test_an_instruction_that_changes_is_an_event(tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(
        frame(
            record(
                steps__action=[0.0] * 8, steps__is_first=[1, 0, 0, 0], steps__language=[b"go", b"go", b"stop", b"stop"]
            )
        )
    )
    (log,) = RldsFormat().read(tmp_path / "x.tfrecord")
    assert isinstance(log, EpisodeLog)
    assert [(event.name, event.detail, event.t_ns) for event in log.events] == [
        ("text/language", "go", 0),
        ("text/language", "stop", 200_000_000),
    ]


def test_features_that_do_not_fit_are_left_out_and_told(tmp_path: Path) -> None:
    odd = record(steps__is_first=[1, 0, 0], steps__action=[0.0] * 6, steps__odd=[0.0] * 7)
    (tmp_path / "x.tfrecord").write_bytes(frame(odd) + frame(record(weights=[0.5] * 9)))
    log, unread = RldsFormat().read(tmp_path / "x.tfrecord")
    assert isinstance(log, EpisodeLog)
    assert log.metadata["skipped"] == {"odd": "it has 7 numbers for 3 steps"}
    assert isinstance(unread, Unread)
    assert "the number of steps cannot be told from its features: weights" in unread.reason


def test_a_file_without_a_good_record_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "x.tfrecord").write_bytes(frame(record(weights=[0.5] * 9)))
    with pytest.raises(UnreadableLog, match="weights"):
        list(RldsFormat().read(tmp_path / "x.tfrecord"))


def test_a_length_beyond_the_file_is_not_asked_for(tmp_path: Path) -> None:
    head = struct.pack("<Q", 2**62)
    (tmp_path / "x.tfrecord").write_bytes(frame(a_try(3)) + head + struct.pack("<I", masked(head)) + b"abc")
    good, rest = RldsFormat().read(tmp_path / "x.tfrecord")
    assert isinstance(good, EpisodeLog)
    assert isinstance(rest, Unread)


def test_a_packed_tensor_that_claims_more_is_left_out(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0", (1,))
    bomb = [zlib.compress(bytes(1 << 24))] * 3
    shard = path / SHARD.format(0, 1)
    shard.write_bytes(
        frame(record(steps__is_first=[1, 0, 0], steps__action=[0.0] * 9, steps__observation__zipped=bomb))
    )
    (log,) = RldsFormat().read(path)
    assert isinstance(log, EpisodeLog)
    assert "9 bytes, 8 were expected" in str(log.metadata["skipped"]["observation/zipped"])


JSONS = {
    "text": "hello",
    "list": "[]",
    "deep": '{"sequence": {"feature": ' * 500 + "{}" + "}}" * 500,
    "odd": '{"featuresDict": 3}',
}


@pytest.mark.parametrize("kind", JSONS)
def test_damaged_descriptions_do_not_cost_the_records(tmp_path: Path, kind: str) -> None:
    path = folder(tmp_path / "1.0.0", (1,))
    (path / "features.json").write_text(JSONS[kind])
    (log,) = RldsFormat().read(path)
    assert isinstance(log, EpisodeLog)
    assert log.streams["action/executed"].values.shape == (4, 3)


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    path = folder(tmp_path / "1.0.0")
    (tmp_path / "checked").mkdir()
    check_format(RldsFormat(), tmp_path / "checked", samples=[path, path / SHARD.format(0, 2)])


def survivors(path: Path) -> list[EpisodeLog | Unread]:
    try:
        return list(RldsFormat().read(path))
    except UnreadableLog as error:
        return [Unread(path.name, error.what, error.remedy)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder(tmp_path_factory.mktemp("whole") / "1.0.0") / SHARD.format(0, 2)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=st.data())
def test_damage_anywhere_is_an_error_of_ours(whole: Path, data: st.DataObject) -> None:
    records = [bytearray(a_try(3)), bytearray(a_try(5))]
    inside = data.draw(st.booleans())
    for _ in range(data.draw(st.integers(0, 6))):  # with sums that are right: the message itself is damaged
        one = records[data.draw(st.integers(0, 1))]
        one[data.draw(st.integers(0, len(one) - 1))] ^= data.draw(st.integers(1, 255))
    content = bytearray(b"".join(frame(bytes(one)) for one in records))
    if not inside:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        content = content[: data.draw(st.integers(0, len(content)))]
    path = whole.with_name("odd-val.tfrecord-00000-of-00001")
    path.write_bytes(bytes(content))
    assert all(isinstance(item, EpisodeLog) or item.remedy for item in survivors(path))
    path.unlink()
