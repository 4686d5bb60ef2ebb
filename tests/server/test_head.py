"""HEAD is answered where GET is, without a body; a stream ends at once."""

import pytest

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
