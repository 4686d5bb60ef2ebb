from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.contracts import Action, Roll, Takeover
from saqiya.domain.nouns import PolicySpec, Source
from saqiya.errors import SiteFault
from saqiya.loop.tries.rollout import Control, run_try, steer
from saqiya.sites.tiny import Tiny


class Lean:
    """A policy that leans on one joint for ever; three members that nearly agree."""

    spec = PolicySpec(
        observation={"hand": 5, "puck": 2, "goal": 2}, action=3, rate_hz=20.0, chunk=4, execute=2, embodiment="arm"
    )

    def reset(self, seed):
        self.asked = 0

    def act(self, observation):
        self.asked += 1
        samples = np.full((3, 4, 3), 0.2) + np.array([-0.1, 0.0, 0.1])[:, None, None]
        return Action(chunk=samples.mean(axis=0), samples=samples)


class Clumsy:
    """An operator that does nothing for its first steps, then hands over to the expert."""

    name = "clumsy"

    def __init__(self, site, idle):
        self.expert, self.idle = site.expert(0), idle

    def act(self, observation):
        self.idle -= 1
        return np.array([0.0, 0.0, -1.0]) if self.idle >= 0 else self.expert.act(observation)


def roll(**how):
    start = Tiny().sample_start(5, region=0.2)
    return Roll(**{"key": "try/1", "start": start, "source": Source.ROLLOUT, **how})


def failed(steps=40):
    """The log of a policy's failed try, and a takeover shortly before its end."""
    site = Tiny()
    log = run_try(site, roll(policy="p"), policy=Lean(), operator=None, facts={}).log
    executed = log.streams["action/executed"]
    seen = {n.removeprefix("observation/"): s.values[steps] for n, s in log.streams.items() if n.startswith("obs")}
    return log, Takeover(actions=executed.values, step=steps, arrived=seen, earlier=10, attempts=3)


def corrected(takeover, operator=None):
    site = Tiny()
    made = roll(policy="p", source=Source.CORRECTION, takeover=takeover)
    return run_try(site, made, policy=Lean(), operator=operator or site.expert(1), facts={})


@pytest.mark.parametrize(
    ("control", "signal", "then"),
    [
        (Control.AUTONOMOUS, "takeover", Control.PAUSED),
        (Control.PAUSED, "recover", Control.RECOVERY),
        (Control.RECOVERY, "correct", Control.CORRECTION),
        (Control.PAUSED, "correct", Control.CORRECTION),
        (Control.CORRECTION, "handback", Control.AUTONOMOUS),
        (Control.RECOVERY, "handback", Control.AUTONOMOUS),
        (Control.AUTONOMOUS, "correct", Control.AUTONOMOUS),
        (Control.AUTONOMOUS, "recover", Control.AUTONOMOUS),
        (Control.CORRECTION, "takeover", Control.CORRECTION),
    ],
)
def test_control_changes_hands_by_signal_only(control, signal, then):
    assert steer(control, signal) is then


def test_a_try_of_t_steps_has_one_observation_more_than_actions():
    site = Tiny()
    done = run_try(site, roll(), policy=None, operator=site.expert(0), facts={"task": "carry"})
    streams = done.log.streams
    steps = len(streams["action/executed"].t_ns)
    assert done.success
    assert steps == done.human_steps < site.spec.horizon_steps
    assert {len(s.t_ns) for n, s in streams.items() if n.startswith(("observation", "contact"))} == {steps + 1}
    assert {len(s.t_ns) for n, s in streams.items() if n.startswith(("action", "author"))} == {steps}
    assert np.array_equal(streams["observation/hand"].t_ns[:-1], streams["action/executed"].t_ns)
    assert done.log.events[-1].name == "success"
    assert done.log.metadata["task"] == "carry"


def test_a_policys_try_says_who_acted_and_how_sure_it_was():
    policy = Lean()
    done = run_try(Tiny(), roll(policy="p"), policy=policy, operator=None, facts={})
    streams = done.log.streams
    assert (done.success, done.human_steps, done.log.events[-1].name) == (False, 0, "timeout")
    assert policy.asked == Tiny.spec.horizon_steps / 2
    assert "action/operator" not in streams
    assert not streams["author"].values.any()
    assert np.array_equal(streams["action/intended"].values, streams["action/executed"].values)
    assert streams["policy/uncertainty"].values == pytest.approx(np.std([0.1, 0.2, 0.3]))


