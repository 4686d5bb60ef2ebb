"""The whole round of a correction in a real browser, and what each rank may do: one workspace, one server, one browser.

With SAQIYA_PICTURES=docs/images it also takes the pictures of docs/operators.md.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")
pytest.importorskip("gym_pusht", reason="Push-T is not installed: pip install 'saqiya[pusht]'")

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Episode,
    Failure,
    Rank,
    Role,
    Submission,
)
from saqiya.loop.flywheel import Flywheel

sys.path.insert(0, str(Path(__file__).parent))
from lab import served
from pushed import PEOPLE, build
from shots import CHROMIUM, WRONG, overhear, sign_in

PICTURES = os.environ.get("SAQIYA_PICTURES", "")

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="there is no Chromium here")


@pytest.fixture(scope="module")
def wheel(room):
    with Flywheel(build(room / "pushed")) as made:
        yield made


@pytest.fixture(scope="module")
def address(wheel):
    with served(wheel) as made:
        yield made


@pytest.fixture(scope="module")
def people(address):
    """Give the window of a person, who signed in by the form; and what the browser complained about."""
    made, wrong = {}, []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def window(name: str) -> Page:
            if name not in made:
                context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
                made[name] = context.new_page()
                made[name].set_default_timeout(30_000)
                sign_in(made[name], address, name)
                overhear(made[name], name, wrong)
            return made[name]

        window.wrong = wrong
        yield window
        browser.close()


def picture(
    page: Page, name: str, *, theme: str = "light", width: int = 1280, height: int = 860, top: str = "h1"
) -> None:
    """Look at the page as it stands for what a picture would not show; keep the picture where it is asked for."""
    before = page.viewport_size
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": height})
    page.locator(top).evaluate("(one) => scrollTo(0, one.getBoundingClientRect().top + scrollY - 70)")
    page.wait_for_timeout(150)
    wrong = page.evaluate(WRONG)
    if PICTURES:
        shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        shot.quantize(256, dither=Image.Dither.NONE).save(Path(PICTURES) / f"operators-{name}.png", optimize=True)
    page.set_viewport_size(before)
    page.emulate_media(color_scheme="light")
    assert wrong == []


def control(page: Page, word: str) -> None:
    page.locator(f"#stage[data-control={word}]").wait_for(timeout=60_000)


def test_a_failure_becomes_a_lesson(people, wheel):
    catalog = wheel.store.catalog
    failed = {one.id for one in catalog.all(Failure)}
    submission = drive_it(people("olga"), wheel)
    request = catalog.get(submission.request, CorrectionRequest)
    assert request.failures[submission.slot] in failed
    assert submission.takeovers == 2  # at its first step, and once more after the policy had acted in between
    assert submission.redos == 1
    accept_it(people("rob"), submission)
    (correction,) = [one for one in catalog.all(Correction) if one.episode == submission.episode]
    assert (correction.accepted, correction.operator, correction.failure) == (
        True,
        "olga",
        request.failures[submission.slot],
    )
    version = wheel.mix(note="what olga showed")
    episode = catalog.get(submission.episode, Episode)
    entries = [one for one in version.entries if one.episode == episode.id]
    assert {one.role for one in entries} == {Role.CORRECTION}
    author = wheel.store.streams(episode)["author"]
    for one in entries:  # what its operator did, in the span that the reviewer named
        assert author.values[(author.t_ns >= one.start_ns) & (author.t_ns < one.end_ns)].all()
        assert one.end_ns - episode.start_ns <= (NAMED_S + STEP_S) * 1e9
    people("vic").goto("/datasets")
    expect(people("vic").get_by_role("link", name=wheel.key_of(version.id)).first).to_be_visible()
    expect(people("vic").locator("main")).to_contain_text("what olga showed")
    assert catalog.last(DatasetVersion) == version
    told(people("olga"))
    assert wheel.verify().lies == ()
    assert people.wrong == []


NAMED_S, STEP_S = 1.0, 0.03


def drive_it(page: Page, wheel: Flywheel) -> Submission:
    """Claim the best by a key, drive it by keys and mouse, hand it in."""
    page.goto("/corrections")
    page.keyboard.press("c")
    expect(page.locator(".held")).to_have_count(1)
    expect(page.locator(".held")).to_contain_text("95 % of the mark is covered")
    picture(page, "corrections")
    page.keyboard.press("Enter")
    control(page, "paused")
    box = page.locator("#picture").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.keyboard.down("ArrowUp")
    control(page, "recovery")
    page.wait_for_timeout(300)
    page.keyboard.up("ArrowUp")
    page.keyboard.press("r")
    control(page, "paused")
    page.mouse.move(middle[0] + 0.3 * box["width"], middle[1])
    page.mouse.down()
    page.mouse.up()
    control(page, "recovery")
    page.mouse.move(*middle, steps=12)
    page.keyboard.press("Tab")
    control(page, "correction")
    page.keyboard.press("Space")
    control(page, "autonomous")
    page.wait_for_timeout(200)
    page.keyboard.press("Space")
    control(page, "paused")
    page.keyboard.press("Tab")
    control(page, "correction")
    page.mouse.move(middle[0] - 0.2 * box["width"], middle[1] - 0.1 * box["height"], steps=20)
    page.wait_for_timeout(500)
    picture(page, "drive")
    picture(page, "drive-phone", theme="dark", width=390, height=844)
    page.keyboard.press("f")
    page.locator("[data-signal=failure][aria-pressed=true]").wait_for()
    page.keyboard.press("Enter")
    expect(page.locator("#done-title")).to_have_text("Handed in", timeout=60_000)
    (made,) = [one for one in wheel.store.catalog.all(Submission) if one.takeovers]
    assert [int(page.inner_text(one)) for one in ("#takeovers", "#steps")] == [made.takeovers, made.human_steps]
    return made


def accept_it(page: Page, submission: Submission) -> None:
    """Look at a submission in pictures, watch it beside the failure, name the span that teaches, and accept it."""
    page.goto("/review")
    expect(page.locator("#one-title")).to_contain_text("by olga")
    page.keyboard.press("v")
    page.wait_for_selector("#shots figure[data-index='0']", timeout=60_000)
    expect(page.locator("#warnings li.severe")).to_contain_text("it ended as failure")
    page.keyboard.press("e")
    lane = page.locator(".teaches .bar").bounding_box()
    page.mouse.move(lane["x"] + 0.35 * lane["width"], lane["y"] + 9)
    page.mouse.down()
    page.mouse.move(lane["x"] + 0.7 * lane["width"], lane["y"] + 9, steps=5)
    page.mouse.up()
    page.keyboard.press("a")
    picture(page, "review", height=1000)
    page.keyboard.press("o")
    page.wait_for_selector(".episode[data-ready=yes][data-settled=true]")
    expect(page.locator("main")).to_contain_text("olga")
    expect(page.locator(".cam canvas").first).to_be_visible()
    page.wait_for_selector(".episode[data-ready=yes][data-settled=true]")
    page.locator("#bands canvas").click(position={"x": 500, "y": 24})
    page.wait_for_selector(".episode[data-ready=yes][data-settled=true]")
    picture(page, "episode", height=1000)
    page.goto("/review")
    page.get_by_text("Spans and labels").click()
    page.locator("#from-0").fill("0")
    page.locator("#to-0").fill(str(NAMED_S))
    page.get_by_label("Accept", exact=False).first.check()
    page.get_by_label("Accept it all the same").check()  # it failed, and what is named of it teaches
    page.get_by_role("button", name="Decide").click()
    page.wait_for_url("**/review")
    expect(page.get_by_role("heading", name="0 submissions wait")).to_be_visible()


def told(page: Page) -> None:
    """See what became of it: the operator's own page says so."""
    page.goto("/corrections")
    expect(page.get_by_role("heading", name="What you handed in").locator("..")).to_contain_text("accept")
    expect(page.get_by_role("heading", name="Your figures").locator("../..")).to_contain_text("100 %")
    picture(page, "figures-phone", width=390, height=844, top="#own-title")


