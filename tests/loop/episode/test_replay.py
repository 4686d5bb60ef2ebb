"""What the episode page is told, on episodes with real pictures whose numbers are drawn into them."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from benchmarks._coded import EYES, coded_episode, read

from saqiya.domain.nouns import Episode
from saqiya.domain.streams import Event, Stream
from saqiya.errors import Erased, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.episode.rehearsal import NAME
from saqiya.loop.flywheel import Flywheel
from saqiya.testing import make_episode

pytest.importorskip("av")


def taken_in(wheel: Flywheel, folder: Path, *logs) -> list[str]:
    for log in logs:
        McapFormat().write(log, folder / f"{log.key}.mcap")
        wheel.ingest([folder / f"{log.key}.mcap"])
    keys = {one.key_in_recording: one.id for one in wheel.store.catalog.all(Episode)}
    return [keys[log.key] for log in logs]


@pytest.fixture(scope="module")
def log():
    return coded_episode(seed=0, seconds=4.0)


@pytest.fixture(scope="module")
def place(log, tmp_path_factory):
    root = tmp_path_factory.mktemp("replay")
    with Flywheel.init(root / "workspace") as wheel:
        (ref,) = taken_in(wheel, root, log)
        yield wheel, ref


def pixels(picture) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(picture.data)).convert("RGB"))


@pytest.mark.parametrize("eye", EYES, ids=lambda eye: eye.name)
def test_the_picture_of_a_moment_is_the_one_whose_stamp_was_the_latest(place, log, eye):
    wheel, ref = place
    t_ns = log.videos[eye.name].track.t_ns - log.span.start_ns
    rng = np.random.default_rng(1)
    for at_ns in rng.integers(0, int(t_ns[-1]) + 10**8, 12).tolist():
        index, taken_ns = wheel.replay.frame_at(ref, eye.name, at_ns)
        assert index == max(0, int(np.searchsorted(t_ns, at_ns, "right")) - 1)
        assert taken_ns == t_ns[index]
        assert read(pixels(wheel.replay.frame(ref, eye.name, index))) == index


def test_a_moment_on_a_stamp_shows_that_very_picture(place, log):
    wheel, ref = place
    t_ns = log.videos[EYES[0].name].track.t_ns - log.span.start_ns
    for index in (0, 7, len(t_ns) - 1):
        assert wheel.replay.frame_at(ref, EYES[0].name, int(t_ns[index]))[0] == index
        assert index == 0 or wheel.replay.frame_at(ref, EYES[0].name, int(t_ns[index]) - 1)[0] == index - 1


@pytest.mark.parametrize("eye", EYES, ids=lambda eye: eye.name)
def test_a_film_holds_the_same_pictures_in_their_order(place, log, eye):
    import av

    wheel, ref = place
    info = next(one for one in wheel.replay.overview(ref).cameras if one.name == eye.name)
    with av.open(str(wheel.replay.film(ref, eye.name))) as container:
        shown = [(frame.time, read(frame.to_ndarray(format="rgb24"))) for frame in container.decode(video=0)]
    assert [number for _, number in shown] == list(range(info.pictures))
    for at_s, number in shown:
        assert at_s == pytest.approx((number + info.film_first) / info.film_rate_hz, abs=1e-6)


def test_the_overview_has_every_track_camera_and_band(place, log):
    wheel, ref = place
    seen = wheel.replay.overview(ref)
    assert {track.name for track in seen.tracks} == set(log.streams)
    joint = next(track for track in seen.tracks if track.name == "observation/joint_0")
    assert (joint.width, joint.rows, joint.unit) == (7, 800, "rad")
    assert joint.rate_hz == pytest.approx(200.0)
    assert [camera.name for camera in seen.cameras] == sorted(eye.name for eye in EYES)
    who = [(band.label, band.start_ns) for band in seen.bands if band.kind == "who"]
    turn_ns = int(log.streams["action/operator"].t_ns[0]) - log.span.start_ns
    assert who == [("policy", 0), ("person (Ann)", turn_ns)]
    assert [band.label for band in seen.bands if band.kind == "phase"] == ["reach", "grasp", "place"]
    assert {band.kind for band in seen.bands} == {"who", "phase", "contact", "uncertainty"}
    assert all(band.start_ns <= band.end_ns for band in seen.bands)
    peak = max((band for band in seen.bands if band.kind == "uncertainty"), key=lambda band: band.level)
    assert abs(peak.start_ns - turn_ns) < 2e8
    assert [claim.author_kind for claim in seen.said.outcomes]
    assert seen.rehearsal == ""


def test_streams_come_in_few_points_and_with_their_extremes(place, log):
    wheel, ref = place
    last_ns = log.span.end_ns - log.span.start_ns
    few = wheel.replay.series(ref, "observation/joint_0", start_ns=0, end_ns=last_ns, points=50)
    whole = log.streams["observation/joint_0"].values
    assert len(few.t_ns) <= 50
    np.testing.assert_array_equal(np.nanmin(few.low, axis=0), whole.min(axis=0).astype(float))
    np.testing.assert_array_equal(np.nanmax(few.high, axis=0), whole.max(axis=0).astype(float))
    close = wheel.replay.series(ref, "observation/joint_0", start_ns=10**9, end_ns=10**9 + 50_000_000, points=50)
    assert close.exact
    assert close.rows == 10


def test_what_is_not_there_is_refused(place):
    wheel, ref = place
    with pytest.raises(UsageError, match="no such stream"):
        wheel.replay.series(ref, "observation/nose", start_ns=0, end_ns=1, points=10)
    with pytest.raises(UsageError, match="no such camera"):
        wheel.replay.frame(ref, "camera/back", 0)
    with pytest.raises(UsageError, match="there is no picture 100000"):
        wheel.replay.frame(ref, EYES[0].name, 100_000)


@pytest.mark.parametrize(("viewer", "suffix"), [("foxglove", ".mcap")])
def test_a_moment_opens_in_a_viewer(place, viewer, suffix):
    wheel, ref = place
    made = wheel.replay.opened_in(ref, at_s=1.5, viewer=viewer)
    assert made.path.suffix == suffix
    assert made.path.stat().st_size > 1000
    again = wheel.replay.opened_in(ref, at_s=1e6, viewer=viewer)
    assert again.path != made.path


def test_an_unknown_viewer_leaves_nothing_behind(place):
    wheel, ref = place
    before = set((wheel.store.derived / "views").iterdir()) if (wheel.store.derived / "views").exists() else set()
    with pytest.raises(UsageError, match="no viewer"):
        wheel.replay.opened_in(ref, at_s=1.0, viewer="eyes")
    assert set((wheel.store.derived / "views").iterdir()) == before


def test_two_tries_are_aligned_by_time_and_by_their_phases(tmp_path):
    def timed(seed, reach, grasp):
        log = make_episode(seed=seed, steps=100)
        events = (Event(0, "phase/reach"), Event(reach, "phase/lift"), Event(grasp, "phase/place"))
        start = {"seed": 1, "factors": {"x": 1.0}}
        return replace(log, events=events, metadata={**log.metadata, "start": start})

    with Flywheel.init(tmp_path / "workspace") as wheel:
        refs = taken_in(wheel, tmp_path, timed(1, 10**9, 2 * 10**9), timed(2, 2 * 10**9, 3 * 10**9))
        pair = wheel.replay.beside(*refs)
        assert pair.same_start
        assert pair.phases == ("reach", "lift", "place")
        assert pair.by_phase[:3] == ((0, 0), (10**9, 2 * 10**9), (2 * 10**9, 3 * 10**9))
        slopes = {(b - a, d - c) for (a, c), (b, d) in zip(pair.by_phase[2:], pair.by_phase[3:], strict=False)}
        assert all(one == two for one, two in slopes)
        assert [one.id for one in wheel.replay.like(refs[0])] == [refs[1]]


def test_pictures_that_came_as_numbers_are_shown_and_not_drawn_as_lines(tmp_path):
    log = make_episode(seed=3, steps=12)
    images = np.zeros((12, 24, 32, 3), np.uint8)
    images[:, :, :, 0] = np.arange(12)[:, None, None] * 20
    depth = np.linspace(0.2, 1.0, 12 * 24 * 32).reshape(12, 24, 32).astype(np.float32)
    stamps = log.streams["action/executed"].t_ns[:12]
    more = {"observation/image": Stream(stamps.copy(), images), "depth/front": Stream(stamps.copy(), depth)}
    with Flywheel.init(tmp_path / "workspace") as wheel:
        (ref,) = taken_in(wheel, tmp_path, replace(log, streams={**log.streams, **more}))
        seen = wheel.replay.overview(ref)
        assert {camera.name for camera in seen.cameras} == set(more)
        assert not {track.name for track in seen.tracks} & set(more)
        assert "policy/chunk" in {track.name for track in seen.tracks}
        red = pixels(wheel.replay.frame(ref, "observation/image", 10))
        assert red.shape == (24, 32, 3)
        assert abs(int(red[12, 16, 0]) - 200) < 6
        assert pixels(wheel.replay.frame(ref, "depth/front", 3)).max() > 200


def test_what_was_erased_is_not_shown_from_memory(tmp_path):
    with Flywheel.init(tmp_path / "workspace") as wheel:
        (ref,) = taken_in(wheel, tmp_path, make_episode(seed=4))
        wheel.replay.overview(ref)
        wheel.data.erase([ref], reason="asked for")
        with pytest.raises(Erased):
            wheel.replay.series(ref, "observation/state", start_ns=0, end_ns=10**9, points=10)


def test_a_log_from_elsewhere_is_not_filmed_here(tmp_path):
    with Flywheel.init(tmp_path / "workspace") as wheel:
        (ref,) = taken_in(wheel, tmp_path, make_episode(seed=5))
        assert "not set up here" in wheel.replay.rehearse(ref)


def test_a_simulated_try_is_filmed_by_a_child_and_then_has_a_camera(turned):
    with Flywheel(turned) as wheel:
        ref = next(one.id for one in wheel.store.catalog.all(Episode) if one.source == "rollout")
        assert wheel.replay.overview(ref).rehearsal == "possible"
        assert wheel.replay.rehearse(ref) == "filming"
        assert wheel.replay.rehearse(ref) in {"filming", "ready"}
        until = monotonic() + 60
        while not list((turned / "derived" / "replays").glob("*.json")) and monotonic() < until:
            sleep(0.05)
        seen = wheel.replay.overview(ref)  # the first look after it was made has it already
        assert seen.rehearsal == "ready"
        assert [camera.name for camera in seen.cameras] == [NAME]
        stamps = wheel.replay.stamps(ref, NAME)
        assert (stamps[0], wheel.replay.frame_at(ref, NAME, int(stamps[3]))[0]) == (0, 3)
        assert pixels(wheel.replay.frame(ref, NAME, 3)).shape == (300, 400, 3)
