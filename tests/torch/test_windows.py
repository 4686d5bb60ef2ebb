"""What a training loop gets, whatever the workers, and where it goes on after a stop."""

import numpy as np
import pytest
import torch
from tests.views.clips import encoded
from torch.utils.data import DataLoader

from saqiya.domain.streams import EpisodeLog, Span, Stream
from saqiya.errors import UsageError
from saqiya.torch import Chunk, History, Order, Windows, collate, source_of
from saqiya.views import align

WINDOWS = {
    "camera/front": History(steps=2),
    "observation/joint": History(steps=3, rate_hz=10),
    "action/executed": Chunk(steps=5),
}
HOWS = ("global", "blocks", "weighted", "given")


def episode(number):
    video, pictures = encoded(count=24, size=(32, 16), seed=number)
    t_ns = video.track.t_ns.copy()
    draw = np.random.default_rng(number)
    joint = Stream(
        t_ns=np.sort(draw.integers(0, 10**9, 90)), values=draw.normal(size=(90, 7)).astype(np.float32), unit="rad"
    )
    action = Stream(t_ns=t_ns, values=np.stack([np.full(24, number), np.arange(24)], axis=1))
    streams = {"observation/joint": joint, "action/executed": action}
    return EpisodeLog(
        f"ep{number}", streams, metadata={"task": f"task {number}"}, videos={"camera/front": video}
    ), pictures


@pytest.fixture(scope="module")
def made():
    return [episode(number) for number in range(4)]


@pytest.fixture(scope="module")
def windows(made):
    return Windows(source_of([log for log, _ in made]), WINDOWS, at="action/executed")


def named(batches):
    """(episode, moment) of every sample, in order."""
    return [pair for batch in batches for pair in zip(batch["episode"], batch["t_ns"].tolist(), strict=True)]


def same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        assert torch.equal(one[name], two[name]) if isinstance(one[name], torch.Tensor) else one[name] == two[name]


def test_a_sample_is_what_the_rules_say(made, windows):
    for number in (0, 23, 30, 95):
        (log, pictures), frame = made[number // 24], number % 24
        joint, action = log.streams["observation/joint"], log.streams["action/executed"]
        at_ns, sample = int(action.t_ns[frame]), windows[number]
        history = align.history(joint.t_ns, at_ns, 3, rate_hz=10)
        chunk = align.chunk(action.t_ns, at_ns, 5)
        assert np.array_equal(sample["observation/joint"], align.take(joint.values, history))
        assert np.array_equal(~sample["observation/joint/pad"], history.valid)
        assert np.array_equal(sample["action/executed"], align.take(action.values, chunk))
        assert np.array_equal(~sample["action/executed/pad"], chunk.valid)
        seen = sample["camera/front"].permute(0, 2, 3, 1)
        assert np.array_equal(seen, pictures[[max(frame - 1, 0), frame]])
        assert sample["camera/front/pad"].tolist() == [frame == 0, False]
        assert (sample["episode"], sample["t_ns"], sample["task"]) == (log.key, at_ns, log.metadata["task"])
        assert sample["weight"] == 1


def test_a_batch_is_its_samples(windows):
    batch = windows.__getitems__([5, 90, 5, 0])
    for number, sample in zip([5, 90, 5, 0], batch, strict=True):
        same(sample, windows[number])
    assert len(batch[1:3]) == 2


def test_both_collate_functions_agree(windows):
    for workers in (0, 1):
        ours, torchs = (
            list(
                DataLoader(windows, 16, num_workers=workers, multiprocessing_context="fork" if workers else None, **how)
            )
            for how in ({"collate_fn": collate}, {})
        )
        assert len(ours) == len(torchs) == 6
        for one, two in zip(ours, torchs, strict=True):
            same(one, two)


def test_collate_copies_nothing(windows):
    batch = windows.__getitems__([1, 2])
    assert collate(batch)["camera/front"] is batch.tensors["camera/front"]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_has_every_sample_once(windows, how, workers):
    loader = windows.loader(
        7, order=Order(how=how, seed=3, pool=20), workers=workers, context="fork" if workers else None
    )
    expected = len(loader)
    batches = list(loader)
    assert len(batches) == expected
    found = named(batches)
    assert len(found) == len(windows)
    assert len(set(found)) == len(windows) or how == "weighted"
    first = named(
        windows.loader(7, order=Order(how=how, seed=3, pool=20), workers=workers, context="fork" if workers else None)
    )
    assert found == first
    assert loader.epoch == 1
    assert (named(loader) == found) == (how == "given")


@pytest.mark.parametrize("how", ["global", "weighted", "given"])
def test_orders_by_sample_do_not_depend_on_workers(windows, how):
    orders = [
        named(windows.loader(7, order=Order(how=how, seed=5), workers=workers, context="fork" if workers else None))
        for workers in (0, 1, 2)
    ]
    assert orders[0] == orders[1] == orders[2]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("workers", "stop"), [(0, 4), (0, 14), (2, 3), (2, 5)])
def test_a_loader_goes_on_where_another_stopped(windows, how, workers, stop):
    made = {"order": Order(how=how, seed=9, pool=20), "workers": workers, "context": "fork" if workers else None}
    whole = list(windows.loader(7, **made))
    first = windows.loader(7, **made)
    batches = iter(first)
    before = [next(batches) for _ in range(min(stop, len(whole)))]
    state = first.state_dict()
    del batches
    second = windows.loader(7, **made)
    second.load_state_dict(state)
    after = list(second) if len(before) < len(whole) else []
    assert len(before) + len(after) == len(whole)
    for one, two in zip(whole, before + after, strict=True):
        same(one, two)


