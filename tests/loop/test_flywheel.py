from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Decision,
    Episode,
    EvaluationPlan,
    GateDecision,
    Policy,
    Role,
    Suite,
    Trial,
)
from saqiya.errors import ConfigError, GuardRefusal, Leakage, PolicyUnreadable, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.mix import stage as mix

TIMES = {"cycle_s", "own_share", "busy_share", "seconds"}


def figures(wheel):
    return [{name: value for name, value in turn.figures.items() if name not in TIMES} for turn in wheel.turns()]


def versions(wheel):
    return [one.manifest_hash for one in wheel.store.catalog.all(DatasetVersion)]


@pytest.mark.slow
def test_equal_seeds_give_equal_turns_and_other_seeds_do_not(turned_once, fresh, new_wheel):
    with Flywheel(new_wheel(fresh / "same")) as wheel:
        wheel.turn()
        wheel.turn()
        assert (versions(wheel), figures(wheel)) == (versions(turned_once), figures(turned_once))
    with Flywheel(new_wheel(fresh / "other", seed=1)) as wheel:
        wheel.turn()
        assert versions(wheel)[0] != versions(turned_once)[0]


def test_the_first_policy_goes_through_as_initial_and_spends_nothing(turned_once):
    first = turned_once.store.catalog.all(GateDecision)[0]
    assert (first.decision, first.champion, first.evaluation, first.alpha_spent) == (Decision.INITIAL, None, None, 0.0)


def test_every_turn_is_chained_to_the_one_before(turned_once):
    catalog = turned_once.store.catalog
    for before, after in pairwise(turned_once.turns()):
        assert catalog.get(after.dataset, DatasetVersion).parent == catalog.get(before.policy, Policy).dataset
        assert catalog.get(after.decision, GateDecision).champion == before.policy
        deployed = [catalog.get(one, Episode) for one in catalog.get(after.deployment).episodes]
        assert {one.policy for one in deployed} == {after.policy}


def test_evaluation_starts_are_never_trained_on(turned_once):
    catalog = turned_once.store.catalog
    trained = {
        catalog.get(entry.episode, Episode).start.key
        for version in catalog.all(DatasetVersion)
        for entry in version.entries
    }
    tested = {
        slot.start.key for plan in catalog.all(EvaluationPlan) for slot in plan.slots if slot.suite is Suite.SUPERIORITY
    }
    assert trained
    assert tested
    assert trained.isdisjoint(tested)


def test_every_slot_has_at_most_one_trial_and_every_trial_its_slots_policy(turned_once):
    catalog = turned_once.store.catalog
    (plan,) = catalog.all(EvaluationPlan)
    trials = catalog.all(Trial)
    assert len({trial.slot for trial in trials}) == len(trials) > 0
    for trial in trials:
        assert catalog.get(trial.episode, Episode).policy == plan.slots[trial.slot].arm
        assert catalog.get(trial.episode, Episode).start == plan.slots[trial.slot].start


def test_every_correction_answers_a_request_with_a_target(turned_once):
    catalog = turned_once.store.catalog
    for correction in catalog.all(Correction):
        request = catalog.get(correction.request, CorrectionRequest)
        assert request.target
        assert catalog.get(correction.episode, Episode).start in request.starts


def test_a_mix_with_an_evaluation_start_is_refused(turned):
    with Flywheel(turned) as wheel:
        corrections = wheel.store.catalog.all(Correction)
        start = wheel.episode(corrections[0].episode).start
        before = wheel.store.catalog.count()
        with pytest.raises(Leakage):
            mix.run(wheel.store, corrections, parent=None, evaluation=[start], note="", key="leaky")
        assert wheel.store.catalog.count() == before


def decided(wheel, decision):
    """Let the gate have said `decision` about a candidate whose mix holds the corrections of this turn."""
    catalog = wheel.store.catalog
    version = wheel.mix()
    candidate = wheel.train(version)
    said = GateDecision(
        id=catalog.new_id("gate_decision"),
        decision=decision,
        candidate=candidate.id,
        champion=wheel.champion()[0].id,
        evaluation=None,
        alpha_spent=0.0,
        reasons=("said by a test",),
    )
    wheel.deploy(catalog.put(said, key=wheel.key("decision")))
    wheel.close_turn()
    return {entry.episode for entry in version.entries if entry.role is Role.CORRECTION}


@pytest.fixture
def corrected(turned):
    with Flywheel(turned) as wheel:
        wheel.detect()
        wheel.triage()
        for request in wheel.requests():
            wheel.correct(request)
        yield wheel


@pytest.mark.parametrize(
    ("decision", "kept"), [(Decision.REJECT, False), (Decision.HOLD, True), (Decision.PROMOTE, True)]
)
def test_what_was_new_in_a_rejected_mix_is_in_no_later_one(corrected, decision, kept):
    fresh = decided(corrected, decision)
    mixed = {entry.episode for entry in corrected.mix().entries}
    assert fresh
    assert mixed & fresh == (fresh if kept else set())


@pytest.mark.parametrize("decision", [Decision.REJECT, Decision.HOLD])
def test_a_candidate_that_is_not_promoted_leaves_the_champion(corrected, decision):
    champion = corrected.champion()[0]
    decided(corrected, decision)
    assert corrected.champion()[0] == champion
    assert corrected.turns()[-1].policy == champion.id


def test_the_drill_is_refused_before_anything_is_deployed(fresh, new_wheel):
    from saqiya.loop.drill import drill

    with Flywheel(new_wheel(fresh / "wheel")) as wheel, pytest.raises(GuardRefusal, match="champion"):
        drill(wheel, count=5)


@pytest.mark.parametrize("spoil", ["shape", "missing"])
def test_a_policy_file_whose_arrays_do_not_fit_is_unreadable(turned, spoil):
    with Flywheel(turned) as wheel:
        weights = wheel.store.objects.path(wheel.champion()[0].weights)
        arrays = load_file(weights)
        largest = max(arrays, key=lambda name: arrays[name].size)
        if spoil == "missing":
            del arrays[largest]
        else:
            arrays[largest] = np.ascontiguousarray(arrays[largest][..., :-1])
        weights.unlink()
        save_file(arrays, weights)
        with pytest.raises(PolicyUnreadable):
            wheel.turn()
        assert wheel.number == 2


def test_a_folder_without_its_settings_is_named(turned):
    (turned / "saqiya.toml").unlink()
    with Flywheel(turned) as wheel, pytest.raises(ConfigError, match=r"saqiya\.toml"):
        wheel.turn()


def test_making_a_workspace_twice_is_refused_and_changes_nothing(turned):
    before = (turned / "saqiya.toml").read_text()
    with pytest.raises(UsageError, match="already"):
        Flywheel.init(turned, site="tiny")
    assert (turned / "saqiya.toml").read_text() == before


def test_a_folder_whose_making_was_cut_off_can_be_made_into_a_workspace(fresh):
    Flywheel.init(fresh / "wheel", site="tiny", trainer="ridge").close()
    (fresh / "wheel" / "workspace.json").unlink()
    with Flywheel.init(fresh / "wheel", site="tiny", trainer="ridge") as wheel:
        assert wheel.config.train.trainer == "ridge"
        assert wheel.number == 0


def test_another_task_in_a_turned_workspace_is_refused(turned):
    config = turned / "saqiya.toml"
    config.write_text(config.read_text().replace('criterion = "', 'criterion = "another-'))
    with Flywheel(turned) as wheel, pytest.raises(ConfigError, match="has turned for"):
        wheel.turn()
