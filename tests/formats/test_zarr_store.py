import io
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.errors import UnreadableLog
from saqiya.formats.zarr.read import ZarrFormat
from saqiya.ingest.faults import check_faults
from saqiya.testing import check_format

zarr = pytest.importorskip("zarr")

ENDS = [7, 12, 20]


def content(rows: int = 20) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {
        "data/action": rng.normal(size=(rows, 2)).astype(np.float32),
        "data/state": rng.normal(size=(rows, 5)),
        "data/img": rng.integers(1, 255, (rows, 16, 16, 3), dtype=np.uint8),
    }


def fill(store: object, arrays: dict[str, np.ndarray], version: int = 2, **how: object) -> object:
    group = zarr.group(store=store, zarr_format=version, overwrite=True)
    for name, values in arrays.items():
        chunks = (6, *values.shape[1:])
        group.create_array(name, data=values, chunks=chunks, **how)
    return group


def buffer(path: Path, version: int = 2, ends: list[int] | None = None, **how: object) -> Path:
    """Write a replay buffer into a folder."""
    fill(str(path), content() | {"meta/episode_ends": np.array(ends or ENDS)}, version, **how)
    return path


def logs(path: Path) -> list[EpisodeLog]:
    items = list(ZarrFormat().read(path))
    assert all(isinstance(item, EpisodeLog) for item in items), items
    return [item for item in items if isinstance(item, EpisodeLog)]


def check_equal(path: Path) -> None:
    """Compare every value with what zarr itself reads."""
    group = (
        zarr.open_group(str(path), mode="r")
        if path.is_dir()
        else zarr.open_group(zarr.storage.ZipStore(path, mode="r"), mode="r")
    )
    begin = 0
    found = logs(path)
    assert [log.key for log in found] == ["episode_0", "episode_1", "episode_2"]
    for log, end in zip(found, ENDS, strict=True):
        names = {"action/executed": "action", "observation/state": "state", "camera/img": "img"}
        assert set(log.streams) == set(names)
        for name, own in names.items():
            wanted = group[f"data/{own}"][begin:end]
            got = log.streams[name].values
            assert (got.dtype, got.shape, got.tobytes()) == (wanted.dtype, wanted.shape, wanted.tobytes())
        begin = end


@pytest.mark.parametrize("version", [2, 3])
def test_a_replay_buffer_is_cut_at_its_ends(tmp_path: Path, version: int) -> None:
    check_equal(buffer(tmp_path / "a.zarr", version))


def test_shards_are_read(tmp_path: Path) -> None:
    arrays = content()
    group = zarr.group(store=str(tmp_path / "a.zarr"), zarr_format=3)
    for name, values in arrays.items():
        inner = (2, *values.shape[1:])
        group.create_array(name, data=values, chunks=inner, shards=(8, *values.shape[1:]))
    group.create_array("meta/episode_ends", data=np.array(ENDS), chunks=(2,))
    check_equal(tmp_path / "a.zarr")


@pytest.mark.parametrize("inside", ["", "replay_buffer.zarr/"])
def test_a_zip_is_read_without_being_unpacked(tmp_path: Path, inside: str) -> None:
    folder = buffer(tmp_path / "a.zarr")
    path = tmp_path / "dataset.zarr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, inside + file.relative_to(folder).as_posix())
    assert ZarrFormat().sniff(path)
    if inside:
        assert [len(log.streams["action/executed"].t_ns) for log in logs(path)] == [7, 5, 8]
    else:
        check_equal(path)


@pytest.mark.parametrize("version", [2, 3])
def test_consolidated_metadata_alone_is_enough(tmp_path: Path, version: int) -> None:
    path = buffer(tmp_path / "a.zarr", version)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_args, **_how: None)  # zarr 3 says that it is not yet in the standard
        zarr.consolidate_metadata(str(path))
    for name in (".zarray", "zarr.json"):
        for file in path.glob(f"*/*/{name}"):
            file.unlink()
    assert [len(log.streams["action/executed"].t_ns) for log in logs(path)] == [7, 5, 8]


def test_stamps_are_assumed_and_attributes_set_the_rate(tmp_path: Path) -> None:
    path = buffer(tmp_path / "a.zarr")
    (first, *_) = logs(path)
    assert first.streams["action/executed"].clock == "assumed:10Hz"
    (path / ".zattrs").write_text(json.dumps({"fps": 25, "task": "push the T"}))
    (first, *_) = logs(path)
    assert (first.streams["action/executed"].clock, first.metadata["task"]) == ("assumed:25Hz", "push the T")


def test_a_column_of_times_is_the_clock(tmp_path: Path) -> None:
    times = 1_700_000_000.25 + np.arange(20) * 0.1
    fill(str(tmp_path / "a.zarr"), content() | {"data/timestamp": times, "meta/episode_ends": np.array(ENDS)})
    _, second, _ = logs(tmp_path / "a.zarr")
    stream = second.streams["action/executed"]
    assert (stream.stamp, stream.clock) == (Stamp.SENSOR, "epoch:timestamp")
    assert abs(int(stream.t_ns[0]) - 1_700_000_000_950_000_000) < 1000
    assert "observation/timestamp" not in second.streams


