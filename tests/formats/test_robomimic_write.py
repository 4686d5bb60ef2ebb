import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from saqiya.domain.contracts import Shipped, Unread
from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import AlreadyThere, InvalidEpisode, UnreadableLog, UsageError
from saqiya.formats.hdf5.read import Hdf5Format
from saqiya.formats.hdf5.robomimic_write import RobomimicWriter
from saqiya.testing import check_format, make_episode, make_video


def ship(path: Path, episodes: Sequence[EpisodeLog], **settings: bool) -> tuple[str, ...]:
    shipped = [Shipped(f"uid-{number}", log) for number, log in enumerate(episodes)]
    return RobomimicWriter().write_all(shipped, path, settings=settings, progress=lambda *_: None)


class OneFile:
    """The writer and the reader as one format, which the conformance suite can take round and round."""

    name = "hdf5"
    sniff = staticmethod(Hdf5Format().sniff)
    read = staticmethod(Hdf5Format().read)

    def write(self, episode: EpisodeLog, path: Path) -> None:
        ship(path, [episode], frames=False)


def coded(frames: np.ndarray, codec: str) -> Video:
    """Encode frames, (T, H, W, 3), with FFmpeg."""
    av = pytest.importorskip("av")
    context = av.CodecContext.create({"h264": "libx264", "png": "png"}[codec], "w")
    context.width, context.height = frames.shape[2], frames.shape[1]
    context.pix_fmt = {"h264": "yuv420p", "png": "rgb24"}[codec]
    context.time_base = __import__("fractions").Fraction(1, 30)
    context.options = {"bf": "0", "g": "4"} if codec == "h264" else {}
    packets = []
    for number, pixels in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    size = np.array([packet.size for packet in packets], dtype=np.int64)
    track = Track(
        t_ns=np.arange(len(frames), dtype=np.int64) * 33_333_333, offset=np.cumsum(size) - size, size=size,
        key=np.array([packet.is_keyframe for packet in packets]), rank=np.arange(len(frames)), codec=codec,
        form="annexb" if codec == "h264" else "", width=frames.shape[2], height=frames.shape[1],
    )  # fmt: skip
    return Video(track, b"".join(map(bytes, packets)))


def test_it_gives_back_every_bit(tmp_path: Path) -> None:
    check_format(OneFile(), tmp_path)


def test_robomimic_finds_what_it_reads(tmp_path: Path) -> None:
    logs = [make_episode(seed=1), make_episode(seed=2, success=False)]
    ship(tmp_path / "a.hdf5", logs)
    with h5py.File(tmp_path / "a.hdf5") as file:
        demo = file["data/demo_0"]
        assert (file["data"].attrs["total"], demo.attrs["num_samples"]) == (80, 40)
        assert np.array_equal(demo["actions"], logs[0].streams["action/executed"].values)
        assert demo["rewards"][-2:].tolist() == [0, 1]
        assert file["data/demo_1/rewards"][-1] == 0
        assert demo["dones"][:].sum() == 1
        assert sorted(demo["obs"]) == ["force", "goal", "state"]
        assert all(len(demo[f"obs/{key}"]) == 40 for key in demo["obs"])
        assert np.array_equal(demo["obs/state"], logs[0].streams["observation/state"].values[:40])
        assert np.array_equal(demo["obs/force"], logs[0].streams["contact/force"].values[::4])
        assert "env_args" not in file["data"].attrs


