"""A version of a workspace trains like the logs it came from, sealed or not, here or in another process."""

import itertools
import os
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.views.clips import encoded

from saqiya.domain.logged import ClockMap
from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import (
    DatasetEntry,
    DatasetVersion,
    Episode,
    MediaInfo,
    Recording,
    Role,
    Source,
    StreamInfo,
    Tombstone,
)
from saqiya.domain.streams import EpisodeLog, Span, Stream
from saqiya.errors import Erased, UnknownId, UsageError
from saqiya.stores import streams as codec
from saqiya.stores.ledger import Ledger
from saqiya.stores.workspace import Workspace
from saqiya.torch import Chunk, History, Order, Windows, open_version, source_of
from saqiya.views import align

WINDOWS = {"camera/front": History(), "joint": History(steps=3), "action": Chunk(steps=5)}


def a_log(number):
    video, _ = encoded(count=12, size=(32, 16), seed=number)
    draw = np.random.default_rng(number)
    joint = Stream(t_ns=np.sort(draw.integers(0, 4 * 10**8, 30)), values=draw.normal(size=(30, 3)), clock="arm")
    action = Stream(t_ns=video.track.t_ns.copy(), values=np.arange(24, dtype=np.float32).reshape(12, 2) + 100 * number)
    return EpisodeLog(
        f"ep{number}",
        {"joint": joint, "action": action},
        metadata={"task": f"task {number % 2}"},
        videos={"camera/front": video},
    )


def stored(store, log, number):
    """Put a log's bytes and nouns into a workspace; its range leaves out the last two pictures."""
    video = log.videos["camera/front"]
    media = store.objects.put(bytes(video.data))
    digest = store.objects.put(codec.encode(log.streams, {"camera/front": (video.track, media)}))
    recording = Recording(
        id=store.catalog.new_id("recording"), digest=f"{number:064x}", format="mcap", name=log.key, size_bytes=1
    )
    infos = tuple(
        StreamInfo(name, stream.values.dtype.str, stream.values.shape, 30.0, stream.clock, "sensor")
        for name, stream in log.streams.items()
    )
    episode = Episode(
        id=store.catalog.new_id("episode"), recordings=(recording.id,), key_in_recording=log.key, start_ns=0,
        end_ns=int(video.track.t_ns[10]), streams=digest, infos=infos, prints=(), source=Source.DEMONSTRATION,
        task=log.metadata["task"], embodiment="arm", site="lab", steps=12,
        media=(MediaInfo("camera/front", "h264", 32, 16, 12, 30.0, "host", "sensor", media, media),),
    )  # fmt: skip
    store.catalog.put_all([(recording, f"recording/{number}"), (episode, f"episode/{number}")])
    return episode


def cropped(log, end_ns):
    """What of a log lies in the episode's range."""
    streams = {
        name: replace(one, t_ns=one.t_ns[one.t_ns < end_ns].copy(), values=one.values[one.t_ns < end_ns].copy())
        for name, one in log.streams.items()
    }
    video = log.videos["camera/front"]
    return replace(log, streams=streams, videos={"camera/front": replace(video, track=video.track.between(0, end_ns))})


@pytest.fixture
def lab(tmp_path):
    clock = itertools.count(1_700_000_000_000_000_000, 1_000_000).__next__
    store = Workspace.create(tmp_path / "lab", site="lab", clock=clock, entropy=random.Random(1).randbytes)
    logs = [a_log(number) for number in range(3)]
    episodes = [stored(store, log, number) for number, log in enumerate(logs)]
    spans = [
        (0, Span(0, episodes[0].end_ns), 1.0),
        (1, Span(10**8, 2 * 10**8), 2.0),
        (2, Span(0, episodes[2].end_ns), 0.5),
    ]
    entries = tuple(
        DatasetEntry(
            episode=episodes[number].id, start_ns=span.start_ns, end_ns=span.end_ns, weight=weight, role=Role.ANCHOR
        )
        for number, span, weight in spans
    )
    known = {one.id: one for one in episodes}
    version = DatasetVersion(
        id=store.catalog.new_id("dataset_version"), parent=None, entries=entries,
        manifest_hash=manifest_hash(entries, known, None),
    )  # fmt: skip
    store.catalog.put(version, key="dataset/v1")
    yield store, version, episodes, source_of([cropped(log, episodes[0].end_ns) for log in logs], spans=spans)
    store.close()