def test_umi_names_and_rate(tmp_path: Path) -> None:
    rows = {"robot0_eef_pos": 3, "robot0_eef_rot_axis_angle": 3, "robot0_gripper_width": 1, "robot0_demo_start_pose": 6}
    arrays = {f"data/{name}": np.random.default_rng(1).normal(size=(20, width)) for name, width in rows.items()}
    arrays["data/camera0_rgb"] = np.ones((20, 16, 16, 3), np.uint8)
    fill(str(tmp_path / "a.zarr"), arrays | {"meta/episode_ends": np.array(ENDS)})
    (log, *_) = logs(tmp_path / "a.zarr")
    assert set(log.streams) == {"camera/camera0_rgb", *(f"observation/{name}" for name in rows)}
    assert log.streams["camera/camera0_rgb"].clock == "assumed:59.94Hz"


def test_a_codec_that_is_not_there_is_named_with_its_remedy(tmp_path: Path) -> None:
    path = buffer(tmp_path / "a.zarr")
    meta = path / "data" / "img" / ".zarray"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"compressor": {"id": "imagecodecs_nothing_like_it"}}))
    (log, *_) = logs(path)
    assert "pip install imagecodecs" in str(log.metadata["skipped"]["img"])
    assert set(log.streams) == {"action/executed", "observation/state"}


def test_objects_are_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    path = buffer(tmp_path / "a.zarr")
    meta = path / "data" / "state" / ".zarray"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"dtype": "|O", "filters": [{"id": "pickle"}]}))
    (log, *_) = logs(path)
    assert "'pickle', which is not decoded here" in str(log.metadata["skipped"]["state"])


def test_one_group_a_try(tmp_path: Path) -> None:
    arrays = {f"episode_{number}/{name}": np.full((4, 2), number) for number in (10, 2) for name in ("action", "obs/q")}
    fill(str(tmp_path / "a.zarr"), arrays)
    assert [(log.key, sorted(log.streams)) for log in logs(tmp_path / "a.zarr")] == [
        (key, ["action/executed", "observation/q"]) for key in ("episode_2", "episode_10")
    ]


def test_a_missing_chunk_is_told_and_many_cost_the_try(tmp_path: Path) -> None:
    path = buffer(tmp_path / "a.zarr")
    (path / "data" / "state" / "1.0").unlink()
    first, second, third = logs(path)
    assert third.metadata["problems"] == []
    assert "state: chunks with 40 of its 280 bytes are not there" in str(first.metadata["problems"])
    assert "state: chunks with 200 of its 200 bytes" in str(second.metadata["problems"])
    for chunk in (path / "data" / "img").glob("[0-9]*"):
        chunk.unlink()
    (first, *_) = logs(path)
    assert "are not there" in str(first.metadata["skipped"]["img"])


def test_a_chunk_cut_short_costs_only_the_tries_in_it(tmp_path: Path) -> None:
    path = buffer(tmp_path / "a.zarr")
    chunk = path / "data" / "state" / "3.0"
    chunk.write_bytes(chunk.read_bytes()[:20])
    assert [("state" in log.metadata.get("skipped", {})) for log in logs(path)] == [False, False, True]


def test_rows_after_the_last_end_are_said_to_be_left(tmp_path: Path) -> None:
    *_, last = ZarrFormat().read(buffer(tmp_path / "a.zarr", ends=[7, 12]))
    assert isinstance(last, Unread)
    assert "rows 12 to 20 belong to no try" in last.reason


@pytest.mark.parametrize("ends", [[7, 5, 20], [-1, 5, 20]])
def test_ends_that_go_back_are_refused(tmp_path: Path, ends: list[int]) -> None:
    with pytest.raises(UnreadableLog, match="go back"):
        list(ZarrFormat().read(buffer(tmp_path / "a.zarr", ends=ends)))


ABSURD = {
    "rows": {"shape": [2**60, 5]},
    "chunk": {"chunks": [2**40, 5]},
    "sides": {"shape": [20, -5]},
    "more sides": {"shape": [20] + [5] * 40, "chunks": [6] + [5] * 40},
    "words": {"shape": ["a", None]},
    "dtype": {"dtype": "<f999999999"},
    "records": {"dtype": [["x", "<f8"]]},
}


@pytest.mark.parametrize("kind", ABSURD)
def test_absurd_metadata_costs_only_its_array(tmp_path: Path, kind: str) -> None:
    path = buffer(tmp_path / "a.zarr")
    meta = path / "data" / "state" / ".zarray"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | ABSURD[kind]))
    for log in logs(path):
        assert "state" in log.metadata.get("skipped", {}) or log.streams["observation/state"].values.shape[1] == 5
        assert log.streams["action/executed"].values.dtype == np.float32


