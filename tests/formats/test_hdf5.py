from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.errors import UnreadableLog
from saqiya.formats.hdf5.read import Hdf5Format


def write(path: Path, demos: dict[str, dict[str, np.ndarray]], **attributes: str) -> Path:
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs.update(attributes)
        for name, arrays in demos.items():
            for key, values in arrays.items():
                data.create_dataset(f"{name}/{key}", data=values)
    return path


def logs(path: Path) -> list[EpisodeLog]:
    items = list(Hdf5Format().read(path))
    assert all(isinstance(item, EpisodeLog) for item in items), items
    return [item for item in items if isinstance(item, EpisodeLog)]


def arrays(steps: int = 6) -> dict[str, np.ndarray]:
    return {"states": np.random.default_rng(1).normal(size=(steps, 4)), "actions": np.ones((steps, 2))}


def test_states_alone_are_a_try(tmp_path: Path) -> None:
    path = write(tmp_path / "old.hdf5", {"demo_1": {"states": np.zeros((5, 3))}}, env="Lift")
    (log,) = logs(path)
    assert set(log.streams) == {"observation/states"}
    assert log.metadata["task"] == "Lift"


def test_stamps_are_assumed_and_said_to_be(tmp_path: Path) -> None:
    (log,) = logs(write(tmp_path / "a.hdf5", {"demo_1": arrays()}))
    stream = log.streams["action/executed"]
    assert (stream.stamp, stream.clock, stream.t_ns[2]) == (Stamp.ASSUMED, "assumed:20Hz", 100_000_000)
    assert "no stamps are stored; 20 Hz assumed" in str(log.metadata["clock"])


def test_a_rate_in_the_file_wins(tmp_path: Path) -> None:
    args = '{"env_name": "Push", "env_kwargs": {"control_freq": 10, "robots": ["Panda", "Sawyer"]}}'
    (log,) = logs(write(tmp_path / "a.hdf5", {"demo_1": arrays()}, env_args=args))
    assert log.streams["observation/states"].clock == "assumed:10Hz"
    assert (log.metadata["task"], log.metadata["embodiment"]) == ("Push", "Panda+Sawyer")
    assert "declared by the file" in str(log.metadata["clock"])


def test_a_clock_in_the_states_that_contradicts_the_rate_is_told(tmp_path: Path) -> None:
    states = np.column_stack([np.arange(8) * 0.01, np.zeros(8)])
    (log,) = logs(write(tmp_path / "a.hdf5", {"demo_1": {"states": states}}))
    assert "clock of 100 Hz, but 20 Hz" in str(log.metadata["problems"])


def test_demonstrations_come_in_natural_order(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {name: arrays() for name in ("demo_10", "demo_2", "demo_1")})
    assert [log.key for log in logs(path)] == ["demo_1", "demo_2", "demo_10"]


def test_interventions_become_authors_and_handovers(tmp_path: Path) -> None:
    taken = np.array([0, 0, 1, 1, 0, 0], dtype=bool)[:, None]
    (log,) = logs(write(tmp_path / "a.hdf5", {"demo_1": arrays() | {"interventions": taken}}))
    assert log.streams["author"].values.ravel().tolist() == [0, 0, 1, 1, 0, 0]
    assert [event.name for event in log.events] == ["takeover", "handback"]
    assert log.streams["action/operator"].t_ns.tolist() == [100_000_000, 150_000_000]
    assert log.metadata["source"] == "rollout"


def test_a_file_of_people_only_is_a_demonstration(tmp_path: Path) -> None:
    extra = {
        "interventions": np.zeros((6, 1), bool),
        "policy_acting": np.zeros(6, bool),
        "user_acting": np.ones((6, 2), bool),
    }
    (log,) = logs(write(tmp_path / "a.hdf5", {"demo_1": arrays() | extra}))
    assert log.streams["author"].values.all()
    assert (log.metadata["source"], log.events) == ("demonstration", ())


def test_robomimic_observations_keep_their_names(tmp_path: Path) -> None:
    extra = {"obs/eef_pos": np.zeros((6, 3)), "odd/rate": np.zeros((90, 1))}
    (log,) = logs(write(tmp_path / "a.hdf5", {"demo_1": arrays() | extra}))
    assert set(log.streams) == {"observation/eef_pos", "observation/states", "action/executed"}
    assert log.metadata["skipped"] == {"odd/rate": "it has 90 rows for 6 steps, and no clock of its own"}


