import subprocess
import sys
import warnings

import numpy as np
import pytest

from saqiya.domain.streams import Start
from saqiya.errors import SiteFault

pytest.importorskip("metaworld")

from saqiya.sites.metaworld import FACTORS, PickPlace, PickPlaceWall, Push

pytestmark = pytest.mark.metaworld


@pytest.fixture(scope="module")
def site():
    site = PickPlace()
    yield site
    site.close()


def shaky(site, *, seed, noise=0.3):
    """The expert with noise: it grasps, drops and recovers."""
    generator, expert = np.random.default_rng(seed), site.expert(seed)
    return lambda seen: np.clip(expert.act(seen) + noise * generator.normal(size=4), -1, 1)


def trace(site, act, step, steps):
    rows = []
    for _ in range(steps):
        step = site.step(act(step.observation))
        rows.append(np.concatenate([*step.observation.values(), *step.signals.values(), [step.success, step.t_ns]]))
    return np.array(rows)


def unmodified(made=None):
    from metaworld.envs.sawyer_pick_place_v3 import SawyerPickPlaceEnvV3

    env = (made or SawyerPickPlaceEnvV3)()
    env._partially_observable, env._set_task_called = False, True
    env.__dict__.pop("sawyer_observation_space", None)
    return env


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_try_equals_the_unmodified_environment_step_for_step(site, seed):
    start, env = site.sample_start(seed), unmodified()
    factors = [start.factors[name] for name in FACTORS]
    env._freeze_rand_vec, env._last_rand_vec = True, np.array([*factors[:2], 0.02, *factors[2:]])
    theirs, _ = env.reset()
    step, act, outcomes = site.reset(start), shaky(site, seed=seed), []
    for _ in range(120):
        ours = site.full_observation()
        quaternion = slice(7, 11)
        assert min(np.abs(ours[quaternion] + sign * theirs[quaternion]).max() for sign in (1, -1)) < 1e-9
        kept = np.delete(np.arange(39), [*range(7, 11), *range(25, 29)])
        np.testing.assert_array_equal(ours[kept], theirs[kept])
        action = act(step.observation)
        step = site.step(action)
        theirs, _, _, _, info = env.step(action)
        assert step.success == bool(info["success"])
        outcomes.append((step.success, bool(info["grasp_success"])))
    assert {success for success, _ in outcomes} == {True, False}
    env.close()


@pytest.mark.parametrize("made", [Push, PickPlaceWall])
def test_the_other_tasks_equal_their_unmodified_environments_too(made):
    from metaworld.envs.sawyer_pick_place_wall_v3 import SawyerPickPlaceWallEnvV3
    from metaworld.envs.sawyer_push_v3 import SawyerPushEnvV3

    site, outcomes = made(), []
    for seed in (1, 2):
        start = site.sample_start(seed)
        env = unmodified({Push: SawyerPushEnvV3, PickPlaceWall: SawyerPickPlaceWallEnvV3}[made])
        low = env._random_reset_space.low
        given = [start.factors.get(name, low[5]) for name in FACTORS]
        env._freeze_rand_vec, env._last_rand_vec = True, np.array([*given[:2], low[2], *given[2:]])
        theirs, _ = env.reset()
        step, act = site.reset(start), shaky(site, seed=seed)
        for _ in range(120):
            ours, kept = site.full_observation(), np.delete(np.arange(39), [*range(7, 11), *range(25, 29)])
            np.testing.assert_array_equal(ours[kept], theirs[kept])
            action = act(step.observation)
            step = site.step(action)
            theirs, _, _, _, info = env.step(action)
            assert step.success == bool(info["success"])
            outcomes.append(step.success)
        env.close()
    assert {*outcomes} == {True, False}


@pytest.mark.parametrize("made", [Push, PickPlaceWall])
def test_the_other_tasks_experts_pass_the_phases_and_go_on_from_a_snapshot(made):
    site, wins = made(), 0
    for seed in range(20):
        expert, step, phases = site.expert(0), site.reset(site.sample_start(seed)), []
        while not step.success and step.t_ns < site.spec.horizon_steps * 12_500_000:
            step = site.step(expert.act(step.observation))
            phases += [event for event in step.events if event.startswith("phase/")]
        wins += step.success and phases == [f"phase/{name}" for name in site.spec.phases]
    assert wins >= 19
    saved, still = site.snapshot(), np.zeros(4)
    expected = [site.step(still).observation["hand"] for _ in range(10)]
    fresh = made()
    fresh.restore(saved)
    np.testing.assert_array_equal([fresh.step(still).observation["hand"] for _ in range(10)], expected)


def test_a_pushed_puck_stays_on_the_table_and_its_goal_has_no_height_to_choose():
    site = Push()
    assert set(site.spec.factors) == {"object_x", "object_y", "goal_x", "goal_y"}
    seen = site.reset(site.sample_start(3)).observation
    assert seen["goal"][2] == seen["object"][2]
    with pytest.raises(SiteFault, match="must name object_x, object_y, goal_x, goal_y"):
        site.reset(Start(0, PickPlace().sample_start(0).factors))


def test_the_scripts_actions_do_not_depend_on_the_quaternions_sign(site):
    site.reset(site.sample_start(4))
    seen = site.full_observation()
    flipped = seen.copy()
    flipped[7:11] *= -1
    flipped[25:29] *= -1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.testing.assert_array_equal(site._policy.get_action(seen), site._policy.get_action(flipped))


