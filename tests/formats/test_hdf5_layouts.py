"""HDF5 of ALOHA, and of labs that keep one try a file."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.errors import UnreadableLog
from saqiya.formats.hdf5.read import Hdf5Format
from saqiya.testing import make_video

STEPS = 9


def one(path: Path) -> EpisodeLog:
    (log,) = Hdf5Format().read(path)
    assert isinstance(log, EpisodeLog), log
    return log


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pictures(count: int = STEPS, codec: str = "jpeg") -> list[bytes]:
    """Pictures with real heads and of differing lengths."""
    video = make_video(pictures=count, codec="png")
    if codec == "png":
        return [video.packet(number) for number in range(count)]
    frame = b"\xff\xc0\x00\x11\x08" + (48).to_bytes(2, "big") + (64).to_bytes(2, "big") + b"\x03" + bytes(9)
    tails = [bytes([1 + number]) * (90 + 7 * number) for number in range(count)]
    return [b"\xff\xd8\xff\xe0\x00\x04ab" + frame + tail + b"\xff\xd9" for tail in tails]


def aloha(path: Path, *, packed: bool, **how: object) -> Path:
    """Write what ACT's recorder writes: raw pictures, or JPEG filled up with zeros."""
    with h5py.File(path, "w") as file:
        file.attrs["sim"] = False
        file["action"] = numbers(STEPS, 14)
        for number, name in enumerate(("qpos", "qvel", "effort")):
            file[f"observations/{name}"] = numbers(STEPS, 14, seed=number + 1)
        if packed:
            file.attrs["compress"] = True
            coded = pictures()
            longest = max(map(len, coded)) + 5
            rows = np.stack([np.frombuffer(one.ljust(longest, b"\0"), np.uint8) for one in coded])
            file.create_dataset("observations/images/cam_high", data=rows, **how)
            file["compress_len"] = np.array([[len(one) for one in coded]], dtype=np.float64)
        else:
            raw = np.random.default_rng(5).integers(0, 255, (STEPS, 24, 32, 3), dtype=np.uint8)
            file.create_dataset("observations/images/cam_high", data=raw, **how)
    return path


def test_an_aloha_file_is_one_try_at_50_hz(tmp_path: Path) -> None:
    path = aloha(tmp_path / "episode_3.hdf5", packed=False, chunks=(1, 24, 32, 3))
    log = one(path)
    assert log.key == "episode_3"
    assert set(log.streams) == {
        "action/executed",
        "observation/qpos",
        "observation/qvel",
        "observation/effort",
        "camera/cam_high",
    }
    stream = log.streams["action/executed"]
    assert (stream.clock, stream.stamp, log.metadata["sim"]) == ("assumed:50Hz", Stamp.ASSUMED, False)
    with h5py.File(path) as file:
        assert log.streams["camera/cam_high"].values.tobytes() == file["observations/images/cam_high"][()].tobytes()
        assert log.streams["observation/qvel"].values.tobytes() == file["observations/qvel"][()].tobytes()


@pytest.mark.parametrize("how", [{}, {"chunks": (1, 163)}, {"chunks": (4, 163), "compression": "gzip"}], ids=str)
def test_pictures_filled_up_with_zeros_become_packets(tmp_path: Path, how: dict[str, object]) -> None:
    coded = pictures()
    width = max(map(len, coded)) + 5
    if "chunks" in how:
        how = how | {"chunks": (how["chunks"][0], width)}
    path = aloha(tmp_path / "episode_0.hdf5", packed=True, **how)
    video = one(path).videos["camera/cam_high"]
    assert [video.packet(number) for number in range(STEPS)] == coded
    assert (video.track.codec, video.track.width, video.track.height) == ("jpeg", 64, 48)
    assert video.file == (None if "compression" in how else path)  # nothing is copied where bytes lie as they are
    assert np.array_equal(np.diff(video.track.t_ns), np.full(STEPS - 1, 20_000_000))


def test_large_rows_are_mapped_and_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("saqiya.formats.hdf5.columns.MAPPED_BYTES", 1000)
    for number, how in enumerate(
        ({}, {"chunks": (1, 24, 32, 3)}, {"chunks": (4, 24, 32, 3)}, {"chunks": (4, 12, 9, 1)})
    ):
        path = aloha(tmp_path / f"{number}.hdf5", packed=False, **how)
        with h5py.File(path) as file:
            wanted = file["observations/images/cam_high"][()]
        assert np.array_equal(one(path).streams["camera/cam_high"].values, wanted)


