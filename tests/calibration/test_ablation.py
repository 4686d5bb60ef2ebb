"""A useless score must get a no, whatever luck there is in choosing; a useful one a yes as often as was foretold."""

import numpy as np
import pytest

from saqiya.evaluate.ablation import verdict, visible

RUNS_N = 400
MOST = 0.05 + 1.64 * np.sqrt(0.05 * 0.95 / RUNS_N)  # 5 %, and what chance adds to it in so many runs


def answers(seeds, luck, gain, *, seed, rivals=0.0):
    """How often an ablation says yes: a choice is worth N(0, luck), a training adds N(0, 1)."""
    rng = np.random.default_rng(seed)
    yes = 0
    for _ in range(RUNS_N):
        chosen = gain + luck * rng.normal() + rng.normal(size=seeds)
        draws = luck * rng.normal(size=(seeds, 1)) + rng.normal(size=(seeds, 2))
        others = {} if rivals == 0.0 else {"longest": rivals + rng.normal(size=seeds)}
        yes += verdict(chosen, list(map(tuple, draws)), others).gained
    return yes / RUNS_N


@pytest.mark.parametrize("seeds", [4, 8, 12])
@pytest.mark.parametrize("luck", [0.0, 0.75, 2.0])
def test_a_useless_score_is_called_better_at_most_five_times_in_a_hundred(seeds, luck):
    assert answers(seeds, luck, 0.0, seed=int(10 * luck) + seeds) <= MOST


def test_it_stays_so_where_the_other_rivals_are_weak():
    assert answers(8, 0.75, 0.0, seed=3, rivals=-9.0) <= MOST


@pytest.mark.parametrize("seeds", [6, 8])
def test_a_gain_as_large_as_foretold_is_seen_four_times_in_five(seeds):
    assert answers(seeds, 0.0, visible(seeds, 1.0), seed=seeds) == pytest.approx(0.8, abs=0.06)
