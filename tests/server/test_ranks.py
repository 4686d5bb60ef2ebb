"""Every route says who may use it, and the server holds it, whatever a page shows."""

import re

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from saqiya.domain.words import Rank
from saqiya.server.app import ROUTERS
from saqiya.server.gatekeeper import Viewer, rank_of, unranked

ROUTES = [
    (method, route.path, rank_of(route)[1])
    for router in ROUTERS
    for route in router.routes
    if hasattr(route, "methods")
    for method in sorted(route.methods)
]


def at(path: str) -> str:
    """An address of this route at which there is nothing."""
    return re.sub(r"{[^}]*}", "nothing-here", path)


def test_every_route_of_the_app_says_who_may_use_it(house):
    assert unranked(house.app) == []
    known = [one for one in iter_route_contexts(house.app.routes) if not isinstance(one.original_route, Mount)]
    assert len(known) >= len(ROUTERS) > 3


def test_a_route_that_says_nothing_is_found():
    app, router = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), APIRouter()

    @router.get("/open")
    def open_to_all() -> None: ...

    @router.get("/held")
    def held(who: Viewer) -> None: ...

    app.include_router(router)
    assert unranked(app) == ["/open"]


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES, ids=str)
def test_each_rank_gets_what_it_may_and_no_more(people, method, path, needed):
    if path == "/live":
        pytest.skip("a stream without end: see test_live.py")
    for rank, client in people.items():
        if (method, path) in {("DELETE", "/api/v1/session"), ("POST", "/sign-out")} and rank is not None:
            continue  # would sign the browser of all tests out
        answer = client.request(method, at(path), json={} if method != "GET" else None, follow_redirects=False)
        if needed is None:
            assert answer.status_code < 500
        elif rank is None:
            assert (answer.status_code, answer.json()["error"]["kind"]) == (401, "NotSignedIn")
        elif rank.covers(needed):
            assert answer.status_code not in {401, 403}
        else:
            assert (answer.status_code, answer.json()["error"]["kind"]) == (403, "RankTooLow")


def test_a_rank_covers_itself_and_those_before_it():
    assert [[one.covers(other) for other in Rank] for one in Rank] == [[i >= j for j in range(4)] for i in range(4)]
