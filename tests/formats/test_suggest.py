"""A drafted mapping parses, reads as it stands, says why, and marks what only the team can know."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UnreadableLog
from saqiya.formats.tables.mapping import FILE_NAME, TableMapping, read_mapping
from saqiya.formats.tables.suggest import suggest
from saqiya.formats.tables.suggest_columns import outcome_of
from saqiya.formats.tables.table import TableFolder

RNG = np.random.default_rng(0)
EPOCH_NS = 1_700_000_000_123_456_789


def drafted(folder: Path) -> tuple[str, TableMapping, list[EpisodeLog]]:
    text = suggest(folder)
    (folder / FILE_NAME).write_text(text)
    tries = [item for item in TableFolder().read(folder) if isinstance(item, EpisodeLog)]
    return text, read_mapping(folder / FILE_NAME), tries


def csv(path: Path, names: list[str], rows: list[list[object]], separator: str = ",") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(separator.join(map(str, row)) + "\n" for row in [names, *rows]))


def test_units_and_clock_are_taken_from_names_alone(tmp_path: Path) -> None:
    for number in range(3):
        rows = [
            [1_700_000_000_000 + 20 * n, n, 3.0, 0.5, "reach" if n < 30 else "grasp", int(number == 1 and n == 59)]
            for n in range(60)
        ]
        csv(tmp_path / f"trial_{number}.csv", ["time_ms", "q1 [deg]", "q2 [deg]", "fx [N]", "state", "success"], rows)
    text, mapping, tries = drafted(tmp_path)
    joint = mapping.streams["observation/joint"]
    assert (joint.columns, joint.unit, joint.file_unit) == (("q1 [deg]", "q2 [deg]"), "deg", "")
    assert mapping.streams["observation/wrench"].unit == "N"
    assert joint.time_unit == "ms"
    assert [log.metadata["outcome"] for log in tries] == ["failure", "success", "failure"]
    assert [event.name for event in tries[0].events] == ["phase/reach", "phase/grasp"]
    assert tries[0].streams["observation/joint"].t_ns[1] == 1_700_000_000_020_000_000
    assert 'words = { "0" = "failure", "1" = "success" }  # TODO' in text


def test_what_ros_prints_is_understood(tmp_path: Path) -> None:
    names = ["%time", "field.header.seq", "field.header.stamp", "field.header.frame_id", "field.wrench.force.x"]
    csv(
        tmp_path / "wrench.csv",
        names,
        [[EPOCH_NS + n * 10**7, n, EPOCH_NS - 5 + n * 10**7, "t", 0.1] for n in range(9)],
    )
    csv(tmp_path / "joints.csv", ["%time", "field.position0"], [[EPOCH_NS + n * 10**7, 0.1] for n in range(9)])
    text, mapping, (log,) = drafted(tmp_path)
    assert mapping.streams["observation/wrench"].time == "field.header.stamp"
    assert log.streams["observation/wrench"].t_ns[0] == EPOCH_NS - 5
    assert log.streams["observation/joint"].fields == ("field.position0",)
    assert "'%time' is another time, left out" in text


def test_seconds_and_nanoseconds_and_outcomes_in_paths(tmp_path: Path) -> None:
    for outcome in ("success", "failed"):
        for number in range(3):
            run = tmp_path / outcome / f"run_{number}"
            rows = [[1_700_000_000 + n // 100, n % 100 * 10**7, 1, 2, 3] for n in range(120)]
            csv(run / f"run_{number}_ft.csv", ["secs", "nsecs", "fx", "fy", "fz"], rows)  # type: ignore[arg-type]
            np.save(run / "poses.npy", np.zeros((50, 7)))
    _, mapping, tries = drafted(tmp_path)
    assert mapping.streams["observation/wrench"].file == "*_ft.csv"
    assert mapping.streams["observation/wrench"].time == ("secs", "nsecs")
    assert sorted(str(log.metadata["outcome"]) for log in tries) == ["failure"] * 3 + ["success"] * 3
    assert len({log.key for log in tries}) == 6


def test_a_rate_is_never_made_up(tmp_path: Path) -> None:
    turned = RNG.normal(size=(80, 4))
    turned /= np.linalg.norm(turned, axis=1, keepdims=True)
    for number in range(3):
        np.save(tmp_path / f"move_{number}.npy", np.hstack([RNG.normal(size=(80, 3)), turned]))
    text, mapping, tries = drafted(tmp_path)
    assert "rate_hz = 1  # TODO: no column is a clock" in text
    assert "columns 3 to 6 of the stream have length 1: a quaternion" in text
    assert len(tries) == 3
    assert mapping.episode.layout == "file"


def test_labels_above_blocks_become_outcomes(tmp_path: Path) -> None:
    for name, labels in (("lp1", ["normal", "collision"]), ("lp2", ["normal", "strange"])):
        (tmp_path / f"{name}.data").write_text(
            "".join(f"{label}\n" + "".join(f"\t{n}\t-{n}\t3\n" for n in range(15)) + "\n\n" for label in labels * 3)
        )
    text, _, tries = drafted(tmp_path)
    assert len(tries) == 12
    assert [log.metadata.get("outcome") for log in tries[6:8]] == ["success", None]
    assert "what do these mean: 'strange'" in text


def test_arrays_columns_and_lists_of_numbers(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "npz").mkdir()
    for number in range(2):
        np.savez(
            tmp_path / "npz" / f"ep{number}.npz",
            timestamp=np.arange(40) * 0.05,
            qpos=np.ones((40, 7)),
            action=np.ones((40, 2)),
        )
    text, mapping, tries = drafted(tmp_path / "npz")
    assert mapping.streams["observation/joint"].time_array == "timestamp"
    assert tries[0].streams["action/executed"].values.shape == (40, 2)
    assert "or what was asked for (intended)?" in text
    table = {
        "observation.state": pa.array([[1.0, 2.0]] * 40),
        "timestamp": np.tile(np.arange(20) / 30, 2),
        "frame_index": np.tile(np.arange(20), 2),
        "episode_index": np.repeat([0, 1], 20),
        "next.success": [False] * 19 + [True] + [False] * 20,
    }
    (tmp_path / "parquet").mkdir()
    pq.write_table(pa.table(table), tmp_path / "parquet" / "data.parquet")
    _, mapping, tries = drafted(tmp_path / "parquet")
    assert mapping.episode.split == "episode_index"
    assert [log.metadata["outcome"] for log in tries] == ["success", "failure"]
    assert mapping.streams["observation/state"].columns == ("observation.state",)


def test_text_in_many_hands(tmp_path: Path) -> None:
    for number in range(4):
        for kind, width in (("force", 3), ("joint", 7)):
            np.savetxt(tmp_path / f"run{number}_{kind}.txt", np.column_stack([np.arange(9) * 0.1, np.ones((9, width))]))
    _, mapping, tries = drafted(tmp_path)
    assert mapping.episode.layout == "files"
    assert [log.key for log in tries] == ["run0", "run1", "run2", "run3"]
    assert tries[0].streams["observation/joint"].values.shape == (9, 7)


@pytest.mark.parametrize(
    ("content", "rate_hz", "fields"),
    [
        ("# t x y\n0 1 2\n0.5 2 3\n1.0 3 4\n", 2.0, ("x", "y")),
        ("Logger v2\nRobot: X\n\ntime,fx,fy\n0.0,1,2\n0.1,3,4\n0.2,5,6\n", 10.0, ("fx", "fy")),
        ("Zeit (s);Kraft (N)\n0,0;1,5\n0,5;2,5\n1,0;0,5\n", 2.0, ("Kraft (N)",)),
        (
            ",timestamp,cmd_x\n0,2024-03-01 12:00:00.0,1\n1,2024-03-01 12:00:00.5,2\n2,2024-03-01 12:00:01.0,2\n",
            2.0,
            ("cmd_x",),
        ),
        ("t\tx y\n0\t5\n0.01\t6\n0.02\t7\n", 100.0, ("x y",)),
    ],
)
def test_one_file_of_any_hand(tmp_path: Path, content: str, rate_hz: float, fields: tuple[str, ...]) -> None:
    (tmp_path / "log.csv").write_text(content)
    _, _, (log,) = drafted(tmp_path)
    (stream,) = log.streams.values()
    assert stream.rate_hz == pytest.approx(rate_hz)
    assert stream.fields == fields


def test_a_clock_that_starts_again_is_no_clock(tmp_path: Path) -> None:
    csv(tmp_path / "all.csv", ["t", "x"], [[round(n % 25 * 0.04, 3), n] for n in range(100)])
    text, _, tries = drafted(tmp_path)
    assert "'t' is named like a time and falls 3 times" in text
    assert len(tries) == 1
    assert "rate_hz = 25  # TODO" in text


def test_times_alone_in_a_file_are_events(tmp_path: Path) -> None:
    for number in range(3):
        run = tmp_path / f"run-{number}"
        run.mkdir()
        np.savetxt(run / "force.dat", np.column_stack([np.arange(400) * 0.005, np.ones((400, 6))]))
        np.savetxt(run / "state.dat", [0.0, 0.5, 1.5])
    _, mapping, tries = drafted(tmp_path)
    assert mapping.events is not None
    assert [event.t_ns for event in tries[0].events] == [0, 500_000_000, 1_500_000_000]
    assert set(mapping.streams) == {"observation/force"}


def test_a_clock_alone_is_no_log(tmp_path: Path) -> None:
    np.savetxt(tmp_path / "t.txt", np.arange(50) * 0.01)
    with pytest.raises(UnreadableLog, match="no numbers beside a clock"):
        suggest(tmp_path)


def test_blocks_beside_another_table_stay_blocks(tmp_path: Path) -> None:
    (tmp_path / "a.data").write_text("normal\n1 2\n3 4\n\nlost\n5 6\n7 8\n\n")
    (tmp_path / "b.txt").write_text("0.1 2 3\n0.2 4 5\n0.3 5 6\n")
    text, mapping, tries = drafted(tmp_path)
    assert mapping.episode.layout == "file"
    assert tries
    assert "are not mapped" in text


def test_a_folder_without_tables_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("the robot fell\nand we cried\n")
    with pytest.raises(UnreadableLog, match="holds no table of numbers"):
        suggest(tmp_path)


@pytest.mark.parametrize(
    ("word", "outcome"),
    [("success", "success"), ("FAILURE", "failure"), ("collision_in_tool", "failure"), ("aborted", "aborted"),
     ("1", "success"), ("fr_collision", "failure"), ("purple", ""), ("not ok", "")],
)  # fmt: skip
def test_words_for_outcomes(word: str, outcome: str) -> None:
    assert outcome_of(word) == outcome


def _nasty(folder: Path) -> None:
    (folder / "we\"ird\n[x]'.csv").write_text('t,"a\x01",#b,"c=]"\n0,1,2,3\n1,2,3,4\n2,3,4,5\n')


def _twins(folder: Path) -> None:
    (folder / "a.csv").write_text("t,x,x,\n0,1,2,3\n1,2,3,4\n2,3,4,5\n")


@pytest.mark.parametrize("make", [_nasty, _twins])
def test_odd_names_still_make_a_mapping(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path)
    _, _, tries = drafted(tmp_path)
    assert len(tries) == 1


@given(st.lists(st.binary(max_size=200) | st.text(alphabet="0123456789.,;\t\n e-abt\"'#[]", max_size=200), max_size=3))
@settings(max_examples=120, deadline=None)
def test_any_files_give_a_mapping_that_reads_or_an_error(contents: list[bytes | str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for number, content in enumerate(contents):
            data = content if isinstance(content, bytes) else content.encode()
            (Path(name) / f"f{number}.txt").write_bytes(data)
        try:
            text = suggest(Path(name))
        except UnreadableLog:
            return
        (Path(name) / FILE_NAME).write_text(text)
        list(TableFolder().read(Path(name)))


def test_a_file_of_stamps_is_the_clock_of_those_beside_it(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "actions.npy", np.random.default_rng(0).normal(size=(30, 7)))
        np.save(tmp_path / name / "timestamps.npy", 1.7e9 + np.arange(30) / 10)
    _, _, tries = drafted(tmp_path)
    assert [sorted(one.streams) for one in tries] == [["action/executed"]] * 2
    assert set(np.diff(tries[0].streams["action/executed"].t_ns).tolist()) <= set(range(99_999_000, 100_001_000))


def test_names_stand_above_the_numbers_and_below_a_preamble(tmp_path: Path) -> None:
    head = "Signal Viewer\nDate: 2021-03-01 10:00:00\n\nTime\tJoint 1 Position\tJoint 1 Torque\n(s)\t(deg)\t(Nm)\n"
    (tmp_path / "s.txt").write_text(head + "".join(f"{n * 0.004:.3f}\t{n % 7}.5\t{n % 5}.25\n" for n in range(40)))
    _, _, (one,) = drafted(tmp_path)
    (stream,) = one.streams.values()
    assert stream.fields == ("Joint 1 Position", "Joint 1 Torque")
    assert len(stream.t_ns) == 40


def test_a_translation_beside_a_quaternion_is_no_torque(tmp_path: Path) -> None:
    rows = "".join(f"{1.3e9 + n / 10:.1f} {n} 0.5 1.5 0 0 0 1\n" for n in range(30))
    (tmp_path / "groundtruth.txt").write_text("# timestamp tx ty tz qx qy qz qw\n" + rows)
    _, _, (one,) = drafted(tmp_path)
    assert list(one.streams) == ["observation/pose"]
