"""The clip of a failure's moment: of its own cameras where it has some, else of the film that the site made."""

from __future__ import annotations

import io
import json
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from benchmarks._coded import EYES, coded_episode, read
from tests.loop.episode.test_replay import taken_in

from saqiya.domain.nouns import Episode, Failure
from saqiya.errors import Erased, UsageError
from saqiya.loop.episode import moments, rehearsal
from saqiya.loop.episode.moments import best_camera, cut, held, ticks
from saqiya.loop.flywheel import Flywheel
from saqiya.testing import make_episode

pytest.importorskip("av")
SECOND = 1_000_000_000


def failed(wheel: Flywheel, episode: str, at_s: float) -> Failure:
    """Put down that an episode failed at a moment."""
    start_ns = wheel.store.catalog.get(episode, Episode).start_ns
    made = Failure(
        id=wheel.store.catalog.new_id("failure"), episode=episode, alarms=(), phase="",
        moment_ns=start_ns + round(at_s * SECOND),
    )  # fmt: skip
    wheel.store.catalog.put(made, key=f"{episode}/failure/{at_s}")
    return made


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("moments")
    with Flywheel.init(root / "workspace") as wheel:
        yield wheel, taken_in(wheel, root, coded_episode(seed=0, seconds=6.0))[0]


def shown(path: Path) -> list[np.ndarray]:
    import av

    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def late(picture: np.ndarray) -> bool:
    """Say whether a picture has the border of what comes after the moment."""
    return bool(np.abs(picture[-3:].reshape(-1, 3).astype(int).mean(axis=0) - moments.BORDER_RGB).max() < 25)


def waited(wheel: Flywheel, failure: str, seconds: float = 60.0) -> str:
    until = monotonic() + seconds
    while wheel.replay.moment(failure).state == "filming" and monotonic() < until:
        sleep(0.05)
    return wheel.replay.moment(failure).state


def test_a_clip_shows_the_pictures_that_were_the_latest_at_each_tick(place, tmp_path):
    wheel, ref = place
    failure = failed(wheel, ref, 4.0)
    found = cut(wheel, failure, tmp_path)
    stamps = wheel.replay.stamps(ref, "camera/front")
    times, expected = ticks(stamps, 4 * SECOND)
    pictures = shown(found.film)
    assert [read(one) for one in pictures] == expected.tolist()
    assert [late(one) for one in pictures] == (times >= 4 * SECOND).tolist()
    assert (times[0], times[-1] - times[0]) == (SECOND, 75 * (SECOND // 15))
    assert max(side for one in pictures for side in one.shape) <= moments.WIDEST_PX


def test_the_still_is_the_picture_of_the_moment(place, tmp_path):
    from PIL import Image

    wheel, ref = place
    failure = failed(wheel, ref, 3.21)
    at_once = Image.open(io.BytesIO(wheel.replay.moment_still(failure.id).data))
    kept = Image.open(cut(wheel, failure, tmp_path).still)
    index, _ = wheel.replay.frame_at(ref, "camera/front", round(3.21 * SECOND))
    assert read(np.asarray(at_once.convert("RGB"))) == read(np.asarray(kept)) == index
    assert late(np.asarray(kept))


@pytest.mark.parametrize(("moment_s", "first_s", "last_s"), [(0.0, 1.0, 3.0), (9.0, 2.0, 5.0), (3.0, 1.0, 5.0)])
def test_a_clip_stays_within_what_was_seen(moment_s, first_s, last_s):
    stamps = np.arange(SECOND, 5 * SECOND + 1, SECOND // 10)
    times, indexes = ticks(stamps, round(moment_s * SECOND))
    assert times[0] == first_s * SECOND
    assert last_s * SECOND - SECOND / 15 < times[-1] <= last_s * SECOND
    assert (stamps[indexes] <= times).all()


def test_a_camera_that_looks_at_the_scene_is_chosen():
    assert best_camera(["camera/wrist", "camera/side", "depth/front"]) == "camera/side"
    assert best_camera(["depth/front", "camera/wrist"]) == "camera/wrist"
    assert best_camera([]) == ""


def test_a_clip_is_made_by_a_child_when_somebody_asks_and_then_it_is_there(place):
    wheel, ref = place
    failure = failed(wheel, ref, 2.0)
    assert wheel.replay.moment(failure.id).state == "possible"
    assert wheel.replay.moment(failure.id).still
    with pytest.raises(UsageError, match="has no clip"):
        wheel.replay.moment_film(failure.id)
    assert wheel.replay.film_moment(failure.id).state == "filming"
    assert waited(wheel, failure.id) == "ready"
    assert wheel.replay.film_moment(failure.id).state == "ready"
    assert len(shown(wheel.replay.moment_film(failure.id))) > 50


def test_where_nothing_was_seen_it_is_said(tmp_path):
    with Flywheel.init(tmp_path / "workspace") as wheel:
        (ref,) = taken_in(wheel, tmp_path, make_episode(seed=3))
        failure = failed(wheel, ref, 0.5)
        known = wheel.replay.film_moment(failure.id)
        assert known.state == "it has no cameras, and the site where it took place is not set up here"
        assert not known.still
        with pytest.raises(UsageError, match="has no picture"):
            wheel.replay.moment_still(failure.id)
        assert cut(wheel, failure, tmp_path / "clips").why_not == known.state


def test_a_simulated_try_is_filmed_at_its_site_first(turned):
    with Flywheel(turned) as wheel:
        failure = wheel.store.catalog.all(Failure)[0]
        assert not wheel.replay.moment(failure.id).still
        wheel.replay.film_moment(failure.id)
        assert waited(wheel, failure.id) == "ready"
        assert rehearsal.rehearsed(wheel.store.derived / rehearsal.FOLDER, failure.episode).film
        assert late(shown(wheel.replay.moment_film(failure.id))[-1])


def test_the_clip_of_what_was_erased_is_not_shown(tmp_path):
    with Flywheel.init(tmp_path / "workspace") as wheel:
        (ref,) = taken_in(wheel, tmp_path, coded_episode(seed=1, seconds=1.0, eyes=EYES[:1]))
        failure = failed(wheel, ref, 0.5)
        folder = wheel.store.derived / moments.FOLDER
        cut(wheel, failure, folder)
        wheel.data.erase([ref], reason="asked for")
        assert not folder.exists()
        cut(wheel, failure, folder)
        assert "erased" in held(folder, failure.id).why_not
        for ask in (wheel.replay.moment, wheel.replay.moment_film, wheel.replay.moment_still):
            with pytest.raises(Erased):
                ask(failure.id)


def test_the_oldest_clips_make_room(place, tmp_path, monkeypatch):
    monkeypatch.setattr(moments, "KEPT_N", 2)
    (tmp_path / "old.json").write_text(json.dumps({"why_not": "of old"}))
    (tmp_path / "old.jpg").write_bytes(b"old")
    wheel, ref = place
    for at_s in (1.0, 1.5):
        cut(wheel, failed(wheel, ref, at_s), tmp_path)
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert not (tmp_path / "old.jpg").exists()
