from datetime import UTC, datetime

import pytest

from saqiya.domain.streams import Span
from saqiya.errors import InvalidMapping
from saqiya.ingest.cut_rules import TableRow
from saqiya.ingest.cut_table import ranges_of

S = 1_000_000_000
NINE = round(datetime(2025, 6, 15, 9, 0, tzinfo=UTC).timestamp()) * S
LOG = Span(NINE, NINE + 3600 * S)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("60", 0.0),
        ("60.0", 0.0),
        ("6e1", 0.0),
        ("2025-06-15T09:01:00Z", 0.0),
        ("2025-06-15 11:01:00+02:00", 0.0),
        ("2025-06-15 11:01:00", 2.0),
        ("11:01", 2.0),
        ("09:01:00.000", 0.0),
        (str(NINE // S + 60), 0.0),
        (str(NINE // 1_000_000 + 60_000), 0.0),
        (str(NINE // 1000 + 60_000_000), 0.0),
        (str(NINE + 60 * S), 0.0),
    ],
)
def test_a_time_is_understood_however_it_is_written(text, hours):
    ((start, end, _, outcome),), notes = ranges_of(
        [TableRow(text, duration="5", outcome="ok")], LOG, utc_offset_h=hours
    )
    assert (start, end, outcome, notes) == (NINE + 60 * S, NINE + 65 * S, "success", [])


def test_nanoseconds_keep_every_digit():
    ((start, _, _, _),), _ = ranges_of([TableRow(str(NINE + 1))], LOG, utc_offset_h=0.0)
    assert start == NINE + 1


def test_rows_outside_the_log_and_unknown_words_are_told():
    ranges, notes = ranges_of(
        [TableRow("9000", "9001", line=2), TableRow("1", "2", outcome="so-so", line=3)], LOG, utc_offset_h=0.0
    )
    assert [one[0] for one in ranges] == [NINE + S]
    assert notes == ["line 2: 9000 lies outside this log", "line 3: 'so-so' is no known outcome"]


@pytest.mark.parametrize("row", [TableRow("soon"), TableRow("5", "4"), TableRow("5", duration="x"), TableRow("1e30")])
def test_a_time_that_is_none_names_the_row(row):
    with pytest.raises(InvalidMapping, match="the table of times"):
        ranges_of([row], LOG, utc_offset_h=0.0)
