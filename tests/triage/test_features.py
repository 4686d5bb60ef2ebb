from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Stream
from saqiya.errors import TooLittle
from saqiya.triage.features import describe

STEPS = 60


def tried(
    seed: int, *, gain: float = 1.0, push: float = 0.0, drop: bool = False, begin: float = 0.0, steps: int = STEPS
) -> Seen:
    """A cart that follows its command to 1 and takes an object along once it is there."""
    rng = np.random.default_rng(seed)
    place, held, rows, commands, contact = begin + rng.normal(0.0, 0.02), 0.0, [], [], []
    for step in range(steps):
        command = 0.1 * np.sign(1.0 - place) if abs(1.0 - place) > 0.1 else 1.0 - place
        held = float(place > 0.8 and not (drop and step > 25))
        rows.append([place, 2.0 * place])
        commands.append([command])
        contact.append([held * (5.0 + rng.normal(0.0, 0.1))])
        place += gain * command + rng.normal(0.0, 0.005) + (push if step == 5 else 0.0)
    t_ns = np.arange(steps, dtype=np.int64) * 50_000_000
    streams = {"observation/cart": rows, "action/executed": commands, "contact/force": contact}
    made = {name: Stream(t_ns, np.array(values)) for name, values in streams.items()}
    return Seen(made, (Event(0, "phase/reach"),))


SUCCESSES = [tried(seed) for seed in range(40)]


def described(**failures: Seen) -> dict[str, dict[str, float]]:
    found = describe(SUCCESSES, failures)
    assert not found.left_out
    return {one: dict(zip(found.names, row.tolist(), strict=True)) for one, row in found.rows.items()}


def test_a_weak_drive_shows_in_what_follows_the_command_and_a_push_in_a_leap():
    found = described(weak=tried(150, gain=0.3), pushed=tried(151, push=-0.5), usual=tried(152))
    assert found["weak"]["follow/mean"] < min(-1.5, found["usual"]["follow/mean"] - 1.0)
    assert found["pushed"]["leap/observation/cart"] > max(2.0, found["weak"]["leap/observation/cart"])
    assert abs(found["usual"]["leap/observation/cart"]) < 1.5


def test_a_lost_object_is_missing_where_successes_hold_it():
    found = described(dropped=tried(153, drop=True), usual=tried(154))
    assert found["dropped"]["missing/contact/force"] > 1.0 > found["usual"]["missing/contact/force"]


def test_a_start_far_from_all_successes_is_told():
    found = described(far=tried(155, begin=-0.8), usual=tried(156))
    assert found["far"]["start"] > 1.5 > found["usual"]["start"]


def test_waiting_longer_for_the_time_out_changes_no_feature():
    short, long = tried(157, drop=True), tried(157, drop=True, steps=3 * STEPS)
    found = described(short=short, long=long)
    assert found["short"] == pytest.approx(found["long"])


def test_neither_ids_nor_order_matter():
    failed = {f"f{seed}": tried(seed, drop=True) for seed in range(160, 164)}
    ahead = describe(SUCCESSES, failed)
    behind = describe(SUCCESSES[::-1], dict(reversed(failed.items())))
    assert ahead.names == behind.names
    assert all(np.array_equal(ahead.rows[one], behind.rows[one]) for one in failed)


@pytest.mark.parametrize("kept", ["observation/cart", "contact/force"])
def test_a_log_without_phases_commands_or_contact_still_has_features(kept):
    def bare(seen: Seen) -> Seen:
        return Seen({kept: seen.streams[kept]})

    found = describe([bare(seen) for seen in SUCCESSES], {"odd": bare(tried(158, drop=True, push=-0.5))})
    row = found.rows["odd"]
    assert np.isfinite(row).all()
    assert np.abs(row).max() > 1.0


def test_a_failure_that_lacks_a_stream_is_left_out_and_says_why():
    broken = tried(159)
    lacking = replace(broken, streams={"observation/cart": broken.streams["observation/cart"]})
    found = describe(SUCCESSES, {"whole": broken, "lacking": lacking})
    assert list(found.rows) == ["whole"]
    assert "contact/force" in found.left_out["lacking"]


def test_too_few_successes_do_not_say_what_is_normal():
    with pytest.raises(TooLittle, match="9 successes"):
        describe(SUCCESSES[:9], {})