def test_equal_starts_give_equal_tries_here_and_in_a_fresh_site(site):
    start = site.sample_start(5)
    first = trace(site, shaky(site, seed=5), site.reset(start), 80)
    again = trace(site, shaky(site, seed=5), site.reset(start), 80)
    other = PickPlace()
    fresh = trace(other, shaky(other, seed=5), other.reset(start), 80)
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, fresh)


def test_another_process_gives_the_same_try(site):
    program = (
        "import numpy as np; from saqiya.sites.metaworld import PickPlace; s = PickPlace();"
        "s.reset(s.sample_start(6)); [s.step(np.array([.1, .2, -1., 1.])) for _ in range(60)];"
        "print(s.snapshot()['physics'].tobytes().hex())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    site.reset(site.sample_start(6))
    for _ in range(60):
        site.step(np.array([0.1, 0.2, -1.0, 1.0]))
    assert told.stdout.strip() == site.snapshot()["physics"].tobytes().hex()


@pytest.mark.parametrize("steps", [3, 34, 60])
def test_a_restored_state_goes_on_bit_for_bit_even_in_mid_grasp(site, steps):
    noise = np.random.default_rng(7).uniform(-1, 1, (40, 4)) * [1, 1, 1, 0.2] + [0, 0, 0, 0.8]

    def onward(where):
        return np.array([np.concatenate([*where.step(a).signals.values(), where.full_observation()]) for a in noise])

    trace(site, shaky(site, seed=7, noise=0.0), site.reset(site.sample_start(7)), steps)
    saved = site.snapshot()
    expected = onward(site)
    site.restore(saved)
    np.testing.assert_array_equal(onward(site), expected)
    np.testing.assert_array_equal(site.restore(saved).t_ns, steps * 12_500_000)
    fresh = PickPlace()
    fresh.restore(saved)
    np.testing.assert_array_equal(onward(fresh), expected)


def test_restore_shows_the_instant_of_the_snapshot(site):
    expert, step = site.expert(0), site.reset(site.sample_start(8))
    while not step.signals["object/grasped"]:
        step = site.step(expert.act(step.observation))
    saved = site.snapshot()
    site.reset(site.sample_start(9))
    back = site.restore(saved)
    for name, value in [*step.observation.items(), *step.signals.items()]:
        np.testing.assert_array_equal({**back.observation, **back.signals}[name], value)


@pytest.mark.parametrize("seed", range(20, 26))
def test_the_expert_succeeds_and_passes_the_phases_in_order(site, seed):
    expert, step, events = site.expert(0), site.reset(site.sample_start(seed)), []
    while not step.success and step.t_ns < 100 * 12_500_000:
        step = site.step(expert.act(step.observation))
        events += step.events
    assert step.success
    passed = [event.removeprefix("phase/") for event in events if event.startswith("phase/")]
    assert [name for name in passed if name != "lift"] == ["reach", "grasp", "place"]
    assert "lift" in passed or step.observation["goal"][2] < 0.1  # a low goal is met before the puck is 2 cm up
    assert "contact/lost" not in events


def test_an_opened_grasp_is_told_as_lost(site):
    expert, step, events = site.expert(0), site.reset(site.sample_start(10)), []
    while "phase/lift" not in step.events:
        step = site.step(expert.act(step.observation))
    for _ in range(30):
        events += site.step(np.array([0.0, 0.0, 0.0, -1.0])).events
    assert events.count("contact/lost") == 1


def test_a_start_is_met_exactly(site):
    start = site.sample_start(11)
    step = site.reset(start)
    assert [*step.observation["object"][:2], *step.observation["goal"]] == [start.factors[name] for name in FACTORS]


def test_starts_come_from_the_middle_share_of_each_range(site):
    drawn = np.array([list(site.sample_start(seed, region=0.4).factors.values()) for seed in range(300)])
    for column, (low, high) in zip(drawn.T, site.spec.factors.values(), strict=True):
        middle, half = (low + high) / 2, (high - low) / 2 * 0.4
        assert middle - half <= column.min() < column.max() <= middle + half
    assert site.sample_start(3).key == site.sample_start(3).key != site.sample_start(4).key


def test_forces_of_fingers_and_table_are_told_apart(site):
    expert, step = site.expert(0), site.reset(site.sample_start(12))
    resting = site.step(np.zeros(4)).signals
    assert resting["contact/finger"].tolist() == [0, 0]
    assert 5 < resting["contact/table"] < 10
    while not step.success:
        step = site.step(expert.act(step.observation))
    assert (step.signals["contact/finger"] > 50).all()
    assert step.signals["contact/table"] == 0


@pytest.mark.parametrize("action", [np.full(4, np.nan), np.zeros(3), np.zeros((4, 1))])
def test_an_action_that_is_no_action_is_refused(site, action):
    site.reset(site.sample_start(13))
    with pytest.raises(SiteFault, match="four finite numbers"):
        site.step(action)


def test_a_start_that_is_no_start_is_refused(site):
    with pytest.raises(SiteFault, match="must name"):
        site.reset(Start(0, {"object_x": 0.0}))
    with pytest.raises(SiteFault, match="out of range"):
        site.reset(Start(0, site.sample_start(0).factors | {"goal_z": 0.9}))
    with pytest.raises(SiteFault, match="not taken here"):
        site.restore({"physics": np.zeros(3)})


def test_a_simulation_that_blows_up_is_told(site, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # MuJoCo writes its own log into the working directory
    site.reset(site.sample_start(14))
    site._data.qvel[:] = 1e12
    with pytest.raises(SiteFault, match="unstable"):
        site.step(np.zeros(4))
