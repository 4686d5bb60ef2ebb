"""What is known of each try's factors, and what was never shown, in a workspace of logs and on a turned wheel."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from saqiya.domain.nouns import Deployment, Episode, FactorClaim
from saqiya.errors import ConfigError, UnknownId, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.pages.coverage_page import coverage_page, heatmap, pair_of, worst, write_coverage
from saqiya.models.conditions import By
from saqiya.testing import make_episode

DATA = Path(os.environ.get("SAQIYA_SHARED_DATA", Path(__file__).parents[4] / "shared" / "data"))
ROBOSUITE = DATA / "robosuite-human-hdf5"

RULES = """
[factors.lighting]
values = ["day", "lamp", "storm"]
[[rule]]
factor = "lighting"
field = "lux"
range = [0, 50]
value = "lamp"
[[rule]]
factor = "lighting"
field = "lux"
range = [50, inf]
value = "day"
"""


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Demonstrations of a mug and a pan by day, of a mug by lamp light, and a policy's tries of more."""
    folder = tmp_path_factory.mktemp("logs")
    kinds = [("mug", 80, ""), ("pan", 80, ""), ("mug", 20, "")] + [(o, 20, "act") for o in ("pan", "pan", "jug", "mug")]
    for number, (thing, lux, policy) in enumerate(kinds * 6):
        failed = policy and (thing, lux) == ("pan", 20)
        log = make_episode(seed=number, success=not failed, steps=6)
        said = {
            "object": thing,
            "lux": lux,
            "source": "rollout" if policy else "demonstration",
            "policy": policy or None,
        }
        said = {name: value for name, value in said.items() if value is not None}
        McapFormat().write(replace(log, key=f"t{number}", metadata={**log.metadata, **said}), folder / f"{number}.mcap")
    return folder


@pytest.fixture(scope="module")
def ingested(logs, room):
    made = room / "lab"
    with Flywheel.init(made) as wheel:
        wheel.ingest(sorted(logs.iterdir()))
    (made / "factors.toml").write_text(RULES)
    return made


@pytest.fixture
def lab(ingested, fresh):
    with Flywheel(shutil.copytree(ingested, fresh / "lab")) as wheel:
        yield wheel


def conditions(found):
    return [one.factors for one in found.gaps]


def test_what_deployment_meets_and_nobody_showed_is_found_in_logs_alone(lab):
    found = lab.pump.coverage()
    assert (found.shown_n, found.met_n) == (18, 24)
    assert conditions(found)[0] == {"lighting": "lamp", "object": "pan"}
    assert {"object": "jug"} in conditions(found)
    assert found.gaps[0].failed_n == found.gaps[0].met_n == 12
    assert {"lighting": "storm"} in conditions(found)
    assert found.by["lighting"] == {By.RULE: 42}


def test_only_what_is_named_counts_as_shown(lab):
    mugs = [one.id for one in lab.store.catalog.all(Episode) if one.extra["object"] == "mug" and not one.policy_name]
    lab.data.version("mugs", mugs)
    assert {"object": "pan"} in conditions(lab.pump.coverage(["dataset/mugs"]))
    assert {"object": "pan"} not in conditions(lab.pump.coverage())


def test_a_persons_word_counts_at_once_in_coverage_and_in_slices(lab):
    failed = [one for one in lab.store.catalog.all(Episode) if one.policy_name and one.extra["object"] == "pan"]
    lab.pump.factors.say([one.id for one in failed], {"object": "lid", "floor": "wet"}, author="ann")
    assert {"object": "lid"} in conditions(lab.pump.coverage())
    known = lab.pump.factors.known(failed)
    assert {(one["object"].by, one["object"].where) for one in known.said} == {(By.PERSON, "ann")}
    assert lab.pump.factors.conditions(failed)[failed[0].id]["floor"] == "wet"
    (deployment,) = lab.failures.adopt()
    every, _ = lab.failures.slices(deployment)
    assert ("object", "lid") in {literal for one in every for literal in one.literals}
    lab.pump.factors.say([one.id for one in failed], {"object": ""}, author="ann")
    assert {"object": "lid"} not in conditions(lab.pump.coverage())


