from dataclasses import replace

import pytest

from saqiya.errors import TooLittle, UsageError
from saqiya.measure.saturation import Curve, Point, breaks, enough, fit, gain, in_words, needed, rivals, since

RISING = Curve("task", (Point(20, 46, 200), Point(45, 110, 200), Point(70, 150, 200), Point(95, 165, 200)))
LEVEL = Curve("task", tuple(Point(n, 160, 200) for n in (20, 60, 100, 140, 180, 220)))


def test_a_rising_curve_promises_more_than_a_level_one():
    rising, level = gain(RISING, 25, seed=0), gain(LEVEL, 25, seed=0)
    assert rising.value > 2 * level.value
    assert rising.low > level.low
    assert 0.0 <= rising.low < rising.value < rising.high


def test_equal_points_and_seed_give_equal_forecasts_and_other_seeds_nearly_equal_ones():
    fit.cache_clear()
    first = gain(RISING, 50, seed=3)
    fit.cache_clear()
    assert gain(RISING, 50, seed=3) == first
    assert gain(RISING, 50, seed=4).value == pytest.approx(first.value, abs=0.02)


def test_more_demonstrations_never_promise_less():
    promised = [gain(RISING, n, seed=0) for n in (0, 5, 10, 50, 500)]
    assert promised[0].high == 0.0
    assert [one.value for one in promised] == sorted(one.value for one in promised)


def test_fewer_points_leave_more_open():
    def width(points):
        told = gain(Curve("task", points), 25, seed=0)
        return told.high - told.low

    assert width(RISING.points[:1]) > 2 * width(RISING.points)


def test_the_stop_rule_speaks_on_a_plateau_with_its_figures_and_is_silent_on_a_slope():
    said = enough(LEVEL, 0.01, seed=0, label="mode 'dropped'")
    assert said.startswith("Collect no more for mode 'dropped': 10 more demonstrations bring +")
    assert "160 of 200 after 220 demonstrations, 6 policies" in said
    assert enough(RISING, 0.01, seed=0) == ""
    assert enough(RISING, 0.5, seed=0) != ""


def test_a_mode_too_rare_to_matter_needs_no_more_though_nothing_was_collected_for_it():
    rare = Curve("dropped", tuple(Point(0, good, 1000) for good in (998, 997, 999, 998)), kind="mode")
    assert "2 of 1000 tries failed so" in enough(rare, 0.01, seed=0)


def test_a_task_is_not_given_up_after_one_policy():
    assert enough(Curve("task", (Point(20, 100, 200),)), 0.01, seed=0) == ""


def test_demonstrations_needed_grow_with_the_rate_and_may_never_suffice():
    near, far = needed(RISING, 0.84, seed=0), needed(RISING, 0.99, seed=0)
    assert near.value is not None
    assert near.never < far.never
    assert needed(RISING, 0.5, seed=0).high == 0
    assert needed(LEVEL, 0.95, seed=0).high is None


def test_another_recipe_breaks_the_curve_and_its_gain_is_not_the_datas():
    old, new = (("chunk", "8"), ("trainer", "ridge")), (("chunk", "8"), ("trainer", "ensemble"))
    level = [replace(one, recipe=old) for one in LEVEL.points]
    broken = Curve("task", (*level, Point(225, 196, 200, recipe=new)))
    (found,) = breaks(broken, seed=0)
    assert found.why == "trainer: ridge -> ensemble"
    assert found.change.value == pytest.approx(0.18, abs=0.02)
    assert found.data.high < 0.05
    assert since(broken).points == broken.points[-1:]
    assert gain(broken, 10, seed=0) == gain(Curve("task", broken.points[-1:]), 10, seed=0)


def test_what_is_not_known_of_a_recipe_breaks_nothing():
    first, second = Point(10, 5, 20, recipe=(("trainer", "ridge"),)), Point(20, 9, 20)
    assert breaks(Curve("task", (first, second)), seed=0) == ()


def test_a_change_of_recipe_without_new_data_is_all_the_recipes():
    points = (Point(20, 50, 100, recipe=(("width", "64"),)), Point(20, 80, 100, recipe=(("width", "256"),)))
    (found,) = breaks(Curve("task", points), seed=0)
    assert found.data.high == 0.0
    assert found.change.low > 0.1


def test_what_a_next_policy_shows_spreads_more_than_the_curve():
    fitted = fit(LEVEL, seed=0)
    assert fitted.tested(230, 50, seed=1).std() > fitted.success(230).std()


def test_rivals_stay_within_what_a_rate_can_be():
    assert rivals(RISING, 1000) == {"no change": 0.825, "last slope": 1.0}
    assert rivals(Curve("task", RISING.points[:1]), 50)["last slope"] == 0.23


def test_a_forecast_reads_as_a_sentence():
    assert in_words(gain(LEVEL, 50, seed=0)).startswith("50 more of these: +")


def test_nothing_is_forecast_from_nothing():
    with pytest.raises(TooLittle, match="no point"):
        gain(Curve("task", ()), 10, seed=0)
    with pytest.raises(UsageError, match="-1 more"):
        gain(RISING, -1, seed=0)
    with pytest.raises(UsageError, match="3 of 2 tries"):
        Point(10, 3, 2)
