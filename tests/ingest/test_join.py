from pathlib import Path

from saqiya.domain.nouns import Outcome
from saqiya.ingest.join import Joined, TryName, join
from saqiya.ingest.trials import read_trials

TRIES = (
    TryName(("/data/good/20260101-S-03",), ("20260101-S-03",), number="03", date="20260101"),
    TryName(("/data/bad/20260202-E-03",), ("20260202-E-03",), number="03", date="20260202"),
    TryName(("/data/day.hdf5",), ("demo_4",)),
    TryName(("/data/day.hdf5",), ("demo_5",)),
    TryName(("/data/x/run9.mcap", "/data/y/run9.hdf5"), ("run9", "demo_0")),
)


def joined(tmp_path: Path, *lines: str, header: str = "log,id,result,date,policy") -> Joined:
    path = tmp_path / "trials.csv"
    path.write_text("\n".join((header, *lines)))
    return join(read_trials(path), TRIES)


def found(tmp_path: Path, line: str) -> list[int]:
    return [match.index for match in joined(tmp_path, line).matches]


def test_rows_find_logs_by_path_stem_key_and_file_inside(tmp_path: Path) -> None:
    assert found(tmp_path, "good/20260101-S-03,,ok,,") == [0]
    assert found(tmp_path, "/elsewhere/20260101-S-03,,ok,,") == [0]
    assert found(tmp_path, "RUN9,,ok,,") == [4]
    assert found(tmp_path, "C:\\logs\\run9.bag,,ok,,") == [4]
    assert found(tmp_path, "20260202-E-03/force.dat,,ok,,") == [1]
    assert found(tmp_path, "day.hdf5/demo_5,,ok,,") == [3]


def test_an_id_decides_between_tries_of_one_file(tmp_path: Path) -> None:
    assert found(tmp_path, "day.hdf5,demo_4,ok,,") == [2]
    assert found(tmp_path, "day.hdf5,5,ok,,") == [3]


def test_a_number_joins_where_it_is_unique_and_the_date_decides(tmp_path: Path) -> None:
    assert found(tmp_path, ",4,ok,,") == [2]
    assert found(tmp_path, ",3,ok,2026-02-02,") == [1]
    assert found(tmp_path, ",,ok,02.02.2026,") == [1]


def test_a_number_that_fits_two_logs_is_not_guessed(tmp_path: Path) -> None:
    result = joined(tmp_path, ",3,ok,,")
    assert not result.matches
    assert result.ambiguous_rows[0][1] == (0, 1)


def test_a_log_that_is_not_there_is_not_joined_by_its_number(tmp_path: Path) -> None:
    result = joined(tmp_path, "missing-4,4,ok,2026-01-01,")
    assert not result.matches
    assert "no log is called" in result.lost_rows[0][1]


def test_logs_without_a_row_are_listed(tmp_path: Path) -> None:
    assert joined(tmp_path, "run9,,ok,,").unnamed == (0, 1, 2, 3)


def test_where_rows_disagree_the_worse_word_wins_and_all_stay(tmp_path: Path) -> None:
    (match,) = joined(tmp_path, "run9,,ok,,v1", "run9,,fail,,v1").matches
    assert match.row.outcome is Outcome.FAILURE
    assert [row.outcome for row in match.rows] == [Outcome.SUCCESS, Outcome.FAILURE]
    assert "line 2 says success, line 3 says failure" in match.conflict


def test_two_policies_for_one_log_count_for_none(tmp_path: Path) -> None:
    (match,) = joined(tmp_path, "run9,,ok,,v1", "run9,,ok,,v2").matches
    assert "not counted" in match.conflict


def test_equal_rows_count_once(tmp_path: Path) -> None:
    result = joined(tmp_path, "run9,,ok,,v1", "run9,,ok,,v1")
    assert len(result.matches) == 1
    assert [row.line for row, _ in result.repeated_rows] == [3]
    assert result.matches[0].conflict == ""


def test_a_date_that_could_be_two_days_joins_nothing(tmp_path: Path) -> None:
    assert joined(tmp_path, ",,ok,01/02/2026,").lost_rows
