"""One way to answer with a page: a Jinja template, everything in it escaped, and what every page shows.

Templates find `who` (the person or None), `csrf` (the token a form sends back), `path`, and the facts they are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import HTTPConnection

from saqiya.server.settings import HEADERS
from saqiya.server.speech import FILTERS

if TYPE_CHECKING:
    from saqiya.loop.people.staff import Person
    from saqiya.server.faults import Fault

__all__ = ["TEMPLATES", "environment", "error_page", "page"]

TEMPLATES: Final = Path(__file__).parent / "templates"
SECTIONS: Final = ("failures", "corrections", "review", "episodes", "datasets", "policies", "plan", "people")
BACK: Final = {"drive": "corrections"} | {name: name for name in SECTIONS}
"""By the first part of an address: the page from which people came there, and on which they go on."""


@cache
def environment() -> Environment:
    """Return where templates are found and how: all escaped, and a name that nobody gave is an error."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(FILTERS)
    return made


def page(
    request: HTTPConnection, who: Person | None, name: str, /, *, status: int = 200, **facts: object
) -> HTMLResponse:
    """Return a page.

    Args:
        request: what is answered.
        who: the person who is signed in, None for nobody.
        name: the template.
        status: of the answer.
        facts: what the template shows.
    """
    csrf = getattr(request.state, "csrf", "")
    text = environment().get_template(name).render(who=who, csrf=csrf, path=request.url.path, **facts)
    return HTMLResponse(text, status_code=status)


def error_page(
    request: HTTPConnection, status: int, fault: Fault, *, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Return the page of an error: what happened, to which thing, and what to do next."""
    who = getattr(request.state, "who", None)
    section = request.url.path.split("/")[1]
    itself = request.scope.get("method") in {"GET", "HEAD"} and request.url.path == f"/{section}"
    back = "" if itself and not request.url.query else BACK.get(section, "")
    answer = page(request, who, "error.html", status=status, code=status, fault=fault, back=back)
    answer.headers.update({**HEADERS, **(headers or {})})
    return answer
