"""The verbs about failures, on a turned wheel and on logs of a policy that acted elsewhere."""

from dataclasses import replace

import pytest

from saqiya.domain.nouns import Calibration, Deployment, Episode, Failure, FailureMode, OutcomeClaim, Source
from saqiya.domain.streams import Event
from saqiya.errors import AlreadyThere, GuardRefusal, TooLittle, UnknownId, UsageError, WorkspaceError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.failures import phases_of
from saqiya.loop.flywheel import Flywheel
from saqiya.testing import make_episode
from saqiya.triage.life import State


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Logs of two policies on one task: 40 successes and 8 failures of the first, one try of the second."""
    folder = tmp_path_factory.mktemp("logs")
    for seed in range(49):
        failed = 40 <= seed < 48
        log = make_episode(seed=seed, success=not failed, strange_from=20 if failed else None)
        said = {"task": "reach", "policy": "act" if seed < 48 else "pi", "source": "rollout"}
        McapFormat().write(replace(log, key=f"try-{seed}", metadata={**log.metadata, **said}), folder / f"{seed}.mcap")
    return folder


@pytest.fixture
def data(logs, fresh):
    with Flywheel.init(fresh / "data") as opened:
        opened.ingest(sorted(logs.iterdir()))
        yield opened


def test_every_failure_has_a_life_that_begins_with_its_detection(wheel):
    told = wheel.failures.lives()
    assert set(told.lives) == {one.id for one in wheel.store.catalog.all(Failure)}
    assert {one.chapters[0].state for one in told.lives.values()} == {State.DETECTED}


PROMOTING = """
[train.settings]
members = 3
features = 128
[bootstrap]
demonstrations = 25
[deploy]
rollouts = 60
[correct]
per_turn = 25
[evaluate]
worked = 30
regression_per_mode = 4
[gate]
n_max = 100
"""


@pytest.mark.slow
def test_starts_of_failures_are_tried_again_and_what_passes_is_verified(fresh, new_wheel):
    with Flywheel(new_wheel(fresh / "wheel", settings=PROMOTING)) as wheel:
        wheel.turn()
        assert wheel.turn().figures["decision"] == "PROMOTE"
        told = wheel.failures.lives()
        keys = [wheel.key_of(one.id) for one in wheel.store.catalog.all(Episode)]
    assert any("/recheck/" in key for key in keys)
    verified = [one for one, life in told.lives.items() if any(c.state is State.VERIFIED for c in life.chapters)]
    for one in verified:
        tries = told.tries[one]
        assert sum(fact.passed for fact in tries) >= 2
    assert verified
    assert told.fixed <= set(verified)


def test_a_turn_is_balanced(wheel):
    (row,) = wheel.failures.balances()
    assert row.turn == 1
    assert row.found == len(wheel.store.catalog.all(Failure))
    assert row.open <= row.found
    assert sum(row.modes.values()) == row.found


def test_what_a_person_dismisses_is_asked_for_no_more(wheel):
    failure = wheel.store.catalog.all(Failure)[0]
    wheel.failures.dismiss(failure.id, author="ann", reason="the cell was moved")
    assert wheel.failures.lives().lives[failure.id].state is State.DISMISSED
    with pytest.raises(UsageError, match="somebody"):
        wheel.failures.dismiss(failure.id, author=" ", reason="no")


def test_a_mode_is_renamed_with_a_word_of_the_vocabulary_only(wheel):
    mode = wheel.store.catalog.all(FailureMode)[0]
    wheel.failures.name(mode.id, "wrong_action", author="ann")
    assert {wheel.failures.lives().labels[one] for one in mode.members} == {"wrong_action"}
    assert wheel.failures.name("wrong_action", "slip", author="ann").mode == mode.id
    with pytest.raises(UsageError, match="not in the failure vocabulary"):
        wheel.failures.name(mode.id, "gremlins", author="ann")
    with pytest.raises(UsageError, match="until it has a name"):
        wheel.failures.name(mode.id, "unknown-1", author="ann")
    with pytest.raises(UnknownId):
        wheel.failures.name("failure_mode-nowhere", "slip", author="ann")


def test_a_reset_card_says_where_it_began(wheel, fresh):
    failure = wheel.store.catalog.all(Failure)[0]
    page = wheel.failures.card(failure.id, fresh / "card.html").read_text()
    start = wheel.store.catalog.get(failure.episode, Episode).start
    assert start is not None
    assert all(name.replace("_", " ") in page for name in start.factors)
    with pytest.raises(AlreadyThere):
        wheel.failures.card(failure.id, fresh / "card.html")
    with pytest.raises(WorkspaceError):
        wheel.failures.card(failure.id, fresh / "nowhere" / "card.html")


def test_logs_of_policies_become_a_deployment_each(data):
    made = data.failures.adopt()
    assert sorted(len(one.episodes) for one in made) == [1, 48]
    assert {one.mode for one in made} == {"logged"}
    assert data.failures.lives().lives == {}
    with pytest.raises(GuardRefusal, match="no policy's try"):
        data.failures.adopt()


def test_who_stood_by_a_policy_does_not_make_its_try_a_demonstration(fresh):
    folder = fresh / "logs"
    folder.mkdir()
    for seed, said in enumerate(({"source": "rollout"}, {"source": "unknown", "policy": "act"}, {"source": "unknown"})):
        log = make_episode(seed=seed)
        told = {**log.metadata, **said, "operator": "ann"}
        McapFormat().write(replace(log, key=f"try-{seed}", metadata=told), folder / f"{seed}.mcap")
    with Flywheel.init(fresh / "attended") as opened:
        opened.ingest([folder])
        assert sorted(len(one.episodes) for one in opened.failures.adopt()) == [1, 1]


def test_failures_in_logs_are_found_named_and_asked_for(data):
    big = max(data.failures.adopt(), key=lambda one: len(one.episodes))
    found = data.failures.detect(big)
    assert len(found.failures) == 8
    assert data.failures.detect(big) == found
    modes = data.failures.triage(big).modes
    assert sorted(one for mode in modes for one in mode.members) == sorted(one.id for one in found.failures)
    assert data.verify().lies == ()


def test_a_single_try_gets_no_threshold_and_says_why(data):
    small = min(data.failures.adopt(), key=lambda one: len(one.episodes))
    found = data.failures.detect(small)
    assert {one.threshold for one in found.calibrations} == {None}
    assert all(one.said for one in found.calibrations)


def test_the_detectors_are_judged_by_mode_and_the_monitor_goes_out(data, fresh):
    from saqiya import Monitor

    big = max(data.failures.adopt(), key=lambda one: len(one.episodes))
    with pytest.raises(GuardRefusal, match="no calibrated monitor"):
        data.failures.monitor(fresh / "early.safetensors")
    data.failures.detect(big)
    data.failures.triage(big)
    reports, left_out = data.failures.quality(big)
    assert reports
    assert not set(reports) & set(left_out)
    made = data.failures.monitor(fresh / "monitor.safetensors")
    assert made.detector == "any detector"
    Monitor.load(fresh / "monitor.safetensors")


def test_slices_are_looked_for_in_logs(data):
    big = max(data.failures.adopt(), key=lambda one: len(one.episodes))
    data.failures.detect(big)
    every, by_mode = data.failures.slices(big)
    assert all(one.trials <= 48 for one in every)
    assert isinstance(by_mode, dict)


def test_nobody_judges_from_too_few(data):
    catalog = data.store.catalog
    before = len(catalog.all(OutcomeClaim))
    log = make_episode(seed=90)
    facts = {name: value for name, value in log.metadata.items() if name != "outcome"}
    path = data.store.root.parent / "unjudged.mcap"
    said = {**facts, "task": "reach", "policy": "act", "source": "rollout"}
    McapFormat().write(replace(log, key="unjudged", events=(), metadata=said), path)
    data.ingest([path])
    with pytest.raises(TooLittle):
        data.failures.judge()
    assert len(catalog.all(OutcomeClaim)) == before


def test_a_shadow_needs_weights_that_are_here(data):
    from saqiya.errors import PolicyUnreadable

    big = max(data.failures.adopt(), key=lambda one: len(one.episodes))
    with pytest.raises(PolicyUnreadable, match="without weights"):
        data.failures.detect(big, beside="act")


def test_a_wheel_is_not_disturbed_by_logs_beside_it(wheel, logs):
    wheel.ingest(sorted(logs.iterdir())[:3], facts={"source": Source.ROLLOUT.value})
    made = wheel.failures.adopt()
    assert {one.decision for one in made} == {None}
    assert wheel.champion() is not None
    assert wheel.champion()[1].decision is not None
    assert wheel.config.task.scope == wheel.scope


def test_a_turn_reads_the_drift_of_the_calibration_before(wheel):
    wheel.turn()
    fused = [one for one in wheel.store.catalog.all(Calibration) if one.detector == "any detector"]
    policies = {one.policy for one in wheel.store.catalog.all(Deployment)}
    if len(policies) > 1 and fused[0].monitor is not None:
        assert fused[-1].report["drift"]["of"] == wheel.key_of(fused[0].id)


def test_phases_are_taken_in_the_order_in_which_tries_reach_them():
    def tried(*names):
        return [Event(at, f"phase/{name}") for at, name in enumerate(names)] + [Event(99, "timeout")]

    assert phases_of([tried("reach", "grasp", "lift"), tried("reach", "grasp"), tried()]) == ("reach", "grasp", "lift")
