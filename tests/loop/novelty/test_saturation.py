import dataclasses
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from saqiya.domain.nouns import Deployment, Lineage, Policy
from saqiya.errors import AlreadyThere, GuardRefusal, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.novelty.retrained import known_curves
from saqiya.loop.novelty.saturation import curves_of, named_failures, recipe_of
from saqiya.loop.pages.saturation_picture import svg_of, write_picture
from saqiya.measure.saturation import Curve, Point


def test_the_tasks_curve_counts_what_each_deployed_policy_learned_from(turned_once):
    (curve, *_) = curves_of(turned_once, turned_once.scope)
    deployed = [turned_once.store.catalog.get(turn.deployment, Deployment) for turn in turned_once.turns()]
    policies = list(dict.fromkeys(one.policy for one in deployed))
    assert [one.name for one in curve.points] == [turned_once.key_of(one) for one in policies]
    assert sum(one.tries for one in curve.points) == sum(t.figures["success"]["n"] for t in turned_once.turns())
    assert sum(one.good for one in curve.points) == sum(t.figures["success"]["k"] for t in turned_once.turns())
    assert 2 <= curve.points[0].demonstrations <= 12
    assert curve.points[0].cost == 0
    assert [one.demonstrations for one in curve.points] == sorted(one.demonstrations for one in curve.points)


def test_modes_count_only_deployments_whose_failures_were_read(turned_once):
    modes = [one for one in curves_of(turned_once, turned_once.scope) if one.kind == "mode"]
    first = turned_once.turns()[0].figures["success"]
    assert modes
    assert {one.points[0].tries for one in modes} == {first["n"]}
    failed = sum(one.points[0].tries - one.points[0].good for one in modes)
    assert failed == len(named_failures(turned_once)) <= first["n"] - first["k"]


def test_conditions_part_the_tries(turned_once):
    found = [one for one in curves_of(turned_once, turned_once.scope, factors=True) if one.kind == "condition"]
    task = curves_of(turned_once, turned_once.scope, parts=False)[0]
    assert all(one.points[-1].tries <= task.points[-1].tries for one in found)


def test_a_recipe_is_told_apart_by_what_is_written_down(turned_once):
    policy = turned_once.store.catalog.get(turned_once.turns()[0].policy, Policy)
    recipe = dict(recipe_of(turned_once, policy))
    assert recipe["trainer"] == "ridge"
    assert recipe["settings"] == "features 128, members 3"
    other = dataclasses.replace(policy, settings={"members": 5.0})
    assert dict(recipe_of(turned_once, other))["settings"] == "members 5"
    assert "settings" not in dict(recipe_of(turned_once, dataclasses.replace(policy, settings=None)))


def test_retraining_goes_on_where_it_was_interrupted(turned, monkeypatch):
    with Flywheel(turned) as wheel:
        whole = wheel.pump.retrain(sizes=2, seeds=1, tries=4).curve
        kept = sorted((wheel.store.derived / "saturation").glob("*.json"))
        assert len(kept) == len(whole.points) == 2
        assert {one.tries for one in whole.points} == {4.0}
        before = {path: path.read_bytes() for path in kept[:1]}
        kept[1].unlink()
        assert wheel.pump.retrain(sizes=2, seeds=1, tries=4).curve == whole
        assert {path: path.read_bytes() for path in kept[:1]} == before
        assert known_curves(wheel) == (whole,)
        assert whole in [one.curve for one in wheel.pump.saturation()]
        with pytest.raises(UsageError, match="at least one"):
            wheel.pump.retrain(sizes=0)


def test_without_a_site_the_curve_is_of_held_out_actions(turned, fresh):
    with Flywheel(turned) as wheel:
        keys = [wheel.key_of(one.id) for one in wheel.training_episodes(wheel.champion()[0])]
        wheel.data.version("all", keys, note="")
    (turned / "saqiya.toml").unlink()
    with Flywheel(turned) as bare:
        bench = bare.pump.retrain("dataset/all", sizes=2, seeds=1, trainer="ridge")
    assert bench.curve.basis == "held-out error"
    assert all(0.0 < one.good / one.tries < 1.0 for one in bench.curve.points)


