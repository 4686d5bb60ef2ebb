"""Every address that can be asked with GET, pages too, asked with ids of every kind and with odd values."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.testclient import TestClient

from saqiya.loop.flywheel import Flywheel
from saqiya.stores.schema import nouns

__all__ = ["asked_oddly"]

ODD = (
    "", "0", "-1", "2.5", "1e308", "nan", "-inf", "9" * 30, str(1 << 63), "true", "é", "\u202e", "\U0001f600",
    "a" * 199, "<script>alert(1)</script>", "../../etc/passwd", "%", "_", "null", "[]", "{}", "' or 1=1", "\n", "now",
)  # fmt: skip
ENDLESS = "/live"


def asked_oddly(app: FastAPI, wheel: Flywheel, headers: dict[str, str], *, seed: int, requests: int) -> tuple[int, int]:
    """Return how many of so many requests ended in a fault of the server, and how many addresses were asked."""
    draw, routes = random.Random(seed), list(_routes(app))  # noqa: S311 - of test data
    with wheel.store.catalog.database.reading() as connection:
        rows = connection.execute(sa.select(nouns.c.id, nouns.c.key).order_by(nouns.c.id)).all()
    known = [name for row in rows for name in row]
    faults = 0
    with TestClient(app, headers={**headers, "accept": "text/html"}, raise_server_exceptions=False) as client:
        for _ in range(requests):
            path, parts, query = draw.choice(routes)
            for part in parts:
                path = path.replace(f"{{{part}}}", quote(draw.choice(draw.choice((known, ODD))) or "x", safe=""))
            params = {one: draw.choice(draw.choice((known, ODD, ODD))) for one in query if draw.random() < 0.5}
            status = client.get(path, params=params, follow_redirects=False).status_code
            if status >= 500:
                faults += 1
                print(f"{status}: {path} {params}", flush=True)
    return faults, len(routes)


def _routes(app: FastAPI) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield the path of every route that GET asks, with the names of its parts and of its query."""
    for one in iter_route_contexts(app.routes):
        if "GET" in (getattr(one.original_route, "methods", None) or ()) and str(one.path) != ENDLESS:
            yield str(one.path), [part.alias for part in one.dependant.path_params], sorted(_query(one.dependant))


def _query(dependant: Any) -> set[str]:  # noqa: ANN401 - FastAPI's own
    return {one.alias for one in dependant.query_params}.union(*(_query(one) for one in dependant.dependencies))
