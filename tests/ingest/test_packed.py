"""Raw pictures come in packed, and whoever reads the workspace sees the streams that were logged."""

import numpy as np
import pytest

from saqiya.domain.nouns import Episode, MediaInfo
from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.errors import Corrupt, Erased
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.formats.mcap.log import McapFormat
from saqiya.ingest.cut_rules import rules_from
from saqiya.loop.flywheel import Flywheel
from saqiya.stores.query import Questions


@pytest.fixture
def wheel(fresh, new_wheel):
    with Flywheel(new_wheel(fresh / "wheel")) as opened:
        yield opened


def drawn(rows, *, seed=0, dtype=np.uint8, black=False):
    draw = np.random.default_rng(seed)
    blocks = draw.integers(1, 200, (rows, 5, 6, 3)) * (not black)
    return np.kron(blocks, np.ones((1, 8, 8, 1))).astype(dtype)


def a_log(path, *, rows=60, seed=0, tries=1, dtype=np.uint8, black=False):
    draw = np.random.default_rng(seed)
    t_ns = np.arange(rows, dtype=np.int64) * 50_000_000
    streams = {
        "observation/q": Stream(t_ns, np.cumsum(draw.normal(size=(rows, 3)), axis=0)),
        "action/executed": Stream(t_ns, draw.normal(size=(rows, 2))),
        "camera/rgb": Stream(t_ns, drawn(rows, seed=seed, dtype=dtype, black=black)),
    }
    length = rows // tries
    events = [
        Event(int(t_ns[n * length + at]), name) for n in range(tries) for at, name in ((0, "on"), (length - 2, "off"))
    ]
    made = EpisodeLog(path.stem, streams, tuple(events), {"task": "t", "embodiment": "arm"})
    McapFormat().write(made, path)
    return made


def packed_of(episode):
    return [one for one in episode.media if one.codec == "zstd"]


def test_raw_pictures_are_packed_and_read_as_the_stream_that_was_logged(wheel, fresh):
    made = a_log(fresh / "run.mcap", dtype=np.float32)
    (episode,) = wheel.data.ingest([fresh / "run.mcap"]).episodes
    (held,) = packed_of(episode)
    raw = made.streams["camera/rgb"].values.nbytes
    sizes = wheel.store.objects.sizes([episode.streams, held.object])
    assert sum(sizes.values()) * 20 < raw
    assert "camera/rgb" in [one.name for one in episode.infos]
    log = wheel.store.log(episode)
    assert log.videos == {}
    assert list(log.streams) == ["action/executed", "camera/rgb", "observation/q"]
    for name, one in made.streams.items():
        assert log.streams[name].values.dtype == one.values.dtype
        assert log.streams[name].values.tobytes() == one.values.tobytes()
        assert log.streams[name].t_ns.tolist() == one.t_ns.tolist()
    assert log.span == made.span
    with Questions(wheel.store) as questions:
        told = questions.table("SELECT streams, cameras FROM episodes").to_pylist()
        (packed,) = questions.table("SELECT name, codec, frames FROM cameras").to_pylist()
    assert told == [{"streams": sorted(made.streams), "cameras": []}]
    assert packed == {"name": "camera/rgb", "codec": "zstd", "frames": 60}
    assert wheel.verify(full=True).lies == ()
    assert wheel.verify(full=True).sweepable == ()


def test_a_name_is_looked_for_without_unpacking(wheel, fresh):
    a_log(fresh / "run.mcap")
    (episode,) = wheel.data.ingest([fresh / "run.mcap"]).episodes
    (held,) = packed_of(episode)
    path = wheel.store.objects.path(held.object)
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))
    streams = wheel.store.streams(episode)
    assert "camera/rgb" in streams
    assert streams["observation/q"].values.shape == (60, 3)
    with pytest.raises(Corrupt, match="camera/rgb"):
        _ = streams["camera/rgb"]
    path.write_bytes(b"short")
    with pytest.raises(Corrupt, match="outside its bytes"):
        _ = wheel.store.streams(episode)["camera/rgb"]
    assert len(wheel.verify(full=True).lies) == 1


