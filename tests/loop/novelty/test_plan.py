"""What to collect, what for, and what came of it: on a turned wheel, and on logs of policies that acted elsewhere."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.nouns import (
    Alarm,
    Calibration,
    Correction,
    CorrectionKind,
    CorrectionRequest,
    Deployment,
    Episode,
    Failure,
    Intent,
    Outcome,
    Source,
)
from saqiya.errors import GuardRefusal, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.novelty.aim import doubts
from saqiya.loop.novelty.ground import ground_of
from saqiya.loop.novelty.places import Places
from saqiya.loop.turn import LATER
from saqiya.testing import make_episode

DEMONSTRATION, TAKEOVER = CorrectionKind.DEMONSTRATION, CorrectionKind.TAKEOVER


@pytest.fixture(scope="module")
def read_once(turned_once, room):
    """A turned wheel whose last deployment was read: failures found and named."""
    path = shutil.copytree(turned_once.store.root, room / "read")
    with Flywheel(path) as wheel:
        wheel.detect()
        wheel.triage()
    return path


@pytest.fixture
def wheel(read_once, fresh):
    with Flywheel(shutil.copytree(read_once, fresh / "wheel")) as opened:
        yield opened


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Logs of one policy, every fourth of 40 tries failed, then of a later one that fails in one of 40."""
    folder = tmp_path_factory.mktemp("logs")
    for seed in range(80):
        policy, failed = ("act-1", seed % 4 == 0) if seed < 40 else ("act-2", seed == 60)
        log = make_episode(seed=seed, success=not failed, strange_from=20 if failed else None)
        said = {"task": "reach", "policy": policy, "source": "rollout"}
        McapFormat().write(
            replace(log, key=f"try-{seed}", metadata={**log.metadata, **said}), folder / f"{seed:02d}.mcap"
        )
    return folder


def read_logs(wheel, paths):
    wheel.ingest(paths)
    for one in wheel.failures.adopt():
        wheel.failures.detect(one)
        wheel.failures.triage(one)


@pytest.fixture(scope="module")
def read_logs_once(logs, room):
    path = room / "logs"
    with Flywheel.init(path) as opened:
        read_logs(opened, sorted(logs.iterdir())[:40])
    return path


@pytest.fixture
def data(read_logs_once, fresh):
    with Flywheel(shutil.copytree(read_logs_once, fresh / "data")) as opened:
        yield opened


def test_a_plan_spends_minutes_on_modes_and_says_what_it_leaves_out(wheel):
    made = wheel.pump.plan(30.0)
    failed = ground_of(wheel).failures
    assert {one.target for one in made.items} | {one.target for one in made.skipped} >= set(failed)
    assert 0.0 < sum(one.minutes for one in made.items) <= 30.0
    for one in [one for one in made.items if one.gain is not None]:
        assert one.gain.low <= one.gain.value <= one.gain.high
        assert len(one.starts) == one.count
        assert set(one.region) == set(one.starts[0].factors)
    assert wheel.pump.plan(30.0) == made


def test_starts_of_takeovers_belong_to_their_failures_and_no_start_is_asked_for_twice(wheel):
    catalog = wheel.store.catalog
    made = wheel.pump.plan(30.0)
    keys = [start.key for one in made.items for start in one.starts]
    assert len(keys) == len(set(keys))
    for item in made.items:
        for start, failure in zip(item.starts, item.failures, strict=False):
            assert catalog.get(catalog.get(failure, Failure).episode, Episode).start == start


def test_a_small_budget_buys_less(wheel):
    small, large = wheel.pump.plan(0.2), wheel.pump.plan(30.0)
    assert sum(one.count for one in small.items) < sum(one.count for one in large.items)
    assert any("too expensive" in one.reason for one in (*small.skipped, *small.items))
    dear = wheel.pump.plan(30.0, each=5.0)
    assert sum(one.count for one in dear.items) <= 6
    with pytest.raises(UsageError, match="no budget"):
        wheel.pump.plan(0.0)


