import numpy as np
import pytest

from saqiya.correct.asking import LEAST_TRIES, Asking, Heard, heard, needed
from saqiya.domain.asking import HANDBACK_STEPS, LAST_STEPS, MOST_TAKEOVERS, Ask, Hands
from saqiya.domain.streams import Stream
from saqiya.errors import TooLittle, UsageError

LENGTH = 60


def tries(rng, n=60, drift=0.0):
    return [Heard(rng.random(LENGTH) * np.exp(rng.normal(drift, 0.5)), LENGTH) for _ in range(n)]


def live(gate, rng, *, n=200, drift=lambda _: 0.0):
    """Let a gate work on tries whose scores drift; return the share of a person's steps, and who asked how often."""
    human, steps, asked, random = 0, 0, 0, 0
    for index in range(n):
        scores = tries(rng, 1, drift(index))[0].scores
        ask, hands = gate.ask(rng), None
        hands = Hands(ask)
        wants = [hands.wants(step=i, left=LENGTH - i, score=s, human=False) for i, s in enumerate(scores)]
        at = wants.index("takeover") if "takeover" in wants else None
        given = int(rng.integers(10, LENGTH)) if at is not None else 0
        length = LENGTH if at is None else at + given
        human, steps, asked = human + given, steps + length, asked + (at is not None)
        random += at is not None and ask.at_step is not None
        own = scores if at is None else scores[: at + 1]
        gate = gate.after(Heard(own, length, given, int(at is not None)), rng)
    return human / steps, asked, random


@pytest.mark.parametrize("drift", [lambda i: 0.0, lambda i: i * 0.01, lambda i: -i * 0.01, lambda i: 3.0 * (i > 100)])
@pytest.mark.parametrize("budget", [0.05, 0.2, 0.4])
def test_a_persons_share_of_the_steps_follows_the_budget_whatever_the_scores_do(budget, drift):
    shares = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        shares.append(live(Asking.begin(tries(rng), rng, budget=budget), rng, drift=drift)[0])
    assert max(shares) <= budget + 0.06
    assert np.mean(shares) >= budget - 0.06


def test_scores_that_only_grow_are_not_asked_about_more_than_budgeted():
    rng = np.random.default_rng(5)
    gate = Asking.begin(tries(rng), rng, budget=0.1, random=0.0)
    assert live(gate, rng, drift=lambda i: i * 0.2)[0] <= 0.1 + 12 / 200


def test_the_share_of_random_takeovers_is_the_one_asked_for():
    rng = np.random.default_rng(2)
    _, asked, random = live(Asking.begin(tries(rng), rng, budget=0.3, random=0.2), rng, n=600)
    assert asked > 200
    assert random / asked == pytest.approx(0.2, abs=0.06)


def test_a_random_takeover_is_as_likely_at_every_step_and_no_score_decides_it():
    rng = np.random.default_rng(3)
    gate = Asking.begin(tries(rng), rng, budget=0.2, random=0.999)
    steps = [gate.ask(rng).at_step for _ in range(2000)]
    assert set(steps) == set(range(LENGTH - LAST_STEPS))
    hands = Hands(Ask(enter=0.1, leave=0.0, agree=0.1, at_step=7))
    assert [hands.wants(step=i, left=50, score=9.0, human=False) for i in range(9)].index("takeover") == 7


def test_more_budget_asks_at_lower_scores_and_none_at_all_asks_nobody():
    rng = np.random.default_rng(4)
    held = tries(rng)
    enter = [Asking.begin(held, rng, budget=budget).enter for budget in (0.05, 0.1, 0.2, 0.4)]
    assert enter == sorted(enter, reverse=True)
    gate = Asking.begin(held, rng, budget=0.1)
    for _ in range(5):
        gate = gate.after(Heard(np.ones(10), LENGTH, LENGTH, 1), rng)
    assert gate.level < 0
    assert gate.enter == np.inf


