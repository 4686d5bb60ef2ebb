import numpy as np
import pytest

from saqiya.errors import UsageError
from saqiya.models.windows import describe

WRENCH = ["force x (N)", "force y (N)", "force z (N)", "torque x (Nm)", "torque y (Nm)", "torque z (Nm)"]
TRIADS = [(0, 1, 2), (3, 4, 5)]


def bump(towards: tuple[float, float, float], *, samples: int = 40, size: float = 30.0) -> np.ndarray:
    rng = np.random.default_rng(0)
    window = rng.normal(0.0, 0.1, (samples, 6))
    window[samples // 4 : samples // 2, :3] += size * np.array(towards)
    return window


def values(*windows: np.ndarray) -> list[dict[str, float]]:
    found = describe(windows, WRENCH, triads=TRIADS)
    return [dict(zip(found.names, row, strict=True)) for row in found.values]


def test_names_are_told_apart_and_every_value_is_a_number():
    found = describe([bump((1, 0, 0))], WRENCH, triads=TRIADS)
    assert len(set(found.names)) == len(found.names) == found.values.shape[1]
    assert np.isfinite(found.values).all()


def test_a_push_is_seen_where_it_came_from_and_when():
    left, right = values(bump((0, 1, 0)), bump((0, -1, 0)))
    assert left["force: peak towards y"] > 0.9
    assert right["force: peak towards y"] < -0.9
    assert left["force: onset at"] == pytest.approx(0.25)
    assert left["force: peak"] == pytest.approx(30.0, rel=0.05)


def test_sizes_and_shares_do_not_change_when_the_sensor_is_turned():
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    window = bump((0.6, 0.8, 0))
    turned = np.hstack([window[:, :3] @ turn.T, window[:, 3:] @ turn.T])
    one, other = values(window, turned)
    for name in ("size", "largest size", "peak", "peak at", "onset at", "largest share", "smallest share"):
        if name not in {"peak", "peak at"}:  # the middle of each axis is not the middle of the turned axes
            assert one[f"force: {name}"] == pytest.approx(other[f"force: {name}"], abs=0.02), name


def test_features_without_units_do_not_change_with_the_unit():
    newton, kilo = values(bump((1, 2, 3)), bump((1, 2, 3)) / 1000.0)
    free = [name for name in newton if " towards " in name or " with " in name or "share" in name or "band" in name]
    assert len(free) > 40
    assert all(newton[name] == pytest.approx(kilo[name], abs=1e-9) for name in free)


def test_missing_samples_are_filled_and_an_empty_column_is_said_to_be_missing():
    window = bump((1, 0, 0))
    window[5:8, 0] = np.nan
    window[:, 5] = np.nan
    (row,) = values(window)
    assert np.isfinite(row["force x (N): mean"])
    assert np.isnan(row["torque z (Nm): mean"])
    assert np.isnan(row["torque: largest share"])


def test_a_flat_window_divides_by_nothing():
    (row,) = values(np.zeros((15, 6)))
    assert all(np.isfinite(value) for value in row.values())


def test_a_window_of_another_shape_is_refused():
    with pytest.raises(UsageError, match="window 1 has shape"):
        describe([np.zeros((15, 6)), np.zeros((15, 5))], WRENCH)
