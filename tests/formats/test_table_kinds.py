"""The kinds of tables that teams have: Parquet and npz, dates, units, phases, outcomes, many tries in a file."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import InvalidMapping, UnreadableLog
from saqiya.formats import bounded
from saqiya.formats.tables.mapping import FILE_NAME
from saqiya.formats.tables.table import TableFolder
from saqiya.formats.tables.units import factor, known_units
from saqiya.ingest.prints import prints_of


def read(folder: Path, mapping: str) -> list[EpisodeLog | Unread]:
    (folder / FILE_NAME).write_text(mapping)
    assert TableFolder().sniff(folder)
    return list(TableFolder().read(folder))


def logs(folder: Path, mapping: str) -> list[EpisodeLog]:
    found = read(folder, mapping)
    assert all(isinstance(item, EpisodeLog) for item in found), found
    return [item for item in found if isinstance(item, EpisodeLog)]


CSV = "[episode]\nlayout = 'file'\nmatch = 'try.*csv$'\n[defaults]\nseparator = 'comma'\nheader = true\n"


def test_epoch_stamps_are_exact(tmp_path: Path) -> None:
    """A float of seconds since 1970 is 200 ns wide: these are read from the text."""
    t = [1_700_000_000_123_456_789 + n * 1_000_001 for n in range(4)]
    (tmp_path / "try.csv").write_text(
        "s,ms,ns,sec,nsec,x\n"
        + "".join(
            f"{one // 10**9}.{one % 10**9:09d},{one // 10**6}.{one % 10**6:06d},{one},{one // 10**9},{one % 10**9},1\n"
            for one in t
        )
    )
    streams = "".join(
        f"[streams.{name}]\ntime = {time}\ntime_unit = '{unit}'\ncolumns = ['x']\n"
        for name, time, unit in (
            ("a", "'s'", "s"), ("b", "'ms'", "ms"), ("c", "'ns'", "ns"), ("d", "['sec', 'nsec']", "s"),
        )
    )  # fmt: skip
    (log,) = logs(tmp_path, CSV + streams)
    assert {name: stream.t_ns.tolist() for name, stream in log.streams.items()} == dict.fromkeys("abcd", t)


def test_dates_are_times(tmp_path: Path) -> None:
    (tmp_path / "try.csv").write_text(
        't,x\n2024-02-29T12:00:00.000000001Z,1\n"2024-02-29 13:00:00,25+01:00",2\n2024-02-29T12:00:01,3\n'
    )
    (log,) = logs(tmp_path, CSV + "[streams.a]\ntime = 't'\ntime_unit = 'iso'\n")
    noon = int(datetime(2024, 2, 29, 12, tzinfo=UTC).timestamp()) * 10**9
    assert (log.streams["a"].t_ns - noon).tolist() == [1, 250_000_000, 10**9]
    assert log.streams["a"].fields == ("x",)


@pytest.mark.parametrize("word", ["yesterday", "2024-02-30T00:00:00Z", "9999-01-01", "2024-01-01T25:00:00", ""])
def test_a_date_that_is_none_costs_the_stream(tmp_path: Path, word: str) -> None:
    (tmp_path / "try.csv").write_text(f"t,x\n{word},1\n2024-01-01,2\n")
    (item,) = read(tmp_path, CSV + "[streams.a]\ntime = 't'\ntime_unit = 'iso'\n")
    assert isinstance(item, Unread)


def test_only_declared_units_are_converted(tmp_path: Path) -> None:
    (tmp_path / "try.csv").write_text("t,q\n0,180\n1,-90\n")
    mapping = CSV + "[streams.a]\ntime = 't'\nfile_unit = 'deg'\nunit = 'rad'\n[streams.b]\ntime = 't'\nunit = 'rad'\n"
    (log,) = logs(tmp_path, mapping)
    assert np.allclose(log.streams["a"].values[:, 0], [np.pi, -np.pi / 2])
    assert log.streams["b"].values[:, 0].tolist() == [180, -90]
    assert log.streams["a"].unit == "rad"


def test_units_of_one_kind_convert_both_ways() -> None:
    for source in known_units():
        for target in known_units():
            there = factor(source, target)
            if there is not None:
                assert there * (factor(target, source) or 0) == pytest.approx(1.0)
    assert factor("deg", "N") is None
    assert factor("mm", "m") == 1e-3


def test_phases_and_outcomes_come_from_columns(tmp_path: Path) -> None:
    rows = [(0.0, "idle", 0), (0.1, "grasp", 0), (0.2, "grasp", 0), (0.3, "lift", 0), (0.4, "grasp", 1)]
    (tmp_path / "try.csv").write_text("t,state,done\n" + "".join(f"{a},{b},{c}\n" for a, b, c in rows))
    mapping = CSV + (
        "[streams.a]\ntime = 't'\ncolumns = ['done']\n[phases]\ncolumn = 'state'\ntime = 't'\nwords = {idle = ''}\n"
        "[outcome]\ncolumn = 'done'\nwords = {1 = 'success', 0 = 'failure'}\n"
    )
    (log,) = logs(tmp_path, mapping)
    assert [(event.t_ns, event.name) for event in log.events] == [
        (100_000_000, "phase/grasp"), (300_000_000, "phase/lift"), (400_000_000, "phase/grasp"),
    ]  # fmt: skip
    assert log.metadata["outcome"] == "success"
    for take, outcome in (("first", "failure"), ("any", "success")):
        (log,) = logs(tmp_path, mapping + f"take = '{take}'\n")
        assert log.metadata["outcome"] == outcome


def test_an_outcome_that_means_nothing_is_told(tmp_path: Path) -> None:
    (tmp_path / "try.csv").write_text("t,x,how\n0,1,fine\n1,2,meh\n")
    (log,) = logs(tmp_path, CSV + "[streams.a]\ntime='t'\n[outcome]\ncolumn='how'\nwords = {fine = 'success'}\n")
    assert "outcome" not in log.metadata
    assert "does not say what 'meh' means" in str(log.metadata["problems"])
    assert log.streams["a"].fields == ("x",)


def test_one_file_holds_many_tries(tmp_path: Path) -> None:
    (tmp_path / "try.csv").write_text(
        "episode,t,x,done\n" + "".join(f"{e},{n * 0.1:.1f},{e * 100 + n},{e}\n" for e in (3, 1) for n in range(5))
    )
    found = logs(
        tmp_path,
        CSV.replace("[defaults]", "split = 'episode'\n[defaults]")
        + "[streams.a]\ntime = 't'\n[outcome]\ncolumn='done'\nwords={1='success', '*'='failure'}\n",
    )
    assert [log.key for log in found] == ["try/3", "try/1"]
    assert [log.metadata["outcome"] for log in found] == ["failure", "success"]
    assert found[0].streams["a"].fields == ("x", "done")
    assert found[1].streams["a"].values[:, 0].tolist() == [100, 101, 102, 103, 104]
    assert found[0].streams["a"].t_ns[0] == 0


def test_blank_lines_and_labels_part_a_file(tmp_path: Path) -> None:
    (tmp_path / "lp.data").write_text("normal\n\t1\t2\n\t3\t4\n\n\ncollision\n\t5\t6\n\t7\t8\n\n\t9\t9\n")
    found = logs(
        tmp_path,
        "[episode]\nlayout = 'file'\nblocks = true\ntask = '{label} check'\n[streams.wrench]\nrate_hz = 50\n"
        "[outcome]\nlabel = true\nwords = {normal = 'success', collision = 'failure'}\n",
    )
    assert [(log.key, log.metadata.get("label"), log.metadata.get("outcome")) for log in found] == [
        ("lp/0000", "normal", "success"), ("lp/0001", "collision", "failure"), ("lp/0002", None, None),
    ]  # fmt: skip
    assert found[1].streams["wrench"].values.tolist() == [[5, 6], [7, 8]]
    assert found[1].metadata["task"] == "collision check"


def test_files_of_several_tries_lie_side_by_side(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"run{number}_force.txt").write_text("0 1\n0.1 2\n")
        (tmp_path / f"run{number}_joint.txt").write_text("0 5 6\n0.1 7 8\n")
    (tmp_path / "run2_notes.txt").write_text("a word")
    found = logs(
        tmp_path,
        "[episode]\nlayout = 'files'\nmatch = '/(?P<episode>run\\d+)_[a-z]+.txt$'\n"
        "[streams.force]\nfile = '*_force.txt'\ntime = 0\n[streams.joint]\nfile = '*_joint.txt'\ntime = 0\n",
    )
    assert [(log.key, sorted(log.streams)) for log in found] == [
        ("run1", ["force", "joint"]),
        ("run2", ["force", "joint"]),
    ]
    assert found[1].metadata["left_out"] == ["run2_notes.txt"]
    assert found[1].metadata["episode"] == "run2"


def test_a_clock_may_lie_in_a_file_of_its_own(tmp_path: Path) -> None:
    run = tmp_path / "run1"
    run.mkdir()
    np.save(run / "stamps.npy", np.arange(4) * 1_000_000 + 1_700_000_000_000_000_001)
    np.save(run / "q.npy", np.arange(8, dtype=np.float32).reshape(4, 2))
    np.save(run / "image.npy", np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3))
    mapping = (
        "[episode]\nmatch = 'run\\d+$'\n[defaults]\ntime = 0\ntime_unit = 'ns'\n"
        "[streams.q]\nfile = 'q.npy'\ntime_file = 'stamps.npy'\n"
        "[streams.'camera/a']\nfile = 'image.npy'\ntime_file = 'stamps.npy'\n"
    )
    (log,) = logs(tmp_path, mapping)
    assert log.streams["q"].t_ns[0] == 1_700_000_000_000_000_001
    assert (log.streams["q"].values.dtype, log.streams["camera/a"].values.shape) == (np.float32, (4, 2, 3))
    np.save(run / "stamps.npy", np.arange(3))
    (item,) = read(tmp_path, mapping)
    assert isinstance(item, Unread)
    assert "has 4 rows, and stamps.npy 3" in item.reason


def test_npz_arrays_are_streams(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "try.npz", t=np.arange(4) * 0.1, q=np.ones((4, 7)), f=np.zeros((4, 3)))
    mapping = (
        "[episode]\nlayout = 'file'\n[defaults]\ntime = 0\n"
        "[streams.q]\narray = 'q'\ntime_array = 't'\n[streams.f]\narray = 'f'\ntime_array = 't'\n"
    )
    (log,) = logs(tmp_path, mapping)
    assert log.streams["q"].values.shape == (4, 7)
    assert log.streams["f"].t_ns.tolist() == [0, 100_000_000, 200_000_000, 300_000_000]
    (item,) = read(tmp_path, "[episode]\nlayout = 'file'\n[streams.q]\nrate_hz = 5\n")
    assert isinstance(item, Unread)
    assert "holds 3 arrays: name one with `array`: t, q, f" in item.reason


def test_records_in_npy_have_named_columns(tmp_path: Path) -> None:
    rows = np.zeros(4, dtype=[("t", "<i8"), ("q", "<f4", (3,)), ("name", "U3")])
    rows["t"], rows["q"] = np.arange(4), np.arange(12).reshape(4, 3)
    np.save(tmp_path / "try.npy", rows)
    (log,) = logs(tmp_path, "[episode]\nlayout='file'\n[streams.q]\ntime='t'\ntime_unit='ms'\ncolumns=['q']\n")
    assert log.streams["q"].fields == ("q[0]", "q[1]", "q[2]")
    assert log.streams["q"].values.tolist()[3] == [9, 10, 11]


def parquet(path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    rows = 6
    table = pa.table(
        {
            "stamp": pa.array(np.arange(rows) * 10 + 1_700_000_000_000_000_000, pa.timestamp("ns", tz="UTC")),
            "state": pa.array([[float(n), -float(n)] for n in range(rows)], pa.list_(pa.float32())),
            "fixed": pa.array([[n, n] for n in range(rows)], pa.list_(pa.int16(), 2)),
            "ragged": pa.array([[1.0] * n for n in range(rows)]),
            "gap": pa.array([1, None, 3, 4, 5, 6]),
            "phase": pa.array(["a", "a", "b", "b", None, "b"]).dictionary_encode(),
            "episode": pa.array([0, 0, 0, 1, 1, 1], pa.int32()),
            "ok": pa.array([False, False, True, False, False, False]),
        }
    )
    pq.write_table(table, path)


def test_parquet_columns_keep_their_types(tmp_path: Path) -> None:
    parquet(tmp_path / "try.parquet")
    mapping = (
        "[episode]\nlayout = 'file'\nsplit = 'episode'\n[defaults]\ntime = 'stamp'\n"
        "[streams.state]\ncolumns = ['state']\n[streams.fixed]\ncolumns = ['fixed']\n[streams.gap]\ncolumns = ['gap']\n"
        "[streams.ragged]\ncolumns = ['ragged']\n[streams.rest]\n"
        "[phases]\ncolumn = 'phase'\n[outcome]\ncolumn = 'ok'\nwords = {True='success', False='failure'}\n"
    )
    first, second = logs(tmp_path, mapping)
    assert (first.key, second.key) == ("try/0", "try/1")
    assert first.streams["state"].t_ns.tolist() == [1_700_000_000_000_000_000 + n for n in (0, 10, 20)]
    assert first.streams["state"].values.dtype == np.float32
    assert second.streams["fixed"].values.dtype == np.int16
    assert second.streams["fixed"].values.tolist() == [[3, 3], [4, 4], [5, 5]]
    assert np.isnan(first.streams["gap"].values[1, 0])
    assert "ragged" not in first.streams
    assert "no column 'ragged'" in str(first.metadata["problems"])
    assert [event.name for event in first.events] == ["phase/a", "phase/b"]
    assert (first.metadata["outcome"], second.metadata["outcome"]) == ("success", "failure")


def test_a_comma_may_be_the_decimal_point(tmp_path: Path) -> None:
    (tmp_path / "try.csv").write_text("Excel says hello\nt;x\n0,0;1,5\n0,5;2,5\n")
    (log,) = logs(
        tmp_path,
        "[episode]\nlayout='file'\n[streams.a]\nseparator='semicolon'\nheader=true\nskip_rows=1\ndecimal=','\ntime='t'\n",
    )
    assert log.streams["a"].values[:, 0].tolist() == [1.5, 2.5]
    assert log.streams["a"].t_ns.tolist() == [0, 500_000_000]


def test_names_that_do_not_fit_the_columns_are_told(tmp_path: Path) -> None:
    (tmp_path / "try.csv").write_text("t,x\n0,1,2\n1,2,3\n")
    (item,) = read(tmp_path, CSV + "[streams.a]\ntime='t'\n")
    assert isinstance(item, Unread)
    assert "2 column names for 3 columns" in item.reason


def test_tries_of_one_name_are_told_apart_by_their_place(tmp_path: Path) -> None:
    for day in ("mon", "tue"):
        (tmp_path / day / "run1").mkdir(parents=True)
        (tmp_path / day / "run1" / "f.txt").write_text("0 1\n1 2\n")
    found = logs(tmp_path, "[episode]\nmatch='run\\d+$'\n[streams.f]\nfile='f.txt'\ntime=0\n")
    assert [log.key for log in found] == ["mon/run1", "tue/run1"]


def test_the_same_table_in_three_kinds_is_the_same_try(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(50, 3))
    t = np.arange(50) * 0.02
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    (tmp_path / "try1.csv").write_text(
        "t,a,b,c\n"
        + "".join(f"{s:.2f},{','.join(map(repr, row))}\n" for s, row in zip(t, values.tolist(), strict=True))
    )
    np.savez(tmp_path / "try2.npz", table=np.column_stack([t, values]))
    pq.write_table(pa.table({"t": t, **dict(zip("abc", values.T, strict=True))}), tmp_path / "try3.parquet")
    found = [
        log
        for suffix, keys in (("csv", "separator='comma'\nheader=true\n"), ("npz", ""), ("parquet", ""))
        for log in read(tmp_path, f"[episode]\nlayout='file'\nmatch='{suffix}$'\n[streams.a]\n{keys}time=0\n")
        if isinstance(log, EpisodeLog)
    ]
    assert len(found) == 3
    assert len({prints_of(log.streams) for log in found}) == 1


def test_files_that_no_try_takes_are_told(tmp_path: Path) -> None:
    (tmp_path / "run1").mkdir()
    (tmp_path / "run1" / "f.txt").write_text("0 1\n1 2\n")
    for name in ("extra.csv", "day.mcap", "README.txt", ".hidden.csv", "notes.md"):
        (tmp_path / name).write_text("x")
    found = read(tmp_path, "[episode]\nmatch='run\\d+$'\n[streams.f]\nfile='f.txt'\ntime=0\n")
    assert [(type(item).__name__, item.key) for item in found] == [
        ("EpisodeLog", "run1"), ("Unread", "day.mcap"), ("Unread", "extra.csv"),
    ]  # fmt: skip


def test_a_folder_without_a_mapping_is_none(tmp_path: Path) -> None:
    assert not TableFolder().sniff(tmp_path)
    with pytest.raises(UnreadableLog, match="saqiya ingest --suggest"):
        list(TableFolder().read(tmp_path))
    (tmp_path / FILE_NAME).write_text("[streams]\n")
    with pytest.raises(InvalidMapping):
        list(TableFolder().read(tmp_path))


def header(said: str) -> bytes:
    return b"\x93NUMPY\x01\x00v\x00" + said.encode().ljust(117) + b"\n"


LIES = {
    "huge.npy": header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }"),
    "object.npy": header("{'descr': '|O', 'fortran_order': False, 'shape': (2,), }") + b"x" * 64,
    "odd.npy": header("{'descr': '<f8', 'fortran_order': False, 'shape': (-3,), }"),
    "many.npy": header("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 10**9), }"),
    "deep.npy": header("(" * 110),
    "cut.npz": b"PK\x03\x04" + bytes(40),
    "none.parquet": b"PAR1" + bytes(40) + b"PAR1",
}


@pytest.mark.parametrize("name", LIES)
def test_a_file_that_lies_is_unread(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LIES[name])
    (item,) = read(tmp_path, "[episode]\nlayout='file'\n[streams.a]\nrate_hz=10\n")
    assert isinstance(item, Unread)


def test_an_npz_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded, "FLOOR_BYTES", 1 << 12)
    np.savez_compressed(tmp_path / "try.npz", a=np.zeros(1 << 17))
    (item,) = read(tmp_path, "[episode]\nlayout='file'\n[streams.a]\nrate_hz=10\n")
    assert isinstance(item, Unread)
    assert "claims to unpack" in item.reason


@pytest.fixture(scope="module")
def good() -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.save(folder / "a.npy", np.arange(40.0).reshape(10, 4))
        np.savez_compressed(folder / "a.npz", x=np.arange(40.0).reshape(10, 4))
        parquet(folder / "a.parquet")
        (folder / "a.csv").write_text("stamp,phase,x\n" + "".join(f"{n},go,{n}\n" for n in range(20)))
        return {path.suffix: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv", ".parquet"])
def test_damage_gives_a_try_or_an_unread_one(good: dict[str, bytes], suffix: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    data = good[suffix]
    for number in range(6 if suffix == ".parquet" else 40):
        at, keep = int(rng.integers(len(data))), int(rng.integers(1, len(data)))
        spoiled = data[:keep] if number % 3 == 0 else data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at + 4 :]
        (tmp_path / f"a{suffix}").write_bytes(spoiled)
        for item in read(
            tmp_path,
            "[episode]\nlayout='file'\n[streams.a]\nseparator='comma'\nheader=true\nrate_hz=10\n"
            "[phases]\ncolumn='phase'\nseparator='comma'\nheader=true\nrate_hz=5\n",
        ):
            assert isinstance(item, EpisodeLog | Unread)


@given(st.text(max_size=400))
@settings(max_examples=150, deadline=None)
def test_any_text_is_a_mapping_or_an_invalid_one(text: str) -> None:
    from saqiya.formats.tables.mapping import parse_mapping

    try:
        parse_mapping("[streams.a]\nfile='x'\ntime=0\n" + text, Path("m.toml"))
    except InvalidMapping as error:
        assert "m.toml" in str(error)  # noqa: PT017 - most texts are no mapping, some are


def test_signals_of_several_rates_in_one_table_keep_their_own(tmp_path: Path) -> None:
    """As PlotJuggler writes it: a row for each stamp of any signal, and empty cells, the last one too."""
    rows = [f"{n / 100},{n}," + (f"{n}.5" if n % 2 == 0 else "") for n in range(10)]
    (tmp_path / "try.csv").write_text("\n".join(["__time,fast,slow", *rows]) + "\n")
    text = CSV + "time = '__time'\n[streams.fast]\ncolumns = ['fast']\n[streams.slow]\ncolumns = ['slow']\n"
    (log,) = logs(tmp_path, text)
    assert log.streams["fast"].values[:, 0].tolist() == list(range(10))
    assert log.streams["slow"].values[:, 0].tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert np.diff(log.streams["slow"].t_ns).tolist() == [20_000_000] * 4


def test_a_spreadsheet_in_utf_16_is_text(tmp_path: Path) -> None:
    (tmp_path / "try.csv").write_text("t,Größe\n0,1\n1,2\n", encoding="utf-16")
    (log,) = logs(tmp_path, CSV + "time = 't'\n[streams.x]\ncolumns = ['Größe']\n")
    assert log.streams["x"].values[:, 0].tolist() == [1.0, 2.0]