def test_a_strategys_word_goes_to_its_own_side(lab):
    one = lab.store.catalog.all(Episode)[0].id
    (claim,) = lab.pump.factors.say([one], {"strategy": "Two arms"}, author="ann")
    assert (claim.factor, claim.value) == ("arms", "two arms")
    with pytest.raises(UsageError, match="is no word for strategy"):
        lab.pump.factors.say([one], {"strategy": "fling"}, author="ann")
    with pytest.raises(UsageError, match="is no word for arms"):
        lab.pump.factors.say([one], {"arms": "push"}, author="ann")


@pytest.mark.parametrize(("values", "author"), [({"a": "b"}, " "), ({}, "ann"), ({"a": "b"}, "suggested: me")])
def test_who_says_nothing_or_is_nobody_is_refused(lab, values, author):
    with pytest.raises(UsageError, match="somebody"):
        lab.pump.factors.say([lab.store.catalog.all(Episode)[0].id], values, author=author)
    with pytest.raises(UnknownId):
        lab.pump.factors.say(["nobody"], {"a": "b"}, author="ann")


def test_hints_wait_for_a_person_and_are_found_once(fresh, tmp_path):
    log = make_episode(seed=1, steps=6, metadata={"task": "push the mug", "source": "demonstration"})
    McapFormat().write(log, tmp_path / "one.mcap")
    with Flywheel.init(fresh / "hints") as wheel:
        wheel.ingest([tmp_path / "one.mcap"])
        one = wheel.store.catalog.all(Episode)[0].id
        (hint,) = wheel.pump.factors.suggest()
        assert (hint.factor, hint.value) == ("strategy", "push")
        assert wheel.pump.factors.suggest() == ()
        (value,) = wheel.pump.coverage().values["strategy"]
        assert (value.shown_n, value.suggested_n) == (0, 1)
        wheel.pump.factors.accept([one], author="ann")
        (value,) = wheel.pump.coverage().values["strategy"]
        assert (value.shown_n, value.suggested_n) == (1, 0)
        assert wheel.pump.factors.accept([one], author="ann") == ()
        assert len(wheel.store.catalog.all(FactorClaim)) == 2


def test_a_wrong_file_is_told_before_anything_is_counted(lab):
    (lab.store.root / "factors.toml").write_text("[factors.lighting]\nvalue = 3\n")
    with pytest.raises(ConfigError, match=r"factors\.lighting\.value"):
        lab.pump.coverage()


def test_a_wheel_knows_its_regions_and_what_it_deployed(turned):
    with Flywheel(turned) as wheel:
        found = wheel.pump.coverage()
        deployed = {one for each in wheel.store.catalog.all(Deployment) for one in each.episodes}
    assert found.met_n == len(deployed)
    assert {"object region", "goal region"} <= set(found.values)
    assert sum(one.met_n for one in found.values["object region"]) == found.met_n
    assert found.gaps[0].region
    assert all(".." in part for part in found.gaps[0].region.values())


def test_the_page_shows_gaps_pairs_and_figures(lab, fresh):
    found = lab.pump.coverage()
    page = write_coverage(found, None, fresh / "page.html").read_text()
    assert "Lighting lamp with object pan was never shown" in page
    assert page.count("<svg") == len(worst(found))
    assert "<script" not in page
    with pytest.raises(UsageError, match="are no two factors"):
        pair_of(found, ("object", "weather"))
    assert pair_of(found, ("object", "lighting")).factors == ("object", "lighting")


def test_what_a_value_says_is_never_markup(lab):
    pans = [one.id for one in lab.store.catalog.all(Episode) if one.extra["object"] == "pan"]
    lab.pump.factors.say(pans, {"object": "<b>pan & lid</b>"}, author="ann")
    found = lab.pump.coverage()
    assert "<b>pan" not in coverage_page(found, worst(found))
    assert "&lt;b&gt;pan &amp; lid" in heatmap(pair_of(found, ("lighting", "object")))


@pytest.mark.skipif(not ROBOSUITE.is_dir(), reason=f"no robosuite demonstrations in {DATA}")
def test_published_demonstrations_are_covered_across_tasks(fresh):
    files = [one for one in ROBOSUITE.rglob("demo.hdf5") if one.parts[-3] in {"door", "lift", "wipe"}]
    with Flywheel.init(fresh / "real") as wheel:
        wheel.data.ingest(files, keep="link")
        found = wheel.pump.coverage()
    assert {one.value: one.shown_n for one in found.values["task"]} == {"Door": 1, "Lift": 1, "Wipe": 1}
    assert [one.value for one in found.values["embodiment"]] == ["Panda"]
    assert found.together == (("environment", "task"),)