def test_what_is_asked_for_by_a_plan_is_what_the_turn_serves(wheel):
    default = wheel.requests()
    assert {one.because for one in default} == {None}
    made = wheel.pump.plan(0.4)
    asked = wheel.pump.ask(made)
    assert wheel.requests() == list(asked)
    assert {one.because for one in asked} == {made.id}
    served = [one for request in wheel.requests() for one in wheel.correct(request)]
    assert len(served) == sum(one.count for one in made.items)
    assert any(one.accepted for one in served)
    wheel.pump.ask(wheel.pump.plan(0.3))
    assert {one.because for one in wheel.requests()} != {made.id}
    again = wheel.pump.ask(made)
    assert wheel.pump.ask(made) == again
    assert wheel.requests() == list(again)
    assert {one.because for one in again} == {made.id}


def test_a_turn_plans_by_minutes_where_the_settings_give_some(wheel):
    step = dict(LATER)["plan"]
    step(wheel)
    assert not wheel.pump.planned()
    settings = wheel.store.root / "saqiya.toml"
    settings.write_text(settings.read_text().replace("[correct]", "[correct]\nminutes = 0.3"))
    with Flywheel(wheel.store.root) as again:
        step(again)
        asked = again.requests()
        step(again)
        assert again.requests() == asked
        assert all(one.because for one in asked)


def test_a_deployment_that_nobody_read_is_not_planned_for(turned):
    with Flywheel(turned) as unread, pytest.raises(GuardRefusal, match="nobody named how"):
        unread.pump.plan(10.0)


def test_a_workspace_without_tries_has_nothing_to_plan(fresh):
    with Flywheel.init(fresh / "empty") as empty, pytest.raises(GuardRefusal, match="nothing was deployed"):
        empty.pump.plan(10.0)


def test_a_dismissed_mode_is_left_out_and_says_so(wheel):
    label, failures = max(ground_of(wheel).failures.items(), key=lambda one: len(one[1]))
    for one in failures:
        wheel.failures.dismiss(one.id, author="ann", reason="the cell was moved")
    (skip,) = [one for one in wheel.pump.plan(30.0).skipped if one.target == label]
    assert skip.reason.startswith("dismissed")


def near_failure(wheel):
    """Let a success of the deployment have raised an alarm, and return it."""
    catalog, ground = wheel.store.catalog, ground_of(wheel)
    one = next(e for e in ground.episodes.values() if ground.outcomes[e.id] is Outcome.SUCCESS)
    middle = (one.start_ns + one.end_ns) // 2
    alarm = Alarm(
        id=catalog.new_id("alarm"),
        episode=one.id,
        calibration=catalog.all(Calibration)[-1].id,
        start_ns=middle,
        end_ns=middle + 1,
        score=1.0,
    )
    catalog.put(alarm, key="near")
    return one, middle


def test_a_success_that_raised_an_alarm_can_be_recovered_from(wheel):
    episode, middle = near_failure(wheel)
    places = Places(ground_of(wheel))
    found = [
        one for label in ground_of(wheel).failures for one in places.of(label, CorrectionKind.RECOVERY, alone=False)[0]
    ]
    assert episode.id in {one.episode.id for one in found}
    request = CorrectionRequest(
        id=wheel.store.catalog.new_id("correction_request"),
        target="slip",
        mode=None,
        correction_kind=CorrectionKind.RECOVERY,
        count=1,
        starts=(episode.start,),
        tries=(episode.id,),
    )
    (made,) = wheel.correct(wheel.store.catalog.put(request, key="recover"))
    given = wheel.episode(made.episode)
    author = wheel.store.streams(given)["author"]
    began = author.t_ns[int(author.values.reshape(-1).argmax())]
    assert began < middle
    assert made.takeovers >= 1
    assert made.failure is None


def test_the_expert_does_not_pretend_to_know_another_strategy(wheel):
    asked = replace(
        wheel.requests()[0],
        id=wheel.store.catalog.new_id("correction_request"),
        correction_kind=CorrectionKind.STRATEGY,
    )
    kept = wheel.store.catalog.put(asked, key=wheel.key("triage/request/strategy"))
    with pytest.raises(GuardRefusal, match="another way of doing it"):
        wheel.correct(kept)
    assert kept not in wheel.requests()


def test_a_solved_target_is_refused_with_figures_until_it_is_told_twice(data):
    read_more = data.store.catalog
    with pytest.raises(GuardRefusal, match="nobody put on record"):
        data.pump.cleared("slip")
    first = data.pump.aim("slip", author="ann", minutes=5.0)
    assert "did not fail in 40 tries: at most 7.2%" in first.warnings[0]
    assert not first.insisted
    with pytest.raises(GuardRefusal, match="say it twice"):
        data.pump.cleared("slip")
    assert [one for one in read_more.all(CorrectionRequest) if one.because] == []
    second = data.pump.aim("slip", author="ann")
    assert second.insisted
    assert data.pump.cleared("slip") == second
    assert len(read_more.all(Intent)) == 2


