"""What not every episode of a LeRobot data set has in one shape and type is no feature, and comes back to the bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Tools
from typing import Any

import numpy as np
import pytest

from saqiya.domain.contracts import Unread
from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Stamp, Stream
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.formats.pictures.stills import video_of

Change = Callable[[EpisodeLog, Tools, Path], EpisodeLog]


def numbers(log: EpisodeLog, width: int, dtype: Any = np.float64) -> Stream:
    t_ns = log.streams["action/executed"].t_ns
    values = np.random.default_rng(width).normal(size=(len(t_ns), width)) * 9
    return Stream(t_ns, values.astype(dtype), "arm", Stamp.SENSOR, "N")


def raw(log: EpisodeLog, shape: tuple[int, ...], dtype: Any) -> Stream:
    t_ns = log.streams["action/executed"].t_ns
    top = np.iinfo(dtype).max
    return Stream(t_ns, np.random.default_rng(0).integers(0, top, (len(t_ns), *shape), dtype=dtype))


def png(log: EpisodeLog, trips: Tools, side: int) -> Video:
    t_ns = log.streams["action/executed"].t_ns
    rng = np.random.default_rng(side)
    packets = [trips.png(rng.integers(0, 255, (side, 24, 3), dtype=np.uint8)) for _ in t_ns]
    size = np.array([len(one) for one in packets], dtype=np.int64)
    video, _ = video_of((np.cumsum(size) - size, size), b"".join(packets), t_ns, clock="camera", stamp=Stamp.SENSOR)
    return video


def with_stream(name: str, make: Callable[[EpisodeLog], Stream]) -> Change:
    return lambda log, _trips, _folder: replace(log, streams={**log.streams, name: make(log)})


def with_png(side: int) -> Change:
    return lambda log, trips, _folder: replace(log, videos={**log.videos, "camera/x": png(log, trips, side)})


def with_movie(log: EpisodeLog, trips: Tools, folder: Path) -> EpisodeLog:
    t_ns = log.streams["action/executed"].t_ns
    return replace(log, videos={**log.videos, "camera/x": trips.camera(folder, t_ns, fps=20)})


def with_starts(log: EpisodeLog, trips: Tools, folder: Path) -> EpisodeLog:
    t_ns = log.streams["action/executed"].t_ns
    return replace(log, videos={**log.videos, "camera/x": trips.annexb(trips.camera(folder, t_ns, fps=20))})


def with_uneven_movie(log: EpisodeLog, trips: Tools, folder: Path) -> EpisodeLog:
    """Pictures at another rate: they are encoded again, and no record needs what was."""
    return replace(log, videos={**log.videos, "camera/x": trips.camera(folder, trips.stamps(15, 33))})


def same(log: EpisodeLog, _trips: Tools, _folder: Path) -> EpisodeLog:
    return log


CASES: dict[str, tuple[Change, Change]] = {
    "a stream": (same, with_stream("observation/extra", lambda log: numbers(log, 3))),
    "a float16 stream": (same, with_stream("observation/extra", lambda log: numbers(log, 3, np.float16))),
    "flags": (same, with_stream("observation/extra", lambda log: numbers(log, 1, np.bool_))),
    "a grid": (same, with_stream("observation/grid", lambda log: raw(log, (2, 3), np.int32))),
    "another width": (
        with_stream("observation/x", lambda log: numbers(log, 3)),
        with_stream("observation/x", lambda log: numbers(log, 4)),
    ),
    "another type": (
        with_stream("observation/x", lambda log: numbers(log, 3)),
        with_stream("observation/x", lambda log: numbers(log, 3, np.float32)),
    ),
    "H.264": (same, with_movie),
    "H.264 with start codes": (same, with_starts),
    "H.264 at another rate": (same, with_uneven_movie),
    "PNG": (same, with_png(16)),
    "PNG of another size": (with_png(16), with_png(32)),
    "PNG and H.264": (with_png(16), with_movie),
    "raw pictures": (same, with_stream("camera/raw", lambda log: raw(log, (16, 24, 3), np.uint8))),
    "raw depth": (same, with_stream("depth/raw", lambda log: raw(log, (16, 24), np.uint16))),
    "grey and depth": (
        with_stream("camera/raw", lambda log: raw(log, (16, 24), np.uint8)),
        with_stream("camera/raw", lambda log: raw(log, (16, 24), np.uint16)),
    ),
}


@pytest.fixture
def tools(trips: Tools, lerobots: Tools) -> Tools:
    return Tools(**vars(trips), png=lerobots.png)


def tries(case: str, tools: Tools, folder: Path) -> list[EpisodeLog]:
    return [change(tools.robotless(seed), tools, folder / str(seed)) for seed, change in enumerate(CASES[case])]


@pytest.mark.parametrize("case", CASES)
def test_what_not_every_episode_has_comes_back(case: str, tmp_path: Path, tools: Tools) -> None:
    episodes = tries(case, tools, tmp_path)
    notes = tools.write(episodes, tmp_path / "out")
    (told,) = [note for note in notes if "not every episode has it" in note]
    feature = told.split(":")[0]
    assert feature not in tools.info(tmp_path / "out")["features"]
    assert feature not in tools.table(tmp_path / "out").column_names
    assert not (tmp_path / "out/videos" / feature).exists()
    for wrote, back in zip(episodes, tools.read(tmp_path / "out"), strict=True):
        tools.assert_same(wrote, back)


@pytest.mark.parametrize("case", ["PNG", "raw pictures"])
def test_pictures_before_and_after_the_frames_come_back_too(case: str, tmp_path: Path, tools: Tools) -> None:
    first, second = tries(case, tools, tmp_path)
    action = second.streams["action/executed"]
    cut = Stream(action.t_ns[2:-1].copy(), action.values[2:-1].copy())
    second = replace(second, streams={**second.streams, "action/executed": cut})
    tools.write([first, second], tmp_path / "out")
    tools.assert_same(second, tools.read(tmp_path / "out")[1])


def test_how_many_episodes_have_it_is_told(tmp_path: Path, tools: Tools) -> None:
    first, second = tries("a stream", tools, tmp_path)
    third = replace(second, key="third")
    notes = tools.write([first, second, third], tmp_path / "out")
    (told,) = [note for note in notes if "not every episode has it" in note]
    assert told.endswith(" (2 of 3 episodes)")
    kept = sorted((tmp_path / "out/meta/saqiya/lacking").iterdir())
    assert [one.name for one in kept] == ["episode_001.safetensors", "episode_002.safetensors"]


def test_what_no_record_needs_is_not_kept(tmp_path: Path, tools: Tools) -> None:
    tools.write(tries("H.264 at another rate", tools, tmp_path), tmp_path / "out")
    assert not (tmp_path / "out/meta/saqiya/movies").exists()
    assert not (tmp_path / "out/meta/saqiya/lacking").exists()


@pytest.mark.parametrize("case", ["a stream", "PNG", "raw pictures", "H.264"])
def test_damage_there_is_told_and_the_other_episode_is_read(case: str, tmp_path: Path, tools: Tools) -> None:
    tools.write(tries(case, tools, tmp_path), tmp_path / "out")
    folder = tmp_path / "out/meta/saqiya" / ("movies" if case == "H.264" else "lacking")
    (path,) = [one for one in folder.rglob("*") if one.is_file()]
    whole = path.read_bytes()
    for spoiled in (None, b"", whole[: len(whole) // 2], b"\xff" * 64 + whole[64:]):
        path.unlink()
        if spoiled is not None:
            path.write_bytes(spoiled)
        first, second = LeRobotFormat().read(tmp_path / "out")
        assert isinstance(first, EpisodeLog)
        assert isinstance(second, Unread)
        assert second.remedy
        path.touch()


@pytest.mark.parametrize("case", ["a stream", "PNG", "raw pictures"])
def test_flipped_bytes_there_give_an_episode_or_a_reason(case: str, tmp_path: Path, tools: Tools) -> None:
    tools.write(tries(case, tools, tmp_path), tmp_path / "out")
    (path,) = (tmp_path / "out/meta/saqiya/lacking").iterdir()
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(12):
        spoiled = bytearray(whole)
        for place in rng.integers(0, min(400, len(whole)), 3).tolist():
            spoiled[place] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(spoiled))
        _, second = LeRobotFormat().read(tmp_path / "out")
        assert isinstance(second, EpisodeLog) or second.reason
