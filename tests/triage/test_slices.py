from saqiya.triage.slices import slices_of


def trials(**cells: tuple[int, int]) -> list[tuple[dict[str, str], bool]]:
    return [({"light": name}, n < failed) for name, (failed, total) in cells.items() for n in range(total)]


def test_a_condition_that_fails_more_stands_out() -> None:
    first, *_ = slices_of(trials(dark=(12, 20), bright=(2, 40)))
    assert (first.value, first.failures, first.trials, first.rest) == ("dark", 12, 20, (2, 40))
    assert first.stands_out
    assert first.lift is not None
    assert round(first.lift, 6) == 12.0


def test_few_trials_are_not_enough_to_say() -> None:
    assert not any(item.stands_out for item in slices_of(trials(dark=(2, 3), bright=(1, 3))))


def test_what_is_least_known_comes_first_among_equals() -> None:
    found = slices_of(trials(dark=(1, 2), bright=(10, 20), dim=(10, 20)))
    assert found[0].value == "dark"


def test_many_looks_do_not_invent_a_bad_condition() -> None:
    many = [({f"factor {k}": str((n * (k + 3) + k) % 2) for k in range(20)}, n % 5 == 0) for n in range(30)]
    assert not any(item.stands_out for item in slices_of(many))


def test_q_values_never_fall_below_p_values() -> None:
    found = slices_of(trials(a=(5, 9), b=(1, 9), c=(3, 9), d=(0, 9)))
    assert all(item.q_value >= item.p_value for item in found)


def test_a_factor_with_one_value_says_nothing() -> None:
    assert slices_of(trials(dark=(2, 8))) == ()
