"""LeRobot 0.6.1 itself opens what goes out, and what it writes comes in with the values that it returns.

Skipped unless SAQIYA_PEERS_PYTHON names the interpreter of an environment with `lerobot[dataset]==0.6.1` (it caps torch
and numpy below what Saqiya uses, so it cannot be the same environment; `make peers PYTHON312=...` builds one). Run it
with

    SAQIYA_PEERS_PYTHON=/path/to/bin/python pytest tests/peers/test_lerobot.py
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saqiya.domain.contracts import Shipped, Unread
from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.formats.lerobot.write import LeRobotWriter
from saqiya.formats.pictures.mp4 import open_mp4

PYTHON = os.environ.get("SAQIYA_PEERS_PYTHON", "")
PEER = Path(__file__).with_name("lerobot_peer.py")
KINDS = ["av1", "h264", "depth", "image"]
BACKENDS = ["torchcodec", "pyav"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="SAQIYA_PEERS_PYTHON names no interpreter that has lerobot"),
]


def peer(folder: Path, *arguments: object) -> None:
    own = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hf"), "HF_DATASETS_CACHE": str(folder / "cache")}
    done = subprocess.run(
        [PYTHON, str(PEER), *map(str, arguments)],
        env={"PATH": os.environ.get("PATH", ""), "HOME": str(folder), **own},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def look(root: Path, folder: Path, backend: str) -> Mapping[str, Any]:
    out = folder / f"{root.name}-{backend}.npz"
    peer(folder, "look", root, out, backend)
    return dict(np.load(out))


def quiet(_what: str, _done: int, _total: int) -> None:
    """Nobody listens."""


def read(root: Path) -> list[EpisodeLog]:
    items = list(LeRobotFormat().read(root))
    assert [item for item in items if isinstance(item, Unread)] == []
    return [item for item in items if isinstance(item, EpisodeLog)]


def export(episodes: list[EpisodeLog], path: Path, **settings: Any) -> tuple[str, ...]:
    shipped = [Shipped(f"uid-{number}", log) for number, log in enumerate(episodes)]
    return LeRobotWriter().write_all(shipped, path, settings=settings, progress=quiet)


def pictures(video: Video) -> list[Any]:
    """The pictures of a camera in the episode's range, decoded from packets alone."""
    import av

    track = video.track
    decoder = {"h264": "h264", "av1": "libdav1d", "png": "png", "hevc": "hevc"}[track.codec]
    context: Any = av.CodecContext.create(decoder, "r")
    if track.setup:
        context.extradata = track.setup
    found = {}
    for number in [*range(len(track.size)), None]:
        packet = None
        if number is not None:
            packet = av.Packet(video.packet(number))
            packet.pts, packet.is_keyframe = int(track.rank[number]), bool(track.key[number])
        for frame in context.decode(packet):
            found[frame.pts] = frame.to_ndarray(format="rgb24" if not frame.format.name.startswith("gray") else None)
    return [found[number] for number in range(track.pre, len(track.t_ns) - track.post)]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("peer")
    peer(folder, "write", folder / "sets")
    return folder / "sets"


@pytest.fixture(scope="module")
def seen(written: Path) -> Mapping[str, Mapping[str, Any]]:
    return {kind: look(written / kind, written.parent, "pyav") for kind in KINDS}


NUMBERS = {
    "observation.state": "observation/state",
    "observation.count": "observation/count",
    "observation.grid": "observation/grid",
    "action": "action/executed",
    "next.success": "next.success",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_lerobot_writes_comes_in_with_the_values_that_lerobot_returns(
    written: Path, seen: Mapping[str, Mapping[str, Any]], kind: str
) -> None:
    want, start = seen[kind], 0
    for index, episode in enumerate(read(written / kind)):
        count = len(episode.streams["action/executed"].t_ns)
        rows = slice(start, start + count)
        assert (want["episode_index"][rows] == index).all()
        assert {str(task) for task in want["task"][rows]} == {episode.metadata["task"]}
        for feature, name in NUMBERS.items():
            own = episode.streams[name].values
            assert np.array_equal(
                own.reshape(want[feature][rows].shape).astype(want[feature].dtype), want[feature][rows]
            )
        stamps = np.rint(want["timestamp"][rows].astype(np.float64) * 1e6)
        assert np.array_equal(np.rint(episode.streams["action/executed"].t_ns / 1e3), stamps)
        assert np.array_equal(episode.videos["camera/top"].track.shown_ns, episode.streams["action/executed"].t_ns)
        for number, own in enumerate(pictures(episode.videos["camera/top"])):
            theirs = want["observation.images.top"][start + number]
            # LeRobot's FFmpeg is another: colours are converted from the same decoded planes, at most a step apart.
            assert int(np.abs(own.astype(int) - theirs.astype(int)).max()) <= 1
        assert episode.metadata["embodiment"] == "so101"
        start += count
    assert start == 34


def test_depth_maps_keep_what_their_codes_mean(written: Path) -> None:
    for episode in read(written / "depth"):
        assert episode.videos["depth/deep"].track.codec == "hevc"
        known = episode.metadata["depth"]["depth/deep"]  # type: ignore[index,call-overload]
        assert known["depth_unit"] == "mm"  # type: ignore[index,call-overload]
        assert known["video.use_log"] is True  # type: ignore[index,call-overload]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_lerobot_opens_what_goes_out_and_returns_the_same(
    written: Path, seen: Mapping[str, Mapping[str, Any]], tmp_path: Path, kind: str, backend: str
) -> None:
    export(read(written / kind), tmp_path / kind)
    own, want = look(tmp_path / kind, tmp_path, backend), seen[kind]
    assert own["rows"].tolist() == want["rows"].tolist() == [[34, 3, 2]]
    assert own["same"].all()
    for name in set(want) - {"same", "rows"}:
        if name.startswith("stats/") or (backend == "torchcodec" and "images" in name):
            continue
        assert np.array_equal(own[name], want[name]), name
    for name in NUMBERS:
        assert own[f"stats/{name}/mean"] == pytest.approx(want[f"stats/{name}/mean"], rel=1e-6)
    if kind == "depth":
        key = "stats/observation.images.deep/mean"
        assert own[key] == pytest.approx(want[key], rel=0.05)


