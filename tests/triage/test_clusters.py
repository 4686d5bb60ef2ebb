from __future__ import annotations

import numpy as np
import pytest

from saqiya.triage.clusters import KnownMode, find_modes, stability

CENTRES = {"a": (3.0, 0.0, 0.0, 1.0, 0.0), "b": (0.0, 3.0, 0.0, -1.0, 2.0), "c": (0.0, 0.0, 3.0, 1.0, -2.0)}


def drawn(causes: str, n: int, *, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"{c}{index}": np.array(CENTRES[c]) + rng.normal(0.0, 0.3, 5) for c in causes for index in range(n)}


def causes_of(members) -> set[str]:
    return {one[0] for one in members}


@pytest.fixture(scope="module")
def rows():
    return drawn("ab", 30)


@pytest.fixture(scope="module")
def found(rows):
    return find_modes(rows)


def test_failures_of_one_kind_make_one_mode(found):
    assert [causes_of(mode.members) for mode in found.modes] in ([{"a"}, {"b"}], [{"b"}, {"a"}])
    assert len(found.alone) < 6
    assert all(mode.medoid in mode.members and mode.known == "" for mode in found.modes)


def test_every_failure_is_in_one_mode_or_alone(rows, found):
    told = [one for mode in found.modes for one in mode.members] + list(found.alone)
    assert sorted(told) == sorted(rows)


def test_neither_ids_nor_order_matter(rows, found):
    renamed = {f"x{100 - index}": row for index, row in enumerate(reversed(rows.values()))}
    back = dict(zip(reversed(rows), renamed, strict=True))
    again = find_modes(renamed)
    assert {frozenset(mode.members) for mode in again.modes} == {
        frozenset(back[one] for one in mode.members) for mode in found.modes
    }


def test_new_failures_join_their_earlier_mode_and_a_new_cause_becomes_a_mode_of_its_own(rows, found):
    known = [KnownMode(f"mode-{mode.members[0][0]}", mode.members) for mode in found.modes]
    later = {f"{name}'": row for name, row in drawn("abc", 12, seed=1).items()}
    again = find_modes({**rows, **later}, known)
    by_known = {mode.known: mode for mode in again.modes}
    assert {"mode-a", "mode-b", ""} == set(by_known)
    assert causes_of(by_known["mode-a"].members) == {"a"}
    assert causes_of(by_known["mode-b"].members) == {"b"}
    assert causes_of(by_known[""].members) == {"c"}
    assert len(by_known[""].members) >= 5
    assert not {one for mode in again.modes for one in mode.members} & set(rows)


def test_a_few_failures_make_no_mode(rows):
    few = dict(list(rows.items())[:4])
    assert find_modes(few).modes == ()
    assert find_modes(few).alone == tuple(few)
    assert find_modes({}).modes == ()


def test_nothing_new_leaves_earlier_modes_without_new_members(rows):
    assert find_modes(rows, [KnownMode("all", tuple(rows))]).modes == ()


def test_clear_kinds_are_found_again_in_every_sample(rows):
    assert stability(rows, seed=0, draws=1) > 0.5