def assert_same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        if name != "episode":
            assert torch.equal(one[name], two[name]) if isinstance(one[name], torch.Tensor) else one[name] == two[name]


@pytest.mark.parametrize("sealed", [False, True])
def test_a_stored_version_reads_like_its_logs(lab, sealed):
    store, version, episodes, logs = lab
    if sealed:
        assert store.seal(version.id).objects >= 3
    expected = Windows(logs, WINDOWS, at="action")
    for ref in (version, version.id, "dataset/v1", ""):
        windows = Windows(open_version(store.root, ref), WINDOWS, at="action")
        assert len(windows) == len(expected)
        every = range(len(expected))
        assert_same(windows.__getitems__(every).tensors, expected.__getitems__(every).tensors)
    assert windows[0]["episode"] == episodes[0].id


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["global", "blocks"])
def test_workers_open_the_version_for_themselves(lab, context, how):
    store, _, _, logs = lab
    windows = Windows(open_version(store.root), WINDOWS, at="action")
    _ = windows[0]  # the parent has it open already
    order = Order(how=how, pool=8, seed=3)
    found = list(windows.loader(4, order=order, workers=1, context=context))
    expected = list(Windows(logs, WINDOWS, at="action").loader(4, order=order, workers=0))
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert_same(one, two)
    assert windows[1]["task"] == "task 0"


@pytest.mark.parametrize(("how", "workers"), [("global", 0), ("blocks", 0), ("global", 2)])
def test_what_is_delivered_is_noted_in_the_ledger(lab, how, workers):
    store, version, *_ = lab
    windows = Windows(open_version(store.root), WINDOWS, at="action")
    loader = windows.loader(4, order=Order(how=how, pool=8), workers=workers, context="fork" if workers else None)
    part = iter(loader)
    next(part)
    part.close()  # the step stops asking; what it had counts
    rest = sum(len(batch["t_ns"]) for batch in loader)
    first, second = Ledger(store.derived).read()[0]
    assert (first.dataset, first.samples, second.samples) == (version.id, 4, rest)
    assert 4 + rest == len(windows)
    assert all(0 <= one.waited_s <= one.seconds and one.opened_ns <= one.first_ns for one in (first, second))


def test_logs_in_memory_are_counted_by_nobody(lab):
    store, *_, logs = lab
    list(Windows(logs, WINDOWS, at="action").loader(4))
    assert Ledger(store.derived).read() == ([], 0)


def test_another_clock_is_read_through_its_map(lab):
    store, _, episodes, logs = lab
    with pytest.raises(UsageError, match="'arm' to 'host'"):
        Windows(open_version(store.root, clock="host"), WINDOWS, at="action")
    for number, episode in enumerate(episodes):
        behind = ClockMap(
            id=store.catalog.new_id("clock_map"), recording=episode.recordings[0], source="arm", target="host", at_ns=0,
            offset_ns=30_000_000, drift_ppm=20.0, uncertainty_ns=1000, method="test", version="1",
        )  # fmt: skip
        store.catalog.put(behind, key=f"map/{number}")
    windows = Windows(open_version(store.root, clock="host"), {"joint": History(steps=2)}, at="action")
    named = windows.clock_maps
    assert {name: len(maps) for name, maps in named.items()} == {"joint": 3}
    joint, sample = logs.shelf("joint"), windows[8]
    found = align.history(joint.stamps(0), int(sample["t_ns"]), 2, clock_map=named["joint"][episodes[0].id])
    assert np.array_equal(sample["joint"], joint.rows(np.array([0]), found.row[None])[0])
    assert found.row[-1] < align.history(joint.stamps(0), int(sample["t_ns"]), 2).row[-1]


def test_erased_episodes_are_refused(lab):
    store, version, episodes, _ = lab
    stone = Tombstone(id=store.catalog.new_id("tombstone"), digest=episodes[1].streams, reason="asked for")
    store.catalog.put(stone, key=episodes[1].streams)
    with pytest.raises(Erased):
        open_version(store.root, version)


def test_what_is_not_there_is_named(lab, tmp_path):
    store, *_ = lab
    with pytest.raises(UnknownId):
        open_version(store.root, "dataset/v9")
    empty = Workspace.create(tmp_path / "empty", site="lab", clock=lambda: 1, entropy=os.urandom)
    empty.close()
    with pytest.raises(UnknownId, match="no dataset version"):
        open_version(tmp_path / "empty")
