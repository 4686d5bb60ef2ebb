import math
from collections import Counter

import numpy as np
import pytest

from saqiya.domain.contracts import Lesson, RunnablePolicy, Step
from saqiya.domain.nouns import PolicySpec
from saqiya.domain.streams import Start
from saqiya.errors import SiteFault
from saqiya.sites.tiny import Tiny
from saqiya.train.ridge import Ridge

STILL = np.array([0.0, 0.0, -1.0])
CLOSE = np.array([0.0, 0.0, 1.0])


def put_at_hand(site: Tiny, *, away_m: float) -> None:
    """Begin with the puck `away_m` to the right of the hand, where the arm is at home."""
    start = site.sample_start(0)
    hand = site.reset(start).observation["hand"]
    site.reset(Start(0, {**start.factors, "object_x": float(hand[0]) + away_m, "object_y": float(hand[1])}))


def demonstrate(site: Tiny, start: Start) -> tuple[list[Step], np.ndarray]:
    expert, steps, actions = site.expert(start.seed), [site.reset(start)], []
    while not steps[-1].success and len(actions) < site.spec.horizon_steps:
        actions.append(expert.act(steps[-1].observation))
        steps.append(site.step(actions[-1]))
    return steps, np.array(actions)


def test_the_expert_succeeds_all_over_the_table() -> None:
    site = Tiny()
    ends = [demonstrate(site, site.sample_start(seed))[0] for seed in range(100)]
    assert all(steps[-1].success for steps in ends)
    assert 40 <= np.median([len(steps) for steps in ends]) <= 70


def test_phases_come_in_order() -> None:
    steps, _ = demonstrate(site := Tiny(), site.sample_start(4))
    assert [event for step in steps for event in step.events] == [f"phase/{name}" for name in site.spec.phases]


@pytest.mark.parametrize(("away_m", "held"), [(0.0, 1.0), (0.035, 1.0), (0.05, 0.0), (0.09, 0.0)])
def test_jaws_hold_what_is_near(away_m: float, held: float) -> None:
    put_at_hand(site := Tiny(), away_m=away_m)
    site.step(CLOSE)
    assert site.step(CLOSE).signals["contact/held"] == held


def test_a_finger_pushes_a_puck_at_the_edge_away() -> None:
    put_at_hand(site := Tiny(), away_m=0.05)
    site.step(CLOSE)
    assert math.hypot(*site.step(CLOSE).observation["puck"]) == pytest.approx(0.07)


def test_a_puck_that_is_dragged_too_hard_is_lost() -> None:
    put_at_hand(site := Tiny(), away_m=0.0)
    site.step(CLOSE)
    site.step(CLOSE)
    hard = site.step(np.array([1.0, -1.0, 1.0]))
    assert "contact/lost" in hard.events
    assert hard.signals["contact/held"] == 0.0


def test_the_load_is_inertia_and_drag() -> None:
    put_at_hand(site := Tiny(), away_m=0.0)
    site.step(CLOSE)
    before = site.step(CLOSE).observation["hand"][:2]
    step = site.step(np.array([0.1, 0.0, 1.0]))
    velocity = (step.observation["hand"][:2] - before) / 0.05
    assert step.signals["contact/force"] == pytest.approx(0.25 * velocity / 0.05 + 2.0 * velocity)


def test_letting_go_elsewhere_is_no_success() -> None:
    put_at_hand(site := Tiny(), away_m=0.0)
    site.step(CLOSE)
    site.step(CLOSE)
    assert not any(site.step(STILL).success for _ in range(4))


def test_the_elbow_stops() -> None:
    site = Tiny()
    site.reset(site.sample_start(0))
    for _ in range(60):
        site.step(np.array([0.0, 1.0, -1.0]))
    assert site.world.elbow_rad == 2.9


@pytest.mark.parametrize("action", [np.zeros(2), np.array([0.0, np.nan, 0.0])])
def test_a_wrong_action_is_a_fault(action: np.ndarray) -> None:
    site = Tiny()
    site.reset(site.sample_start(0))
    with pytest.raises(SiteFault, match="3 finite numbers"):
        site.step(action)


@pytest.mark.parametrize("factors", [{}, {"object_x": 0.2}, {**Tiny().sample_start(0).factors, "goal_x": "left"}])
def test_a_wrong_start_is_a_fault(factors: dict[str, float | str]) -> None:
    with pytest.raises(SiteFault, match="sample_start"):
        Tiny().reset(Start(0, factors))


def test_a_foreign_snapshot_is_a_fault() -> None:
    with pytest.raises(SiteFault, match="not a snapshot"):
        Tiny().restore({"physics": np.zeros(3)})


def attempt(site: Tiny, policy: RunnablePolicy, start: Start) -> str:
    """Run a policy and return how it ended."""
    step, events = site.reset(start), []
    for _ in range(site.spec.horizon_steps // policy.spec.execute):
        for action in policy.act(step.observation).chunk[: policy.spec.execute]:
            step = site.step(action)
            events += step.events
            if step.success:
                return "success"
    if "contact/lost" in events:
        return "slip"
    return "no_grasp" if "phase/grasp" not in events else "missed place"


def taught(site: Tiny, starts: list[Start]) -> RunnablePolicy:
    spec = PolicySpec(site.spec.observation, 3, site.spec.rate_hz, chunk=8, execute=2, embodiment=site.spec.embodiment)
    lessons = []
    for index, start in enumerate(starts):
        steps, actions = demonstrate(site, start)
        rows = np.array([np.concatenate([step.observation[name] for name in spec.observation]) for step in steps[:-1]])
        lessons.append(Lesson(rows, actions, np.ones(len(actions)), index))
    trained = Ridge().fit(lessons, spec, settings={}, seed=0, progress=lambda *_: None)
    return Ridge().load(spec, trained.tensors)


def test_failed_starts_teach_what_a_narrow_region_did_not() -> None:
    site = Tiny()
    narrow = [site.sample_start(seed, region=0.4) for seed in range(20)]
    fresh = [site.sample_start(20_000 + seed) for seed in range(100)]
    policy = taught(site, narrow)
    ends = Counter(attempt(site, policy, start) for start in fresh)
    assert 30 <= ends["success"] <= 70
    assert all(ends[mode] >= 3 for mode in ("no_grasp", "slip", "missed place")), ends
    wide = (site.sample_start(10_000 + seed) for seed in range(1000))
    failed = [
        start for start, _ in zip((s for s in wide if attempt(site, policy, s) != "success"), range(25), strict=False)
    ]
    better = taught(site, narrow + failed)
    assert sum(attempt(site, better, start) == "success" for start in fresh) >= 93


def test_the_table_is_drawn_with_arm_puck_and_goal_where_they_are() -> None:
    site = Tiny()
    start = site.sample_start(3)
    site.reset(start)
    picture = site.render(height=460, width=620)  # 1.24 m x 0.92 m: 2 mm a pixel
    goal, puck = (
        (round(230 - (start.factors[f"{name}_y"] - 0.16) * 500), round(310 + start.factors[f"{name}_x"] * 500))
        for name in ("goal", "object")
    )
    assert tuple(picture[puck]) == (214, 107, 44)
    assert tuple(picture[goal]) == tuple(picture[0, 0]) == (250, 250, 248)
    assert tuple(picture[goal[0], goal[1] + 20]) == (116, 178, 112)
    assert tuple(picture[310, 310]) == (84, 110, 150)  # the shoulder
