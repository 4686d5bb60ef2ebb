"""Attacks on a real server, in-process: what each tries and how it is refused; SECURITY.md shows them as a table.

The attacks are in `attacks_door.py` (who asks) and `attacks_inside.py` (what they send and read).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saqiya.domain.words import Rank
from saqiya.server.app import ROUTERS
from saqiya.server.gatekeeper import rank_of

ATTACKS: list[Attack] = []
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&{{7*7}}'


@dataclass(frozen=True)
class Attack:
    """One attack: what is tried, what the server does, and the code that tries it."""

    kind: str
    tried: str
    refused: str
    run: Callable


def attack(kind: str, tried: str, refused: str) -> Callable[[Callable], Callable]:
    """Put a function into the table."""

    def keep(run: Callable) -> Callable:
        ATTACKS.append(Attack(kind, tried, refused, run))
        return run

    return keep


def table() -> str:
    """The table of SECURITY.md."""
    rows = [f"| {one.kind} | {one.tried} | {one.refused} |" for one in ATTACKS]
    return "\n".join(["| kind | tried | refused |", "|---|---|---|", *rows])


def kind_of(answer) -> tuple[int, str]:
    """Status and kind of an error; fails where the answer is none, or says more than it should."""
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    fault = answer.json()["error"]
    assert set(fault) == {"kind", "what", "subject", "remedy"}
    return answer.status_code, fault["kind"]


def routes() -> list[tuple[str, str, Rank | None]]:
    """Every route there is: method, path, and the rank it takes."""
    return [
        (method, route.path, rank_of(route)[1])
        for router in ROUTERS
        for route in router.routes
        for method in sorted(getattr(route, "methods", ()))
    ]


def pages_of(failure: str) -> list[str]:
    """Every page that shows what people wrote."""
    shown = [path for method, path, _ in routes() if method == "GET" and "{" not in path]
    plain = [path for path in shown if not path.startswith(("/api/", "/live"))]
    return [*plain, "/failures?state=", f"/failures/{failure}/card"]


def cookie_of(client) -> tuple[str, str]:
    return next((name, value) for name, value in client.cookies.items() if name.startswith("saqiya"))


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}
