"""Attacks on a real server, in-process: what each tries and how it is refused; SECURITY.md shows them as a table.

The attacks are in `attacks_door.py` (who asks) and `attacks_inside.py` (what they send and read).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from saqiya.server.app import ROUTERS

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


def pages_of(house, failure: str) -> list[str]:
    """Every page that shows what people wrote."""
    plain = [
        route.path
        for router in ROUTERS
        for route in router.routes
        if "GET" in getattr(route, "methods", ())
        and not route.path.startswith(("/api/", "/live"))
        and "{" not in route.path
    ]
    return [*plain, f"/failures/{failure}", "/failures?state=", "/people"]


def cookie_of(client) -> tuple[str, str]:
    return next((name, value) for name, value in client.cookies.items() if name.startswith("saqiya"))


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}
