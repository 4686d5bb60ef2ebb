from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, Outcome, Retention, Role, Tombstone
from saqiya.errors import Erased, UsageError
from saqiya.stores.keep import retain
from saqiya.stores.retain import ALWAYS, Candidate, Rule, Seen, choose, draw, fleet_rate, probabilities, strata

FLEETS = 2000
SEED = 20_261_121


def fleet(n, *, stratum="a", outcome=Outcome.SUCCESS, **facts):
    return [Candidate(f"episode-{stratum}-{i}", stratum, outcome, facts.get("age_s", 10.0), 100) for i in range(n)]


def test_what_is_needed_young_or_no_success_is_always_kept():
    rule = Rule(otherwise=1e-9, younger_s=5.0)
    tries = [
        Candidate("needed", "a", Outcome.SUCCESS, 10.0, 1, needed=True),
        Candidate("young", "a", Outcome.SUCCESS, 4.9, 1),
        *(Candidate(str(outcome), "a", outcome, 10.0, 1) for outcome in Outcome),
    ]
    chosen = choose(tries, rule, seed=0)
    assert chosen.dropped == ("success",)
    assert chosen.probability == {ALWAYS: 1.0, "a": 1e-9}
    assert chosen.counts == {"a": (0, 1), ALWAYS: (5, 0)}
    assert (chosen.kept_bytes, chosen.dropped_bytes) == (5, 1)


def test_the_lot_is_the_same_whenever_it_is_drawn_and_in_any_order():
    tries = fleet(500)
    first = choose(tries, Rule(otherwise=0.3), seed=1)
    random.Random(0).shuffle(tries)
    assert choose(tries, Rule(otherwise=0.3), seed=1) == first
    alone = choose([one for one in tries if one.episode in first.kept[:50]], Rule(otherwise=0.3), seed=1)
    assert alone.kept == first.kept[:50]
    assert choose(tries, Rule(otherwise=0.3), seed=2).kept != first.kept


def test_what_is_kept_at_a_smaller_probability_is_a_part_of_what_is_kept_at_a_larger():
    tries = fleet(500)
    kept = [set(choose(tries, Rule(otherwise=p), seed=3).kept) for p in (0.05, 0.2, 0.7, 1.0)]
    assert kept[0] < kept[1] < kept[2] < kept[3] == {one.episode for one in tries}


def test_strata_have_their_own_probabilities_and_are_found_again_in_the_decision():
    tries = fleet(200) + fleet(200, stratum="b") + fleet(7, stratum="c", outcome=Outcome.FAILURE)
    chosen = choose(tries, Rule({"a": 0.9}, otherwise=0.1), seed=4)
    noun = decision(chosen, seed=4)
    found = strata(noun)
    assert {found[one.episode] for one in tries if one.stratum == "c"} == {ALWAYS}
    assert all(found[one.episode] == one.stratum for one in tries if one.stratum != "c")
    assert chosen.counts["a"][0] > 150
    assert chosen.counts["b"][0] < 50


@pytest.mark.parametrize("p", [0.0, -0.1, 1.1, math.nan, math.inf])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(UsageError):
        Rule({"a": p})
    with pytest.raises(UsageError):
        Rule({ALWAYS: 0.5})


def decision(chosen, seed, number=0):
    return Retention(
        id=f"retention-{number}", rule={"counts": {name: list(pair) for name, pair in chosen.counts.items()}},
        seed=seed, probability=chosen.probability, kept=chosen.kept, dropped=chosen.dropped,
    )  # fmt: skip


def test_probabilities_of_several_decisions_are_those_of_coming_through_all_of_them():
    tries = fleet(4000)

    def through(rules):
        left, decisions = tries, []
        for number, (p, seed) in enumerate(rules):
            chosen = choose(left, Rule(otherwise=p), seed=seed)
            decisions.append(decision(chosen, seed, number))
            left = [one for one in left if one.episode in set(chosen.kept)]
        return left, probabilities(decisions)

    for rules, expected in (([(0.5, 1), (0.2, 1)], 0.2), ([(0.5, 1), (0.2, 2)], 0.1), ([(0.2, 1), (0.5, 1)], 0.2)):
        left, found = through(rules)
        assert found == pytest.approx({one.episode: expected for one in left})
        assert len(left) / len(tries) == pytest.approx(expected, rel=0.15)


def drawn(draw_from, number):
    """A fleet of a few strata with known hits, thinned by `choose`: what was seen, and the truth."""
    seen, hits_of_all, size = [], 0, 0
    for stratum in range(draw_from.integers(1, 5)):
        n, p, rate = int(draw_from.integers(5, 120)), float(draw_from.uniform(0.05, 1.0)), draw_from.beta(0.6, 1.5)
        hits = {f"{number}-{stratum}-{i}" for i in range(n) if draw_from.random() < rate}
        tries = [Candidate(f"{number}-{stratum}-{i}", "s", Outcome.SUCCESS, 1.0, 1) for i in range(n)]
        chosen = choose(tries, Rule(otherwise=p), seed=SEED)
        seen.append(Seen(len(chosen.kept), len(hits & set(chosen.kept)), len(chosen.dropped), p))
        hits_of_all, size = hits_of_all + len(hits), size + n
    return seen, hits_of_all / size


