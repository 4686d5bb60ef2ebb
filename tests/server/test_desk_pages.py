"""Pages about the desk and its people, and what they answer to what is not there."""

import re

from saqiya.domain.words import Rank


def test_the_context_of_a_slot_that_is_not_there_is_not_found(house, people):
    ref = house.wheel.desk.queue("operator")[0].request
    page = people[Rank.OPERATOR].get(f"/corrections/{ref.id}/briefing", params={"slot": ref.count - 1})
    assert page.status_code == 200
    for slot in (ref.count, 10**6, 10**30):
        assert people[Rank.OPERATOR].get(f"/corrections/{ref.id}/briefing", params={"slot": slot}).status_code == 404


def test_an_admin_makes_a_link_on_the_page_and_it_lets_somebody_choose_a_password(house):
    name = house.person("lena", Rank.VIEWER)
    admin = house.signed_in("admin")
    shown = admin.post("/people/link", data={"name": name, "csrf": admin.headers["x-csrf-token"]})
    ticket = re.findall(r"sign-in\?ticket=(saqiya_[\w-]+)", shown.text)
    assert len(set(ticket)) == 1
    assert ticket[0] not in admin.get("/people").text
    body = {"ticket": ticket[0], "password": "quite another one"}
    assert house.visitor().post("/api/v1/session", json=body).json()["name"] == name
    assert house.signed_in(name, "quite another one").get("/api/v1/session").json()["name"] == name


def test_what_a_form_got_wrong_leads_back_to_the_page_of_the_form(house):
    admin = house.signed_in("admin")
    wrong = {"name": "Ann Smith", "rank": "viewer", "csrf": admin.headers["x-csrf-token"]}
    told = admin.post("/people", data=wrong, headers={"accept": "text/html"})
    assert told.status_code == 422
    assert 'href="/people">To People</a>' in told.text
    refused = house.signed_in("viewer").get("/people", headers={"accept": "text/html"})
    assert (refused.status_code, "To People" in refused.text) == (403, False)


def test_a_link_without_a_password_is_refused_and_still_works(house):
    name = house.person("lars", Rank.VIEWER)
    link = house.signed_in("admin").post(f"/api/v1/people/{name}/link").json()["link"].partition("ticket=")[2]
    answer = house.visitor().post("/api/v1/session", json={"ticket": link})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (422, "UsageError")
    assert (
        house.visitor().post("/api/v1/session", json={"ticket": link, "password": "chosen at last"}).status_code == 200
    )


def test_the_queue_says_why_each_offer_stands_where_it_does(house, people):
    client = people[Rank.OPERATOR]
    (offer, *_) = client.get("/api/v1/queue").json()
    assert [one["name"] for one in offer["terms"]] == ["gain", "per_minute", "kept", "cost", "load", "wait"]
    assert all(one["because"] for one in offer["terms"])
    assert client.get("/api/v1/queue", params={"rig": "no such robot"}).status_code == 200
    assert isinstance(client.get("/api/v1/queue/next").json(), list)
    assert "Why this one first" in client.get("/corrections/offers").text