def test_a_cut_log_keeps_its_packed_pictures_and_an_erased_try_loses_its_own(wheel, fresh):
    made = a_log(fresh / "day.mcap", rows=200, tries=4)
    pictures = made.streams["camera/rgb"].values
    (whole,) = wheel.data.ingest([fresh / "day.mcap"]).episodes
    before = sorted(wheel.store.objects.digests())
    rules = rules_from({"start": [{"event": "on"}], "end": [{"event": "off"}]})
    cut = wheel.data.keep_cut(whole, rules, wheel.data.cut(whole.id, rules)[2])
    assert sorted(wheel.store.objects.digests()) == before
    tries = [wheel.store.catalog.get(one, Episode) for one in cut.episodes]
    assert len(tries) == 4
    for number, one in enumerate(tries):
        read = wheel.store.streams(one)["camera/rgb"]
        assert packed_of(one)[0].frames == len(read.t_ns) > 45
        assert np.array_equal(read.values, pictures[50 * number :][: len(read.t_ns)])
    wheel.data.erase([whole.id, tries[1].id], reason="asked for")
    with pytest.raises(Erased):
        wheel.store.streams(tries[1])
    held = wheel.store.catalog.object_view(packed_of(tries[0])[0].object, of=tries[0].id)
    before, after = (wheel.store.packed(tries[number])["camera/rgb"].track for number in (0, 2))
    first, last = int(before.offset[-1] + before.size[-1]), int(after.offset[0])
    assert last - first > 1000
    assert not bytes(held[first:last]).strip(b"\0")
    for number in (0, 2, 3):
        read = wheel.store.streams(tries[number])["camera/rgb"]
        assert np.array_equal(read.values, pictures[50 * number :][: len(read.t_ns)])
    assert wheel.verify(full=True).lies == ()


def test_an_erased_try_takes_its_pictures_with_it(wheel, fresh):
    a_log(fresh / "run.mcap")
    (episode,) = wheel.data.ingest([fresh / "run.mcap"]).episodes
    done = wheel.data.erase([episode.id], reason="asked for")
    assert packed_of(episode)[0].object in done.objects
    assert not list(wheel.store.objects.digests())
    assert wheel.verify(full=True).lies == ()


def test_black_pictures_of_an_erased_try_do_not_make_another_try_unreadable(wheel, fresh):
    a_log(fresh / "one.mcap", black=True, seed=1)
    (first,) = wheel.data.ingest([fresh / "one.mcap"]).episodes
    wheel.data.erase([first.id], reason="asked for")
    a_log(fresh / "two.mcap", black=True, seed=2)
    (second,) = wheel.data.ingest([fresh / "two.mcap"]).episodes
    assert packed_of(first)
    assert not packed_of(second)
    assert not wheel.store.streams(second)["camera/rgb"].values.any()
    assert wheel.verify(full=True).lies == ()


@pytest.mark.parametrize("form", ["lerobot", "mcap", "robomimic"])
def test_packed_pictures_go_out_like_any_others(wheel, fresh, form):
    made = a_log(fresh / "run.mcap", seed=3)
    (episode,) = wheel.data.ingest([fresh / "run.mcap"]).episodes
    wheel.data.export([episode.id], fresh / "out", form=form)
    if form == "mcap":
        (path,) = (fresh / "out").rglob("*.mcap")
        (read,) = McapFormat().read(path)
        assert np.array_equal(read.streams["camera/rgb"].values, made.streams["camera/rgb"].values)
    elif form == "lerobot":
        (read,) = LeRobotFormat().read(fresh / "out")
        assert "camera/rgb" in {*read.streams, *read.videos}
    else:
        import h5py

        with h5py.File(fresh / "out") as file:
            (demo,) = file["data"].values()
            assert any(np.array_equal(one[()], made.streams["camera/rgb"].values) for one in demo["obs"].values())


def test_what_retention_frees_counts_packed_pictures(wheel, fresh):
    a_log(fresh / "run.mcap")
    (episode,) = wheel.data.ingest([fresh / "run.mcap"]).episodes
    held: MediaInfo = packed_of(episode)[0]
    chosen = wheel.data.retain("r", shares={}, dry=True)
    assert chosen.kept_bytes == sum(wheel.store.objects.sizes([episode.streams, held.object]).values())
