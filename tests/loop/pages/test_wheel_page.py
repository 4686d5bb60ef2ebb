import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from saqiya.domain.nouns import Calibration, Decision, GateDecision, Policy, Rejection
from saqiya.errors import UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.pages.wheel_facts import DetectorRow, Facts, NoveltyRow, Point, facts_of
from saqiya.loop.pages.wheel_page import (
    Next,
    headline,
    length_sentence,
    page_of,
    picture_text,
    success_picture,
    verdict_of,
    verdicts_of,
    write_report,
    write_turns,
)
from saqiya.loop.pages.wheel_pictures import percent, picture_of
from saqiya.measure.rivals import RankCorrelation

SMALL = {"rollouts": 40, "n_max": 30, "per_turn": 8, "worked": 20, "demonstrations": 10}
HOSTILE = '<script>alert("&1")</script>'
NOW = Next("saqiya turn", "there is more to do", "mining")
VOID = {"meta", "br", "wbr", "img"}


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
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flywheel]:
    path = tmp_path_factory.mktemp("wheel") / "workspace"
    Flywheel.init(path, site="tiny", trainer="ridge", workers=0).close()
    text = (path / "saqiya.toml").read_text()
    for name, value in SMALL.items():
        text = re.sub(rf"# {name} = \d+", f"{name} = {value}", text)
    (path / "saqiya.toml").write_text(re.sub(r"# target = .*", "target = 1.0", text))
    with Flywheel(path) as made:
        made.turn()
        made.turn()
        yield made


@pytest.fixture(scope="module")
def facts(wheel: Flywheel) -> Facts:
    return facts_of(wheel)


def page(facts: Facts) -> str:
    return page_of(facts, NOW, films={}, notes=())


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", re.sub(r"<wbr>|<style>.*?</style>", "", html, flags=re.DOTALL)))


def test_the_page_stands_alone_and_every_tag_is_closed(wheel: Flywheel, tmp_path: Path) -> None:
    html = write_report(wheel, tmp_path / "report.html").read_text(encoding="utf-8")
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    assert "<script" not in html
    assert set(re.findall(r"https?://[^\"' ]*", html)) == {"http://www.w3.org/2000/svg"}
    assert re.findall(r"(?:src|href)=\"(?!data:)", html) == []


def test_the_page_says_success_with_count_and_interval(facts: Facts) -> None:
    success = facts.turns[-1].figures["success"]
    said = text_of(page(facts))
    assert f"{success['k']} of {success['n']}" in said
    assert f"{100 * success['low']:.1f} to {100 * success['high']:.1f} %" in said.replace("\u00a0", " ")


def test_every_key_on_the_page_can_be_looked_up(wheel: Flywheel, facts: Facts) -> None:
    keys = re.findall(r'<code class="key">(.*?)</code>', page(facts))
    names = {re.sub(r"<[^>]+>", "", key) for key in keys} - {"relative to turn-0/policy"}
    assert len(names) > 10
    assert all(wheel.noun(name) for name in names)


def test_each_decision_stands_with_its_promise_and_all_its_reasons(wheel: Flywheel, facts: Facts) -> None:
    said = text_of(page(facts))
    decision = wheel.store.catalog.get("turn-1/decision", GateDecision)
    assert all(reason.replace("'", "&#39;") in said for reason in decision.reasons)
    assert facts.gates[-1].promise in said
    assert "at most 30 pairs" in facts.gates[-1].promise


def test_the_alpha_ledger_adds_up(facts: Facts) -> None:
    assert [row.round for row in facts.alphas] == [1]
    assert facts.alphas[-1].spent == pytest.approx(facts.turns[-1].figures["alpha_spent"], abs=1e-6)


def test_modes_and_what_waits_for_a_name_add_up_to_the_failures(facts: Facts) -> None:
    first, last = facts.triages
    assert first.modes is not None
    assert first.unnamed_n == 0
    assert sum(mode.failures_n for mode in first.modes) == first.failures_n
    assert (last.modes, last.unnamed_n) == (None, last.failures_n)