def film(folder: Path, count: int, seed: int, options: Mapping[str, str]) -> Video:
    import av

    rng = np.random.default_rng(seed)
    path = folder / f"{seed}.mp4"
    with av.open(str(path), "w") as target:
        stream: Any = target.add_stream("libx264", rate=30, options={"preset": "veryfast", **options})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        tile = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(8, axis=0).repeat(8, axis=1)
        for number in range(count):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(tile, 3 * number, axis=1), format="rgb24")))
        target.mux(stream.encode())
    movie = open_mp4(path)
    return movie.video(movie.track)


def many_rates(folder: Path, seed: int, options: Mapping[str, str]) -> EpisodeLog:
    """A try with a clock for each stream, raw pictures and a depth map of 16 bits."""
    rng = np.random.default_rng(seed)

    def stamps(count: int, rate_hz: float) -> Any:
        return np.rint(np.sort(np.arange(count) / rate_hz + rng.uniform(0, 0.003, count)) * 1e9).astype(np.int64)

    video = film(folder, 60, seed, options)
    streams = {
        "action/executed": Stream(stamps(60, 30), rng.normal(size=(60, 4))),
        "observation/state": Stream(stamps(200, 100), rng.normal(size=(200, 4)).astype(np.float32)),
        "camera/raw": Stream(stamps(60, 30), rng.integers(0, 255, (60, 16, 24, 3), dtype=np.uint8)),
        "depth/deep": Stream(stamps(60, 30), rng.integers(0, 4000, (60, 16, 24), dtype=np.uint16), unit="mm"),
    }
    track = replace(video.track, t_ns=stamps(60, 30))
    facts: dict[str, Any] = {"task": f"task {seed % 2}", "outcome": "success" if seed else "failure"}
    return EpisodeLog(f"try-{seed}", streams, (), facts, {"camera/top": Video(track, video.data, video.file)})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("options", "fps"),
    [
        ({"bf": "0", "g": "15"}, None),
        ({"bf": "2", "g": "15"}, None),
        ({"x264-params": "open-gop=1:scenecut=0:keyint=12:bframes=2"}, None),
        ({"bf": "0", "g": "15"}, 10),
    ],
    ids=["copied", "B-frames", "open groups", "encoded again"],
)
def test_lerobot_opens_a_try_of_many_rates(
    tmp_path: Path, options: Mapping[str, str], fps: int | None, backend: str
) -> None:
    episodes = [many_rates(tmp_path, seed, options) for seed in range(3)]
    notes = export(episodes, tmp_path / "out", **({} if fps is None else {"fps": fps}))
    assert any("encoded again" in note for note in notes) is (fps is not None)
    own = look(tmp_path / "out", tmp_path, backend)
    assert own["same"].all()
    assert own["same"].size == own["rows"][0, 0]
    assert own["rows"][0, 1:].tolist() == [3, 2]
    start = 0
    for number, episode in enumerate(episodes):
        action = episode.streams["action/executed"]
        moments = action.t_ns
        if fps is not None:
            count = int(Fraction(int(moments[-1] - moments[0])) * fps // 10**9) + 1
            moments = moments[0] + np.rint(np.arange(count) * 1e9 / fps).astype(np.int64)
        count = int((own["episode_index"] == number).sum())
        assert len(moments) - 3 <= count <= len(moments)
        begin = pytest.approx(own["action"][start].tolist())
        first = next(k for k in range(len(moments)) if _row(action, int(moments[k])) == begin)
        for k in range(count):
            for name, feature in (("action/executed", "action"), ("observation/state", "observation.state")):
                row = _row(episode.streams[name], int(moments[first + k]))
                assert row == pytest.approx(own[feature][start + k].tolist(), rel=1e-6)
        ends = own["next.success"][start : start + count]
        assert ends.tolist() == [False] * (count - 1) + [bool(number)]
        start += count
    raw = {one.tobytes() for episode in episodes for one in episode.streams["camera/raw"].values}
    assert all(one.tobytes() in raw for one in own["observation.images.raw"])
    deep = {one.astype(np.float32).tobytes() for episode in episodes for one in episode.streams["depth/deep"].values}
    assert all(one.tobytes() in deep for one in own["observation.images.deep"])


def _row(stream: Stream, moment_ns: int) -> list[float]:
    return [float(one) for one in stream.values[max(0, int(np.searchsorted(stream.t_ns, moment_ns, side="right")) - 1)]]
