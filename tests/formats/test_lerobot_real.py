"""Published LeRobot data sets, broken ones among them, where they lie beside the checkout; nothing of them is in it."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace as Tools

import pytest

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog
from saqiya.formats.lerobot.read import LeRobotFormat

DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data"))
GROOT = DATA / "gr00t-gr1-picknplace" / "demo_data" / "robot_sim.PickNPlace"
SLICES = DATA / "lerobot-v3-slices" / "tests" / "artifacts" / "datasets" / "lerobot"

needs_groot = pytest.mark.skipif(not GROOT.is_dir(), reason=f"no GR1 demonstrations in {DATA}")
needs_slices = pytest.mark.skipif(not SLICES.is_dir(), reason=f"no LeRobot slices in {DATA}")


def both(path: Path, *, videos: bool = True) -> tuple[list[EpisodeLog], dict[str, Unread]]:
    items = list(LeRobotFormat(videos=videos).read(path))
    unread = {item.key: item for item in items if isinstance(item, Unread)}
    return [item for item in items if isinstance(item, EpisodeLog)], unread


@needs_groot
def test_a_split_and_a_camera_that_do_not_exist_are_told_and_all_episodes_come_in() -> None:
    episodes, unread = both(GROOT)
    assert sorted(unread) == ["observation.images.egoview", "split train"]
    assert "95 of them do not exist" in unread["split train"].reason
    assert [len(one.streams["action/executed"].t_ns) for one in episodes] == [416, 470, 470, 412, 328]
    for one in episodes:
        assert len(one.videos["camera/ego_view"].track) == len(one.streams["action/executed"].t_ns)
        assert one.streams["observation/state"].values.shape[1] == 44
        assert len(one.streams["observation/state"].fields) == 44
        assert "rows begin at 0.05 s" in str(one.metadata["problems"])
    assert episodes[0].metadata["task"] == "pick the pear from the counter and place it in the plate"


@needs_slices
@pytest.mark.parametrize(("name", "count"), [("pusht_slice", 3), ("data_editing_slice", 2)])
def test_a_video_that_is_a_pointer_refuses_its_episodes_and_their_numbers_can_be_asked_for(
    name: str, count: int
) -> None:
    episodes, unread = both(SLICES / name)
    assert episodes == []
    assert len(unread) == count
    assert all("git lfs pull" in one.remedy for one in unread.values())
    numbers, unread = both(SLICES / name, videos=False)
    assert (len(numbers), unread) == (count, {})


@needs_slices
def test_pictures_in_columns_come_in() -> None:
    episodes, unread = both(SLICES / "pusht_image_slice")
    assert unread == {}
    assert [len(one.videos["camera/image"].track) for one in episodes] == [161, 118, 141]
    assert {one.metadata["outcome"] for one in episodes} == {"failure"}
    assert all(one.streams["reward"].values.max() < 0.7 for one in episodes)


@needs_groot
@needs_slices
def test_real_episodes_go_out_and_come_back_to_the_bit(tmp_path: Path, trips: Tools) -> None:
    for number, source in enumerate((GROOT, SLICES / "pusht_image_slice")):
        episodes = both(source)[0]
        trips.write(episodes, tmp_path / str(number))
        for wrote, back in zip(episodes, trips.read(tmp_path / str(number)), strict=True):
            trips.assert_same(wrote, back)
