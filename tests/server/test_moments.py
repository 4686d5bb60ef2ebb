"""The clip of a failure over the wire: asked for, waited for, seen; and where there is none, why."""

from __future__ import annotations

from time import monotonic, sleep

import pytest

from saqiya.domain.nouns import Episode, Failure
from saqiya.domain.words import Rank

pytest.importorskip("av")


def clip(client, failure: str) -> dict:
    return client.get(f"/api/v1/failures/{failure}/clip").json()


def test_who_reads_may_see_the_clip_of_a_failure(house, people):
    client, failure = people[Rank.VIEWER], house.wheel.store.catalog.all(Failure)[0].id
    assert clip(client, failure) == {"state": "possible", "still": False}
    for part in ("film", "still"):
        answer = client.get(f"/api/v1/failures/{failure}/clip/{part}")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (422, "UsageError")
    asked = client.post(f"/api/v1/failures/{failure}/clip")
    assert (asked.status_code, asked.json()["state"]) == (202, "filming")
    until = monotonic() + 60
    while clip(client, failure)["state"] == "filming" and monotonic() < until:
        sleep(0.1)
    assert clip(client, failure) == {"state": "ready", "still": True}
    film = client.get(f"/api/v1/failures/{failure}/clip/film", headers={"range": "bytes=4-7"})
    assert (film.status_code, film.headers["content-type"], film.content) == (206, "video/mp4", b"ftyp")
    still = client.get(f"/api/v1/failures/{failure}/clip/still")
    assert (still.headers["content-type"], still.content[:2]) == ("image/jpeg", b"\xff\xd8")


def test_a_clip_of_what_is_no_failure_is_refused(house, people):
    client = people[Rank.ADMIN]
    episode = house.wheel.store.catalog.all(Episode)[0].id
    for ref in ("nothing", episode):
        answer = client.post(f"/api/v1/failures/{ref}/clip")
        assert (answer.status_code, answer.json()["error"]["kind"]) == (404, "UnknownId")
