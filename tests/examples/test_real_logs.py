"""The examples on the published data sets, where they lie beside the checkout; nothing of them is in the repository."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from saqiya.loop.reports.logs import LogsReport, report_logs

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", ROOT.parent / "shared" / "data"))
HIRO = (DATA / "hiro-snap-success", DATA / "hiro-snap-error")
ROBOSUITE = DATA / "robosuite-human-hdf5"
NOW_NS = 1_780_000_000_000_000_000

needs_hiro = pytest.mark.skipif(not all(path.is_dir() for path in HIRO), reason=f"no HIRO data in {DATA}")
needs_robosuite = pytest.mark.skipif(not ROBOSUITE.is_dir(), reason=f"no robosuite demonstrations in {DATA}")


@pytest.fixture(scope="module")
def hiro(tmp_path_factory: pytest.TempPathFactory) -> LogsReport:
    trials = tmp_path_factory.mktemp("hiro") / "trials.csv"
    maker = ROOT / "examples" / "hiro" / "make_trials.py"
    subprocess.run([sys.executable, str(maker), str(trials), *map(str, HIRO)], check=True, capture_output=True)
    return report_logs(HIRO, trials=trials, mapping=maker.with_name("mapping.toml"), now_ns=NOW_NS)


def folders() -> list[str]:
    return sorted(path.name for folder in HIRO for path in folder.iterdir() if path.is_dir())


@needs_hiro
def test_every_hiro_folder_comes_in_and_gaps_are_told(hiro: LogsReport) -> None:
    assert sorted(item.key for item in hiro.tries) == folders()
    assert hiro.rejected_n == 0
    gaps = {item.key: " ".join(item.problems) for item in hiro.tries if item.problems}
    assert "R_Angles.dat is empty" in gaps["20121127-HIROSA-S-01"]
    assert "R_CartPos.dat is not there" in gaps["20160930-HIRO_ERROR-02"]


@needs_hiro
def test_each_wrong_row_is_named(hiro: LogsReport) -> None:
    assert hiro.table is not None
    assert [name for _, name, _ in hiro.table.lost] == ["20990101-HIROSA-S-99"]
    assert len(hiro.table.ambiguous) == 1
    assert "the worse word wins" in hiro.table.conflicts[0][1]
    assert hiro.table.unknown_words == {"so-so": 1}
    assert len(hiro.unnamed) == 1


@needs_hiro
def test_hiro_failures_are_found_at_contact_and_the_leaks_are_told(hiro: LogsReport) -> None:
    found = hiro.moments["snap-assembly"]
    errors = [moment for moment in found.moments if "ERROR" in moment.key]
    assert all(3.0 <= moment.look_s <= 5.0 for moment in errors)
    assert all(moment.drivers[0][0] == "observation/wrench" for moment in errors)
    assert any("their set-up differed" in note for note in found.notes)
    assert any("does not beat the stopwatch" in note for note in found.notes)


@needs_robosuite
def test_robosuite_demonstrations_come_in_with_an_assumed_clock() -> None:
    report = report_logs([ROBOSUITE], formats=("hdf5",), now_ns=NOW_NS)
    assert report.rejected_n == 0
    assert report.usable_n >= 16
    assert {"Lift", "TwoArmHandover", "Door"} <= {item.task for item in report.tries}
    assert not report.rates
