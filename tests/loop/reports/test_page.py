import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from saqiya.errors import UsageError
from saqiya.loop.reports.logs import LogsReport, report_logs

MAKER = Path(__file__).parents[3] / "examples" / "mcap_logs" / "make_logs.py"
NOW_NS = 1_780_000_000_000_000_000
VOID = {"meta", "br"}


class Balanced(HTMLParser):
    """Holds the tags that are open; a wrong closing tag is an assertion."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> tuple[LogsReport, str]:
    folder = tmp_path_factory.mktemp("example")
    spec = importlib.util.spec_from_file_location("make_logs", MAKER)
    assert spec is not None
    assert spec.loader is not None
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    maker.make(folder)
    out = folder / "report.html"
    report = report_logs([folder / "logs"], trials=folder / "trials.csv", out=out, now_ns=NOW_NS)
    return report, out.read_text(encoding="utf-8")


def test_the_example_counts_what_it_should(example: tuple[LogsReport, str]) -> None:
    report, _ = example
    assert (report.usable_n, report.copies_n, report.rejected_n) == (40, 2, 2)
    assert [(rate.policy, rate.trials, rate.table_trials) for rate in report.rates] == [
        ("v12", 20, 20),
        ("v14", 20, 21),
    ]


def test_the_example_finds_the_slip(example: tuple[LogsReport, str]) -> None:
    found = example[0].moments["peg-in-hole"]
    assert found.moments
    near = [abs(moment.look_s - 3.0) <= 0.5 and moment.phase == "insert" for moment in found.moments]
    assert sum(near) >= 0.9 * len(near)


def test_the_page_says_what_matters(example: tuple[LogsReport, str]) -> None:
    report, page = example
    for words in (
        "peg-in-hole",
        "v14_99.mcap",
        "cut_off.mcap",
        "notes.bin",
        "stopwatch",
        "What to collect next",
        "Plate",
    ):
        assert words in page
    assert report.comparisons[0].comparison.sentence.split(" (")[0] in page


def test_the_page_stands_alone(example: tuple[LogsReport, str]) -> None:
    page = example[1]
    assert "<script" not in page
    assert not re.search(r"(src|href)\s*=|url\(|@import", page)
    assert "nan" not in re.findall(r'points="([^"]*)"', page)


def test_every_tag_is_closed(example: tuple[LogsReport, str]) -> None:
    parser = Balanced()
    parser.feed(example[1])
    assert parser.open == []


def test_words_from_outside_are_escaped(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>"
    (tmp_path / "trials.csv").write_text(f'log,policy,result\n"{evil}","{evil}",ok\n')
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "<b>.bin").write_bytes(b"\x01")
    report_logs([tmp_path / "logs"], trials=tmp_path / "trials.csv", out=tmp_path / "r.html", now_ns=NOW_NS)
    page = (tmp_path / "r.html").read_text()
    assert "<img" not in page
    assert "&lt;img" in page
    assert "<b>.bin" not in page


def test_a_page_without_anything_still_says_so(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    found = report_logs([tmp_path / "logs"], out=tmp_path / "r.html", now_ns=NOW_NS)
    assert found.usable_n == 0
    assert "there is no rate" in (tmp_path / "r.html").read_text()


def test_a_place_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        report_logs([tmp_path], out=tmp_path / "file" / "r.html", now_ns=NOW_NS)
