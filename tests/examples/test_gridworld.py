"""The page that a newcomer reads first says what the code does, and its pictures are the code's."""

import re
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gridworld.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("| ").split("|")] for line in PAGE.splitlines() if re.match(r"\| .*\d", line)
]


@pytest.fixture(scope="module")
def made() -> SimpleNamespace:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "examples" / "gridworld"))
        import gridworld
        import pictures
    return SimpleNamespace(world=gridworld, pictures=pictures, told=gridworld.story())


def near(said: str, found: float, *, within: float) -> bool:
    """Another processor adds up in another order, and 300 steps of training make more of that."""
    return abs(float(said) - found) <= max(within, 0.15 * found)


def test_the_page_says_the_numbers_of_the_story(made: SimpleNamespace) -> None:
    rows = ROWS[: len(made.told)]
    assert [row[0] for row in rows] == [*made.pictures.LABELS, "correction 1", "correction 2"]
    assert [int(row[1]) for row in rows[:5]] == [len(one.way) for one in made.told[:5]]
    assert all(near(row[2], one.bits, within=1.5) for row, one in zip(rows, made.told, strict=True))
    assert all(near(row[3], len(one.wrong), within=2) for row, one in zip(rows[1:], made.told[1:], strict=True))
    corrected = [int(row[3]) for row in rows[4:6]]
    assert f"first correction of {rows[5][1]} steps takes {corrected[0] - corrected[1]} cells" in PAGE
    assert f"The next has {rows[6][1]} steps and still {rows[6][2]} bits" in PAGE


def test_the_page_says_the_numbers_of_the_rivals(made: SimpleNamespace) -> None:
    same, longest, corrections = ROWS[len(made.told) :]
    again = [made.world.demonstration(start) for start in made.world.USUAL[1:4]]
    for row, ways in ((same, again), (longest, made.world.longest_first(3))):
        assert int(row[1]) == sum(map(len, ways))
        assert near(row[2], made.world.wrong_after(ways), within=2)
    assert near(corrections[1], sum(len(one.way) for one in made.told[5:]), within=3)
    assert near(corrections[2], len(made.told[-1].wrong), within=2)


def test_a_picture_tells_in_words_what_it_shows() -> None:
    alone = dict(re.findall(r"!\[(.*?)\]\(images/gridworld-(\w+)\.svg\)", PAGE))
    bits, wrong = [row[2] for row in ROWS[:7]], [row[3] for row in ROWS[1:7]]
    told = {name: words for words, name in alone.items()}
    assert set(told) == {"room", "policy", "bits", "after"}
    assert f"{', '.join(bits[:5])} bits, then corrections with {bits[5]} and {bits[6]}" in told["bits"]
    assert f"{wrong[0]} of 53 are wrong" in told["policy"]
    assert told["after"].endswith(", ".join(wrong[3:]))


def test_the_pictures_in_the_docs_are_those_of_the_code(made: SimpleNamespace) -> None:
    def kept(name: str) -> str:
        return (ROOT / "docs" / "images" / f"gridworld-{name}.svg").read_text()

    assert kept("room") == made.pictures.shown_room()
    drawn = {
        "policy": made.pictures.shown_policy(made.told[1]),
        "bits": made.pictures.shown_bits(made.told),
        "after": made.pictures.shown_after(made.told),
    }
    for name, picture in drawn.items():
        ours, theirs = picture.splitlines(), kept(name).splitlines()
        assert len(set(theirs) - set(ours)) <= 0.1 * len(theirs) + 8, name  # learnt, so not to the last cell elsewhere


def test_the_same_holds_for_other_seeds(made: SimpleNamespace) -> None:
    told = made.world.story(seed=1)
    usual, corrections = told[:5], told[5:]
    assert all(a.bits > b.bits for a, b in pairwise(usual[1:]))
    assert usual[-1].bits < 0.5 < min(one.bits for one in corrections)
    assert len(told[-1].wrong) <= len(usual[-1].wrong) / 2


def test_the_shortest_way_avoids_the_obstacle(made: SimpleNamespace) -> None:
    world: ModuleType = made.world
    for start in sorted(world.FREE - {world.GOAL}):
        way = world.demonstration(start)
        assert len(way) == world.FAR[start]
        assert set(way) <= world.FREE
    assert world.moved((1, 3), "up") == (1, 2)
    assert world.moved((2, 3), "up") == (2, 3)  # the obstacle


def test_cells_next_to_each_other_look_alike_and_distant_ones_do_not(made: SimpleNamespace) -> None:
    here, beside, far = made.world.seen([(1, 4), (2, 4), (8, 0)])
    assert np.dot(here, beside) > 0.7 * np.dot(here, here)
    assert np.dot(here, far) < 0.01