ASKS = {
    "GET /people": "admin",
    "GET /api/v1/people": "admin",
    "GET /api/v1/trail": "admin",
    "POST /people": "admin",
    "POST /review/none": "reviewer",
    "POST /api/v1/submissions/none/review": "reviewer",
    "POST /api/v1/failures/none/dismiss": "reviewer",
    "GET /api/v1/reviews": "reviewer",
    "POST /wheel/next": "reviewer",
    "GET /drive/none": "operator",
    "POST /corrections/claim": "operator",
    "POST /api/v1/queue/claim": "operator",
    "POST /api/v1/uploads": "operator",
    "GET /failures": "viewer",
    "GET /api/v1/failures": "viewer",
}
"""What is asked, and the least rank that may."""
ASK = """async ([method, path]) => {
  const headers = { "X-CSRF-Token": document.querySelector("meta[name=csrf]").content };
  return (await fetch(path, { method, headers })).status; }"""
LISTEN = """(path) => new Promise((told) => {
  const socket = new WebSocket(`ws://${location.host}${path}`);
  socket.onopen = () => told("open"); socket.onclose = () => told("refused"); })"""


@pytest.mark.parametrize("name", PEOPLE)
def test_each_rank_may_do_its_own_and_is_refused_the_rest(people, name):
    page, rank, ranks = people(name), PEOPLE[name], list(PEOPLE.values())[::-1]
    page.goto("/")
    expect(page.locator(".who .name")).to_have_attribute("title", f"{name}, {rank}")
    wanted = [one for one, least in ASKS.items() if not rank.covers(next(r for r in ranks if r == least))]
    refused = [one for one in ASKS if one in wanted or ASKS[one] == "viewer"]
    assert [one for one in refused if page.evaluate(ASK, one.split()) == 403] == wanted
    # What they may is asked for without what it needs, so that nothing comes of it.
    mine = [one for one in ASKS if one not in wanted and not one.startswith("POST")]
    assert 403 not in [page.evaluate(ASK, one.split()) for one in mine]
    assert page.get_by_role("link", name="People").count() == (name == "ada")
    page.goto("/corrections")
    assert page.locator("#claim").count() == (name != "vic")
    if name == "vic":
        assert page.evaluate(LISTEN, "/drive/none/socket") == "refused"
        answer = page.goto("/drive/none")
        assert answer.status == 403
        expect(page.get_by_role("alert")).to_contain_text("operator")
    people.wrong.clear()  # the browser writes each refusal down