def test_a_chunk_that_claims_gigabytes_is_refused(tmp_path: Path) -> None:
    import gzip

    path = buffer(tmp_path / "a.zarr", compressors=[__import__("numcodecs").GZip(1)])
    (path / "data" / "state" / "0.0").write_bytes(gzip.compress(bytes(1 << 24)))  # 16 MB for a chunk of 240 bytes
    first, _, third = logs(path)
    assert "state" in first.metadata["skipped"]
    assert "observation/state" in third.streams


def test_rows_that_claim_far_more_than_is_stored_are_not_read(tmp_path: Path) -> None:
    path = buffer(tmp_path / "a.zarr")
    meta = path / "data" / "state" / ".zarray"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"shape": [20, 2**24], "chunks": [20, 2**22]}))
    (log, *_) = logs(path)
    assert "bytes, and" in log.metadata["skipped"]["state"]


def test_names_that_lead_out_of_the_store_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    buffer(secret)
    path = buffer(tmp_path / "a.zarr")
    shutil.rmtree(path / "data" / "state")
    (path / "data" / "state").symlink_to(secret / "data" / "state")
    meta = json.loads((secret / "data" / "state" / ".zarray").read_text())
    (path / ".zmetadata").write_text(json.dumps({"metadata": {"../secret/data/state/.zarray": meta}}))
    (log, *_) = logs(path)
    assert set(log.streams) == {"action/executed", "camera/img"}
    assert "data/state: left out: it leads out of the store" in log.metadata["problems"]


def test_zip_entries_that_lead_out_are_left_out(tmp_path: Path) -> None:
    folder, path = buffer(tmp_path / "a.zarr"), tmp_path / "b.zarr.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
        archive.writestr("../../etc/evil/.zarray", "{}")
        archive.writestr("/evil/.zgroup", "{}")
    (log, *_) = logs(path)
    assert sum("leads out" in str(problem) for problem in log.metadata["problems"]) == 2


@pytest.mark.parametrize("kind", ["empty", "text", "no arrays"])
def test_what_is_no_store_is_unreadable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.zarr.zip"
    with zipfile.ZipFile(held := io.BytesIO(), "w") as archive:
        archive.writestr(".zgroup", '{"zarr_format": 2}')
    path.write_bytes({"empty": b"", "text": b"hello" * 99, "no arrays": held.getvalue()}[kind])
    with pytest.raises(UnreadableLog):
        list(ZarrFormat().read(path))


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    zipped = tmp_path / "b.zarr.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        folder = buffer(tmp_path / "a.zarr")
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    (tmp_path / "checked").mkdir()
    check_format(ZarrFormat(), tmp_path / "checked", samples=[tmp_path / "a.zarr", zipped])


def survivors(path: Path) -> list[EpisodeLog | Unread]:
    try:
        return list(ZarrFormat().read(path))
    except UnreadableLog as error:
        return [Unread(path.name, error.what, error.remedy)]


@pytest.fixture(scope="module", params=[2, 3])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    store = buffer(folder / "a.zarr", request.param)
    with zipfile.ZipFile(folder / "a.zarr.zip", "w") as archive:
        for file in sorted(store.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(store).as_posix())
    return folder / "a.zarr.zip"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_damage_anywhere_is_an_error_of_ours(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = whole.with_name("damaged.zarr.zip")
    cut = data.draw(st.booleans())
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))] if cut else content))
    assert all(isinstance(item, EpisodeLog) or item.remedy for item in survivors(path))


LEAVES = st.one_of(
    st.none(), st.integers(), st.floats(), st.text(max_size=9), st.sampled_from(["<M8[ns]", "|V9", "<U999"])
)
KEYS = ["shape", "chunks", "dtype", "compressor", "filters", "order", "fill_value", "zarr_format"]


def nested(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["id", "name", "x"]), inner, max_size=3)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(key=st.sampled_from(KEYS), value=st.recursive(LEAVES, nested, max_leaves=6))
def test_any_metadata_costs_at_most_its_array(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: object
) -> None:
    path = buffer(tmp_path_factory.mktemp("odd") / "a.zarr")
    meta = path / "data" / "state" / ".zarray"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {key: value}))
    for log in logs(path):
        assert {"action/executed", "camera/img"} <= set(log.streams)


def test_an_action_whose_bytes_are_gone_is_a_fault_of_the_try(tmp_path: Path) -> None:
    path = buffer(tmp_path / "a.zarr")
    for chunk in (path / "data" / "action").iterdir():
        if chunk.name[0].isdigit():
            chunk.unlink()
    for log in logs(path):
        assert list(log.metadata["faults"]) == ["action/executed"]
        assert {finding.check for finding in check_faults(log)} >= {"reader/fault"}


def test_a_store_that_is_a_git_lfs_pointer_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.zarr.zip").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(UnreadableLog, match="Git LFS pointer"):
        list(ZarrFormat().read(tmp_path / "a.zarr.zip"))
