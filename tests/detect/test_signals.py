from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.conformal import conformal_threshold
from saqiya.detect.distance import Distance
from saqiya.detect.signals import Signals, broken
from saqiya.domain.contracts import Online, Roll, Seen
from saqiya.domain.nouns import Source
from saqiya.domain.streams import Event, Stream
from saqiya.errors import TooLittle
from saqiya.loop.tries.rollout import run_try
from saqiya.models.replay import instants
from saqiya.sites.tiny import Tiny
from saqiya.testing import make_episode

RATE_HZ, ROWS = 50, 200


def tried(seed, change=None, *, events=()):
    """Four seconds: the arm goes there and back by commanded positions; it grips from 1 s to 3 s."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(ROWS) / RATE_HZ
    path = np.stack([np.sin(0.8 * t_s), 0.5 * np.cos(0.8 * t_s)], axis=1) * rng.uniform(0.9, 1.1)
    gripped = (t_s >= 1.0) & (t_s < 3.0)
    values = {
        "joint/position": path + rng.normal(0.0, 1e-4, path.shape),
        "action/executed": path + 0.02,
        "wrench/force": rng.normal(0.0, 0.5, (ROWS, 3)) + 6.0 * gripped[:, None],
        "contact/finger": gripped[:, None] * rng.uniform(420.0, 480.0, (ROWS, 2)),
        "gripper/opening": np.where(gripped, 0.4, 1.0)[:, None] + rng.normal(0.0, 1e-3, (ROWS, 1)),
        "object/held": gripped[:, None].astype(float),
    }
    stamps = {name: np.arange(ROWS, dtype=np.int64) * 20_000_000 for name in values}
    for name, at, put in change or ():
        values[name][at] = put
    streams = {name: Stream(stamps[name], rows, unit="N" if "force" in name else "") for name, rows in values.items()}
    return Seen(streams, tuple(Event(round(at_s * 1e9), name) for at_s, name in events))


FITTED = Signals().fit([tried(seed) for seed in range(20)])


def found(seen):
    """Return when the first rule was broken, in seconds, and what it says then."""
    stamps, scores = FITTED.score(seen)
    above = np.flatnonzero(scores > 0.0)
    return (stamps[above[0]] / 1e9, FITTED.reason(seen, int(stamps[above[0]]))) if above.size else None


def test_normal_tries_break_no_rule():
    assert [found(tried(seed)) for seed in range(100, 110)] == [None] * 10


def test_a_blow_is_a_force_spike():
    when, why = found(tried(99, [("wrench/force", slice(120, 125), 60.0)]))
    assert when == pytest.approx(2.4)
    assert why.startswith("force spike: wrench/force force is 104 N; nearly all normal tries at most 1")


def test_a_firm_grasp_is_no_spike():
    assert found(tried(99, [("contact/finger", slice(60, 70), 800.0)])) is None


def test_a_small_force_is_no_spike_however_quiet_normal_tries_were():
    quiet = [("wrench/force", slice(None), 0.0)]
    fitted = Signals().fit([tried(seed, quiet) for seed in range(5)])
    assert fitted.score(tried(99, [*quiet, ("wrench/force", slice(50, 60), 2.0)]))[1].max() == 0.0


def test_a_blocked_arm_has_stalled_within_half_a_second():
    when, why = found(tried(99, [("joint/position", slice(100, 160), tried(99).streams["joint/position"].values[99])]))
    assert 2.4 < when < 2.8
    assert why.startswith("stall: action/executed asks, joint/position has not moved for 0.5")


def test_an_arm_that_nobody_commands_has_stalled_after_a_second():
    stop = tried(99).streams
    still = [(name, slice(100, 200), stop[name].values[99]) for name in ("joint/position", "action/executed")]
    when, why = found(tried(99, still))
    assert 2.9 < when < 3.2
    assert why.startswith("stall: joint/position has not moved for 1")


def test_a_jump_is_a_jerk():
    when, why = found(tried(99, [("joint/position", 120, 1.5)]))
    assert when == pytest.approx(2.4)
    assert why.startswith("jerk: joint/position column")


def test_angles_that_go_round_and_quaternions_that_change_their_sign_are_no_jerks():
    def turning(phase):
        angle = np.linspace(0.0, 9.0, 100) + phase
        stamps = np.arange(100, dtype=np.int64) * 20_000_000
        half = np.stack([0.0 * angle, 0.0 * angle, np.sin(angle / 2), np.cos(angle / 2)], axis=1)
        sign = np.where(np.cos(angle / 2) < 0.0, -1.0, 1.0)
        return Seen(
            {
                "joint/position": Stream(stamps, ((angle + np.pi) % (2 * np.pi) - np.pi)[:, None], unit="rad"),
                "tool/pose/orientation": Stream(stamps, half * sign[:, None], fields=("x", "y", "z", "w")),
            }
        )

    fitted = Signals().fit([turning(0.0) for _ in range(5)])
    jerks = {rule.streams[0]: rule.usual.max() for rule in fitted.rules if rule.kind == "jerk"}
    assert set(jerks) == {"joint/position", "tool/pose/orientation"}
    assert max(jerks.values()) < 0.01
    assert fitted.score(turning(1.0))[1].max() == 0.0


def test_a_stream_that_stops_has_dropped_out():
    whole = tried(99)
    cut = Stream(whole.streams["wrench/force"].t_ns[:100].copy(), whole.streams["wrench/force"].values[:100].copy())
    when, why = found(Seen({**whole.streams, "wrench/force": cut}))
    assert 2.1 < when < 2.3
    assert why.startswith("dropout: wrench/force is silent for 0.2")


def test_a_stream_of_nothing_but_nan_has_dropped_out_too():
    _, why = found(tried(99, [("wrench/force", slice(100, 150), np.nan)]))
    assert why.startswith("dropout: wrench/force")


def test_what_was_never_recorded_did_not_drop_out():
    whole = tried(99)
    assert found(Seen({name: stream for name, stream in whole.streams.items() if name != "wrench/force"})) is None


def test_a_grip_that_ends_early_is_a_slip():
    _, why = found(tried(99, [("object/held", slice(70, 150), 0.0)]))
    assert why.startswith("slip: object/held lost its hold after 0.40 s; nearly all normal tries hold for 2.00 s")


def test_a_grip_force_that_collapses_is_a_slip():
    _, why = found(tried(99, [("contact/finger", slice(75, 150), 0.0)]))
    assert why.startswith("slip: contact/finger lost its hold after 0.50 s")


def test_a_closed_gripper_that_closes_further_is_a_slip():
    _, why = found(tried(99, [("gripper/opening", slice(100, 150), 0.0)]))
    assert why.startswith("slip: the closed gripper/opening closes further by")


def test_an_object_lost_by_events_is_a_slip():
    when, why = found(tried(99, events=((2.0, "contact/lost"),)))
    assert when == 2.0
    assert why.startswith("slip: the object was lost, by events, 1 times")


def test_chatter_of_a_contact_is_no_slip():
    assert found(tried(99, [("object/held", slice(70, 72), 0.0), ("contact/finger", slice(90, 92), 0.0)])) is None


def test_lerobots_gripper_column_is_found_by_its_name():
    def arm(rest_at):
        opening = np.where(np.arange(100) < 30, 50.0, 20.0)
        opening[60:] = rest_at
        state = np.stack([np.linspace(0.0, 1.0, 100), opening], axis=1)
        stamps = np.arange(100, dtype=np.int64) * 33_000_000
        return Seen({"observation/state": Stream(stamps, state, fields=("elbow.pos", "gripper.pos"))})

    fitted = Signals().fit([arm(20.0) for _ in range(5)])
    assert fitted.score(arm(20.0))[1].max() == 0.0
    assert "closes further" in fitted.reason(arm(5.0), 65 * 33_000_000)


def test_evidence_says_which_rules_were_broken_and_how_far():
    blow = broken(FITTED, tried(99, [("wrench/force", slice(120, 125), 60.0)]))
    assert set(blow) == {"over/force"}
    assert blow["over/force"] > 1.0
    assert broken(FITTED, tried(100)) == {}
    still = tried(99, [("joint/position", slice(50, None), 0.3)])
    assert broken(FITTED, still)["over/blocked"] > 1.0
    distance = Distance().fit([Seen.of(make_episode(seed=seed).streams) for seed in range(6)])
    assert broken(distance, still) == {}


def test_limits_travel_as_arrays():
    assert isinstance(FITTED, Online)
    again = Signals().load({name: array.copy() for name, array in FITTED.arrays().items()})
    struck = tried(99, [("wrench/force", slice(120, 125), 60.0)])
    assert np.array_equal(again.score(struck)[1], FITTED.score(struck)[1])
    assert again.reason(struck, 2_400_000_000) == FITTED.reason(struck, 2_400_000_000)


def test_a_log_has_the_scores_and_the_reasons_that_its_watch_gave():
    slipped = tried(99, [("object/held", slice(70, 150), 0.0)], events=((3.5, "contact/lost"),))
    for seen in (tried(99), slipped, tried(99, [("joint/position", slice(50, None), 0.3)])):
        watch = FITTED.watch()
        stamps, scores = FITTED.score(seen)
        happened = list(instants(seen, tuple(seen.streams)))
        assert [watch.see(*instant) for instant in happened] == scores.tolist()
        assert [instant[0] for instant in happened] == stamps.tolist()
        for at in (0, 90, 120, 199):
            watch = FITTED.watch()
            for instant in happened[: at + 1]:
                watch.see(*instant)
            assert watch.reason() == FITTED.reason(seen, int(stamps[at]))


def test_a_sensor_that_never_said_a_number_has_no_limits():
    fitted = Signals().fit([tried(seed, [("joint/position", slice(None), np.nan)]) for seed in range(5)])
    assert {rule.kind for rule in fitted.rules if "joint/position" in rule.streams} == {"dropout"}


def test_limits_need_some_tries():
    with pytest.raises(TooLittle, match="5 normal tries, not 2"):
        Signals().fit([tried(0), tried(1)])


def demonstrations(site, seeds):
    for seed in seeds:
        roll = Roll(str(seed), site.sample_start(seed), Source.DEMONSTRATION, operator="expert")
        one = run_try(site, roll, policy=None, operator=site.expert(seed), facts={})
        assert one.success
        yield Seen.of(one.log.streams, one.log.events)


def none_alarms(site):
    fitted = Signals().fit(list(demonstrations(site, range(15))))
    peaks = [float(fitted.score(seen)[1].max()) for seen in demonstrations(site, range(100, 130))]
    threshold = conformal_threshold(peaks[:15], budget=0.1)
    assert threshold is not None
    assert not any(peak > threshold for peak in peaks[15:])
    return fitted


def test_clean_demonstrations_at_the_tiny_site_never_alarm():
    none_alarms(Tiny())


@pytest.mark.metaworld
def test_metaworlds_grasps_of_hundreds_of_newtons_never_alarm():
    pytest.importorskip("metaworld")
    from saqiya.sites.metaworld import PickPlace

    fitted = none_alarms(PickPlace())
    limits = {rule.streams[0]: rule.limit for rule in fitted.rules if rule.kind == "force"}
    assert limits["contact/finger"].min() >= 1000.0
