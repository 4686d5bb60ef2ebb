"""Pictures that lie packed train like pictures that do not: the same tensors, in any order, in any process."""

import itertools
import random

import numpy as np
import pytest
import torch

from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, MediaInfo, Recording, Role, Source, StreamInfo
from saqiya.domain.streams import EpisodeLog, Span, Stream
from saqiya.stores import streams as codec
from saqiya.stores.packed import split
from saqiya.stores.workspace import Workspace
from saqiya.torch import Chunk, History, Order, Windows, open_version, source_of

WINDOWS = {"camera/a": History(steps=2), "camera/b": History(), "action": Chunk(steps=5)}


def a_log(number):
    draw = np.random.default_rng(number)
    t_ns = np.arange(20, dtype=np.int64) * 10**8 + number
    drawn = np.kron(draw.integers(0, 200, (20, 5, 6, 3)), np.ones((1, 8, 8, 1)))
    noisy = drawn + draw.integers(0, 30, drawn.shape)
    streams = {
        "camera/a": Stream(t_ns, noisy.astype(np.float32)),
        "camera/b": Stream(t_ns[::2].copy(), drawn[::2].astype(np.uint8)),
        "action": Stream(t_ns, draw.normal(size=(20, 2))),
    }
    return EpisodeLog(f"ep{number}", streams, (), {"task": "t"})


def stored(store, log, number, span, leave):
    found = split(log.streams, leave=leave, refused=lambda _: False)
    media = store.objects.put(found.data)
    digest = store.objects.put(codec.encode(found.plain, found.tracks))
    recording = Recording(
        id=store.catalog.new_id("recording"), digest=f"{number:064x}", format="zarr", name=log.key, size_bytes=1
    )
    infos = tuple(
        StreamInfo(name, one.values.dtype.str, one.values.shape, 10.0, one.clock, "sensor")
        for name, one in log.streams.items()
    )
    episode = Episode(
        id=store.catalog.new_id("episode"), recordings=(recording.id,), key_in_recording=log.key,
        start_ns=span.start_ns, end_ns=span.end_ns, streams=digest, infos=infos, prints=(),
        source=Source.DEMONSTRATION, task="t", embodiment="arm", site="lab", steps=20,
        media=tuple(
            MediaInfo(name, "zstd", 48, 40, 20, 10.0, "host", "sensor", media, media) for name in found.tracks
        ),
    )  # fmt: skip
    store.catalog.put_all([(recording, f"recording/{number}"), (episode, f"episode/{number}")])
    return episode


@pytest.fixture
def lab(tmp_path):
    """Three tries: two packed, one of them a part of a longer log; and one that came in before there was packing."""
    clock = itertools.count(1_700_000_000_000_000_000, 1_000_000).__next__
    store = Workspace.create(tmp_path / "lab", site="lab", clock=clock, entropy=random.Random(1).randbytes)
    logs = [a_log(number) for number in range(3)]
    spans = [logs[0].span, Span(3 * 10**8, 15 * 10**8), logs[2].span]
    leave = [(), (), ("camera/a", "camera/b")]
    episodes = [stored(store, log, n, spans[n], leave[n]) for n, log in enumerate(logs)]
    parts = [
        EpisodeLog(one.key, dict(codec.Cropped(one.streams, s.start_ns, s.end_ns)), (), one.metadata)
        for one, s in zip(logs, spans, strict=True)
    ]
    entries = tuple(
        DatasetEntry(episode=one.id, start_ns=one.start_ns, end_ns=one.end_ns, weight=1.0, role=Role.ANCHOR)
        for one in episodes
    )
    version = DatasetVersion(
        id=store.catalog.new_id("dataset_version"), parent=None, entries=entries,
        manifest_hash=manifest_hash(entries, {one.id: one for one in episodes}, None),
    )  # fmt: skip
    store.catalog.put(version, key="dataset/v1")
    yield store, version, episodes, source_of(parts, spans=[(n, span, 1.0) for n, span in enumerate(spans)]), parts
    store.close()


def assert_same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        if isinstance(one[name], torch.Tensor):
            assert one[name].dtype == two[name].dtype
            assert torch.equal(one[name], two[name])


@pytest.mark.parametrize("sealed", [False, True])
def test_windows_of_packed_pictures_are_those_of_the_logs(lab, sealed):
    store, version, _, logs, _ = lab
    if sealed:
        store.seal(version.id)
    expected = Windows(logs, WINDOWS, at="action")
    windows = Windows(open_version(store.root), WINDOWS, at="action")
    assert (windows.source.cameras, len(windows)) == (frozenset(), len(expected))
    order = np.random.default_rng(0).permutation(len(expected))
    assert_same(windows.__getitems__(order).tensors, expected.__getitems__(order).tensors)
    assert windows[0]["camera/a"].dtype == torch.float32


@pytest.mark.parametrize("at", ["camera/a", 7.0])
def test_pictures_can_be_the_anchor_and_be_read_between_their_stamps(lab, at):
    store, _, _, logs, _ = lab
    wanted = {"camera/a": History(steps=3, rate_hz=7.0, linear=True)}
    expected, windows = (Windows(one, wanted, at=at) for one in (logs, open_version(store.root)))
    every = range(len(expected))
    assert_same(windows.__getitems__(every).tensors, expected.__getitems__(every).tensors)


@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
@pytest.mark.parametrize("how", ["global", "blocks"])
def test_workers_unpack_for_themselves(lab, context, how):
    store, _, _, logs, _ = lab
    windows = Windows(open_version(store.root), WINDOWS, at="action")
    _ = windows[0]  # the parent has packed rows open already
    order = Order(how=how, pool=8, seed=3)
    found = list(windows.loader(4, order=order, workers=1, context=context))
    expected = list(Windows(logs, WINDOWS, at="action").loader(4, order=order, workers=0))
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert_same(one, two)


def test_episodes_read_like_their_logs(lab):
    store, _, episodes, _, parts = lab
    for episode, log in zip(episodes, parts, strict=True):
        read = store.streams(episode)
        assert list(read) == sorted(log.streams)
        assert store.videos(episode) == {}
        for name, one in log.streams.items():
            assert read[name].values.tobytes() == one.values.tobytes()
            assert read[name].t_ns.tolist() == one.t_ns.tolist()