def test_four_episodes_are_enough_for_two_judges(turned):
    with Flywheel(turned) as wheel:
        keys = [wheel.key_of(one.id) for one in wheel.training_episodes(wheel.champion()[0])]
        wheel.data.version("four", keys[:4], note="")
    (turned / "saqiya.toml").unlink()
    with Flywheel(turned) as bare:
        (point,) = bare.pump.retrain("dataset/four", sizes=1, seeds=1, trainer="ridge").curve.points
    assert point.demonstrations == 2


def test_a_foreign_policy_has_a_curve_once_it_declares_its_demonstrations(turned):
    with Flywheel(turned) as wheel:
        catalog, tries = wheel.store.catalog, wheel.turns()[0].deployment
        for name, said in (("theirs-1", {"demonstrations": "40"}), ("theirs-2", {})):
            policy = Policy(
                id=catalog.new_id("policy"), name=name, lineage=Lineage.DECLARED, trainer="", weights=None,
                spec=None, dataset=None, declared=said,
            )  # fmt: skip
            catalog.put(policy, key=name)
            old = catalog.get(tries, Deployment)
            catalog.put(
                dataclasses.replace(
                    old, id=catalog.new_id("deployment"), policy=policy.id, scope="x@logged/y", mode="logged"
                ),
                key=f"logged/{name}",
            )
        (curve, *_) = curves_of(wheel, "x@logged/y")
        assert [one.demonstrations for one in curve.points] == [40]
        places = {one.scope: one for one in wheel.pump.phases()}
    assert places["x@logged/y"].tries == curve.points[0].tries
    assert wheel.scope in places


def test_a_workspace_with_nothing_says_so(tmp_path):
    Flywheel.init(tmp_path / "data").close()
    with Flywheel(tmp_path / "data") as wheel:
        assert wheel.pump.saturation() == ()
        assert wheel.pump.phases() == ()
        assert wheel.pump.teaching() is None
        with pytest.raises(GuardRefusal, match="no dataset version"):
            wheel.pump.retrain()


def test_the_picture_shows_points_band_and_break(tmp_path):
    old, new = (("width", "64"),), (("width", "<256>"),)
    curve = Curve(
        "a & b",
        (Point(10, 20, 100, recipe=old), Point(30, 45, 100, recipe=old), Point(60, 80, 100, recipe=new)),
    )
    drawn = ET.fromstring(svg_of(curve))
    assert len(drawn.findall(".//{*}circle")) == 3
    assert len(drawn.findall(".//{*}polygon")) == 1
    assert "width: 64 -> <256>" in "".join(drawn.itertext())
    path = write_picture(curve, tmp_path / "curve.svg")
    assert path.read_text() == svg_of(curve)
    with pytest.raises(AlreadyThere):
        write_picture(curve, path)


def test_the_turn_says_of_what_to_collect_no_more(turned_once):
    assert all(isinstance(turn.figures["collect_no_more"], dict) for turn in turned_once.turns())
    with_all = dataclasses.replace(turned_once.config.stop, gain_per_10=1.0)
    config = dataclasses.replace(turned_once.config, stop=with_all)
    from saqiya.loop.novelty import saturation

    class Told:
        """The wheel with another threshold."""

        def __init__(self):
            self.config = config

        def __getattr__(self, name):
            return getattr(turned_once, name)

    said = saturation.stops_of(Told())
    assert said[turned_once.scope].startswith("Collect no more for the task as a whole: 10 more demonstrations bring +")


def test_the_pages_picture_is_of_the_curve_that_the_page_shows():
    root = Path(__file__).parents[3]
    drawn = ET.parse(root / "docs" / "images" / "saturation.svg")
    told = [one.text for one in drawn.iter("{http://www.w3.org/2000/svg}title")]
    page = (root / "docs" / "saturation.md").read_text()
    shown = [f"{good}/{tries}" for good, tries in re.findall(r"good=(\d+), tries=(\d+)", page)]
    assert [one.strip(": ") for one in told] == shown
