import xml.etree.ElementTree as ET

import pytest

from saqiya.errors import UsageError
from saqiya.ingest.cut import cut
from saqiya.ingest.cut_rules import rules_from
from saqiya.ingest.timeline import timeline_picture, timeline_text

RULES = rules_from({
    "start": [{"event": "trial/start"}],
    "end": [{"event": "trial/end", "detail": "success", "outcome": "success"}, {"event": "trial/end"}],
})  # fmt: skip


@pytest.fixture(scope="module")
def cutting(day):
    return cut(day.log, RULES)


def test_the_text_shows_rows_of_time_and_lists_the_tries(day, cutting):
    text = timeline_text(day.log, cutting, width=80, listed=5)
    lines = text.splitlines()
    assert lines[0].startswith("120 tries in ")
    assert max(len(line) for line in lines[2:-10]) <= 92
    assert sum("│" in line for line in lines) <= 2 * 24
    assert "█" in text
    assert "and 115 more" in text
    assert "event trial/start (0); event trial/end" in text


def test_a_log_without_tries_says_so(day):
    nothing = cut(day.log, rules_from({"start": [{"event": "never"}]}))
    assert timeline_text(day.log, nothing).startswith("no try in ")


def test_equal_cuts_give_equal_pictures(day, cutting):
    svg = timeline_picture(day.log, cutting, form="svg", events=("trial/start",))
    assert svg == timeline_picture(day.log, cutting, form="svg", events=("trial/start",))
    assert "120 tries in" in "".join(ET.fromstring(svg).itertext())


def test_a_picture_is_png_or_svg(day, cutting):
    assert timeline_picture(day.log, cutting).startswith(b"\x89PNG")
    with pytest.raises(UsageError, match="png or svg"):
        timeline_picture(day.log, cutting, form="gif")
