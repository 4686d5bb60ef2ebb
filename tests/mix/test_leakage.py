from __future__ import annotations

import pytest

from saqiya.domain.streams import Start
from saqiya.errors import Leakage
from saqiya.mix.leakage import refuse_leakage


def at(x, seed=0):
    return Start(seed, {"x": x})


def test_an_evaluation_start_in_training_is_refused_by_name():
    with pytest.raises(Leakage, match=r"episode-b began at x=0.2"):
        refuse_leakage({"episode-a": at(0.1), "episode-b": at(0.2)}, [at(0.2), at(0.3)])


def test_another_seed_does_not_hide_the_same_place():
    with pytest.raises(Leakage):
        refuse_leakage({"episode-a": at(0.1, seed=1)}, [at(0.1, seed=2)])


def test_many_leaks_are_counted_and_the_first_ones_named():
    starts = {f"episode-{index}": at(index / 10) for index in range(8)}
    with pytest.raises(Leakage, match=r"8 training episodes .* and 3 more"):
        refuse_leakage(starts, starts.values())


def test_what_could_not_be_checked_is_said():
    assert refuse_leakage({"episode-b": None, "episode-a": None, "episode-c": at(0.1)}, [at(0.2)]) == (
        "episode-a",
        "episode-b",
    )