def test_what_a_policy_says_ahead_is_logged_when_it_says_it():
    chunks = run_try(Tiny(), roll(policy="p"), policy=Lean(), operator=None, facts={}).log.streams["policy/chunk"]
    assert (chunks.values.shape, chunks.values.dtype) == ((Tiny.spec.horizon_steps // 2, 4, 3), np.float32)
    assert np.all(np.diff(chunks.t_ns) == 100_000_000)
    assert chunks.values == pytest.approx(0.2)


def test_a_policy_that_carries_out_all_it_says_has_nothing_ahead():
    class Blunt(Lean):
        spec = replace(Lean.spec, execute=4)

    assert "policy/chunk" not in run_try(Tiny(), roll(), policy=Blunt(), operator=None, facts={}).log.streams


def test_a_chunk_of_another_shape_than_the_spec_says_is_named():
    class Short(Lean):
        spec = replace(Lean.spec, chunk=5)

    with pytest.raises(SiteFault, match=r"chunk of \(4, 3\), and its spec says \(5, 3\)"):
        run_try(Tiny(), roll(), policy=Short(), operator=None, facts={})


class Other(Lean):
    """Wants something else, has no members, and is asked for one action at a time."""

    spec = replace(Lean.spec, chunk=1, execute=1)

    def act(self, observation):
        return Action(chunk=np.full((1, 3), -0.5))


def test_a_shadow_says_what_it_would_have_done_and_moves_nothing():
    alone = run_try(Tiny(), roll(), policy=Lean(), operator=None, facts={}).log.streams
    shadows = {"next": Other(), "twin": Lean()}
    beside = run_try(Tiny(), roll(), policy=Lean(), operator=None, facts={}, shadows=shadows).log.streams
    assert beside.keys() - alone.keys() == {"shadow/next/action", "shadow/twin/action", "shadow/twin/uncertainty"}
    for name, stream in alone.items():
        assert np.array_equal(beside[name].values, stream.values), name
    assert np.array_equal(beside["shadow/next/action"].t_ns, alone["action/executed"].t_ns)
    assert (beside["shadow/next/action"].values == -0.5).all()
    assert np.array_equal(beside["shadow/twin/uncertainty"].values, alone["policy/uncertainty"].values)


def test_what_the_policy_wanted_and_what_the_operator_did_are_kept_apart():
    done = corrected(failed()[1])
    streams = done.log.streams
    author = streams["author"].values[:, 0]
    assert (done.success, done.takeovers, done.human_steps) == (True, 1, int(author.sum()))
    assert not author[:40].any()
    assert author[40:].all()
    assert np.array_equal(streams["action/operator"].t_ns, streams["author"].t_ns[author == 1])
    assert np.array_equal(streams["action/intended"].t_ns, streams["action/executed"].t_ns)
    assert np.array_equal(streams["action/operator"].values, streams["action/executed"].values[40:])
    assert not np.array_equal(streams["action/intended"].values[40:], streams["action/executed"].values[40:])


def test_the_replay_is_the_failed_try_bit_for_bit():
    log, takeover = failed()
    again = corrected(takeover).log.streams
    for name in ("observation/hand", "observation/puck", "action/executed", "contact/force"):
        assert np.array_equal(again[name].values[:40], log.streams[name].values[:40])


def test_a_replay_that_ends_elsewhere_is_void():
    takeover = failed()[1]
    elsewhere = Takeover(takeover.actions, takeover.step, {"hand": takeover.arrived["hand"] + 1e-9}, 10, 3)
    done = corrected(elsewhere)
    assert "does not repeat itself" in done.void
    assert done.human_steps == 0


def test_a_failed_attempt_leaves_no_trace_in_the_log_but_its_cost():
    site = Tiny()
    horizon = site.spec.horizon_steps
    start = roll(policy="p", source=Source.CORRECTION, takeover=failed()[1])
    done = run_try(site, start, policy=Lean(), operator=Clumsy(site, horizon), facts={})
    streams = done.log.streams
    author = streams["author"].values[:, 0]
    assert (done.success, done.takeovers) == (True, 2)
    assert not author[:30].any()
    assert author[30:].all()
    assert done.human_steps == horizon + int(author.sum())
    for name, stream in streams.items():
        period_ns = (2 if name == "policy/chunk" else 1) * 50_000_000  # it says four actions, and two are carried out
        assert np.all(np.diff(stream.t_ns) == period_ns), name
    assert len(streams["observation/hand"].t_ns) == len(author) + 1
    assert [event.name for event in done.log.events].count("takeover") == 1
    phases = [event.name for event in done.log.events if event.name.startswith("phase/")]
    assert len(phases) == len(set(phases))
    assert [event.t_ns for event in done.log.events] == sorted(event.t_ns for event in done.log.events)


def test_an_operator_who_never_succeeds_gives_a_failed_try():
    site = Tiny()
    start = roll(policy="p", source=Source.CORRECTION, takeover=failed()[1])
    done = run_try(site, start, policy=Lean(), operator=Clumsy(site, 10_000), facts={})
    assert (done.success, done.void, done.takeovers, done.log.events[-1].name) == (False, "", 3, "timeout")


def spoilt(change):
    """A tiny site whose fifth step is changed by `change`."""

    class Spoilt(Tiny):
        def step(self, action):
            step = super().step(action)
            return change(step) if step.t_ns == 250_000_000 else step

    return Spoilt()


def with_hand(step, hand, **more):
    return type(step)(**{**vars(step), "observation": {**step.observation, "hand": hand}, **more})


def explode(step):
    raise ZeroDivisionError("encoder")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda step: with_hand(step, np.full(5, np.nan)), "hand is not finite at 250000000 ns"),
        (lambda step: with_hand(step, np.zeros(4)), "hand is not 5 numbers at 250000000 ns"),
        (lambda step: with_hand(step, np.zeros(5), t_ns=7), "its clock went from 200000000 to 7 ns"),
        (explode, "failed: ZeroDivisionError: encoder"),
    ],
)
def test_a_site_that_gives_nonsense_is_named(change, said):
    site = spoilt(change)
    with pytest.raises(SiteFault, match=said) as caught:
        run_try(site, roll(), policy=None, operator=site.expert(0), facts={})
    assert caught.value.subject == "tiny"


def test_an_operator_who_gives_no_action_is_a_fault():
    class Absent:
        name = "absent"

        def act(self, observation):
            return None

    with pytest.raises(SiteFault, match="absent: the operator gave no action"):
        run_try(Tiny(), roll(), policy=None, operator=Absent(), facts={})