@pytest.mark.parametrize("how", HOWS)
def test_ranks_share_an_epoch_without_duplicates(windows, how):
    found = [named(windows.loader(5, order=Order(how=how, seed=2, pool=20, rank=rank, ranks=3))) for rank in range(3)]
    together = [pair for one in found for pair in one]
    assert len(together) == len(windows)
    assert len(set(together)) == len(windows) or how == "weighted"
    loaders = [windows.loader(5, order=Order(how=how, seed=2, rank=rank, ranks=3), drop_last=True) for rank in range(3)]
    expected = {len(loader) for loader in loaders}
    assert {len(list(loader)) for loader in loaders} == expected
    assert len(expected) == 1
    assert all(len(batch["t_ns"]) == 5 for loader in loaders for batch in loader)


@pytest.mark.slow
def test_spawned_workers_give_the_same(windows):
    forked, spawned = (
        list(windows.loader(16, order=Order(how="blocks", pool=20), workers=1, context=context))
        for context in ("fork", "spawn")
    )
    for one, two in zip(forked, spawned, strict=True):
        same(one, two)


def test_weights_drive_the_draws_and_are_spent_by_them(made):
    logs = [log for log, _ in made]
    spans = [(0, logs[0].span, 3.0), (1, Span(0, 300_000_000), 1.0), (2, logs[2].span, 0.0)]
    windows = Windows(source_of(logs, spans=spans), {"action/executed": Chunk(steps=2)}, at="action/executed")
    assert len(windows) == 24 + 9
    assert {sample["weight"].item() for sample in (windows[0], windows[30])} == {3.0, 1.0}
    drawn = [batch for _ in range(40) for batch in windows.loader(33, order=Order(how="weighted", seed=_))]
    assert all(batch["weight"].eq(1).all() for batch in drawn)
    share = np.mean([name == "ep0" for name, _ in named(drawn)])
    assert share == pytest.approx(72 / 81, abs=0.03)


def test_a_chunk_ends_with_its_span_and_a_history_does_not_begin_with_it(made):
    source = source_of([made[0][0]], spans=[(0, Span(100_000_000, 200_000_000), 1.0)])
    windows = Windows(source, WINDOWS, at="action/executed")
    assert len(windows) == 3
    assert windows[0]["action/executed/pad"].tolist() == [False, False, False, True, True]
    assert windows[0]["camera/front/pad"].tolist() == [False, False]


def test_pictures_that_came_unencoded_look_like_the_others(made):
    log, pictures = made[0]
    t_ns = log.streams["action/executed"].t_ns.copy()
    streams = {
        "camera/raw": Stream(t_ns=t_ns, values=pictures.copy()),
        "depth/raw": Stream(t_ns=t_ns, values=pictures[..., 0].astype(np.uint16)),
    }
    both = EpisodeLog("both", streams, videos=log.videos)
    windows = Windows(
        source_of([both]), dict.fromkeys(["camera/raw", "camera/front", "depth/raw"], History(steps=2)), at=9.0
    )
    batch = windows.__getitems__([1, 3]).tensors
    assert batch["camera/raw"].shape == (2, 2, 3, 16, 32)
    assert torch.equal(batch["camera/raw"], batch["camera/front"])
    assert torch.equal(batch["depth/raw"], batch["camera/front"][:, :, 0].to(torch.uint16))


def test_samples_stand_at_a_rate(made):
    windows = Windows(source_of([made[0][0]]), WINDOWS, at=10.0)
    assert [sample["t_ns"].item() for sample in windows.__getitems__([0, 1, 2])] == [
        windows.reader.samples.start_ns[0] + k * 100_000_000 for k in range(3)
    ]


def test_a_camera_that_an_episode_lacks_is_black_and_padding(made):
    log = made[0][0]
    blind = EpisodeLog("blind", log.streams)
    windows = Windows(source_of([log, blind]), {"camera/front": History()}, at="action/executed")
    for batch in (windows.__getitems__([3, 30]).tensors, *windows.loader(48, order=Order(how="blocks"))):
        dark = torch.tensor([name == "blind" for name in batch["episode"]])
        assert torch.equal(batch["camera/front/pad"][:, 0], dark)
        assert not batch["camera/front"][dark].any()
        assert batch["camera/front"][~dark].any()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"batch": 8}, "batch"),
        ({"order": Order(seed=1)}, "seed"),
        ({"order": Order(how="blocks")}, "how"),
        ({"drop_last": True}, "drop_last"),
    ],
)
def test_a_state_of_another_loader_is_refused(windows, change, word):
    state = windows.loader(7).state_dict()
    with pytest.raises(UsageError, match=word):
        windows.loader(**{"batch": 7, **change}).load_state_dict(state)


def test_a_state_of_other_workers_is_refused_for_blocks(windows):
    state = windows.loader(7, order=Order(how="blocks"), workers=2).state_dict()
    with pytest.raises(UsageError, match="workers"):
        windows.loader(7, order=Order(how="blocks")).load_state_dict(state)


def test_calls_that_make_no_sense_are_refused(windows):
    source = windows.source
    for wrong in (
        lambda: Windows(source, {"camera/rear": History()}, at="action/executed"),
        lambda: Windows(source, {}, at="action/executed"),
        lambda: Windows(source, WINDOWS, at="nothing"),
        lambda: Windows(source, {"camera/front": History(rate_hz=5, linear=True)}, at="action/executed"),
        lambda: Order(how="sorted"),
        lambda: Order(rank=2, ranks=2),
        lambda: Order(pool=0),
        lambda: windows.loader(0),
    ):
        with pytest.raises(UsageError):
            wrong()
    for number in (len(windows), -len(windows) - 1):
        with pytest.raises(IndexError):
            _ = windows[number]
    same(windows[-1], windows[len(windows) - 1])