class Reading(Mapping[str, Stream]):
    """Streams that are read anew each time, as those of a stored try are."""

    def __init__(self, streams: Mapping[str, Stream]) -> None:
        self.streams = streams

    def __getitem__(self, name: str) -> Stream:
        return replace(self.streams[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.streams)

    def __len__(self) -> int:
        return len(self.streams)


def test_streams_may_be_read_anew_each_time(tmp_path: Path) -> None:
    log = make_episode()
    ship(tmp_path / "a.hdf5", [replace(log, streams=Reading(log.streams))])
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert np.array_equal(file["data/demo_0/actions"], log.streams["action/executed"].values)


def test_what_was_resampled_or_made_up_is_said(tmp_path: Path) -> None:
    notes = " ".join(ship(tmp_path / "a.hdf5", [make_episode(), make_episode(seed=1, steps=20)]))
    assert "contact/force (80 Hz) is given as the latest sample at each action (20 Hz)" in notes
    assert "no env_args are known, and none were invented" in notes
    assert "no reward was logged" in notes
    assert "in the group saqiya alone, not in obs: policy/chunk, policy/uncertainty" in notes


def test_nothing_comes_from_the_future(tmp_path: Path) -> None:
    log = make_episode(steps=10)
    slow = Stream(np.array([60, 130, 400], dtype=np.int64) * 10**6, np.array([[1.0], [2.0], [3.0]]))
    notes = ship(tmp_path / "a.hdf5", [replace(log, streams={**log.streams, "observation/slow": slow})], next_obs=True)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["data/demo_0/obs/slow"][:, 0].tolist() == [1, 1, 1, 2, 2, 2, 2, 2, 3, 3]
        assert file["data/demo_0/next_obs/slow"][:, 0].tolist() == [1, 1, 2, 2, 2, 2, 2, 3, 3, 3]
        assert np.array_equal(file["data/demo_0/next_obs/state"], log.streams["observation/state"].values[1:])
    assert "observation/slow begins after the first action: earlier actions have its first sample" in notes


def test_what_is_equal_lies_there_once(tmp_path: Path) -> None:
    rows = np.arange(40, dtype=np.int64) * 50_000_000
    big = Stream(rows, np.random.default_rng(1).integers(0, 255, (40, 32, 32, 3), dtype=np.uint8))
    log = make_episode()
    ship(tmp_path / "a.hdf5", [replace(log, streams={**log.streams, "camera/front": big})])
    assert (tmp_path / "a.hdf5").stat().st_size < 1.5 * big.values.nbytes
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert np.array_equal(file["data/demo_0/obs/front_image"], big.values)


@pytest.mark.parametrize("codec", ["h264", "png"])
def test_cameras_are_decoded_and_their_packets_kept(tmp_path: Path, codec: str) -> None:
    frames = np.random.default_rng(3).integers(0, 255, (12, 32, 48, 3), dtype=np.uint8)
    video = coded(frames, codec)
    log = replace(make_episode(steps=8), videos={"camera/wrist": video})
    notes = ship(tmp_path / "a.hdf5", [log])
    (back,) = Hdf5Format().read(tmp_path / "a.hdf5")
    assert isinstance(back, EpisodeLog)
    kept = back.videos["camera/wrist"]
    assert [kept.packet(number) for number in range(12)] == [video.packet(number) for number in range(12)]
    assert kept.file == tmp_path / "a.hdf5"
    with h5py.File(tmp_path / "a.hdf5") as file:
        shown = file["data/demo_0/obs/wrist_image"][()]
    rows = [int(row * 50_000_000 // 33_333_333) for row in range(8)]
    assert (shown.dtype, shown.shape) == (np.uint8, (8, 32, 48, 3))
    if codec == "png":
        assert np.array_equal(shown, frames[rows])
    else:
        assert np.abs(shown.astype(float) - frames[rows]).mean() < 60
    assert any("camera/wrist is decoded into obs/wrist_image" in note for note in notes)


def test_a_camera_that_cannot_be_decoded_leaves_nothing_behind(tmp_path: Path) -> None:
    log = replace(make_episode(steps=8), videos={"camera/front": make_video(codec="jpeg")})
    with pytest.raises(InvalidEpisode, match="camera/front"):
        ship(tmp_path / "a.hdf5", [make_episode(seed=4), log])
    assert list(tmp_path.iterdir()) == []
    assert any("as packets: camera/front" in note for note in ship(tmp_path / "a.hdf5", [log], frames=False))


def test_spans_become_weights_and_masks(tmp_path: Path) -> None:
    spans = ((0, 500_000_000, 2.0, "anchor"), (500_000_000, 10**9, 0.5, "correction"))
    shipped = [Shipped("a", make_episode(), spans), Shipped("b", make_episode(seed=1), spans[:1])]
    RobomimicWriter().write_all(shipped, tmp_path / "a.hdf5", settings={}, progress=lambda *_: None)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert np.unique(file["data/demo_0/sample_weight"]).tolist() == [0.0, 0.5, 2.0]
        masks = {name: [one.decode() for one in file[f"mask/{name}"]] for name in file["mask"]}
    assert masks == {"anchor": ["demo_0", "demo_1"], "correction": ["demo_0"]}


def test_env_args_come_from_the_log(tmp_path: Path) -> None:
    env_args = {"env_name": "Lift", "type": 1, "env_kwargs": {"control_freq": 20}}
    ship(tmp_path / "a.hdf5", [make_episode(metadata={"env_args": env_args})])
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert json.loads(file["data"].attrs["env_args"]) == env_args


def test_equal_episodes_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.hdf5", "b.hdf5"):
        ship(tmp_path / name, [make_episode(), make_episode(seed=1)])
    assert (tmp_path / "a.hdf5").read_bytes() == (tmp_path / "b.hdf5").read_bytes()


def test_tries_of_one_name_are_told_apart(tmp_path: Path) -> None:
    ship(tmp_path / "a.hdf5", [make_episode(), make_episode()])
    assert [log.key for log in Hdf5Format().read(tmp_path / "a.hdf5")] == ["episode_0", "demo_1:episode_0"]


def test_it_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    log = make_episode()
    (tmp_path / "there.hdf5").write_bytes(b"mine")
    with pytest.raises(AlreadyThere):
        ship(tmp_path / "there.hdf5", [log])
    with pytest.raises(UsageError, match="colour"):
        ship(tmp_path / "a.hdf5", [log], colour=True)
    with pytest.raises(InvalidEpisode, match="no actions"):
        ship(tmp_path / "a.hdf5", [replace(log, streams={"observation/state": log.streams["observation/state"]})])
    with pytest.raises(InvalidEpisode, match="no episode"):
        ship(tmp_path / "a.hdf5", [])
    odd = Stream(np.zeros(1, np.int64), np.ones((1, 2), complex))
    with pytest.raises(InvalidEpisode, match="complex128"):
        ship(tmp_path / "a.hdf5", [replace(log, streams={**log.streams, "observation/odd": odd})])
    assert [path.name for path in tmp_path.iterdir()] == ["there.hdf5"]


def test_a_damaged_copy_is_an_error_of_ours(tmp_path: Path) -> None:
    video = make_video(codec="png")
    ship(tmp_path / "a.hdf5", [replace(make_episode(steps=6), videos={"camera/front": video})], frames=False)
    whole = (tmp_path / "a.hdf5").read_bytes()
    rng = np.random.default_rng(8)
    for number in range(30):
        data = bytearray(whole)
        for place in rng.integers(8, len(data), size=8):
            data[place] = int(rng.integers(256))
        path = tmp_path / f"{number}.hdf5"
        path.write_bytes(bytes(data))
        try:
            items = list(Hdf5Format().read(path))
        except UnreadableLog:
            continue
        assert all(isinstance(item, EpisodeLog | Unread) for item in items)