def test_where_most_tries_fail_the_gate_asks_before_the_wreck_and_in_fewer_tries():
    rng = np.random.default_rng(6)
    good = [Heard(rng.random(LENGTH), LENGTH, success=True) for _ in range(30)]
    bad = [Heard(np.concatenate([rng.random(20), 100 * rng.random(40)]), LENGTH, success=False) for _ in range(30)]
    gate = Asking.begin([*good, *bad], rng, budget=0.05)
    assert gate.enter <= 1.0
    assert gate.armed == pytest.approx(0.1 / 0.5, abs=0.05)
    blind = Asking.begin([Heard(one.scores, LENGTH) for one in (*good, *bad)], rng, budget=0.05)
    assert blind.enter > 90


def test_the_starts_that_promise_most_are_asked_into_first():
    rng = np.random.default_rng(7)
    bad = [Heard(10 + rng.random(LENGTH), LENGTH, promise=i / 40) for i in range(40)]
    good = [Heard(rng.random(LENGTH), LENGTH, success=True, promise=i / 40) for i in range(40)]
    gate = Asking.begin([*bad, *good], rng, budget=0.1, random=0.0)
    assert np.isinf(gate.ask(rng, promise=0.1).enter)
    assert gate.ask(rng, promise=0.99).enter < 10


def test_control_goes_back_only_after_some_steps_of_low_score_and_agreement_past_the_trouble():
    hands = Hands(Ask(enter=1.0, leave=0.5, agree=0.1))
    hands.taken(rewound=8)
    told = []
    for apart, score in [(0.0, 0.6), (0.2, 0.1), *[(0.0, 0.1)] * 12]:
        told.append(hands.wants(step=0, left=50, score=score, human=True))
        hands.went(apart=apart, score=score)
    assert told.index("handback") == 8
    again = Hands(Ask(enter=1.0, leave=0.5, agree=0.1), takeovers=MOST_TAKEOVERS - 1)
    again.taken(rewound=0)
    for _ in range(2 * HANDBACK_STEPS):
        again.went(apart=0.0, score=0.0)
    assert again.wants(step=0, left=50, score=0.0, human=True) == ""


def test_nobody_is_asked_in_the_last_steps_nor_without_a_score():
    hands = Hands(Ask(enter=1.0, leave=0.5, agree=0.1))
    assert hands.wants(step=90, left=LAST_STEPS, score=9.0, human=False) == ""
    assert hands.wants(step=10, left=90, score=None, human=False) == ""
    assert hands.wants(step=89, left=LAST_STEPS + 1, score=9.0, human=False) == "takeover"


def test_what_cannot_be_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(TooLittle, match=f"9 tries .* {LEAST_TRIES} are needed"):
        Asking.begin(tries(rng, 9), rng, budget=0.1)
    for wrong in ({"budget": 0.0}, {"budget": 1.0}, {"budget": 0.1, "random": 1.0}, {"budget": 0.1, "agree": -1.0}):
        with pytest.raises(UsageError, match="cannot be"):
            Asking.begin(tries(rng), rng, **wrong)


def log(author, executed, intended):
    t_ns = np.arange(len(author), dtype=np.int64) * 10
    made = {"author": np.array(author, np.uint8)[:, None], "policy/uncertainty": np.arange(len(author))[:, None] * 1.0}
    made |= {"action/executed": np.array(executed)[:, None], "action/intended": np.array(intended)[:, None]}
    return {name: Stream(t_ns, values) for name, values in made.items()}


def test_a_try_tells_its_policys_scores_and_which_takeovers_were_needed():
    streams = log([0, 0, 1, 1, 0, 1], [0.0, 0.0, 1.0, 1.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0, 0.0, 0.5])
    asked = [
        {"t_ns": 20, "random": False, "score": 7.5, "rewound": 5},
        {"t_ns": 50, "random": True, "score": None, "rewound": 0},
    ]
    told = heard(streams, asked, score="policy/uncertainty", success=True)
    assert told.scores.tolist() == [0.0, 1.0, 4.0, 7.5]
    assert (told.steps, told.human_steps, told.takeovers, told.success) == (6, 3, 2, None)
    found = needed(streams, asked, half_range=np.ones(1), agree=0.1)
    assert [(found[one].needed, found[one].takeovers) for one in (False, True)] == [(1, 1), (0, 1)]