def test_a_wrong_password_lets_nobody_in(people, address):
    page = people("vic").context.browser.new_page()
    page.goto(f"{address}/sign-in")
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password").fill("not it at all")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.goto(f"{address}/failures")
    page.get_by_role("link", name="Sign in").click()
    expect(page.get_by_label("Password")).to_be_visible()
    page.close()


def test_a_link_lets_somebody_in_once_and_asks_for_a_password_of_their_own(people, wheel, address):
    wheel.staff.add("nina", Rank.OPERATOR, by="ada", password="made by somebody else")
    told = people("ada").evaluate(
        """async () => (await fetch("/api/v1/people/nina/link", { method: "POST",
        headers: { "X-CSRF-Token": document.querySelector("meta[name=csrf]").content } })).json()"""
    )
    page = people("ada").context.browser.new_page()
    page.goto(told["link"])
    page.get_by_label("New password").fill("short")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("New password").fill("nobody knows this one")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}/")
    page.get_by_role("link", name="nina").click()
    page.get_by_label("Password", exact=True).fill("not it at all")
    page.get_by_label("New password").fill("another one of my own")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password", exact=True).fill("nobody knows this one")
    page.get_by_label("New password").fill("another one of my own")
    page.get_by_role("button", name="Change it").click()
    expect(page.get_by_role("status").first).to_contain_text("new password")
    assert wheel.staff.sign_in("nina", "another one of my own").name == "nina"
    page.goto(told["link"])
    page.get_by_label("New password").fill("nobody knows this one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("link was used")
    page.close()
    people.wrong.clear()
