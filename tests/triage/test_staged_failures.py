"""Failures staged at real sites, by an expert who makes one known mistake, get the name of that mistake."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest

from saqiya import plugins
from saqiya.detect.incidents import incident
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import Event, Span, Stream
from saqiya.triage.rules import Facts, label


def never_closes(action, reached):
    return np.append(action[:-1], OPEN[len(action)])


def lets_go_midway(action, reached):
    return np.append(np.zeros(len(action) - 1), OPEN[len(action)]) if reached >= 3 else action


def freezes_when_it_holds(action, reached):
    return np.append(np.zeros(len(action) - 1), action[-1]) if reached >= 2 else action


OPEN = {3: 1.0, 4: -1.0}
"""The last action opens the gripper: upwards for the tiny arm (3 numbers), downwards for the simulated one (4)."""


def a_long_way(site):
    """Of twenty starts the one whose goal lies farthest from its object, so that nothing lands there by luck."""

    def way(start):
        return np.hypot(*(start.factors[f"goal_{axis}"] - start.factors[f"object_{axis}"] for axis in "xy"))

    return max((site.sample_start(seed) for seed in range(20)), key=way)


def staged(name, mistake):
    if name != "tiny":
        pytest.importorskip("metaworld")
    site = plugins.load("saqiya.sites", name)()
    step, expert, events, rows = site.reset(a_long_way(site)), site.expert(0), [], defaultdict(list)
    for _ in range(site.spec.horizon_steps):
        events += [Event(step.t_ns, event) for event in step.events]
        reached = max(
            (site.spec.phases.index(e.name[6:]) + 1 for e in events if e.name.startswith("phase/")), default=0
        )
        for signal, value in step.signals.items():
            rows[signal].append((step.t_ns, value))
        assert not step.success
        step = site.step(np.clip(mistake(expert.act(step.observation), reached), -1, 1))
    site.close()
    streams = {
        signal: Stream(np.array([t for t, _ in taken], dtype=np.int64), np.array([value for _, value in taken]))
        for signal, taken in rows.items()
    }
    span, phases = Span(0, step.t_ns), site.spec.phases
    found = incident(Outcome.FAILURE, span=span, events=events, streams=streams, alarms=(), phases=phases)
    return label(Facts(found.phase, phases, found.evidence))


SITES = ["tiny", pytest.param("metaworld-pick-place", marks=pytest.mark.metaworld)]


@pytest.mark.parametrize("name", SITES)
def test_a_gripper_that_never_closes_is_no_grasp(name):
    assert staged(name, never_closes).label == "no_grasp"


def test_an_arm_that_freezes_when_it_holds_is_a_weak_grasp():
    assert staged("tiny", freezes_when_it_holds).label == "weak_grasp"


def test_an_object_put_down_on_the_way_is_in_the_wrong_place():
    assert staged("tiny", lets_go_midway).parent == "pose_error"


@pytest.mark.metaworld
def test_an_object_dropped_on_the_way_is_lost():
    assert staged("metaworld-pick-place", lets_go_midway).label in {"slip", "failed_retry"}
