"""What to collect next, and what not: the plan, and the novelty, coverage and saturation that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from saqiya.domain.nouns import CollectionPlan, CorrectionRequest, PlanItem
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.news import News
from saqiya.loop.novelty.saturation import Told
from saqiya.loop.pages.wheel_facts import NoveltyRow, novelty_rows
from saqiya.loop.pages.wheel_page import length_sentence
from saqiya.measure.rollouts import Teaching
from saqiya.measure.shown import Gap
from saqiya.server.gatekeeper import Reviewer, Viewer
from saqiya.server.kept import Here
from saqiya.server.page import page
from saqiya.server.pictures import Spread, spreads_of

__all__ = ["Known", "known_of", "router"]

router = APIRouter(include_in_schema=False)
MOST_GAPS = 12


@dataclass(frozen=True)
class Known:
    """What a plan rests on.

    Attributes:
        novelty: bits of each turn's corrections, and whether mere length explains them.
        gaps: what was never shown, the worst first; `gaps_n` of them in all.
        curves: what more data still brings, by task and mode, with the interval of ten more on one scale.
        teaching: whether rollouts of the policy in charge still teach.
    """

    novelty: tuple[tuple[NoveltyRow, str], ...]
    gaps: tuple[Gap, ...]
    gaps_n: int
    shown_n: int
    met_n: int
    curves: tuple[tuple[Told, Spread], ...]
    teaching: Teaching | None


def known_of(wheel: Flywheel) -> Known:
    """Gather what a plan rests on."""
    coverage, told = wheel.pump.coverage(), wheel.pump.saturation()
    spreads = spreads_of([(one.gains[0].value, one.gains[0].low, one.gains[0].high) for one in told])
    rows = novelty_rows(wheel) if wheel.turning else ()
    return Known(
        novelty=tuple((row, length_sentence(row)) for row in rows),
        gaps=tuple(coverage.gaps[:MOST_GAPS]),
        gaps_n=len(coverage.gaps),
        shown_n=coverage.shown_n,
        met_n=coverage.met_n,
        curves=tuple(zip(told, spreads, strict=True)),
        teaching=wheel.pump.teaching(),
    )


@router.get("/plan")
def plan(request: Request, here: Here, who: Viewer) -> HTMLResponse:
    """Show the newest plan and what it rests on."""
    rows = News(here.wheel).page(CollectionPlan, limit=1)
    made = rows[0].noun if rows else None
    items = made.items if isinstance(made, CollectionPlan) else ()
    return page(
        request,
        who,
        "plan.html",
        plan=made,
        made_ns=rows[0].created_ns if rows else 0,
        items=tuple(zip(items, _spreads(items), strict=True)),
        asked=made is not None and any(one.because == made.id for one in here.wheel.requests()),
        known=here.get("plan", known_of),
    )


def _spreads(items: tuple[PlanItem, ...]) -> list[Spread | None]:
    known = iter(spreads_of([(one.gain.value, one.gain.low, one.gain.high) for one in items if one.gain]))
    return [next(known) if one.gain else None for one in items]


@router.post("/plan")
def plan_again(here: Here, who: Reviewer, minutes: Annotated[float, Form(gt=0, le=100_000)]) -> Response:
    """Share a budget of minutes anew; the plan is stored, and asks for nothing yet."""
    with here.wheel.staff.noting(who.name, "plan", (CollectionPlan,)):
        here.wheel.pump.plan(minutes)
    return RedirectResponse("/plan", status_code=303)


@router.post("/plan/ask")
def ask(here: Here, who: Reviewer, plan: Annotated[str, Form(max_length=200)]) -> Response:
    """Ask people for what a plan holds."""
    with here.wheel.staff.noting(who.name, "ask", (CorrectionRequest,)):
        here.wheel.pump.ask(here.wheel.store.catalog.get(plan, CollectionPlan))
    return RedirectResponse("/corrections", status_code=303)