def test_a_mode_that_fails_is_aimed_at_at_once_and_asked_for(data):
    (label,) = ground_of(data).failures
    intent = data.pump.aim(label, author="ann", minutes=5.0)
    assert intent.warnings == ()
    (asked,) = [one for one in data.store.catalog.all(CorrectionRequest) if one.because == intent.id]
    assert asked.target == label
    assert asked.count >= 10


def test_a_condition_can_be_aimed_at(data, wheel):
    intent = wheel.pump.aim("object_x=0.2..0.25", author="ann", minutes=0.2)
    (asked,) = [one for one in wheel.requests() if one.because == intent.id]
    assert asked.starts
    assert all(0.2 <= one.factors["object_x"] <= 0.25 for one in asked.starts)
    intent = data.pump.aim(
        "goal_x=-0.2..0.2",
        author="ann",
        minutes=0.2,
    )
    assert intent.warnings == ()


@pytest.mark.parametrize(("target", "author"), [("gremlins", "ann"), ("slip", " "), ("", "ann")])
def test_nonsense_is_not_aimed_at(data, target, author):
    with pytest.raises(UsageError):
        data.pump.aim(target, author=author)


def test_logs_of_a_foreign_policy_get_a_plan_with_reset_cards(data):
    made = data.pump.plan(60.0, each=2.0)
    (item,) = made.items
    assert item.correction_kind is DEMONSTRATION
    assert item.count >= 10
    assert item.cards
    assert all(card.startswith("Put goal_x") for card in item.cards)
    assert set(item.region) == {"goal_x", "goal_y"}
    assert item.minutes == pytest.approx(2.0 * item.count)
    (asked,) = data.pump.ask(made)
    assert asked.count == item.count


def test_recordings_made_elsewhere_are_credited_and_later_logs_say_what_became_of_them(data, logs, tmp_path):
    (label,) = ground_of(data).failures
    (asked,) = data.pump.ask(data.pump.plan(60.0, each=2.0))
    start = asked.starts[0]
    for number, success in enumerate((True, False)):
        log = make_episode(seed=500 + number, success=success)
        said = {"task": "reach", "source": "demonstration", "start": {"seed": 0, "factors": dict(start.factors)}}
        McapFormat().write(replace(log, metadata={**log.metadata, **said}), tmp_path / f"{number}.mcap")
    data.ingest(sorted(tmp_path.iterdir()))
    shown = [one.id for one in data.store.catalog.all(Episode) if one.source is Source.DEMONSTRATION]
    with pytest.raises(UsageError, match="who showed it"):
        data.pump.given(asked.id, shown, author="")
    made = data.pump.given(asked.id, shown, author="ann")
    assert [one.accepted for one in made] == [True, False]
    assert made[0].failure == asked.failures[0]
    assert made[0].human_steps == 40
    (row,) = data.pump.became("ann")
    assert (row.mode, row.given, row.accepted, row.before) == (label, 2, 1, (10, 40))
    assert row.said == "no later policy has been deployed yet"
    read_logs(data, sorted(logs.iterdir())[40:])
    (row,) = data.pump.became()
    assert row.after == (1, 40)
    assert row.change[2] < 0.0
    assert row.said.startswith("the mode became rarer")
    assert "is not declared" in row.said
    assert data.pump.became("bob") == ()


def test_what_the_wheel_corrected_is_followed_through_its_turns(wheel):
    rows = wheel.pump.became()
    given = [one for one in wheel.store.catalog.all(Correction) if one.failure]
    assert sum(one.given for one in rows) == len(given)
    deployed = {one.policy for one in wheel.store.catalog.all(Deployment)}
    assert len(deployed) == 1
    assert {one.said for one in rows} == {"trained on; the gate has not let that policy through"}
    assert {one.after for one in rows} == {None}


def test_a_request_named_by_hand_is_checked_and_a_fresh_one_passes(wheel):
    for one in wheel.requests():
        wheel.pump.serve(one)
    solved = replace(wheel.requests()[0], target="collision")
    tries = ground_of(wheel).counts("collision")[1]
    assert tries < 20
    wheel.pump.serve(solved)


