from types import SimpleNamespace

import numpy as np
import pytest
from tests.loop.watched import POLICY, Fades, carried_on, fitted_on, one_try, scored

from saqiya import plugins
from saqiya.domain.contracts import Lesson, Roll
from saqiya.domain.nouns import Source
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.tries.crew import Crew, PolicySource, Task
from saqiya.loop.tries.monitor import Monitor, write_monitor
from saqiya.sites.tiny import Tiny
from saqiya.stores import tensors


@pytest.fixture(scope="module")
def made():
    normal = [one_try(seed).log for seed in range(12)]
    fitted = fitted_on(normal)
    return SimpleNamespace(fitted=fitted, carried=carried_on(fitted, normal), normal=normal)


def guarded(made, *, seed=300, good_n=20, on_alarm="mark", operator=False, **how):
    site = Tiny()
    expert = site.expert(1) if operator else None
    monitor = Monitor(made.carried, on_alarm=on_alarm)
    return one_try(seed, good_n=good_n, site=site, monitor=monitor, operator=expert, **how)


def named(log, prefix):
    return [event for event in log.events if event.name.startswith(prefix)]


def executed(log):
    return log.streams["action/executed"].values


def test_a_monitor_that_marks_changes_nothing_but_the_log(made):
    alone, beside = one_try(300, good_n=20).log, guarded(made).log
    assert beside.streams.keys() - alone.streams.keys() == {"monitor/score"}
    for name, stream in alone.streams.items():
        assert np.array_equal(beside.streams[name].values, stream.values), name
    assert [event for event in beside.events if not event.name.startswith("alarm/")] == list(alone.events)
    assert named(beside, "alarm/")
    assert guarded(made).log.events == beside.events


def test_what_it_says_while_the_try_runs_is_what_the_log_says_afterwards(made):
    log, fusion = guarded(made).log, made.carried.fusion
    tried = scored(made.fitted, log)
    fused = fusion.score(tried.parts, tried.phases)
    online = log.streams["monitor/score"]
    at = np.searchsorted(online.t_ns, np.round(fused.t_s * 1e9).astype(np.int64) + log.span.start_ns)
    assert online.values[at, 0].tolist() == pytest.approx(fused.scores.tolist(), rel=1e-9)
    first_s = fused.t_s[np.argmax(fused.scores > fusion.threshold)]
    alarm = named(log, "alarm/")[0]
    assert (alarm.t_ns - log.span.start_ns) / 1e9 == pytest.approx(first_s)
    assert f"since {first_s:.2f} s" in alarm.detail


def test_where_it_asks_for_a_takeover_the_operator_acts_from_that_step_on(made):
    done = guarded(made, on_alarm="takeover", operator=True)
    streams, (taken,) = done.log.streams, named(done.log, "takeover")
    assert (done.success, done.takeovers, done.log.metadata["takeovers"]) == (True, 1, 1)
    after = streams["author"].t_ns >= taken.t_ns
    assert np.array_equal(streams["author"].values[:, 0] == 1, after)
    assert np.array_equal(streams["action/executed"].values[after], streams["action/operator"].values)
    assert done.human_steps == after.sum() > 0
    assert named(done.log, "alarm/")[0].t_ns == taken.t_ns
    assert done.log.metadata["outcome"] == "success"


def test_with_nobody_there_a_request_for_a_takeover_is_a_mark(made):
    done = guarded(made, on_alarm="takeover")
    assert (done.takeovers, named(done.log, "takeover"), done.log.events[-1].name) == (0, [], "timeout")
    assert np.array_equal(executed(done.log), executed(one_try(300, good_n=20).log))


def test_with_nobody_there_a_pause_moves_nothing_any_more(made):
    done = guarded(made, on_alarm="pause")
    (paused,), alarm = named(done.log, "pause"), named(done.log, "alarm/")[0]
    assert paused.t_ns == alarm.t_ns == done.log.span.end_ns - 1
    assert done.log.streams["action/executed"].t_ns[-1] < paused.t_ns
    assert (done.success, done.takeovers, done.human_steps, done.log.metadata["outcome"]) == (False, 0, 0, "aborted")
    assert done.log.events[-1].name == "abort"


def test_at_a_paused_robot_an_operator_takes_over(made):
    done = guarded(made, on_alarm="pause", operator=True)
    assert (done.success, done.takeovers, done.log.events[-1].name) == (True, 1, "success")


def test_an_operator_is_not_called_to_a_good_try(made):
    done = guarded(made, seed=400, good_n=10_000, on_alarm="takeover", operator=True)
    assert (done.success, done.takeovers, done.human_steps) == (True, 0, 0)


def test_a_monitor_of_another_policy_or_without_threshold_is_in_the_log(made):
    stale = guarded(made, facts={"policy": "turn-3/policy"}).log
    assert [(event.name, event.detail) for event in named(stale, "monitor/")] == [
        ("monitor/stale", f"it was calibrated for {POLICY}")
    ]
    silent = one_try(300, monitor=Monitor(carried_on(made.fitted, made.normal, calibrate_n=4))).log
    assert [event.name for event in named(silent, "monitor/")] == ["monitor/silent"]


def test_a_shadow_beside_it_is_shown_too(made):
    site = Tiny()
    log = one_try(300, good_n=20, site=site, monitor=Monitor(made.carried), shadows={"other": Fades(site)}).log
    assert np.array_equal(log.streams["monitor/score"].values, guarded(made).log.streams["monitor/score"].values)
    assert "shadow/other/action" in log.streams


@pytest.fixture
def ridge(tmp_path):
    """A policy of the trainer without torch, in its file."""
    lessons = []
    for index in range(6):
        log = one_try(index).log
        actions = log.streams["action/executed"].values
        seen = [log.streams[f"observation/{name}"].values[: len(actions)] for name in Fades.spec.observation]
        lessons.append(Lesson(np.concatenate(seen, axis=1), actions, np.ones(len(actions)), index))
    trainer = plugins.load("saqiya.trainers", "ridge")()
    trained = trainer.fit(
        lessons, Fades.spec, settings={"features": 32.0, "members": 2.0}, seed=0, progress=lambda *_: None
    )
    (tmp_path / "policy").write_bytes(tensors.encode(trained.tensors))
    return PolicySource(tmp_path / "policy", "ridge", trained.spec)


def test_a_crew_runs_shadow_and_monitor_and_calls_the_expert(made, ridge, tmp_path):
    write_monitor(tmp_path / "monitor", made.carried)
    roll = Roll("try/1", Tiny().sample_start(1), Source.ROLLOUT, on_alarm="takeover")
    task = Task(roll, ridge, tmp_path / "try.mcap", {"policy": POLICY}, {"next": ridge}, tmp_path / "monitor")
    with Crew("tiny", workers=0) as crew:
        (ran,) = crew.run([task])
        (again,) = crew.run([Task(roll, ridge, tmp_path / "again.mcap", task.facts, task.shadows, task.monitor)])
    assert ran.fault is None
    assert ran.takeovers == again.takeovers == 1
    assert (tmp_path / "try.mcap").read_bytes() == (tmp_path / "again.mcap").read_bytes()
    (log,) = McapFormat().read(tmp_path / "try.mcap")
    assert {"monitor/score", "shadow/next/action", "shadow/next/uncertainty", "policy/chunk"} <= log.streams.keys()
