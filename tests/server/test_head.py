"""HEAD is answered where GET is, without a body; a stream ends at once."""

import pytest
from fastapi.responses import FileResponse

from saqiya.domain.nouns import Episode
from saqiya.domain.words import Rank


@pytest.mark.parametrize("path", ["/", "/corrections", "/failures", "/api/v1/queue", "/static/app/style.css", "/live"])
def test_head_is_get_without_a_body(people, path):
    answer = people[Rank.OPERATOR].head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"]


def test_head_tells_no_more_than_get_would(people):
    assert people[None].head("/api/v1/queue").status_code == 401
    assert people[Rank.VIEWER].head("/people").status_code == 403
    assert people[Rank.OPERATOR].head("/api/v1/queue/claim").status_code == 405
    assert people[Rank.OPERATOR].head("/nowhere").status_code == 404


def test_what_a_file_was_written_for_is_cleared_away_after_head_too(house, people, monkeypatch):
    monkeypatch.setattr(FileResponse, "chunk_size", 1024)  # so that it comes in parts, as a long log does
    episode = house.wheel.store.catalog.all(Episode)[0].id
    address = f"/api/v1/episodes/{episode}/open?viewer=foxglove&t=0"
    asked, told = people[Rank.VIEWER].head(address), people[Rank.VIEWER].get(address)
    assert (asked.status_code, asked.content) == (200, b"")
    assert asked.headers["content-length"] == str(len(told.content))
    assert list((house.wheel.store.derived / "views").iterdir()) == []
