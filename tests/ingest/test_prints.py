from pathlib import Path

import h5py
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.formats.hdf5.read import Hdf5Format
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.tables.table import TableFormat
from saqiya.ingest.prints import TwinIndex, group_same, prints_of, same_try


def rollout(seed: int, *, actions: int | None = None, rows: int = 40) -> dict[str, Stream]:
    t_ns = np.arange(rows, dtype=np.int64) * 50_000_000
    motion = np.random.default_rng(seed).normal(size=(rows, 4)).cumsum(axis=0)
    action = np.random.default_rng(1000 + (seed if actions is None else actions)).normal(size=(rows, 2))
    goal = np.ones((rows, 3))
    return {
        "observation/states": Stream(t_ns, motion),
        "action/executed": Stream(t_ns, action),
        "observation/goal": Stream(t_ns, goal),
    }


@given(st.integers(0, 2**31), st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_two_rollouts_never_match(first: int, second: int) -> None:
    same = same_try(prints_of(rollout(first)), prints_of(rollout(second)))
    assert same == (first == second)


def test_equal_actions_alone_do_not_make_one_try() -> None:
    assert not same_try(prints_of(rollout(1, actions=7)), prints_of(rollout(2, actions=7)))


def test_constants_and_short_streams_leave_no_print() -> None:
    t_ns = np.arange(50, dtype=np.int64)
    flags = {"a": Stream(t_ns, np.ones((50, 3))), "b": Stream(t_ns, (t_ns % 2).reshape(-1, 1))}
    assert prints_of(flags) == ()
    assert not same_try((), ())


def test_names_stamps_and_precision_do_not_count_but_column_order_does() -> None:
    stream = rollout(3)["observation/states"]
    other = Stream(stream.t_ns + 5, stream.values.astype(np.float32), "elsewhere")
    turned = Stream(stream.t_ns, np.ascontiguousarray(stream.values[:, ::-1]))
    assert prints_of({"x": stream}) == prints_of({"y": other})
    assert prints_of({"x": stream}) != prints_of({"x": turned})


def test_one_rollout_in_three_formats_is_one_try(tmp_path: Path) -> None:
    streams = rollout(4)
    McapFormat().write(EpisodeLog("try", streams), tmp_path / "try.mcap")
    with h5py.File(tmp_path / "try.hdf5", "w") as file:
        file["data/demo_0/states"] = streams["observation/states"].values
        file["data/demo_0/actions"] = streams["action/executed"].values
    (tmp_path / "run").mkdir()
    np.savetxt(tmp_path / "run" / "s.txt", streams["observation/states"].values, fmt="%.17g")
    np.save(tmp_path / "run" / "a.npy", streams["action/executed"].values)
    text = "[streams.s]\nfile = 's.txt'\nrate_hz = 20\n[streams.a]\nfile = 'a.npy'\nrate_hz = 20\n"
    (tmp_path / "m.toml").write_text(text)
    readers = [
        (McapFormat(), "try.mcap"),
        (Hdf5Format(), "try.hdf5"),
        (TableFormat.from_mapping(tmp_path / "m.toml"), "run"),
    ]
    prints = [prints_of(next(iter(reader.read(tmp_path / name))).streams) for reader, name in readers]
    assert group_same([*prints, prints_of(rollout(5))]) == (0, 0, 0, 3)


@given(st.lists(st.lists(st.sampled_from("abcdefgh"), max_size=4), max_size=12))
@settings(max_examples=100, deadline=None)
def test_looking_up_finds_what_comparing_all_finds(prints: list[list[str]]) -> None:
    index = TwinIndex()
    for number, own in enumerate(prints):
        slow = next((other for other in range(number) if same_try(prints[other], own)), None)
        assert index.find(own) == (None if slow is None else str(slow))
        index.add(str(number), own)
    assert len(index) == len(prints)


def test_a_hundred_thousand_episodes_are_not_compared_one_by_one() -> None:
    known = [(f"episode-{n}", [f"{n}-{k}" for k in range(4)]) for n in range(100_000)]
    index = TwinIndex(known)
    assert [index.find(own) for _, own in known[::1000]] == [own for own, _ in known[::1000]]
    assert index.find(["5-0", "6-1", "none", "neither"]) is None
