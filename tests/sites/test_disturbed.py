"""What a disturbed site does, and what it keeps to itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Source
from saqiya.errors import SiteFault, UsageError
from saqiya.loop.tries.rollout import Try, run_try
from saqiya.sites.disturbed import CAUSES, ROUGH, Disturbed
from saqiya.sites.tiny import Tiny


def tried(cause: str | None, start_seed: int, **settings: Any) -> Try:
    cell = Disturbed(Tiny(), cause, seed=4, **settings)
    start = cell.sample_start(start_seed, region=0.5)
    return run_try(cell, Roll("one", start, Source.ROLLOUT), policy=None, operator=cell.expert(start_seed), facts={})


def same(one: Try, other: Try) -> bool:
    a, b = one.log.streams, other.log.streams
    return set(a) == set(b) and all(np.array_equal(a[name].values, b[name].values) for name in a)


@pytest.mark.parametrize("cause", CAUSES)
def test_equal_seeds_give_equal_tries_and_each_cause_changes_them(cause: str) -> None:
    pairs = [(tried(cause, seed), tried(None, seed)) for seed in range(6)]
    assert all(same(disturbed, tried(cause, seed)) for seed, (disturbed, _) in enumerate(pairs))
    assert sum(not same(disturbed, nominal) for disturbed, nominal in pairs) >= 3


@pytest.mark.parametrize("cause", CAUSES)
def test_no_log_names_the_cause(cause: str) -> None:
    log = tried(cause, 3).log
    told = repr((sorted(log.streams), log.events, log.metadata)).lower()
    assert not any(word in told for name in CAUSES for word in name.split("_") if word not in {"start"})


def test_without_a_cause_nothing_is_changed() -> None:
    site = Tiny()
    start = site.sample_start(1)
    roll = Roll("one", start, Source.ROLLOUT)
    plain = run_try(site, roll, policy=None, operator=site.expert(1), facts={})
    cell = Disturbed(site)
    assert same(plain, run_try(cell, roll, policy=None, operator=cell.expert(1), facts={}))


def test_a_shifted_start_lies_outside_what_training_covers() -> None:
    cell = Disturbed(Tiny(), "shifted_start", covered=0.5)
    for seed in range(30):
        shares = [
            abs(float(value) - sum(cell.spec.factors[name]) / 2) / (np.ptp(cell.spec.factors[name]) / 2)
            for name, value in cell.sample_start(seed).factors.items()
        ]
        assert 0.5 < max(shares) <= 1.0


def test_a_bias_is_in_what_is_seen_and_logged_and_not_in_the_world() -> None:
    site = Tiny()
    cell = Disturbed(site, "perception_bias", seed=1)
    start = cell.sample_start(5)
    seen, true = cell.reset(start).observation, site.reset(start).observation
    off = seen["puck"] - true["puck"]
    assert 0.0 < np.hypot(*off) <= 0.07
    assert np.array_equal(seen["goal"], true["goal"])


def test_the_log_keeps_the_command_when_the_jaws_give_way() -> None:
    slipped = [tried("gripper_slip", seed) for seed in range(6)]
    assert all(
        one.log.streams["action/executed"].values.shape == one.log.streams["action/operator"].values.shape
        and np.array_equal(one.log.streams["action/executed"].values, one.log.streams["action/operator"].values)
        for one in slipped
    )
    held = [one.log.streams["contact/held"].values[:, 0] for one in slipped]
    assert any((np.diff(values) < 0).sum() > 1 for values in held)


def test_a_rough_site_shakes_every_action_alike_each_time_and_the_log_keeps_the_command() -> None:
    start, command = Tiny().sample_start(2), np.array([0.3, 0.2, 0.0])

    def path(seed: int) -> list[list[float]]:
        cell = Disturbed(Tiny(), ROUGH, seed=seed)
        cell.reset(start)
        return [cell.step(command).observation["hand"].tolist() for _ in range(12)]

    assert path(4) == path(4) != path(5)
    executed = [tried(ROUGH, seed).log.streams["action/executed"].values for seed in range(3)]
    wanted = [tried(ROUGH, seed).log.streams["action/operator"].values for seed in range(3)]
    assert all(np.array_equal(a, np.clip(b, -1, 1)) for a, b in zip(executed, wanted, strict=True))


def test_on_a_rough_site_the_expert_recovers_from_what_befalls_it() -> None:
    cell = Disturbed(Tiny(), ROUGH, seed=4, patience=2.0)
    rolls = [Roll(str(seed), cell.sample_start(seed), Source.DEMONSTRATION) for seed in range(20)]
    done = [run_try(cell, roll, policy=None, operator=cell.expert(0), facts={}) for roll in rolls]
    assert sum(one.success for one in done) >= 18


def test_patience_moves_the_time_out() -> None:
    assert Disturbed(Tiny(), patience=2.0).spec.horizon_steps == 2 * Tiny().spec.horizon_steps


def test_an_unknown_cause_is_refused() -> None:
    with pytest.raises(UsageError, match="no cause 'gremlins'"):
        Disturbed(Tiny(), "gremlins")


def test_a_restored_try_is_disturbed_as_it_was_before():
    site = Disturbed(Tiny(), "gripper_slip", seed=3)
    start = site.sample_start(5)
    site.reset(start)
    actions = np.random.default_rng(0).uniform(-1, 1, (20, len(site.spec.action_low)))
    for action in actions[:8]:
        site.step(action)
    saved = site.snapshot()
    first = [site.step(action).observation for action in actions[8:]]
    site.reset(site.sample_start(6))
    site.restore(saved)
    second = [site.step(action).observation for action in actions[8:]]
    assert all(np.array_equal(a[name], b[name]) for a, b in zip(first, second, strict=True) for name in a)


def test_a_snapshot_of_another_site_is_refused():
    site = Disturbed(Tiny(), seed=3)
    site.reset(site.sample_start(5))
    bare = Tiny()
    bare.reset(bare.sample_start(5))
    with pytest.raises(SiteFault, match="not taken here"):
        site.restore(bare.snapshot())