@pytest.mark.parametrize("kind", ["bytes", "void"])
def test_pictures_of_varying_length_become_packets(tmp_path: Path, kind: str) -> None:
    coded = pictures(codec="png")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"] = numbers(STEPS, 2)
        if kind == "bytes":
            made = file.create_dataset("front_image", (STEPS,), dtype=h5py.vlen_dtype(np.uint8))
            for number, picture in enumerate(coded):
                made[number] = np.frombuffer(picture, np.uint8)
        else:
            coded = [picture.ljust(200, b"\0") for picture in coded]
            file["front_image"] = np.array(coded, dtype="V200")
    video = one(tmp_path / "a.h5").videos["camera/front_image"]
    assert [video.packet(number) for number in range(STEPS)] == coded
    assert (video.track.codec, video.track.width, video.track.height) == ("png", 8, 6)


UNITS = {
    "timestamp": (1e9, 1_700_000_000.5),
    "time_ms": (1e6, 1_700_000_000_500),
    "t_ns": (1, 1_700_000_000_500_000_000),
}


@pytest.mark.parametrize("name", UNITS)
def test_stamps_are_found_by_name_and_unit(tmp_path: Path, name: str) -> None:
    scale, first = UNITS[name]
    step = 0.02 * 1e9 / scale
    times = first + np.arange(STEPS) * (step if isinstance(first, float) else int(step))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"], file["state"], file[name] = numbers(STEPS, 2), numbers(STEPS, 3), times
    log = one(tmp_path / "a.h5")
    stream = log.streams["observation/state"]
    assert (stream.stamp, stream.clock) == (Stamp.SENSOR, f"epoch:{name}")
    assert abs(int(stream.t_ns[0]) - 1_700_000_000_500_000_000) < 500
    assert round(stream.rate_hz) == 50
    assert set(log.streams) == {"action/executed", "observation/state"}


NO_CLOCKS = {
    "it goes back": np.array([0.0, 0.1, 0.2, 0.15, 0.4, 0.5, 0.6, 0.7, 0.8]),
    "no numbers": np.array([0.0, np.nan, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]),
    "stands still": np.full(STEPS, 3.0),
    "cannot be told": np.arange(STEPS),
}


