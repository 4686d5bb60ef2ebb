"""What is said of a try through the interface is said of one try, and who said and asked what is in the trail."""

import pytest
from tests.server.conftest import house_at

from saqiya.domain.nouns import CollectionPlan, DatasetVersion, FactorClaim, OutcomeClaim
from saqiya.domain.words import Rank


@pytest.mark.parametrize(
    ("place", "body", "kind"),
    [("outcomes", {"outcome": "failure"}, OutcomeClaim), ("factors", {"factor": "light", "value": "dim"}, FactorClaim)],
)
def test_a_dataset_version_is_no_try_of_which_anything_could_be_said(house, people, place, body, kind):
    catalog = house.wheel.store.catalog
    before, version = len(catalog.all(kind)), catalog.all(DatasetVersion)[0]
    for ref in (version.id, catalog.key_of(version.id).replace("/", "%2F")):
        refused = people[Rank.REVIEWER].post(f"/api/v1/episodes/{ref}/{place}", json=body)
        assert refused.status_code == 404
    assert len(catalog.all(kind)) == before
    made = people[Rank.REVIEWER].post(f"/api/v1/episodes/{house.spare_episode()}/{place}", json=body)
    assert (made.status_code, len(made.json())) == (201, 1)
    (told,) = house.wheel.staff.trail.read(limit=1)
    assert (told.who, told.what, told.subject) == ("reviewer", place.removesuffix("s"), catalog.all(kind)[-1].id)


@pytest.fixture
def named(turned):
    """A house of its own, whose failures of the last deployment have names."""
    made = house_at(turned)
    made.wheel.detect()
    made.wheel.triage()
    yield made
    made.wheel.close()


def test_who_plans_and_who_asks_for_it_are_in_the_trail(named):
    house, reviewer = named, named.signed_in("reviewer")
    csrf = reviewer.headers["x-csrf-token"]
    planned = reviewer.post("/plan", data={"minutes": "30", "csrf": csrf}, follow_redirects=False)
    assert planned.status_code == 303
    plan = house.wheel.store.catalog.all(CollectionPlan)[-1]
    asked = reviewer.post("/plan/ask", data={"plan": plan.id, "csrf": csrf}, follow_redirects=False)
    assert asked.status_code == 303
    told = {one.what: one for one in house.wheel.staff.trail.read(who="reviewer", limit=2)}
    assert told["plan"].subject == plan.id
    assert [house.wheel.noun(one).because for one in told["ask"].detail["nouns"]] == [plan.id] * len(plan.items)
