"""The gate promotes, holds and rejects for the reasons it states."""

import numpy as np
import pytest

from saqiya.domain.nouns import Decision
from saqiya.errors import UsageError
from saqiya.evaluate.gate import GateParams, Stop, decide, foresight, plan, progress
from saqiya.evaluate.sequential import Arms
from saqiya.evaluate.strata import Stratum, Worked
from saqiya.evaluate.trials import Results

KEPT = Worked(60, 60, 90)
both_arms = pytest.mark.parametrize("arms", list(Arms))


def trials(champion, candidate, n=200, seed=0, **left_out):
    difficulty = np.random.default_rng(seed).random(n)
    return Results(tuple((difficulty < champion).tolist()), tuple((difficulty < candidate).tolist()), **left_out)


def verdict(results, arms=Arms.PAIRED, round_number=1, strata=(), worked=KEPT):
    return decide(plan(GateParams(arms=arms), round_number), results, strata=strata, worked=worked)


def stratum(losses, wins):
    return Stratum(name="slip", champion=(losses, 20), candidate=(wins, 20), discordant=(losses, wins))


@both_arms
def test_a_better_candidate_is_promoted(arms):
    found = verdict(trials(0.5, 0.8), arms)
    assert found.decision is Decision.PROMOTE
    assert found.reasons[0].startswith("Better: ")
    assert found.gain.low > 0.0


@both_arms
def test_a_worse_candidate_is_rejected(arms):
    found = verdict(trials(0.8, 0.4), arms)
    assert found.decision is Decision.REJECT
    assert found.reasons[0].startswith("Worse: ")


@both_arms
def test_an_equal_candidate_is_held(arms):
    found = verdict(trials(0.6, 0.6), arms)
    assert found.decision is Decision.HOLD
    assert found.reasons[0].startswith("Futile: ") or found.progress.stop is Stop.EXHAUSTED


def test_futility_is_a_hold_that_says_so():
    found = verdict(trials(0.7, 0.7), Arms.INDEPENDENT)
    assert found.progress.stop is Stop.FUTILE
    assert "the chance to show a gain in the trials an arm left is" in found.reasons[0]


def test_a_stratum_that_got_worse_rejects_even_a_better_candidate():
    found = verdict(trials(0.5, 0.8), strata=[stratum(10, 0)])
    assert found.progress.stop is Stop.SUPERIOR
    assert found.decision is Decision.REJECT
    assert found.reasons[1].startswith("Stratum slip: worse than the champion")


def test_a_stratum_that_got_better_stands_in_no_ones_way():
    found = verdict(trials(0.5, 0.8), strata=[stratum(0, 10)])
    assert found.decision is Decision.PROMOTE


def test_strata_that_the_champion_failed_are_shown_without_a_test():
    failed = Stratum(name="slip", champion=(0, 0), candidate=(7, 9))
    found = verdict(trials(0.5, 0.8), strata=[failed])
    assert found.reasons[1] == "Stratum slip: candidate 7 of 9, where the champion had failed each start."


def test_losing_what_worked_holds_a_better_candidate():
    found = verdict(trials(0.5, 0.8), worked=Worked(45, 60, 90))
    assert found.decision is Decision.HOLD
    assert "Not shown to keep 80% of what worked: 45 of 60" in found.reasons[1]


def test_what_worked_must_be_tried():
    found = verdict(trials(0.5, 0.8), worked=Worked(0, 0, 90))
    assert found.decision is Decision.HOLD
    assert "none of the 90 starts" in found.reasons[1]


def test_too_few_starts_say_how_many_it_takes():
    assert "it takes 14 starts or more" in verdict(trials(0.5, 0.8), worked=Worked(10, 10, 10)).reasons[1]


def test_a_champion_that_never_worked_has_nothing_to_lose():
    assert verdict(trials(0.0, 0.6), worked=Worked(0, 0, 0)).decision is Decision.PROMOTE


def test_what_was_left_out_is_said():
    reasons = verdict(trials(0.5, 0.8, voids=2, unpaired=3)).reasons
    assert "2 pairs were void and left out." in reasons
    assert "3 trials had no partner and never entered the test." in reasons


def test_trials_after_the_stop_change_nothing():
    early, full = verdict(trials(0.5, 0.8)), trials(0.5, 0.8)
    n = early.progress.n
    reversed_tail = Results(full.champion[:n] + (True,) * 50, full.candidate[:n] + (False,) * 50)
    assert verdict(reversed_tail).progress == early.progress
    assert "50 pairs came after the test had stopped and were not used." in verdict(reversed_tail).reasons


def test_trials_that_end_early_are_undecided():
    found = verdict(trials(0.6, 0.7, n=12))
    assert found.decision is Decision.HOLD
    assert "the trials ended with 188 pairs of the plan not run" in found.reasons[0]


def test_no_trials_hold():
    found = verdict(Results((), ()))
    assert found.decision is Decision.HOLD
    assert found.reasons[0] == "No pairs were run, so nothing was compared."


def test_a_plan_that_is_used_up_says_so():
    kinds = "ww.w.l..w..l.w......"
    results = Results(tuple(kind == "l" for kind in kinds), tuple(kind == "w" for kind in kinds))
    found = decide(plan(GateParams(n_max=20), 1), results, strata=[], worked=KEPT)
    assert found.progress.stop is Stop.EXHAUSTED
    assert "all 20 pairs were used" in found.reasons[0]


def test_later_rounds_need_more_evidence():
    results = trials(0.5, 0.8)
    first, fifth = verdict(results), verdict(results, round_number=5)
    assert fifth.alpha < first.alpha
    assert fifth.progress.n > first.progress.n


def test_going_on_in_steps_ends_where_the_whole_does():
    planned, results = plan(GateParams(), 1), trials(0.5, 0.75)
    stops = [progress(planned, Results(results.champion[:n], results.candidate[:n])) for n in range(0, 201, 5)]
    first = next(stand for stand in stops if stand.stop is not Stop.CONTINUE)
    assert first == progress(planned, results)
    assert all(stand == first for stand in stops if stand.n >= first.n and stand.stop is not Stop.CONTINUE)


def test_arms_of_different_length_are_a_mistake():
    with pytest.raises(ValueError, match="shorter"):
        progress(plan(GateParams(), 1), Results((True,), ()))


@both_arms
def test_the_power_is_stated_before_the_first_trial(arms):
    planned = plan(GateParams(arms=arms), 1)
    found = foresight(planned, 0.8)
    assert 0.85 < found.visible < 0.95
    assert found.seen.superior == pytest.approx(0.8, abs=0.04)
    assert found.equal.superior <= planned.alpha
    assert "is seen with 80 % power" in found.sentence


def test_a_plan_that_can_see_nothing_says_so():
    found = foresight(plan(GateParams(n_max=10), 3), 0.9)
    assert found.visible is None
    assert "even a perfect candidate" in found.sentence


def test_shared_seeds_show_smaller_gains():
    planned = plan(GateParams(), 1)
    assert foresight(planned, 0.6, share=0.8).visible < foresight(planned, 0.6).visible


@pytest.mark.parametrize(
    "wrong",
    [{"alpha_total": 0.3}, {"n_max": 5}, {"look_every": 0}, {"look_every": 500}, {"alpha_guard": 0.0}, {"margin": 0.7}],
)
def test_params_out_of_range_are_named(wrong):
    with pytest.raises(UsageError, match=rf"gate\.{next(iter(wrong))}"):
        GateParams(**wrong)
