"""What hostile use found: who takes back what, versions too old for the list, bytes that no database takes."""

from saqiya.domain.nouns import DatasetVersion
from saqiya.server.pages import datasets


def test_a_version_that_is_too_old_for_the_list_still_has_its_page(house, people, monkeypatch):
    monkeypatch.setattr(datasets, "MOST_VERSIONS", 1)
    first = house.wheel.store.catalog.all(DatasetVersion)[0]
    answer = people["viewer"].get("/datasets", params={"version": first.id})
    assert answer.status_code == 200
    assert house.wheel.key_of(first.id) in answer.text


def test_what_a_reviewer_said_is_not_an_operators_to_take_back(people):
    ref = people["viewer"].get("/api/v1/failures?state=").json()["items"][-1]["failure"]
    said = people["reviewer"].post(f"/api/v1/failures/{ref}/dismiss", json={"reason": "the cell was moved"}).json()
    refused = people["operator"].post("/api/v1/undo", json={"what": said["id"]})
    assert (refused.status_code, refused.json()["error"]["kind"]) == (403, "RankTooLow")
    assert people["reviewer"].post("/api/v1/undo", json={"what": said["id"]}).status_code == 200
    asked = people["operator"].post(f"/api/v1/failures/{ref}/assign", json={"person": "operator"}).json()
    assert people["operator"].post("/api/v1/undo", json={"what": asked["id"]}).status_code == 200


def test_a_nul_is_refused_before_a_database_sees_it(people):
    viewer, admin = people["viewer"], people["admin"]
    assert viewer.get("/api/v1/nouns?ref=%00").status_code == 404
    assert viewer.get("/failures/a%00b/card").status_code == 404
    assert viewer.get("/datasets?version=a%00").status_code == 404
    form = {"person": "viewer", "name": "\x00"}
    assert admin.post("/people/token", data=form).status_code == 422
    assert admin.post("/corrections/hand-back", data={"lease": "x", "reason": "\x00"}).status_code == 422
    assert admin.post("/review/x", data={"verdict": "reject", "reason": "\x00"}).status_code == 422
    assert admin.post("/api/v1/uploads", params={"task": "a\nb"}, content=b"x").status_code == 422


def test_a_log_that_was_cut_is_told_of_without_our_own_file_name(people, house):
    answer = people["operator"].post("/api/v1/uploads", content=b"\x89MCAP0\r\n" + bytes(100))
    assert "saqiya record recover FILE" in answer.json()["rejected"][0]
