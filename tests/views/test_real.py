"""Windows and pictures of published data, where it lies beside the checkout; nothing of it is in the repository."""

import os
from pathlib import Path

import av
import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.views.frames import Clip, Decoder
from saqiya.views.reader import Reader
from saqiya.views.source import source_of
from saqiya.views.windows import Chunk, History

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", ROOT.parent / "shared" / "data"))
GR1 = DATA / "gr00t-gr1-picknplace" / "demo_data" / "robot_sim.PickNPlace"


@pytest.mark.skipif(not GR1.is_dir(), reason=f"no GR-1 data in {DATA}")
def test_pictures_of_a_humanoid_with_b_frames_and_long_groups_are_those_of_its_files():
    logs = [log for log in LeRobotFormat().read(GR1) if isinstance(log, EpisodeLog)]
    assert len(logs) == 5
    for log in logs[:2]:
        video = log.videos["camera/ego_view"]
        clip, decoder = Clip.of(video), Decoder()
        with av.open(str(video.file)) as container:
            shown = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert clip.reordered
        for picture in np.random.default_rng(0).integers(0, len(shown), 6).tolist():
            assert np.array_equal(decoder.pictures(clip, [picture])[0], shown[picture])
    windows = {"camera/ego_view": History(steps=2, rate_hz=5), "action/executed": Chunk(steps=50)}
    reader = Reader(source_of(logs), windows, at="action/executed")
    assert len(reader.samples) == sum(len(log.streams["action/executed"].t_ns) for log in logs)
    found = reader.columns(np.array([0, len(reader.samples) - 1]))
    assert found["camera/ego_view"].shape == (2, 2, 256, 256, 3)
    assert found["camera/ego_view/pad"].tolist() == [[True, False], [False, False]]
    assert found["action/executed/pad"].sum(axis=1).tolist() == [0, 49]
