import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import InvalidMapping, UnknownPlugin, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.reports.logs import LogsReport, report_logs

NOW_NS = 1_780_000_000_000_000_000


def write_log(path: Path, seed: int, *, author: np.ndarray | None = None, **metadata: str) -> None:
    rng = np.random.default_rng(seed)
    t_ns = np.arange(60, dtype=np.int64) * 50_000_000
    streams = {
        "observation/q": Stream(t_ns, rng.normal(size=(60, 3))),
        "action/executed": Stream(t_ns, rng.normal(size=(60, 2))),
    }
    if author is not None:
        streams["author"] = Stream(t_ns, author.astype(np.uint8).reshape(-1, 1))
    McapFormat().write(EpisodeLog(path.stem, streams, (), metadata), path)


def report(folder: Path, table: str | None = None, **how: object) -> LogsReport:
    trials = None
    if table is not None:
        trials = folder / "trials.csv"
        trials.write_text(table)
    return report_logs([folder], trials=trials, now_ns=NOW_NS, formats=("mcap", "hdf5"), **how)  # type: ignore[arg-type]


def test_rates_are_by_policy_with_their_exact_interval(tmp_path: Path) -> None:
    for number in range(6):
        write_log(tmp_path / f"run{number}.mcap", number)
    rows = "".join(f"run{n}.mcap,{'v1' if n < 4 else 'v2'},{'ok' if n else 'fail'}\n" for n in range(6))
    found = report(tmp_path, "log,policy,result\n" + rows)
    first, second = found.rates
    assert (first.policy, first.successes, first.trials, second.policy, second.trials) == ("v1", 3, 4, "v2", 2)
    assert (round(first.low, 3), round(first.high, 3)) == (0.194, 0.994)
    assert "v2 (2 of 2) against v1 (3 of 4): undecided" in found.comparisons[0].comparison.sentence


def test_the_same_try_in_two_formats_counts_once(tmp_path: Path) -> None:
    write_log(tmp_path / "run.mcap", 1)
    (log,) = McapFormat().read(tmp_path / "run.mcap")
    assert isinstance(log, EpisodeLog)
    with h5py.File(tmp_path / "copy.hdf5", "w") as file:
        file["data/demo_0/obs/q"] = log.streams["observation/q"].values
        file["data/demo_0/actions"] = log.streams["action/executed"].values
    found = report(tmp_path, "log,policy,result\nrun.mcap,v1,ok\ncopy.hdf5,v1,ok\n")
    assert (found.usable_n, found.copies_n, found.rates[0].trials) == (1, 1, 1)
    assert len(found.tries[0].paths) == 2


def test_criteria_are_never_pooled(tmp_path: Path) -> None:
    for number in range(4):
        write_log(tmp_path / f"run{number}.mcap", number)
    rows = "".join(f"run{n}.mcap,v{n % 2},ok,{'strict' if n < 2 else 'loose'}\n" for n in range(4))
    found = report(tmp_path, "log,policy,result,criterion\n" + rows)
    assert [(rate.criterion, rate.trials) for rate in found.rates] == [
        ("loose", 1),
        ("loose", 1),
        ("strict", 1),
        ("strict", 1),
    ]
    assert [item.criterion for item in found.comparisons] == ["loose", "strict"]


def test_what_does_not_match_is_listed_and_not_counted(tmp_path: Path) -> None:
    write_log(tmp_path / "run1.mcap", 1)
    write_log(tmp_path / "run2.mcap", 2)
    found = report(tmp_path, "log,policy,result\nrun1.mcap,v1,ok\nrun7.mcap,v1,ok\n")
    assert found.table is not None
    assert [(line, name) for line, name, _ in found.table.lost] == [(3, "run7.mcap")]
    assert found.unnamed == ("run2",)
    assert (found.rates[0].trials, found.rates[0].table_trials) == (1, 2)


def test_a_takeover_is_no_autonomous_success(tmp_path: Path) -> None:
    write_log(tmp_path / "run1.mcap", 1, author=np.arange(60) > 30)
    found = report(tmp_path, "log,policy,result\nrun1.mcap,v1,ok\n")
    assert (found.rates[0].successes, found.rates[0].taken_over) == (0, 1)


def test_aborts_are_failures_and_unknowns_are_left_out(tmp_path: Path) -> None:
    for number in range(3):
        write_log(tmp_path / f"run{number}.mcap", number)
    found = report(tmp_path, "log,policy,result\nrun0,v1,aborted\nrun1,v1,?\nrun2,v1,ok\n")
    rate = found.rates[0]
    assert (rate.successes, rate.trials, rate.aborts, rate.unknown) == (1, 2, 1, 1)


def test_bad_files_are_refused_and_the_others_go_on(tmp_path: Path) -> None:
    write_log(tmp_path / "run1.mcap", 1)
    (tmp_path / "empty.mcap").touch()
    (tmp_path / "noise.dat").write_bytes(b"\x01\x02")
    found = report(tmp_path)
    assert (found.usable_n, found.rejected_n) == (1, 2)
    assert all(item.reason and item.remedy for item in found.refused)


def test_without_a_table_the_logs_speak_for_themselves(tmp_path: Path) -> None:
    write_log(tmp_path / "run1.mcap", 1, outcome="success", policy="v3", task="pick")
    write_log(tmp_path / "run2.mcap", 2, outcome="failure", policy="v3", task="pick")
    (rate,) = report(tmp_path).rates
    assert (rate.policy, rate.task, rate.successes, rate.trials) == ("v3", "pick", 1, 2)


def test_both_words_on_a_try_are_kept_and_the_table_wins(tmp_path: Path) -> None:
    write_log(tmp_path / "run1.mcap", 1, outcome="success")
    (item,) = report(tmp_path, "log,policy,result\nrun1,v1,fail\n").tries
    assert item.claims == ("table line 2: failure", "the log: success")
    assert (item.outcome, item.outcome_from) == ("failure", "table")


def test_the_report_is_plain_json(tmp_path: Path) -> None:
    write_log(tmp_path / "run1.mcap", 1, outcome="failure")
    text = json.dumps(report(tmp_path).as_json(), allow_nan=False)
    assert json.loads(text)["usable_n"] == 1


def test_a_mapping_brings_tables_in(tmp_path: Path) -> None:
    (tmp_path / "logs" / "t1").mkdir(parents=True)
    np.savetxt(tmp_path / "logs" / "t1" / "f.dat", np.random.default_rng(0).normal(size=(30, 2)))
    (tmp_path / "m.toml").write_text("[episode]\nmatch='t1$'\n[streams.f]\nfile='f.dat'\nrate_hz=10\n")
    found = report_logs([tmp_path / "logs"], mapping=tmp_path / "m.toml", now_ns=NOW_NS)
    assert (found.usable_n, found.rejected_n) == (1, 0)


@pytest.mark.parametrize(
    ("how", "error"),
    [({"paths": []}, UsageError), ({"columns": {"policy": "x"}}, UsageError), ({"formats": ("nope",)}, UnknownPlugin)],
)
def test_wrong_calls_are_usage_errors(tmp_path: Path, how: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        report_logs(**({"paths": [tmp_path], "now_ns": NOW_NS} | how))  # type: ignore[arg-type]


def test_a_table_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidMapping, match=r"gone\.csv"):
        report_logs([tmp_path], trials=tmp_path / "gone.csv", now_ns=NOW_NS)
