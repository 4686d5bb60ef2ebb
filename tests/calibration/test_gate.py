"""The gate's promises hold: exactly on a fine grid of nuisance rates, and in simulation from raw trials to verdict."""

import numpy as np
import pytest

from saqiya.domain.nouns import Decision
from saqiya.evaluate.gate import GateParams, decide, plan, progress
from saqiya.evaluate.intervals import lower_bound
from saqiya.evaluate.ledger import alpha_for
from saqiya.evaluate.sequential import Arms, design, power_curve, shared_seeds
from saqiya.evaluate.strata import Worked
from saqiya.evaluate.trials import Results

RUNS = 2000
both_arms = pytest.mark.parametrize("arms", list(Arms))


def simulate(rates, share, seed, runs=RUNS):
    """Success of both arms, (runs, 200) each; with chance `share` they meet the same difficulty."""
    rng = np.random.default_rng(seed)
    champion, candidate = rng.random((2, runs, 200))
    candidate = np.where(rng.random((runs, 200)) < share, champion, candidate)
    return champion < rates[0], candidate < rates[1]


def promoted(test, champion, candidate):
    """Whether the superiority test stops, by run."""
    if test.arms is Arms.PAIRED:
        champion, candidate = champion & ~candidate, candidate & ~champion
    looks = np.array(test.looks)
    old, new = (arm.cumsum(axis=1)[:, looks - 1] for arm in (champion, candidate))
    return (new >= test.critical[np.arange(len(looks)), old]).any(axis=1)


@both_arms
@pytest.mark.parametrize("round_number", [1, 2, 5])
def test_the_size_holds_at_every_nuisance_rate(arms, round_number):
    test = plan(GateParams(arms=arms), round_number).better
    rates = np.sin(np.linspace(0.0, np.pi / 2, 301)) ** 2
    nulls = [(p, p) if arms is Arms.INDEPENDENT else (p / 2, p / 2) for p in rates]
    worst = max(found.superior for found in power_curve(test, nulls))
    assert worst <= test.size <= test.alpha
    assert worst > 0.97 * test.alpha


@pytest.mark.parametrize("p", [0.2, 0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize(("arms", "share"), [(Arms.INDEPENDENT, 0.0), (Arms.PAIRED, 0.5), (Arms.PAIRED, 0.9)])
def test_simulated_nulls_are_seldom_promoted(arms, share, p):
    false = promoted(design(arms, alpha=0.05, n_max=200), *simulate((p, p), share, seed=int(1000 * p)))
    assert lower_bound(int(false.sum()), RUNS, 0.999) <= 0.05


@both_arms
def test_ten_turns_without_gain_promote_falsely_at_most_one_time_in_twenty(arms):
    false = np.zeros(RUNS, dtype=bool)
    for turn in range(1, 11):
        test = design(arms, alpha=alpha_for(turn, 0.05), n_max=200)
        false |= promoted(test, *simulate((0.7, 0.7), 0.5 if arms is Arms.PAIRED else 0.0, seed=turn))
    assert lower_bound(int(false.sum()), RUNS, 0.999) <= 0.05


@both_arms
def test_simulated_power_is_the_exact_power(arms):
    share = 0.5 if arms is Arms.PAIRED else 0.0
    test = design(arms, alpha=0.05, n_max=200)
    truth = (0.7, 0.8) if arms is Arms.INDEPENDENT else shared_seeds(0.7, 0.8, share)
    exact = power_curve(test, [truth])[0].superior
    seen = promoted(test, *simulate((0.7, 0.8), share, seed=3)).mean()
    assert abs(seen - exact) < 4 * np.sqrt(exact * (1 - exact) / RUNS)


@both_arms
def test_whole_verdicts_end_as_often_as_computed(arms):
    planned = plan(GateParams(arms=arms), 1)
    truth = (0.6, 0.75) if arms is Arms.INDEPENDENT else shared_seeds(0.6, 0.75, 0.0)
    exact = power_curve(planned.better, [truth], worse=planned.worse, stop_when_futile=True)[0]
    champion, candidate = simulate((0.6, 0.75), 0.0, seed=9, runs=200)
    stands = [
        progress(planned, Results(tuple(old), tuple(new)))
        for old, new in zip(champion.tolist(), candidate.tolist(), strict=True)
    ]
    assert np.mean([stand.stop == "superior" for stand in stands]) == pytest.approx(exact.superior, abs=0.08)
    assert np.mean([stand.stop == "futile" for stand in stands]) == pytest.approx(exact.futile, abs=0.08)
    assert np.mean([stand.n for stand in stands]) == pytest.approx(exact.mean_pairs, rel=0.12)


def test_verdicts_on_equal_policies_rarely_promote():
    planned = plan(GateParams(), 1)
    champion, candidate = simulate((0.8, 0.8), 0.5, seed=4, runs=200)
    decisions = [
        decide(planned, Results(tuple(old), tuple(new)), strata=[], worked=Worked(60, 60, 60)).decision
        for old, new in zip(champion.tolist(), candidate.tolist(), strict=True)
    ]
    assert lower_bound(decisions.count(Decision.PROMOTE), 200, 0.999) <= planned.alpha
    assert lower_bound(decisions.count(Decision.REJECT), 200, 0.999) <= planned.params.alpha_guard


def test_a_peeking_arm_would_fail():
    champion, candidate = (arm.cumsum(axis=1) for arm in simulate((0.5, 0.5), 0.0, seed=5))
    n = np.arange(1, 201)
    pooled = (champion + candidate) / (2 * n)
    spread = np.sqrt(np.maximum(2 * pooled * (1 - pooled) / n, 1e-12))
    assert ((candidate - champion) / n > 1.6449 * spread).any(axis=1).mean() > 0.15
