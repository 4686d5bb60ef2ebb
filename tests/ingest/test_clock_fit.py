import numpy as np
import pytest

from saqiya.ingest.clock_fit import find_jumps, fit_clock

EPOCH_NS = 1_700_000_000_000_000_000
DELAYS = {
    "exponential": lambda rng, n, s: rng.exponential(s, n),
    "gamma": lambda rng, n, s: rng.gamma(2.0, s / 2, n),
    "log-normal": lambda rng, n, s: s * rng.lognormal(0.0, 1.0, n),
    "uniform": lambda rng, n, s: rng.uniform(0.0, 2 * s, n),
    "bursts": lambda rng, n, s: rng.exponential(s, n) * (1 + 20 * (rng.random(n) < 0.02)),
    "noise of the stamps": lambda rng, n, s: rng.normal(0.0, s, n),
}


def two_clocks(seed, law, count, length_s):
    """Stamps of a clock with a drawn offset and drift, and the logger's, delayed by a law of a drawn scale."""
    rng = np.random.default_rng(seed)
    drift_ppm, offset_ns, scale_ns = (
        rng.uniform(-200, 200),
        int(rng.uniform(-1e9, 1e9)),
        1e5 * 10 ** rng.uniform(0, 2.3),
    )
    sensor = EPOCH_NS + np.sort(rng.uniform(0, length_s * 1e9, count)).astype(np.int64)
    true = offset_ns + drift_ppm * 1e-6 * (sensor - sensor[0])
    return (
        sensor,
        sensor + np.rint(true + DELAYS[law](rng, count, scale_ns)).astype(np.int64),
        true,
        drift_ppm,
        scale_ns,
    )


@pytest.mark.parametrize("law", DELAYS)
@pytest.mark.parametrize(("count", "length_s"), [(30, 3.0), (300, 10.0), (1500, 600.0)])
def test_offset_and_drift_lie_within_the_stated_uncertainty(law, count, length_s):
    inside = drifts = 0
    for seed in range(40):
        sensor, receive, true, drift_ppm, _ = two_clocks(seed, law, count, length_s)
        fit = fit_clock(sensor, receive)
        off = max(abs(fit.offset_at(int(sensor[at])) - true[at]) for at in (0, count // 2, -1))
        inside += off <= fit.uncertainty_ns
        drifts += abs(fit.drift_ppm - drift_ppm) <= fit.drift_uncertainty_ppm
    assert inside >= 38  # 95 % of 40
    assert drifts >= 38


@pytest.mark.parametrize("law", ["exponential", "uniform", "gamma"])
def test_the_uncertainty_is_a_fraction_of_the_delays_where_queues_are_seen(law):
    for seed in range(5):
        sensor, receive, _, _, scale_ns = two_clocks(seed, law, 3000, 600.0)
        assert fit_clock(sensor, receive).uncertainty_ns < 0.6 * scale_ns


def test_one_wrong_stamp_does_not_move_the_line():
    sensor, receive, true, _, _ = two_clocks(1, "exponential", 3000, 600.0)
    receive[1000] -= 30_000_000_000
    fit = fit_clock(sensor, receive)
    assert abs(fit.offset_at(int(sensor[-1])) - true[-1]) <= fit.uncertainty_ns < 1e9


def test_nanoseconds_of_a_long_recording_are_kept():
    sensor = EPOCH_NS + np.arange(100_000, dtype=np.int64) * 288_000_000  # eight hours
    fit = fit_clock(sensor, sensor + 12_345)
    assert (fit.offset_ns, fit.drift_ppm, fit.uncertainty_ns) == (12_345, 0.0, 1000)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_stamps_give_an_offset_without_a_drift(count):
    sensor = EPOCH_NS + np.arange(count, dtype=np.int64) * 1_000_000
    fit = fit_clock(sensor, sensor + 5)
    assert (fit.offset_ns, fit.drift_ppm) == (5, 0.0)
    assert fit.uncertainty_ns >= 1_000_000


def test_steps_of_a_clock_are_found_where_they_are():
    found = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(300, 20_000))
        sensor = EPOCH_NS + np.arange(count, dtype=np.int64) * 10_000_000
        at, step = int(rng.uniform(0.1, 0.9) * count), rng.choice([-1, 1]) * 10 ** rng.uniform(7.8, 10)
        late = rng.exponential(3e6, count) + rng.uniform(-1e-4, 1e-4) * (sensor - EPOCH_NS)
        jumps = find_jumps(
            sensor, sensor + np.rint(late + np.where(np.arange(count) >= at, step, 0.0)).astype(np.int64)
        )
        found += len(jumps) == 1 and abs(jumps[0].step_ns - step) < 1e7 and abs(jumps[0].index - at) <= 2
    assert found >= 29


@pytest.mark.parametrize("law", DELAYS)
def test_delays_are_not_taken_for_steps(law):
    assert sum(bool(find_jumps(*two_clocks(seed, law, 2000, 60.0)[:2])) for seed in range(20)) == 0


def test_a_stall_of_the_logger_is_no_step():
    rng = np.random.default_rng(3)
    sensor = EPOCH_NS + np.arange(5000, dtype=np.int64) * 10_000_000
    receive = sensor + rng.exponential(2e6, 5000).astype(np.int64)
    receive[2000:2200] = np.maximum(receive[2000:2200], receive[2200])  # two seconds of messages come at once
    assert find_jumps(sensor, receive) == ()


def test_a_fit_beside_a_step_holds_the_step_in_its_uncertainty():
    sensor, receive, _, _, _ = two_clocks(0, "exponential", 3000, 600.0)
    receive[2000:] += 250_000_000
    fit = fit_clock(sensor, receive, find_jumps(sensor, receive))
    assert 250_000_000 <= fit.uncertainty_ns < 350_000_000
    assert "longest of 2 pieces" in fit.method