def test_bootstrap_is_looked_at_as_it_comes_in(wheel, fresh):
    assert wheel.pump.aim("bootstrap", author="ann").warnings == ()
    demonstrations = [one for one in wheel.store.catalog.all(Episode) if one.source is Source.DEMONSTRATION]
    for number, one in enumerate(demonstrations[:9]):
        again = replace(one, id=wheel.store.catalog.new_id("episode"), operator="abc"[number % 3])
        wheel.store.catalog.put(again, key=f"more/{number}")
    wheel.pump.factors.say([one.id for one in demonstrations[:4]], {"strategy": "push"}, author="ann")
    wheel.pump.factors.say([one.id for one in demonstrations[4:8]], {"strategy": "pinch"}, author="ann")
    warned = wheel.pump.aim("bootstrap", author="ann")
    assert any("operators share" in one for one in warned.warnings)
    assert any("is mixed" in one for one in warned.warnings)
    assert wheel.pump.aim("bootstrap", author="ann").insisted


def test_a_factor_that_nobody_ever_told_of_is_not_aimed_at(data):
    with pytest.raises(UsageError, match="tells of"):
        data.pump.aim("gaol_x=-0.2..0.2", author="ann")
    with pytest.raises(UsageError, match="no range"):
        data.pump.aim("goal_x=nan..nan", author="ann")
    data.pump.factors.say([data.store.catalog.all(Episode)[0].id], {"lighting": "bright"}, author="ann")
    assert data.pump.aim("lighting=dark", author="ann").warnings == ()


@pytest.mark.parametrize("minutes", [float("inf"), float("nan"), -1.0])
def test_minutes_without_end_are_no_budget(data, minutes):
    with pytest.raises(UsageError, match="no budget"):
        data.pump.plan(minutes)
    with pytest.raises(UsageError, match="no budget"):
        data.pump.plan(10.0, each=minutes)
    with pytest.raises(UsageError, match="no budget"):
        data.pump.aim("goal_x=-0.2..0.2", author="ann", minutes=minutes)


def test_a_request_under_a_retired_word_is_judged_by_what_it_is_called_now(data):
    (label,) = ground_of(data).failures
    words = data.store.root / "vocabulary.toml"
    words.write_text(f'[retired]\ncollision = "{label}"\n')
    with Flywheel(data.store.root) as again:
        assert doubts(again, "collision") == doubts(again, label) == ()


def test_what_an_earlier_policy_failed_in_is_no_gap_once_the_policy_of_now_meets_it_well(data, logs, tmp_path):
    for number in range(5):
        log = make_episode(seed=600 + number, success=True)
        said = {"task": "reach", "source": "demonstration"}
        McapFormat().write(replace(log, metadata={**log.metadata, **said}), tmp_path / f"{number}.mcap")
    data.ingest(sorted(tmp_path.iterdir()))

    def lit():
        for one, outcome in ground_of(data).outcomes.items():
            bright = outcome is not Outcome.SUCCESS and len(ground_of(data).scope_deployments) > 1
            data.pump.factors.say([one], {"lighting": "bright" if bright else "dark"}, author="ann")
        return [one for one in data.pump.plan(600.0, each=0.1).items if one.target == "lighting=dark"]

    shown = [one.id for one in data.store.catalog.all(Episode) if one.source is Source.DEMONSTRATION]
    data.pump.factors.say(shown, {"lighting": "bright"}, author="ann")
    assert len(lit()) == 1
    read_logs(data, sorted(logs.iterdir())[40:])
    assert lit() == []


def test_a_reading_that_is_not_finite_hides_no_habit(data, tmp_path):
    for number in range(21):
        log = make_episode(seed=700 + number, success=True)
        state = log.streams["observation/state"]
        broken = np.where(np.arange(len(state.t_ns))[:, None] > 5, np.nan, state.values)
        streams = {**log.streams, "observation/state": replace(state, values=broken)} if number == 3 else log.streams
        said = {"task": "reach", "source": "demonstration", "operator": "abc"[number % 3]}
        made = replace(log, streams=streams, metadata={**log.metadata, **said})
        McapFormat().write(made, tmp_path / f"{number:02d}.mcap")
    data.ingest(sorted(tmp_path.iterdir()))
    assert any("operators share" in one for one in data.pump.aim("bootstrap", author="ann").warnings)