def test_of_repeated_observations_only_the_last_row_is_kept(tmp_path: Path) -> None:
    walk = np.random.default_rng(2).normal(size=(7, 3))
    extra = {"obs/eef_pos": walk[:-1], "next_obs/eef_pos": walk[1:], "obs/odd": walk[:-1], "next_obs/odd": walk[:-1]}
    (log,) = logs(write(tmp_path / "a.hdf5", {"demo_1": arrays() | extra}))
    last = log.streams["next_observation/eef_pos"]
    assert (last.t_ns.tolist(), last.values.tolist()) == ([300_000_000], [walk[-1].tolist()])
    assert len(log.streams["next_observation/odd"].t_ns) == 6


def test_masks_become_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"demo_1": arrays(), "demo_2": arrays()})
    with h5py.File(path, "a") as file:
        file["mask/train"] = np.array([b"demo_1", b"demo_2"])
        file["mask/20_percent"] = ["demo_2"]
    assert [log.metadata["splits"] for log in logs(path)] == [["train"], ["20_percent", "train"]]


HEADS = {"empty": b"", "foreign": b"hello world" * 20, "pointer": b"version https://git-lfs.github.com/spec/v1\n"}


@pytest.mark.parametrize("kind", HEADS)
def test_what_is_no_hdf5_is_unreadable(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "demo.hdf5"
    path.write_bytes(HEADS[kind])
    assert Hdf5Format().sniff(path)
    with pytest.raises(UnreadableLog):
        list(Hdf5Format().read(path))


def test_an_absurd_shape_is_left_out_without_being_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"demo_1": arrays()})
    with h5py.File(path, "a") as file:
        file["data/demo_1"].create_dataset("obs/bomb", shape=(2**40, 100), chunks=(1, 100), dtype="f8")
        for number in range(9):  # none is absurd alone
            file["data/demo_1"].create_dataset(f"obs/hollow{number}", shape=(6, 2**20), chunks=(1, 2**20), dtype="f8")
    (log,) = logs(path)
    skipped = log.metadata["skipped"]
    assert "it claims" in skipped["obs/bomb"]
    assert 0 < sum("0 are stored" in skipped.get(f"obs/hollow{number}", "") for number in range(9)) < 9


def test_links_that_lead_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    write(tmp_path / "secret.hdf5", {"demo_1": arrays()})
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["data/demo_1/actions"] = np.ones((5, 2))
        file["data/demo_1/states"] = h5py.ExternalLink("secret.hdf5", "data/demo_1/states")
        file["data/demo_2"] = h5py.ExternalLink("secret.hdf5", "data/demo_1")
    first, second = Hdf5Format().read(tmp_path / "a.hdf5")
    assert isinstance(first, EpisodeLog)
    assert set(first.streams) == {"action/executed"}
    assert isinstance(second, Unread)


def test_a_demonstration_without_numbers_does_not_cost_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.hdf5", {"demo_1": {"states": np.zeros((0, 3))}, "demo_2": arrays()})
    first, second = Hdf5Format().read(path)
    assert isinstance(first, Unread)
    assert isinstance(second, EpisodeLog)


def survivors(path: Path) -> list[EpisodeLog | Unread]:
    try:
        return list(Hdf5Format().read(path))
    except UnreadableLog as error:
        return [Unread(path.name, error.what, error.remedy)]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("whole") / "a.hdf5"
    write(path, {"demo_1": arrays(40), "demo_2": arrays(30)}, env="Lift")
    with h5py.File(path, "a") as file:
        file["data/demo_1"].create_dataset("obs/packed", data=np.zeros((40, 9)), chunks=(7, 9), compression="gzip")
        file["mask/train"] = ["demo_1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("saqiya.formats.far.call.LIMIT_S", 2)
        yield path


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_damage_anywhere_is_an_error_of_ours(whole: Path, data: st.DataObject) -> None:
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(content) - 8))
        content[at : at + 8] = data.draw(st.sampled_from([bytes(8), b"\xff" * 8, (2**40).to_bytes(8, "little")]))
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = whole.with_name("damaged.hdf5")
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    assert all(isinstance(item, EpisodeLog) or item.remedy for item in survivors(path))


def test_a_text_that_the_library_would_read_for_ever_costs_only_the_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saqiya.formats.far.call.LIMIT_S", 2)
    path = write(tmp_path / "a.hdf5", {"demo_1": arrays()}, env="Lift")
    data = bytearray(path.read_bytes())
    size_at = data.index(b"GCOL") + 24
    data[size_at : size_at + 8] = (2**64 - 16).to_bytes(8, "little")  # the next object lies where this one does
    path.write_bytes(bytes(data))
    (log,) = logs(path)
    assert "task" not in log.metadata
    assert "no answer in time" in str(log.metadata["problems"])
