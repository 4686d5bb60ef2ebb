import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.nouns import Outcome
from saqiya.errors import InvalidMapping
from saqiya.ingest.columns import outcome_of
from saqiya.ingest.trials import TrialTable, read_trials


def read(tmp_path: Path, text: str | bytes, columns: dict[str, str] | None = None) -> TrialTable:
    path = tmp_path / "trials.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_trials(path, columns)


def test_columns_are_guessed_by_name(tmp_path: Path) -> None:
    table = read(tmp_path, "Log File,Model,Task Name,Result,Tester,Date\na.mcap,v1,pick,ok,Ann,2026-01-02\n")
    guessed = {guess.field: guess.column for guess in table.guesses if guess.column}
    assert guessed == {
        "log": "Log File", "policy": "Model", "task": "Task Name",
        "outcome": "Result", "operator": "Tester", "date": "Date",
    }  # fmt: skip


def test_a_guess_can_be_overruled(tmp_path: Path) -> None:
    text = "file,result,judged\na,ok,fail\n"
    assert read(tmp_path, text).rows[0].outcome is Outcome.SUCCESS
    assert read(tmp_path, text, {"outcome": "judged"}).rows[0].outcome is Outcome.FAILURE


@pytest.mark.parametrize(("columns", "word"), [({"outcome": "Ende"}, "Ende"), ({"colour": "result"}, "colour")])
def test_an_overruling_that_fits_nothing_is_refused(tmp_path: Path, columns: dict[str, str], word: str) -> None:
    with pytest.raises(InvalidMapping, match=word):
        read(tmp_path, "file,result\na,ok\n", columns)


def test_outcome_is_found_by_its_values_when_its_name_says_nothing(tmp_path: Path) -> None:
    table = read(tmp_path, "log,end\na,success\nb,fail\nc,success\n")
    guess = next(guess for guess in table.guesses if guess.field == "outcome")
    assert (guess.column, guess.confidence) == ("end", 0.5)


@pytest.mark.parametrize(
    ("word", "outcome"),
    [("Success", "success"), ("OK", "success"), ("1", "success"), ("Pass.", "success"), ("FAILED", "failure"),
     ("0", "failure"), ("no", "failure"), ("e-stop", "aborted"), ("Aborted", "aborted"), ("", "unknown"),
     ("?", "unknown")],
)  # fmt: skip
def test_outcome_words(word: str, outcome: str) -> None:
    assert outcome_of(word) == (Outcome(outcome), True)


def test_a_column_called_failed_turns_yes_and_no_round(tmp_path: Path) -> None:
    rows = read(tmp_path, "log,failed\na,1\nb,0\n").rows
    assert [row.outcome for row in rows] == [Outcome.FAILURE, Outcome.SUCCESS]


def test_unknown_words_are_counted(tmp_path: Path) -> None:
    table = read(tmp_path, "log,result\na,so-so\nb,so-so\nc,ok\nd,ok\n")
    assert table.unknown_words == {"so-so": 2}
    assert table.rows[0].outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "data",
    [
        "log;result;note\na;ok;x\n".encode("utf-8-sig"),
        "log;result;note\na;ok;größer\n".encode("latin-1"),
        "log;result;note\na;ok;x\n".encode("utf-16"),
        b'log;result;note\r\n\r\na;ok;"x; y"\r\n;;\r\n',
        b"log;result;note\rlog;result;note\ra;ok;x\r",
    ],
    ids=["byte-order mark", "latin-1", "utf-16", "quotes and blank rows", "header twice"],
)
def test_tables_as_they_come(tmp_path: Path, data: bytes) -> None:
    table = read(tmp_path, data)
    assert [dict(row.fields)["log"] for row in table.rows] == ["a"]
    assert table.rows[0].outcome is Outcome.SUCCESS


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    assert [row.line for row in read(tmp_path, 'log,result\n\n"a\nb",ok\nc,ok\n').rows] == [3, 5]


BAD = {
    "empty": ("", "is empty"),
    "no rows": ("log,result\n", "trials.csv:1: has a header and no rows"),
    "no outcome": ("log,colour\na,red\n", "no column says how a trial ended"),
    "two columns of one name": ("log,result,result\na,ok,ok\n", "trials.csv:1: .*'result' 2 times"),
    "a cell too many": ("log,result\na,ok\nb,ok,x\n", "trials.csv:3: has 3 cells and the header 2"),
    "an open quote": ('log,result\na,ok\n"b,ok\n', "trials.csv:3: a quote"),
    "a spreadsheet": ("PK\x03\x04", "Save it as CSV"),
    "bytes": ("log,result\na\0,ok\n", "trials.csv:2: .*no text"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_table_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, case: str) -> None:
    text, message = BAD[case]
    with pytest.raises(InvalidMapping, match=message):
        read(tmp_path, text)


def test_a_spreadsheet_file_asks_for_csv(tmp_path: Path) -> None:
    with pytest.raises(InvalidMapping, match="Save it as CSV"):
        read_trials(tmp_path / "trials.xlsx")


def test_columns_with_few_values_are_conditions(tmp_path: Path) -> None:
    rows = "".join(f"run{n},ok,{'red' if n % 2 else 'blue'},{n * 1.5}\n" for n in range(8))
    table = read(tmp_path, "log,result,light,seconds\n" + rows)
    assert table.rows[1].factors == {"light": "red"}


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_give_a_table_or_our_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trials.csv"
        path.write_bytes(b"log,result\n" + data)
        try:
            rows = read_trials(path).rows
        except InvalidMapping:
            return
        assert rows
