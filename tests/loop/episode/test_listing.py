"""Finding a try among all."""

import numpy as np
import pytest

from saqiya.domain.nouns import Episode
from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.episode.listing import FILTERS, Wanted, choices, lines_of, name_of
from saqiya.loop.flywheel import Flywheel


def log(number: int) -> EpisodeLog:
    rng = np.random.default_rng(number)
    t_ns = np.arange(50 + number) * 20_000_000
    facts = {
        "task": ("stack cups", "open drawer")[number % 2],
        "site": "cell A",
        "policy": f"v{number // 4}",
        "source": "rollout",
        "outcome": "failure" if number in (1, 4) else "success",
        "claimed_by": "person",
    }
    streams = {name: Stream(t_ns, rng.normal(size=(len(t_ns), 3))) for name in ("observation/state", "action/executed")}
    return EpisodeLog(f"try {number}", streams, (Event(0, "phase/reach"),), facts)


@pytest.fixture(scope="module")
def lab(room):
    for number in range(8):
        McapFormat().write(log(number), room / f"day{number}.mcap")
    with Flywheel.init(room / "lab") as wheel:
        wheel.ingest([room / f"day{number}.mcap" for number in range(8)])
        yield wheel


def names(found) -> list[str]:
    return [one.name.split(" / ")[0] for one in found]


def test_the_newest_try_stands_first_under_the_name_of_its_file(lab):
    lines = lines_of(lab)
    assert names(lines) == [f"day{number}.mcap" for number in reversed(range(8))]
    assert [name_of(lab.store.catalog, lab.episode(one.id)) for one in lines] == [one.name for one in lines]
    assert [one.length_s for one in lines] == pytest.approx([0.02 * (50 + n) for n in reversed(range(8))], abs=0.05)


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (Wanted(outcome="failure"), [4, 1]),
        (Wanted(task="open drawer", policy="v1"), [7, 5]),
        (Wanted(words="DRAWER v0"), [3, 1]),
        (Wanted(words="day6"), [6]),
        (Wanted(words="drawer", outcome="aborted"), []),
        (Wanted(), [7, 6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_what_is_asked_for_is_found_and_nothing_else(lab, wanted, numbers):
    assert names(wanted.among(lines_of(lab))) == [f"day{number}.mcap" for number in numbers]


def test_every_choice_finds_as_many_tries_as_it_says(lab):
    lines = lines_of(lab)
    offered = choices(lines)
    assert {"task", "outcome", "policy"} <= set(offered) <= set(FILTERS)
    for name, ones in offered.items():
        for value, n in ones:
            assert len(Wanted(**{name: value}).among(lines)) == n


def test_where_all_tries_are_alike_there_is_nothing_to_choose(lab):
    assert "site" not in choices(lines_of(lab))
    assert choices(()) == {}


def test_tries_of_an_older_cut_are_left_out(long_cut_twice):
    lines = {one.id for one in lines_of(long_cut_twice)}
    every = {one.id for one in long_cut_twice.store.catalog.all(Episode)}
    known = {row[0] for row in asked(long_cut_twice, "SELECT id FROM episodes WHERE NOT superseded")}
    assert lines == known
    assert lines < every


def asked(wheel, sql):
    from saqiya.loop.ask import ask

    return ask(wheel.store, sql).rows


@pytest.fixture
def long_cut_twice(tmp_path):
    pytest.importorskip("duckdb")
    from saqiya.ingest.cut_rules import rules_from

    t_ns = np.arange(600) * 100_000_000
    events = tuple(Event(int(at * 1e9), name) for n in range(6) for at, name in ((10 * n, "go"), (10 * n + 8, "stop")))
    streams = {"observation/state": Stream(t_ns, np.random.default_rng(0).normal(size=(600, 3)))}
    McapFormat().write(EpisodeLog("day", streams, events, {}), tmp_path / "day.mcap")
    with Flywheel.init(tmp_path / "lab") as wheel:
        wheel.ingest([tmp_path / "day.mcap"])
        (whole,) = wheel.store.catalog.all(Episode)
        for end in ("stop", None):
            rules = {"start": [{"event": "go"}], **({"end": [{"event": end}]} if end else {})}
            noun, _, cutting = wheel.data.cut(whole.id, checked := rules_from(rules))
            wheel.data.keep_cut(noun, checked, cutting)
        yield wheel