def test_a_priority_is_the_product_of_the_factors_shown(facts: Facts) -> None:
    assert facts.triages[0].modes
    for mode in facts.triages[0].modes:
        shown = dict(mode.factors)
        minutes = shown.pop("human_minutes")
        product = 1.0
        for factor in shown.values():
            product *= factor
        assert mode.priority == pytest.approx(product / minutes)


def test_a_refusal_beside_the_turn_is_shown_with_its_reasons(facts: Facts) -> None:
    refusal = replace(facts.gates[-1], key="turn-1/drill/decision", regular=False, decision=Decision.REJECT.value)
    said = text_of(page(replace(facts, gates=(*facts.gates, replace(refusal, reasons=("Worse by a mile.",))))))
    assert "Beside the turns: REJECT turn-1/drill/decision" in said
    assert "Worse by a mile." in said
    assert "no candidate was rejected" not in said


def test_a_rejected_input_is_shown_even_before_the_first_turn(facts: Facts) -> None:
    rejection = Rejection(id="rejection-1", name="a.mcap", reason="it is empty", remedy="Record it again.")
    said = text_of(page(replace(facts, turns=(), triages=(), gates=(), rejections=(rejection,))))
    assert "it is empty" in said
    assert "No turn of carry-puck is finished yet." in said


def test_hostile_words_are_escaped(facts: Facts) -> None:
    rejection = Rejection(id="rejection-1", name=HOSTILE, reason=HOSTILE, remedy=HOSTILE)
    gates = tuple(replace(gate, reasons=(HOSTILE,), promise=HOSTILE, dataset_note=HOSTILE) for gate in facts.gates)
    bad = replace(facts, task=HOSTILE, criterion=HOSTILE, gates=gates, rejections=(rejection,), stopped=HOSTILE)
    html = page_of(bad, Next(HOSTILE, HOSTILE, HOSTILE), films={}, notes=(HOSTILE,))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 10


def test_equal_facts_give_equal_bytes(wheel: Flywheel, facts: Facts) -> None:
    assert page(facts) == page(facts_of(wheel))


def test_the_picture_is_xml_on_white_and_800_wide(wheel: Flywheel, tmp_path: Path) -> None:
    picture = ElementTree.parse(success_picture(wheel, tmp_path / "wheel.svg")).getroot()
    assert picture.get("width") == "800"
    assert picture[0].get("fill") == "#ffffff"
    with pytest.raises(UsageError, match="SVG"):
        success_picture(wheel, tmp_path / "wheel.png")


def test_marks_stand_where_their_numbers_are(facts: Facts) -> None:
    dots = picture_of(facts).dots
    for dot, turn in zip(dots, facts.turns, strict=True):
        success = turn.figures["success"]
        assert dot.high_y < dot.y < dot.low_y
        assert 262 - dot.y == pytest.approx(198 * success["k"] / success["n"], abs=0.1)


def test_a_long_wheel_still_fits_its_picture(facts: Facts) -> None:
    turns = tuple(replace(facts.turns[0], number=index) for index in range(40))
    triages = tuple(replace(facts.triages[0], turn=index) for index in range(40))
    picture = picture_of(replace(facts, turns=turns, triages=triages))
    told = [dot.x for dot in picture.dots if dot.tick]
    assert min(after - before for before, after in itertools.pairwise(told)) >= 40
    assert picture.left_out_n == 35
    assert all(cell.x + cell.width + 25 <= 800 for line in picture.lines for cell in line.cells)


def test_a_wheel_without_a_turn_has_an_empty_frame(facts: Facts) -> None:
    assert "no turn is finished yet" in picture_text(replace(facts, turns=(), triages=()))


def test_nearly_certain_is_not_written_as_certain() -> None:
    assert [percent(share) for share in (0.0, 0.001, 0.5, 0.995, 1.0)] == ["0", "0.1", "50", "99.5", "100"]


