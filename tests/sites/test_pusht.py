import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("gym_pusht")

from saqiya.domain.streams import Start
from saqiya.errors import SiteFault
from saqiya.sites.pusht import PushT


@pytest.fixture(scope="module")
def site():
    site = PushT()
    yield site
    site.close()


def stirred(seed, steps=120):
    """Places that the finger is drawn to, in a walk over the whole table: it meets the T now and then."""
    rng = np.random.default_rng(seed)
    return np.clip(256 + np.cumsum(rng.normal(0, 25, (steps, 2)), axis=0), 0, 512)


def trace(site, step, actions):
    rows = []
    for action in actions:
        step = site.step(action)
        rows.append(np.concatenate([*step.observation.values(), *step.signals.values(), [step.success, step.t_ns]]))
    return np.array(rows)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_try_equals_the_unmodified_environment_step_for_step(site, seed):
    from gym_pusht.envs.pusht import PushTEnv

    env, start = PushTEnv(), site.sample_start(seed, region=0.5)
    env.control_hz = 30
    theirs, _ = env.reset(options={"reset_to_state": [start.factors[name] for name in site.spec.factors]})
    step, touched, rng = site.reset(start), 0, np.random.default_rng(seed)
    for _ in range(100):
        agent, block = step.observation["agent"], step.observation["object"]
        angle = np.arctan2(block[2], block[3]) % (2 * np.pi)
        np.testing.assert_array_equal([*agent[:2], *block[:2]], theirs[:4])
        assert angle == pytest.approx(theirs[4], abs=1e-9)
        action = np.clip(block[:2] + rng.normal(0, 40, 2), 0, 512)
        step = site.step(action)
        theirs, _, _, _, info = env.step(action)
        assert (step.signals["object/coverage"][0], step.success) == (info["coverage"], info["is_success"])
        touched += step.signals["contact/points"][0] > 0
    assert touched


def test_the_target_is_met_where_the_t_lies_on_its_mark():
    site, start = PushT(), PushT().sample_start(0)
    # gym-pusht turns the T about its centre of gravity after it was put down: this is where it must be put.
    place = {"agent_x": 100.0, "agent_y": 100.0, "object_angle": float(np.pi / 4)}
    site.reset(Start(0, {**start.factors, **place, "object_x": 256.0, "object_y": 256.0}))
    missed = np.array([256.0, 256.0]) - site.step(np.array([100.0, 100.0])).observation["object"][:2]
    there = {"object_x": float(256 + missed[0]), "object_y": float(256 + missed[1])}
    site.reset(Start(0, {**start.factors, **place, **there}))
    step = site.step(np.array([100.0, 100.0]))
    assert step.success
    assert step.signals["object/coverage"][0] > 0.99
    assert step.events == ("phase/reach", "phase/push", "phase/align", "phase/place")


def test_phases_come_in_their_order_and_once(site):
    seen = list(
        site.reset(Start(0, dict(zip(site.spec.factors, (250.0, 60.0, 250.0, 250.0, 0.0), strict=True)))).events
    )
    for y in np.linspace(60, 330, 60):
        seen += site.step(np.array([250.0, y])).events
    assert seen[:2] == ["phase/reach", "phase/push"]
    assert len(seen) == len(set(seen))


def test_a_snapshot_goes_on_bit_for_bit_in_a_fresh_site_and_in_another_process(site):
    actions = stirred(7)
    step = site.reset(site.sample_start(7))
    trace(site, step, actions[:60])
    saved = site.snapshot()
    after = trace(site, step, actions[60:])
    other = PushT()
    np.testing.assert_array_equal(trace(other, other.restore(saved), actions[60:]), after)
    program = (
        "import sys, numpy as np; from saqiya.sites.pusht import PushT; s = PushT(); s.reset(s.sample_start(7));"
        "rows = np.frombuffer(bytes.fromhex(sys.stdin.read())).reshape(-1, 2);"
        "[s.step(one) for one in rows]; print(s.snapshot()['actions'].tobytes().hex());"
        "print(np.concatenate(list(s.step(rows[0]).observation.values())).tobytes().hex())"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], input=actions.tobytes().hex(), capture_output=True, text=True, check=True
    ).stdout.split()
    here = site.step(actions[0])
    assert told == [actions.tobytes().hex(), np.concatenate(list(here.observation.values())).tobytes().hex()]


def test_it_draws_without_opengl(site):
    site.reset(site.sample_start(1))
    picture = site.render(height=96, width=128)
    assert (picture.shape, picture.dtype) == ((96, 128, 3), np.uint8)
    green = (picture[..., 1] > 200) & (picture[..., 0] < 170)
    assert green.any()  # the mark


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (lambda site: site.step(np.zeros(3)), "2 finite numbers"),
        (lambda site: site.step(np.array([np.nan, 0.0])), "2 finite numbers"),
        (lambda site: site.reset(Start(0, {"agent_x": 1.0})), "a start needs numbers for agent_x"),
        (lambda site: site.restore({"world": np.zeros(3)}), "not a snapshot of this site"),
        (lambda site: PushT().step(np.zeros(2)), "step before reset"),
        (lambda site: PushT().snapshot(), "snapshot before reset"),
    ],
)
def test_what_makes_no_sense_is_refused_in_words(site, act, said):
    with pytest.raises(SiteFault, match=said):
        act(site)


def test_the_table_stays_square_in_a_picture_that_is_not(site):
    site.reset(site.sample_start(3))
    square, wide = site.render(height=96, width=96), site.render(height=96, width=160)
    np.testing.assert_array_equal(wide[:, 32:128], square)
    assert (wide[:, :32] == wide[0, 0]).all()