@pytest.mark.parametrize("why", NO_CLOCKS)
def test_times_that_are_no_clock_stay_numbers_and_are_told(tmp_path: Path, why: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"], file["time"] = numbers(STEPS, 2), NO_CLOCKS[why]
    log = one(tmp_path / "a.h5")
    assert why in str(log.metadata["problems"])
    assert log.streams["action/executed"].stamp is Stamp.ASSUMED
    assert np.array_equal(log.streams["observation/time"].values.ravel(), NO_CLOCKS[why], equal_nan=True)


def test_each_sensor_has_its_own_clock_and_rate(tmp_path: Path) -> None:
    fast = 100.0 + np.arange(4 * STEPS) * 0.005
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"], file["timestamp"] = numbers(STEPS, 2), 100.0 + np.arange(STEPS) * 0.02
        file["wrench"], file["wrench_timestamp"] = numbers(4 * STEPS, 6), fast
    log = one(tmp_path / "a.h5")
    assert round(log.streams["observation/wrench"].rate_hz) == 200
    assert round(log.streams["action/executed"].rate_hz) == 50
    assert log.streams["observation/wrench"].t_ns[0] == log.streams["action/executed"].t_ns[0] == 100_000_000_000


def test_a_droid_file_is_read_by_its_control_clock(tmp_path: Path) -> None:
    start = 1_690_000_000_000 + 67 * np.arange(STEPS)
    with h5py.File(tmp_path / "trajectory.h5", "w") as file:
        file.attrs["current_task"], file.attrs["success"], file.attrs["user"] = "wipe the table", True, "op-4"
        for name in ("joint_velocity", "cartesian_position"):
            file[f"action/{name}"] = numbers(STEPS, 7)
        file["observation/robot_state/joint_positions"] = numbers(STEPS, 7)
        file["observation/controller_info/movement_enabled"] = np.ones(STEPS, bool)
        file["observation/timestamp/control/step_start"] = start
        file["observation/timestamp/robot_state/read_start"] = start + 3
    log = one(tmp_path / "trajectory.h5")
    assert (log.metadata["task"], log.metadata["outcome"], log.metadata["operator"]) == (
        "wipe the table",
        "success",
        "op-4",
    )
    action, state = log.streams["action/joint_velocity"], log.streams["observation/robot_state/joint_positions"]
    assert action.t_ns[0] == 1_690_000_000_000 * 10**6
    assert state.t_ns[0] - action.t_ns[0] == 3_000_000
    assert log.streams["observation/controller_info/movement_enabled"].values.dtype == np.bool_


def test_groups_at_the_root_are_tries_and_one_more_state_is_kept(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in (0, 1):
            file[f"traj_{number}/actions"] = numbers(STEPS, 2)
            file[f"traj_{number}/obs/agent/qpos"] = numbers(STEPS + 1, 3)
            file[f"traj_{number}/success"] = np.arange(STEPS) == STEPS - 1 + number
    first, second = Hdf5Format().read(tmp_path / "a.h5")
    assert isinstance(first, EpisodeLog)
    assert isinstance(second, EpisodeLog)
    assert (first.key, first.metadata["outcome"], second.metadata["outcome"]) == ("traj_0", "success", "failure")
    assert len(first.streams["observation/agent/qpos"].t_ns) == STEPS + 1


def test_flags_tell_many_tries_of_one_file_apart(tmp_path: Path) -> None:
    values = numbers(9, 3)
    with h5py.File(tmp_path / "relocate.hdf5", "w") as file:
        file["observations"], file["actions"], file["infos/qpos"] = values, values[:, :2], values
        file["terminals"] = np.arange(9) == 3
        file["timeouts"] = np.arange(9) == 6
    logs = list(Hdf5Format().read(tmp_path / "relocate.hdf5"))
    assert [log.key for log in logs] == ["relocate/0", "relocate/1", "relocate/2"]
    assert np.array_equal(logs[1].streams["observation/observations"].values, values[4:7])
    assert [len(log.streams["action/executed"].t_ns) for log in logs] == [4, 3, 2]


def test_libero_files_tell_the_task_in_words(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data/demo_0/actions"] = numbers(STEPS, 7)
        file["data/demo_0/obs/agentview_rgb"] = np.ones((STEPS, 16, 16, 3), np.uint8)
        file["data"].attrs["env_name"] = "Libero_Kitchen"
        file["data"].attrs["problem_info"] = '{"problem_name": "x", "language_instruction": "close the drawer"}'
    log = one(tmp_path / "a.hdf5")
    assert log.metadata["task"] == "close the drawer"
    assert "camera/agentview_rgb" in log.streams


def test_depth_records_and_calibrations_are_told_apart(tmp_path: Path) -> None:
    record = np.zeros(STEPS, dtype=[("force", "<f4"), ("count", "<i2")])
    record["count"] = np.arange(STEPS)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["action"], file["touch"] = numbers(STEPS, 2), record
        file["depth_front"] = np.ones((STEPS, 20, 30), np.uint16)
        file["rgb"] = np.ones((STEPS, 3, 20, 30), np.uint8)
        file["intrinsics"] = np.eye(3)
        file["complex"] = np.ones((STEPS, 2), complex)
    log = one(tmp_path / "a.h5")
    assert log.streams["depth/depth_front"].values.shape == (STEPS, 20, 30)
    assert log.streams["camera/rgb"].values.shape == (STEPS, 20, 30, 3)
    assert log.streams["touch/count"].values.ravel().tolist() == list(range(STEPS))
    assert log.metadata["intrinsics"] == np.eye(3).tolist()
    assert "no numbers" in str(log.metadata["skipped"]["complex"])


def test_nothing_with_rows_is_said(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["note"] = "nothing here"
    with pytest.raises(UnreadableLog, match="holds no rows"):
        list(Hdf5Format().read(tmp_path / "a.h5"))


def test_no_action_is_observed_and_the_instruction_is_the_task(tmp_path: Path) -> None:
    """As RoboCasa and mobile ALOHA write it."""
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        demo = file.create_group("data/demo_0")
        file["data"].attrs["env_args"] = '{"env_name": "Kitchen"}'
        demo.attrs["ep_meta"] = '{"lang": "open the microwave"}'
        for name, width in (("actions", 7), ("actions_abs", 12), ("base_action", 2), ("obs/q", 5)):
            demo[name] = numbers(STEPS, width)
    log = one(tmp_path / "a.hdf5")
    assert set(log.streams) == {"action/executed", "action/actions_abs", "action/base_action", "observation/q"}
    assert log.metadata["task"] == "open the microwave"


def test_words_of_the_house_that_mean_something_else_are_kept_aside(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file.attrs.update({"source": "spacemouse", "claimed_by": "me", "start": 3, "faults": "none", "success": True})
        file["action"] = numbers(STEPS, 7)
    facts = one(tmp_path / "a.hdf5").metadata
    assert facts["outcome"] == "success"
    assert (facts["source_said"], facts["claimed_by_said"], facts["start_said"]) == ("spacemouse", "me", 3)
    assert not {"source", "claimed_by", "start", "faults"} & set(facts)
