"""Failures staged at real sites, by an expert who makes one known mistake, get the name of that mistake."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest

from saqiya import plugins
from saqiya.detect.incidents import incident
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import Event, Span, Stream
from saqiya.models.scene import scene, usual
from saqiya.triage.rules import Facts, label
from saqiya.triage.vocabulary import built_in

OPENS = -1.0


def never_closes(expert, step, reached):
    return np.append(expert.act(step.observation)[:-1], OPENS)


def lets_go_midway(expert, step, reached):
    action = expert.act(step.observation)
    return np.append(np.zeros(len(action) - 1), OPENS) if reached >= 3 else action


def freezes_when_it_holds(expert, step, reached):
    action = expert.act(step.observation)
    return np.append(np.zeros(len(action) - 1), action[-1]) if reached >= 2 else action


def creeps(expert, step, reached):
    action = expert.act(step.observation)
    return np.append(0.05 * action[:-1], OPENS)


def deceived(**places):
    """The tiny site's expert reads the true state: while it looks, what it looks at lies elsewhere."""

    def mistake(expert, step, reached):
        world = expert._site.world
        true = {name: getattr(world, name) for name in places}
        for name, place in places.items():
            setattr(world, name, place if name.startswith("goal") else true[name] + place)
        action = expert.act(step.observation)
        for name, place in true.items():
            setattr(world, name, place)
        return action

    return mistake


def far(start):
    return np.hypot(*(start.factors[f"goal_{axis}"] - start.factors[f"object_{axis}"] for axis in "xy"))


@cache
def site_of(name):
    return plugins.load("saqiya.sites", name)()


def tried(name, mistake, *, start=None, seen=(0.0, 0.0), slips=False):
    """Let an expert that makes a mistake try; its log sees the tiny site's puck off its place by `seen`, as m."""
    site = site_of(name)
    start = start or max((site.sample_start(seed) for seed in range(20)), key=far)  # nothing lands there by luck
    step, expert, events, rows = site.reset(start), site.expert(0), [], defaultdict(list)
    for _ in range(site.spec.horizon_steps):
        events += [Event(step.t_ns, event) for event in step.events]
        reached = max(
            (site.spec.phases.index(e.name[6:]) + 1 for e in events if e.name.startswith("phase/")), default=0
        )
        shown = {**step.signals, **{f"observation/{name}": value for name, value in step.observation.items()}}
        if name == "tiny":
            shown |= {"gripper/opening": np.array([site.world.jaw]), "reach": step.observation["puck"] + seen}
        for signal, value in shown.items():
            rows[signal].append((step.t_ns, value))
        if step.success:
            break
        wanted = np.clip(mistake(expert, step, reached), -1, 1)
        rows["action/executed"].append((step.t_ns, wanted))
        if slips and reached == 3:
            wanted = np.append(wanted[:-1], OPENS)
        step = site.step(wanted)
    streams = {
        signal: Stream(np.array([t for t, _ in taken], dtype=np.int64), np.array([value for _, value in taken]))
        for signal, taken in rows.items()
    }
    return streams, events, Span(0, step.t_ns), step.success, site.spec.phases


def by_the_book(expert, step, reached):
    return expert.act(step.observation)


@cache
def successes(name):
    tries = [tried(name, by_the_book, start=site_of(name).sample_start(100 + seed)) for seed in range(10)]
    return usual([scene(*one[:3]) for one in tries if one[3]])


def staged(name, mistake, *, phased=True, **how):
    if name != "tiny":
        pytest.importorskip("metaworld")
    streams, events, span, success, phases = tried(name, mistake, **how)
    assert not success
    phases = phases if phased else ()
    events = [*events, Event(span.end_ns - 1, "timeout")]
    found = incident(Outcome.FAILURE, span=span, events=events, streams=streams, alarms=(), phases=phases)
    evidence = found.evidence | scene(streams, events, span)
    said = frozenset(event.name for event in events)
    return label(Facts(found.phase, phases, evidence, usual=successes(name), said=said), built_in())


SITES = ["tiny", pytest.param("metaworld-pick-place", marks=pytest.mark.metaworld)]


@pytest.mark.parametrize("name", SITES)
def test_a_gripper_that_never_closes_is_no_grasp(name):
    assert staged(name, never_closes).label == "no_grasp"


def stays_where_it_lost_it(expert, step, reached):
    action = expert.act(step.observation)
    return np.append(np.zeros(len(action) - 1), -OPENS) if reached >= 3 else action


def test_jaws_that_give_way_while_they_are_told_to_hold_are_a_slip():
    assert staged("tiny", stays_where_it_lost_it, slips=True).label == "slip"


def test_an_arm_that_freezes_when_it_holds_is_a_weak_grasp():
    assert staged("tiny", freezes_when_it_holds).label == "weak_grasp"


def test_an_object_put_down_on_the_way_is_in_the_wrong_place():
    assert staged("tiny", lets_go_midway).label == "translation"


@pytest.mark.metaworld
def test_an_object_dropped_on_the_way_is_lost():
    assert staged("metaworld-pick-place", lets_go_midway).label in {"slip", "failed_retry"}


@pytest.mark.parametrize("offset", [(0.1, 0.0), (-0.07, 0.08)])
def test_who_sees_the_object_beside_its_place_and_grips_nothing_is_deceived(offset):
    verdict = staged("tiny", deceived(puck_x=offset[0], puck_y=offset[1]), seen=np.array(offset))
    assert verdict.label == "perception"
    assert "on nothing" in verdict.rule


def test_who_sees_the_object_right_and_grips_beside_it_is_not():
    assert staged("tiny", deceived(puck_x=0.1)).label == "no_grasp"


def test_who_takes_the_object_somewhere_else_does_another_task():
    near = min((site_of("tiny").sample_start(seed) for seed in range(20)), key=far)
    assert staged("tiny", deceived(goal_x=0.4, goal_y=0.2), start=near).label == "wrong_action"


def test_without_phases_a_try_stalls_or_runs_out_of_time_and_nobody_says_more():
    assert staged("tiny", freezes_when_it_holds, phased=False).label == "stall"
    assert staged("tiny", creeps, phased=False).label == "timeout"
    assert staged("tiny", lets_go_midway, phased=False).label in {"stall", "timeout"}
