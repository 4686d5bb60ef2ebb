import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.errors import InvalidMapping, UnreadableLog
from saqiya.formats.tables.table import TableFormat

MAPPING = r"""
[episode]
match = 'run-(?P<number>\d+)$'
task = "insert"
policy = "p{number}"

[episode.outcome]
"*/bad/*" = "failure"
"*" = "success"

[streams."observation/wrench"]
file = "force.dat"
time = 0
columns = [1, 2]
unit = "N"
required = true

[streams."observation/joint"]
file = "joint.csv"
separator = "comma"
header = true
rate_hz = 200
columns = ["a", "b"]

[events]
file = "phase.dat"
names = ["phase/approach", "phase/insert"]
"""


def mapped(tmp_path: Path, text: str = MAPPING) -> TableFormat:
    path = tmp_path / "mapping.toml"
    path.write_text(text)
    return TableFormat.from_mapping(path)


def write_run(folder: Path, rows: int = 20) -> Path:
    folder.mkdir(parents=True)
    (folder / "force.dat").write_text("".join(f"{n * 0.005:.3f}\t{n}\t{n * n}\t\n" for n in range(rows)))
    (folder / "joint.csv").write_text("a,b\n" + "".join(f"{n},{-n}\n" for n in range(rows)))
    (folder / "phase.dat").write_text("0.0\n0.05\n")
    return folder


def only(reader: TableFormat, path: Path) -> EpisodeLog:
    (item,) = reader.read(path)
    assert isinstance(item, EpisodeLog)
    return item


def test_columns_become_streams_with_their_stamps(tmp_path: Path) -> None:
    log = only(mapped(tmp_path), write_run(tmp_path / "run-07"))
    wrench = log.streams["observation/wrench"]
    assert wrench.values.tolist()[3] == [3.0, 9.0]
    assert wrench.t_ns[3] == 15_000_000
    assert (wrench.unit, wrench.stamp) == ("N", Stamp.SENSOR)
    assert log.metadata["problems"] == []


def test_a_declared_rate_makes_assumed_stamps(tmp_path: Path) -> None:
    joint = only(mapped(tmp_path), write_run(tmp_path / "run-07")).streams["observation/joint"]
    assert (joint.stamp, joint.clock, joint.fields) == (Stamp.ASSUMED, "assumed:200Hz", ("a", "b"))
    assert joint.t_ns[4] == 20_000_000


def test_the_path_tells_number_policy_and_outcome(tmp_path: Path) -> None:
    said = only(mapped(tmp_path), write_run(tmp_path / "bad" / "run-07")).metadata
    assert (said["number"], said["policy"], said["outcome"], said["task"]) == ("07", "p07", "failure", "insert")


def test_events_are_named_by_row(tmp_path: Path) -> None:
    log = only(mapped(tmp_path), write_run(tmp_path / "run-07"))
    assert [(event.name, event.t_ns) for event in log.events] == [("phase/approach", 0), ("phase/insert", 50_000_000)]


@pytest.mark.parametrize("spoil", ["missing", "empty"])
def test_an_optional_stream_that_is_gone_is_told(tmp_path: Path, spoil: str) -> None:
    run = write_run(tmp_path / "run-07")
    (run / "joint.csv").unlink()
    if spoil == "empty":
        (run / "joint.csv").touch()
    log = only(mapped(tmp_path), run)
    assert set(log.streams) == {"observation/wrench"}
    assert "observation/joint: missing" in str(log.metadata["problems"])