def test_the_headline_says_why_the_wheel_goes_on_or_rests(facts: Facts) -> None:
    assert "goes on: the lower end is below the target" in headline(facts)
    assert headline(replace(facts, stopped="it is tired")).endswith("the wheel rests, because it is tired.")
    back = replace(facts, back=("turn-0/policy", {"n": 50, "k": 20, "low": 0.26, "high": 0.55}))
    assert "turn-0/policy was put back in charge, and" in headline(back)
    assert "succeeds in 20 of 50 autonomous tries" in headline(back)


def estimate(value: float | None, low: float | None, high: float | None) -> dict[str, float | int | None]:
    return {"value": value, "low": low, "high": high, "n": 40}


def detector(late: tuple[float, float], early: tuple[float, float], threshold: float | None = 1.0) -> DetectorRow:
    gains = {"gain": estimate(sum(late) / 2, *late), "gain_half": estimate(sum(early) / 2, *early)}
    said = "" if threshold is not None else "infinite: 7 of the 19 held-out successes that a budget of 5% needs"
    return DetectorRow("turn-1/detect/calibration/d", 0, "turn-0/policy", "d", threshold, said, 7, 0.05, 1.0, gains)


def test_a_detector_that_does_not_beat_the_stopwatch_is_said_to_not_beat_it() -> None:
    assert verdict_of(detector((-0.1, 0.1), (-0.1, 0.2))) == (
        "does not beat the stopwatch, at the horizon and at half of it"
    )
    assert verdict_of(detector((-0.3, -0.1), (0.1, 0.2))) == (
        "is worse than the stopwatch at the horizon; beats the stopwatch at half of it"
    )


def test_an_infinite_threshold_is_said_aloud() -> None:
    said = verdicts_of([detector((0.1, 0.2), (0.1, 0.2), threshold=None)])
    assert said[-1] == (
        "Turn 0, d: it never alarms; infinite: 7 of the 19 held-out successes that a budget of 5% needs."
    )


def test_reports_of_the_detectors_stand_on_the_page(wheel: Flywheel, facts: Facts) -> None:
    assert len(facts.detectors) == len(wheel.store.catalog.all(Calibration)) == len(wheel.config.detect.detectors) + 1
    assert {row.turn for row in facts.detectors} == {0}
    assert all(verdict in text_of(page(facts)) for verdict in verdicts_of(facts.detectors))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (RankCorrelation(0.8, 0.5, 0.9, 12), "part of the bits is mere length"),
        (RankCorrelation(-0.8, -0.9, -0.5, 12), "longer corrections score lower"),
        (RankCorrelation(0.1, -0.4, 0.5, 12), "the interval holds zero"),
        (RankCorrelation(None, None, None, 3), "3 corrections are too few"),
    ],
)
def test_novelty_stands_beside_its_dumb_rival(found: RankCorrelation, said: str) -> None:
    assert said in length_sentence(NoveltyRow(1, "turn-0/policy", (Point(40, 9.0, accepted=True),), found))


def test_novelty_names_the_policy_it_is_relative_to(wheel: Flywheel, facts: Facts) -> None:
    policy = wheel.store.catalog.get("turn-0/policy", Policy)
    assert [row.policy_key for row in facts.novelty] == [wheel.key_of(policy.id)]
    assert len(facts.novelty[0].points) == facts.novelty[0].length.n > 0


def test_turns_json_has_one_object_a_turn(wheel: Flywheel, tmp_path: Path) -> None:
    turns = json.loads(write_turns(wheel, tmp_path / "turns.json").read_text())
    assert [turn["turn"] for turn in turns] == [0, 1]
    assert set(turns[0]["success"]) == {"n", "k", "low", "high"}


def test_a_place_that_cannot_be_written_to_is_named(wheel: Flywheel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_turns(wheel, tmp_path / "file" / "turns.json")
