"""A failure's life follows from what happened to it."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from saqiya.triage.life import Fact, Life, State, What, life

BORN = Fact(0, What.TRIAGED, "failure")


def told(*whats: What | Fact) -> Life:
    facts = [one if isinstance(one, Fact) else Fact(at, one, str(one)) for at, one in enumerate(whats, 1)]
    return life(BORN, facts)


def tries(at_ns: int, outcomes: str, *, policy: str = "p2", prints: str = "") -> list[Fact]:
    return [
        Fact(at_ns, What.TRIED, f"try-{n}", policy=policy, passed=one == "+", prints=(prints or f"{n}",))
        for n, one in enumerate(outcomes)
    ]


INTEGRATED = (What.TRIAGED, What.REQUESTED, What.CORRECTED, What.INTEGRATED)


def test_a_failure_walks_through_its_states() -> None:
    found = told(*INTEGRATED, *tries(9, "+++++"), Fact(10, What.QUIET, "deployment"))
    assert [one.state for one in found.chapters] == [
        State.DETECTED,
        State.TRIAGED,
        State.REQUESTED,
        State.CORRECTED,
        State.INTEGRATED,
        State.VERIFIED,
        State.CLOSED,
    ]
    assert not found.open


def test_four_passes_are_luck_and_five_are_not() -> None:
    assert told(*INTEGRATED, *tries(9, "++++")).state is State.INTEGRATED
    assert told(*INTEGRATED, *tries(9, "+++++")).state is State.VERIFIED


def test_one_failed_try_needs_more_passes() -> None:
    assert told(*INTEGRATED, *tries(9, "-++++++")).state is State.INTEGRATED
    assert told(*INTEGRATED, *tries(9, "-+++++++")).state is State.VERIFIED


def test_two_tries_that_repeat_each_other_say_as_much_as_any_number() -> None:
    assert told(*INTEGRATED, *tries(9, "++", prints="same")).state is State.VERIFIED
    assert told(*INTEGRATED, *tries(9, "+", prints="same")).state is State.INTEGRATED


def test_passes_under_different_policies_do_not_add_up() -> None:
    mixed = [*tries(9, "+++", policy="p2"), *tries(9, "++", policy="p3")]
    assert told(*INTEGRATED, *mixed).state is State.INTEGRATED


def test_a_failure_that_its_neighbours_corrections_fixed_is_verified_too() -> None:
    found = told(What.TRIAGED, *tries(9, "+++++"))
    assert [one.state for one in found.chapters] == [State.DETECTED, State.TRIAGED, State.VERIFIED]


def test_a_fixed_failure_that_comes_back_reopens_with_its_history() -> None:
    found = told(*INTEGRATED, *tries(9, "+++++"), Fact(10, What.QUIET, "d"), Fact(11, What.RETURNED, "f2", "as f2"))
    assert (found.state, found.reopened, found.open) == (State.TRIAGED, 1, True)
    assert [one.state for one in found.chapters][-2:] == [State.CLOSED, State.TRIAGED]
    assert "as f2" in found.chapters[-1].because


def test_a_start_that_fails_again_under_a_later_policy_reopens_it() -> None:
    found = told(*INTEGRATED, *tries(9, "+++++"), *tries(10, "-", policy="p3"))
    assert (found.state, found.reopened) == (State.TRIAGED, 1)


def test_one_unlucky_try_among_many_does_not_reopen_it() -> None:
    assert told(*INTEGRATED, *tries(9, "+++++"), *tries(10, "-")).state is State.VERIFIED


def test_what_a_person_dismissed_stays_so() -> None:
    found = told(What.TRIAGED, Fact(2, What.DISMISSED, "d", "ann: the cell was being moved"), What.REQUESTED)
    assert (found.state, found.open) == (State.DISMISSED, False)
    assert "ann" in found.chapters[-1].because


facts = st.lists(
    st.builds(
        Fact,
        st.integers(0, 50),
        st.sampled_from(What),
        st.text("abc", min_size=1, max_size=2),
        policy=st.sampled_from(["p1", "p2"]),
        passed=st.booleans(),
    ),
    max_size=30,
)


@given(facts, st.randoms())
def test_the_order_in_which_facts_are_read_changes_nothing(found: list[Fact], luck: object) -> None:
    one_each = list({(fact.at_ns, fact.what): fact for fact in found}.values())
    shuffled = one_each.copy()
    luck.shuffle(shuffled)  # type: ignore[attr-defined]
    assert life(BORN, one_each) == life(BORN, shuffled)


@given(facts)
def test_time_never_runs_backwards_and_only_a_return_steps_back(found: list[Fact]) -> None:
    told_life = life(BORN, found)
    order = list(State)
    back = 0
    for before, after in itertools.pairwise(told_life.chapters):
        assert before.since_ns <= after.since_ns
        back += order.index(after.state) < order.index(before.state)
    assert back == told_life.reopened