def test_without_the_required_stream_the_try_is_unread(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-07")
    (run / "force.dat").write_text("")
    (item,) = mapped(tmp_path).read(run)
    assert isinstance(item, Unread)
    assert "force.dat is empty" in item.reason


def test_too_few_phase_times_are_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-07")
    (run / "phase.dat").write_text("0.0\n")
    assert "events: 1 of 2" in str(only(mapped(tmp_path), run).metadata["problems"])


def test_a_stream_that_ends_early_is_told(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-07")
    (run / "joint.csv").write_text("a,b\n1,2\n2,3\n")
    assert "observation/joint: ends 0.09 s before" in str(only(mapped(tmp_path), run).metadata["problems"])


def test_broken_rows_are_counted_not_kept(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-07")
    with (run / "force.dat").open("a") as file:
        file.write("0.1\t1\t\nERROR sensor\n0.2")
    log = only(mapped(tmp_path), run)
    assert log.streams["observation/wrench"].t_ns.size == 20
    assert "3 of 23 rows" in str(log.metadata["problems"])


def test_stamps_that_run_backwards_cost_the_stream(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-07")
    (run / "force.dat").write_text("0.1 1 2\n0.0 1 2\n")
    (item,) = mapped(tmp_path).read(run)
    assert isinstance(item, Unread)
    assert "stamps decrease" in item.reason


def test_a_tree_is_read_in_order_and_other_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("b/run-02", "a/run-10", "a/notes"):
        write_run(tmp_path / "logs" / name)
    keys = [item.key for item in mapped(tmp_path).read(tmp_path / "logs")]
    assert keys == ["run-10", "run-02"]


def test_a_folder_without_tries_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    with pytest.raises(UnreadableLog, match="nothing here fits"):
        list(mapped(tmp_path).read(tmp_path / "logs"))


def test_one_file_can_be_one_try(tmp_path: Path) -> None:
    text = "[episode]\nlayout = 'file'\n[streams.q]\nrate_hz = 10\nseparator = 'comma'\n"
    np.save(tmp_path / "try_1.npy", np.arange(12.0).reshape(4, 3))
    log = only(mapped(tmp_path, text), tmp_path / "try_1.npy")
    assert (log.key, log.streams["q"].values.shape) == ("try_1", (4, 3))


def test_a_pickled_array_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "try_1.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    reader = mapped(tmp_path, "[episode]\nlayout = 'file'\n[streams.q]\nrate_hz = 10\n")
    (item,) = reader.read(tmp_path / "try_1.npy")
    assert isinstance(item, Unread)


BAD = {
    "unknown key": ("[streams.a]\nfile = 'x'\ntime = 0\nrate = 3\n", r":4: .*rate.*unknown key"),
    "wrong type": ("[streams.a]\nfile = 'x'\ntime = 0\nrequired = 'yes'\n", r":4: .*required.*true or false, not str"),
    "two clocks": ("[streams.a]\nfile = 'x'\ntime = 0\nrate_hz = 5\n", r":1: .*only one"),
    "no clock": ("[streams.a]\nfile = 'x'\n", r":1: .*only one"),
    "outside": ("[streams.a]\ntime = 0\nfile = '../x'\n", r":3: .*inside the folder"),
    "no header": ("[streams.a]\nfile = 'x'\ntime = 't'\n", r":1: .*header = true"),
    "bad pattern": ("[episode]\nmatch = '('\n[streams.a]\nfile='x'\ntime=0\n", r":2: .*no regular expression"),
    "no such group": ("[episode]\npolicy = '{n}'\n[streams.a]\nfile='x'\ntime=0\n", r":2: .*no named group"),
    "no stream": ("[episode]\ntask = 'x'\n", "no stream is mapped"),
    "unknown section": ("[streams.a]\nfile='x'\ntime=0\n[extra]\n", r":4: .*unknown section"),
    "event names": ("[streams.a]\nfile='x'\ntime=0\n[events]\nfile='e'\n", r":4: .*names"),
    "not toml": ("[streams.a\n", "is not TOML"),
    "no way": ("[streams.a]\nfile = 'x'\ntime = 0\nfile_unit = 'deg'\nunit = 'N'\n", r":4: .*'deg' cannot become 'N'"),
    "no clock unit": ("[streams.a]\nfile = 'x'\ntime = 0\ntime_unit = 'h'\n", r":4: .*one of s, ms, us, ns, iso"),
    "three clocks": ("[streams.a]\nfile = 'x'\ntime = [0, 1, 2]\n", r":3: .*of seconds and of nanoseconds"),
    "no group": ("[episode]\nlayout = 'files'\nmatch = 'x'\n[streams.a]\nfile='x'\ntime=0\n", r":3: .*group"),
    "folder blocks": ("[episode]\nblocks = true\n[streams.a]\nfile='x'\ntime=0\n", r":2: .*layout = \"file\""),
    "no outcome": (
        "[streams.a]\nfile='x'\ntime=0\n[outcome]\nfile='x'\ncolumn=1\nwords={a='good'}\n",
        r":7: .*'good' is no outcome",
    ),
    "no label": ("[streams.a]\nfile='x'\ntime=0\n[outcome]\nlabel=true\n", r":4: .*blocks = true"),
    "take": ("[streams.a]\nfile='x'\ntime=0\n[outcome]\nfile='x'\ncolumn=1\ntake='all'\n", r":7: .*first, last, any"),
    "default": ("[defaults]\nheader = 1\n[streams.a]\nfile='x'\ntime=0\n", r":2: .*true or false, not int"),
    "unknown default": ("[defaults]\nunit = 'N'\n[streams.a]\nfile='x'\ntime=0\n", r":2: .*unknown key"),
    "comma": ("[defaults]\nseparator='comma'\ndecimal=','\n[streams.a]\nfile='x'\ntime=0\n", r"separated by something"),
    "everywhere": ("[streams.a]\nfile = '**/x'\ntime = 0\n", r":2: .*inside the folder"),
    "phases": ("[streams.a]\nfile='x'\ntime=0\n[phases]\nfile='x'\ntime=0\n", r":4: .*'column' is missing"),
    "nan rate": ("[streams.a]\nfile = 'x'\nrate_hz = nan\n", r":3: .*at least"),
    "quoted name": ("[streams.\"obs/a\"]\nfile = 'x'\ntime = -1\n", r"below 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_mapping_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    with pytest.raises(InvalidMapping, match=message):
        mapped(tmp_path, text)


def test_parquet_without_its_library_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from saqiya.formats.tables import cells_binary

    monkeypatch.setattr(cells_binary, "find_spec", lambda name: None)
    (tmp_path / "try_1.parquet").write_bytes(b"PAR1")
    reader = mapped(tmp_path, "[episode]\nlayout = 'file'\n[streams.q]\nrate_hz = 10\n")
    (item,) = reader.read(tmp_path / "try_1.parquet")
    assert isinstance(item, Unread)
    assert "pip install 'saqiya[data]'" in item.reason


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_try_or_an_unread_one(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        reader = mapped(Path(folder))
        run = write_run(Path(folder) / "run-01")
        for name in ("force.dat", "joint.csv", "phase.dat"):
            (run / name).write_bytes(data)
        (item,) = reader.read(run)
        assert isinstance(item, EpisodeLog | Unread)
