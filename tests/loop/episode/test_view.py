"""A moment is written for a viewer, and the command that opens it is said; nothing is started."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, Span, Stream
from saqiya.errors import AlreadyThere, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.episode.view import MOMENT, view
from saqiya.testing import make_episode, make_video

EPOCH_NS = 1_700_000_000_000_000_000


def episode() -> EpisodeLog:
    """Twenty seconds, from an epoch stamp on, with a camera."""
    log = make_episode(steps=400)
    streams = {name: replace(stream, t_ns=stream.t_ns + EPOCH_NS) for name, stream in log.streams.items()}
    video = make_video(pictures=600, form="avcc")
    video = Video(replace(video.track, t_ns=video.track.t_ns + EPOCH_NS), video.data)
    return EpisodeLog("try 7", streams, (), log.metadata, {"camera/front": video})


def test_foxglove_gets_the_seconds_about_the_moment(tmp_path: Path) -> None:
    log = episode()
    seen = view(log, tmp_path / "a b.mcap", at_s=12.3, viewer="foxglove")
    assert seen.command == f"foxglove-studio '{tmp_path}/a b.mcap'"
    (back,) = McapFormat().read(seen.path)
    assert isinstance(back, EpisodeLog)
    assert [(event.name, event.t_ns - EPOCH_NS) for event in back.events] == [(MOMENT, 12_300_000_000)]
    force = back.streams["contact/force"]
    assert (force.t_ns[0] - EPOCH_NS, force.t_ns[-1] - EPOCH_NS) == (9_300_000_000, 19_287_500_000)
    camera = back.videos["camera/front"].track
    assert camera.key[0]
    assert camera.shown_ns[0] - EPOCH_NS >= 9_300_000_000
    assert camera.t_ns[0] <= camera.shown_ns[0]


def test_without_a_moment_the_whole_episode_is_written(tmp_path: Path) -> None:
    log = episode()
    (back,) = McapFormat().read(view(log, tmp_path / "a.mcap", at_s=None, viewer="foxglove").path)
    assert isinstance(back, EpisodeLog)
    assert len(back.videos["camera/front"].track) == 600
    assert back.events == ()


def test_rerun_gets_the_whole_episode_and_begins_at_the_moment(tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    from rerun.chunk import RrdReader

    seen = view(episode(), tmp_path / "a.rrd", at_s=12.3, viewer="rerun")
    assert seen.command == f"rerun {tmp_path}/a.rrd"
    reader = RrdReader(seen.path)
    rows, about = Counter[str](), dict[str, list[int]]()
    for chunk in reader.stream():
        if not chunk.is_static:
            rows[chunk.entity_path] += chunk.num_rows
        if "moment" in chunk.timeline_names:
            batch = chunk.to_record_batch()
            about.setdefault(chunk.entity_path, []).extend(batch.column("moment").cast("int64").to_pylist())
    assert (rows["/camera/front"], rows["/events"]) == (600, 1)
    assert about["/events"] == [0]
    assert (about["/contact/force"][0], about["/contact/force"][-1]) == (-1_000_000_000, 7_687_500_000)
    assert -1_200_000_000 < about["/camera/front"][0] < -1_000_000_000  # a key packet
    (layout,) = reader.blueprints()
    panel = [chunk.to_record_batch() for chunk in reader.stream(store=layout) if chunk.entity_path == "/time_panel"]
    said = {name: column for batch in panel for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    assert said["TimePanelBlueprint:timeline"].to_pylist() == [["moment"]]
    chosen = said["TimePanelBlueprint:time_selection"].to_pylist()[0][0]
    assert (chosen["min"], chosen["max"]) == (-(10**9), 10**9)


@pytest.mark.parametrize("at_s", [-0.1, 20.2, float("nan"), float("inf")])
def test_a_moment_outside_is_refused(tmp_path: Path, at_s: float) -> None:
    with pytest.raises(UsageError, match="outside the episode"):
        view(episode(), tmp_path / "a.rrd", at_s=at_s, viewer="rerun")


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    out = tmp_path / "a.mcap"
    out.write_text("mine")
    with pytest.raises(AlreadyThere):
        view(episode(), out, at_s=1.0, viewer="foxglove")
    assert out.read_text() == "mine"


def test_a_moment_counts_from_where_the_try_was_cut_not_from_its_first_sample(tmp_path: Path) -> None:
    log = episode()
    cut = Span(log.span.start_ns - 2 * 10**9, log.span.end_ns)
    (back,) = McapFormat().read(view(log, tmp_path / "a.mcap", at_s=12.3, viewer="foxglove", span=cut).path)
    assert isinstance(back, EpisodeLog)
    assert [(event.name, event.t_ns - EPOCH_NS) for event in back.events] == [(MOMENT, 10_300_000_000)]
    with pytest.raises(UsageError, match="outside the episode"):
        view(log, tmp_path / "b.mcap", at_s=12.3, viewer="foxglove", span=Span(cut.start_ns, cut.start_ns + 10**9))


def test_an_unknown_viewer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no viewer"):
        view(episode(), tmp_path / "a", at_s=None, viewer="rviz")  # type: ignore[arg-type]


def test_the_last_moment_can_be_seen(tmp_path: Path) -> None:
    log = EpisodeLog("k", {"x": Stream(np.array([0, 10**9]), np.zeros(2))})
    (back,) = McapFormat().read(view(log, tmp_path / "a.mcap", at_s=1.0, viewer="foxglove").path)
    assert back.events[0].t_ns == 10**9
