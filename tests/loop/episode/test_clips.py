from pathlib import Path
from typing import Any

import numpy as np
import pytest

from saqiya.domain.nouns import Episode, Failure, Source
from saqiya.domain.streams import Stream
from saqiya.errors import SiteFault
from saqiya.loop.episode import clips
from saqiya.loop.episode.clips import Clip, Clips, Shot, film, read_clips, render_medoids
from saqiya.loop.flywheel import Flywheel
from saqiya.sites.tiny import Tiny

STEPS_N, MOMENT = 24, 12


@pytest.fixture(scope="module")
def site() -> Any:
    pytest.importorskip("metaworld")
    from saqiya.sites.metaworld import PickPlace

    made = PickPlace()
    yield made
    made.close()


@pytest.fixture
def shot(site: Any) -> Shot:
    """A try of random actions, logged as a rollout logs it, that failed in its middle."""
    start = site.sample_start(5)
    actions = np.random.default_rng(3).uniform(-0.3, 0.3, (STEPS_N, len(site.spec.action_low)))
    seen = [site.reset(start), *(site.step(action) for action in actions)]
    stamps = np.array([step.t_ns for step in seen], np.int64)
    streams = {
        f"observation/{name}": Stream(stamps, np.stack([step.observation[name] for step in seen]))
        for name in site.spec.observation
    } | {"action/executed": Stream(stamps[:-1], actions)}
    episode = Episode(
        id="episode-1", recordings=(), key_in_recording="", start_ns=int(stamps[0]), end_ns=int(stamps[-1]) + 1,
        streams="", infos=(), prints=(), source=Source.ROLLOUT, task="", embodiment="", site="", steps=STEPS_N,
        start=start,
    )  # fmt: skip
    failure = Failure(id="failure-1", episode="episode-1", alarms=(), moment_ns=int(stamps[MOMENT]), phase="")
    return Shot("no_grasp", "try-1", failure, episode, streams)


def draws(site: Any) -> bool:
    try:
        site.render(height=clips.HEIGHT_PX, width=clips.WIDTH_PX)
    except SiteFault:
        return False
    return True


def frames_of(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def red_edge(frame: np.ndarray) -> bool:
    """Say whether the outermost rows are of the border's colour."""
    edge = np.concatenate([frame[:3].reshape(-1, 3), frame[-3:].reshape(-1, 3)])
    return bool(np.abs(edge.mean(axis=0) - clips.BORDER_RGB).max() < 20)


def test_a_site_that_cannot_draw_gives_one_clear_line(tmp_path: Path) -> None:
    class Unseen(Tiny):
        render = None

    assert film(Unseen(), [], tmp_path / "clips") == Clips((), ("No clips: the site tiny cannot draw itself.",))


def test_what_was_filmed_is_listed_and_its_time_is_booked(tmp_path: Path) -> None:
    with Flywheel.init(tmp_path / "workspace", site="tiny", trainer="ridge", workers=0) as wheel:
        found = render_medoids(wheel, tmp_path / "clips")
        assert wheel.account.seconds()["rendering"] > 0
    assert read_clips(tmp_path / "clips") == found


def test_nothing_is_listed_where_nothing_was_filmed(tmp_path: Path) -> None:
    assert read_clips(tmp_path) == Clips((), ())


@pytest.mark.metaworld
def test_a_failure_is_filmed_or_one_line_says_why_not(site: Any, shot: Shot, tmp_path: Path) -> None:
    works = draws(site)
    found = film(site, [shot], tmp_path)
    if not works:
        assert found.clips == ()
        assert [note.startswith("No clips: no offscreen GL works here") for note in found.notes] == [True]
        return
    assert found == Clips((Clip("failure-1", "no_grasp", "try-1.mp4", "try-1.jpg", speed=0.375),), ())
    frames = frames_of(tmp_path / "try-1.mp4")
    assert [red_edge(frame) for frame in frames] == [False] * MOMENT + [True] * (STEPS_N + 1 - MOMENT)
    assert (tmp_path / "try-1.jpg").stat().st_size > 1000


@pytest.mark.metaworld
def test_a_clip_that_is_there_is_not_made_again(site: Any, shot: Shot, tmp_path: Path) -> None:
    for name in ("try-1.mp4", "try-1.jpg"):
        (tmp_path / name).write_bytes(b"there")
    assert [clip.mode for clip in film(site, [shot], tmp_path).clips] == ["no_grasp"]
    assert (tmp_path / "try-1.mp4").read_bytes() == b"there"


@pytest.mark.metaworld
def test_a_replay_that_ends_elsewhere_is_not_shown(site: Any, shot: Shot, tmp_path: Path) -> None:
    hand = shot.streams["observation/hand"]
    moved = {**shot.streams, "observation/hand": Stream(hand.t_ns, hand.values + 1e-9)}
    found = film(site, [Shot("slip", "try-1", shot.failure, shot.episode, moved)], tmp_path)
    assert found == Clips((), ("No clip of slip: the replay did not end where the log ended.",))


@pytest.mark.metaworld
def test_without_a_renderer_one_line_says_so_for_all(shot: Shot, tmp_path: Path) -> None:
    from saqiya.sites.metaworld import PickPlace

    class Blind(PickPlace):
        def render(self, *, height: int, width: int) -> np.ndarray:
            raise SiteFault(f"no {width} x {height} here", subject="render", remedy="Install one.")

    found = film(Blind(), [shot, shot], tmp_path)
    assert found == Clips((), ("No clips: no 400 x 300 here. Install one.",))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.metaworld
def test_a_failure_without_its_actions_is_named(site: Any, shot: Shot, tmp_path: Path) -> None:
    found = film(site, [Shot("slip", "try-1", shot.failure, shot.episode, {})], tmp_path)
    assert found.notes == ("No clip of slip: its start or its actions were not logged.",)