@pytest.mark.slow
def test_fleet_rates_are_unbiased_and_their_intervals_hold_the_truth():
    source = np.random.default_rng(SEED)
    rows = [drawn(source, number) for number in range(FLEETS)]
    found = [fleet_rate(seen) for seen, _ in rows]
    errors = np.array([one.rate - truth for one, (_, truth) in zip(found, rows, strict=True)])
    naive = [sum(s.hits for s in seen) / max(1, sum(s.kept for s in seen)) - truth for seen, truth in rows]
    assert abs(errors.mean()) < 3 * errors.std() / math.sqrt(FLEETS)
    held = np.mean([one.low <= truth <= one.high for one, (_, truth) in zip(found, rows, strict=True)])
    assert 0.95 <= held <= 0.995
    assert np.mean([one.high - one.low for one in found]) < 0.45
    assert len(naive) == FLEETS


def test_a_plain_share_of_what_was_kept_is_biased_where_the_weighted_one_is_not():
    """Failures are all kept, successes by lot: the share of failures among the kept is far too large."""
    source = np.random.default_rng(SEED)
    weighted, plain = [], []
    for number in range(300):
        failures = int(source.binomial(400, 0.1))
        tries = [
            Candidate(f"{number}-{i}", "s", Outcome.FAILURE if i < failures else Outcome.SUCCESS, 1.0, 1)
            for i in range(400)
        ]
        chosen = choose(tries, Rule(otherwise=0.1), seed=number)
        regrasped = {one.episode for one in tries[failures::4]}  # a quarter of the successes, told from the bytes alone
        hits = len(regrasped & set(chosen.kept))
        (always, _), (kept, dropped) = chosen.counts[ALWAYS], chosen.counts["s"]
        truth = len(regrasped) / 400
        weighted.append(fleet_rate([Seen(always, 0, 0, 1.0), Seen(kept, hits, dropped, 0.1)]).rate - truth)
        plain.append(hits / len(chosen.kept) - truth)
    assert abs(np.mean(weighted)) < 3 * np.std(weighted) / math.sqrt(300)
    assert abs(np.mean(plain)) > 10 * np.std(plain) / math.sqrt(300)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400), st.floats(0.01, 0.99))
def test_an_interval_lies_within_what_the_counts_allow_and_is_exact_where_nothing_was_dropped(k, more, dropped, p):
    found = fleet_rate([Seen(k + more, k, dropped, p), Seen(1, 0, 0, 1.0)])
    assert k / found.fleet <= found.low <= found.high <= (k + dropped) / found.fleet
    whole = fleet_rate([Seen(k + more + 1, k, 0, 1.0)])
    assert whole.rate == whole.low == whole.high == k / (k + more + 1)


@pytest.mark.parametrize("seen", [[], [Seen(1, 2, 0, 0.5)], [Seen(0, 0, 0, 0.5)], [Seen(1, 1, 1, 1.0)]])
def test_counts_that_cannot_be_are_refused(seen):
    with pytest.raises(UsageError):
        fleet_rate(seen)


def test_draws_are_even():
    found = np.array([draw(5, str(number)) for number in range(20_000)])
    assert np.histogram(found, bins=10, range=(0, 1))[0] == pytest.approx(2000, rel=0.08)


def test_a_decision_is_written_down_before_anything_goes_and_is_not_taken_twice(workspace, try_of, verified):
    tries = [workspace.catalog.put_all(try_of(workspace, number))[1] for number in range(30)]
    entry = DatasetEntry(episode=tries[0].id, start_ns=0, end_ns=5, weight=1.0, role=Role.ANCHOR)
    version = DatasetVersion(
        id=workspace.catalog.new_id("dataset_version"), parent=None, entries=(entry,), manifest_hash="0" * 64
    )
    workspace.catalog.put(version, key="v1")
    outcomes = {one.id: Outcome.FAILURE if number == 1 else Outcome.SUCCESS for number, one in enumerate(tries)}
    how = {"seed": 6, "now_ns": 10**20, "key": "retention/1"}
    noun, done = retain(workspace, outcomes, Rule(otherwise=0.2), **how)
    assert {tries[0].id, tries[1].id} <= set(noun.kept)
    assert 0 < len(noun.kept) < 20
    assert set(done.episodes) == set(noun.dropped)
    assert noun.rule["dropped_bytes"] > 0
    assert strata(noun)[tries[0].id] == ALWAYS
    for episode in workspace.catalog.all(Episode):
        if episode.id in noun.dropped:
            with pytest.raises(Erased):
                workspace.streams(episode)
        else:
            workspace.streams(episode)
    again, once_more = retain(workspace, outcomes, Rule(otherwise=0.2), **how)
    assert again == noun
    assert once_more.freed_bytes == 0
    assert [lie for lie in verified(workspace, full=True).lies if lie.subject != version.id] == []
    stones = len(workspace.catalog.all(Tombstone))
    later, _ = retain(workspace, outcomes, Rule(otherwise=0.2), **(how | {"key": "retention/2"}))
    assert set(later.kept) == set(noun.kept)
    assert len(workspace.catalog.all(Tombstone)) == stones
