"""Every page in a real browser: what is on it, what keys do, what nobody may, at 1280 and 390 px, light and dark."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")

from playwright.sync_api import expect, sync_playwright

from saqiya.domain.nouns import Failure
from saqiya.loop.board import Wanted
from saqiya.loop.flywheel import Flywheel

sys.path.insert(0, str(Path(__file__).parent))
from lab import EVIL, PASSWORD, build, served
from shots import CHROMIUM, PAGES, WIDTHS, WRONG, overhear, sign_in

expect.set_options(timeout=30_000)  # of a machine that does much else; nothing is asserted about time
FILMED_MS = 120_000  # a child process of low priority films
pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="there is no Chromium here")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with Flywheel(build(tmp_path_factory.mktemp("pages") / "workspace")) as made:
        yield made


@pytest.fixture(scope="module")
def address(wheel):
    with served(wheel) as made:
        yield made


@pytest.fixture(scope="module")
def browser(address):  # after the server: what is open in the browser ends before it
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def people(address, browser):
    """Give a signed-in window of a person, and write down what the browser complains about."""
    made, wrong = {}, []

    def window(name):
        if name not in made:
            context = browser.new_context(viewport={"width": 1280, "height": 900}, base_url=address)
            page = made[name] = context.new_page()
            if name:
                sign_in(page, address, name)
            overhear(page, name, wrong)
        return made[name]

    window.wrong = wrong
    return window


@pytest.mark.parametrize("name", [name for name in PAGES if name != "error"])
def test_a_page_fits_both_widths_and_the_browser_complains_about_nothing(people, name):
    who, path = PAGES[name]
    page = people(who)
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    page.goto(path)
    expect(page.locator("h1")).to_be_visible()
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_timeout(120)
        found += [f"{width}: {one}" for one in page.evaluate(WRONG)]
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    assert (found, people.wrong) == ([], [])


def test_every_control_has_a_name(people):
    unnamed = """() => [...document.querySelectorAll("button, input:not([type=hidden]), select, textarea, a[href]")]
      .filter((one) => !(one.ariaLabel || one.labels?.length || one.textContent.trim() || one.title))
      .map((one) => one.outerHTML)"""
    for name in ("failures", "corrections", "review", "people"):
        page = people(PAGES[name][0])
        page.goto(PAGES[name][1])
        assert page.evaluate(unnamed) == []


def test_light_and_dark_are_chosen_and_kept(people):
    page = people("vic")
    page.goto("/")
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_label("Light or dark").click()
    page.reload()
    after = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert before != after
    page.get_by_label("Light or dark").click()


def test_the_menu_of_a_phone_opens(people):
    page = people("vic")
    page.goto("/")
    page.set_viewport_size({"width": 390, "height": 800})
    expect(page.get_by_role("link", name="Policies")).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    first = page.get_by_role("link", name="Failures").bounding_box()
    assert first["y"] >= page.get_by_role("button", name="Menu").bounding_box()["y"] + 20  # below it, not across it
    page.get_by_role("link", name="Policies").click()
    page.wait_for_url("**/policies")
    page.set_viewport_size({"width": 1280, "height": 900})


def chosen(page):
    return page.locator("[role=option][aria-selected=true]").get_attribute("id").removeprefix("row-")


def queue(page):
    page.goto("/failures")
    expect(page.locator("#card h2")).to_be_visible()
    return page


def count(page):
    return int(re.match(r"\d+", page.locator("#total").inner_text())[0])


def test_keys_walk_through_the_queue(people, wheel):
    page = queue(people("rob"))
    expected = [one.failure for one in entries_of(wheel)]
    assert chosen(page) == expected[0]
    page.keyboard.press("j")
    expect(page.locator(f"#row-{expected[1]}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("k")
    expect(page.locator(f"#row-{expected[0]}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    expect(page.locator(f"#row-{expected[-1]}")).to_have_attribute("aria-selected", "true")


def entries_of(wheel):
    from saqiya.loop.board import Board

    return Board(wheel).entries(Wanted())


def test_a_failure_is_dismissed_and_taken_back_by_keys(people):
    page = queue(people("rob"))
    before, first = count(page), chosen(page)
    page.keyboard.press("d")
    page.get_by_label("Why").fill("stopped by hand")
    page.keyboard.press("Enter")
    expect(page.locator("#total")).to_have_text(f"{before - 1} failures")
    expect(page.locator(f"#row-{first}")).to_have_count(0)
    page.keyboard.press("u")
    expect(page.locator("#total")).to_have_text(f"{before} failures")
    expect(page.locator(f"#row-{first}")).to_have_count(1)


def test_a_failure_is_assigned_and_its_mode_named_by_keys(people):
    page = queue(people("rob"))
    page.keyboard.press("a")
    page.get_by_label("Person").select_option("olga")
    page.keyboard.press("Enter")
    expect(page.locator("#card dl.facts").first).to_contain_text("olga")
    page.keyboard.press("u")
    expect(page.locator("#card dl.facts").first).to_contain_text("nobody")
    page.keyboard.press("n")
    page.get_by_label("A word of the vocabulary").fill("collision")
    page.keyboard.press("Enter")
    expect(page.locator("#card h2")).to_have_text("collision")
    page.keyboard.press("u")
    expect(page.locator("#card h2")).not_to_have_text("collision")


def test_the_map_shows_each_failure_and_a_click_chooses_it(people):
    page = queue(people("rob"))
    total = count(page)
    canvas = page.locator("#map")
    assert canvas.get_attribute("data-points") == str(total)
    spots = page.evaluate("fetch('/failures/points').then((answer) => answer.json())")
    far = max(range(total), key=lambda at: spots["x"][at])
    box = canvas.bounding_box()
    x = 18 + (box["width"] - 36) * spots["x"][far] / spots["fineness"]
    y = box["height"] - 18 - (box["height"] - 36) * spots["y"][far] / spots["fineness"]
    before = chosen(page)
    canvas.click(position={"x": x, "y": y})
    expect(page.locator(f"#row-{before}[aria-selected=true]")).to_have_count(0)


def test_ten_thousand_failures_are_not_all_on_the_page(people):
    page = people("ren")
    rows = [[f"failure-{n}", f"try/{n}", "slip", "triaged", 1.0, "reach", "", "episode-1"] for n in range(200)]
    told = {"total": 10_000, "first": 0, "rows": rows}
    page.route("**/failures/rows*", lambda route: route.fulfill(json=told))
    page.goto("/failures")
    expect(page.locator("#total")).to_have_text("10,000 failures")
    assert page.locator("[role=option]").count() < 60
    page.evaluate("document.getElementById('list').scrollTop = 44 * 5000")
    expect(page.locator("[role=option][aria-posinset='5001']")).to_be_visible()
    assert page.locator("[role=option]").count() < 60
    with page.expect_response("**/failures/rows*"):  # news while somebody reads further down
        page.evaluate("document.body.dispatchEvent(new CustomEvent('stored', {detail: {kinds: {failure: 1}}}))")
    expect(page.locator("[role=option][aria-posinset='5001']")).to_be_visible()
    assert page.evaluate("document.getElementById('list').scrollTop") == 44 * 5000
    page.unroute("**/failures/rows*")


def test_markup_in_what_people_write_shows_as_text(people, wheel):
    page = people("rob")
    page.goto("/failures?state=any")
    failure = wheel.store.catalog.all(Failure)[-1].id
    page.evaluate(
        "async (id) => { const told = await fetch(`/failures/${id}/card`);"
        " document.getElementById('card').innerHTML = await told.text(); }",
        failure,
    )
    expect(page.locator("#card")).to_contain_text(EVIL)
    waiting = wheel.desk.reviews("rob")
    evil = next(one for one in waiting if one.submission.note == EVIL)
    page.goto(f"/review?submission={evil.submission.id}")
    expect(page.locator("main")).to_contain_text(EVIL)
    assert page.evaluate("document.body.dataset.owned") is None


def test_an_operator_sees_the_time_left_claims_another_and_hands_it_back(people, wheel):
    page = people("olga")
    page.goto("/corrections")
    expect(page.locator("[role=timer]").first).to_have_text(re.compile(r"\d+:\d\d left"))
    before = len(wheel.desk.held("olga"))
    assert page.locator(".held").count() == before
    page.get_by_text("Hand in a recording, or hand it back").first.click()
    page.get_by_label("Why you hand it back").first.fill("the rig is broken")
    page.get_by_role("button", name="Hand it back").first.click()
    expect(page.locator(".held")).to_have_count(before - 1)
    page.get_by_role("button", name="Claim the best").click()
    expect(page.locator(".held")).to_have_count(before)


def test_the_context_of_a_request_opens_before_it_is_claimed(people):
    page = people("olga")
    page.goto("/corrections")
    page.locator("summary", has_text="Context").first.click()
    expect(page.locator("article.offer").first).to_contain_text("Done when")


def test_a_reviewer_rejects_with_a_reason_and_the_next_one_comes(people, wheel):
    page = people("rob")
    page.goto("/review")
    before = len(wheel.desk.reviews("rob"))
    expect(page.get_by_label("Why; its operator")).to_be_hidden()
    page.keyboard.press("x")
    page.get_by_label("Why; its operator").fill("it drops the puck")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review")
    expect(page.get_by_role("heading", name=re.compile(f"{before - 1} submission"))).to_be_visible()
    people("olga").goto("/corrections")
    expect(people("olga").locator("main")).to_contain_text("it drops the puck")


def test_reviewers_who_disagree_are_shown(people):
    page = people("rob")
    page.goto("/review")
    expect(page.locator("main")).to_contain_text("it brushes the wall at the end")


def test_the_page_of_the_wheel_follows_what_is_stored(people, wheel):
    page = people("vic")
    page.goto("/")
    expect(page.locator("#live")).to_have_attribute("data-live", "on")
    expect(page.locator("#now")).to_contain_text("1 dismissed")
    wheel.desk.dismiss(entries_of(wheel)[-1].failure, "rob", "none")
    expect(page.locator("#now")).to_contain_text("2 dismissed", timeout=15_000)


def test_the_gate_is_shown_as_a_path_between_boundaries(people):
    page = people("vic")
    page.goto("/policies")
    assert len(page.locator("svg .path").get_attribute("points").split()) == 16
    assert page.locator("svg circle.up").count() > 0


def test_a_viewer_is_refused_what_only_others_may(people):
    page = people("vic")
    answer = page.goto("/people")
    assert answer.status == 403
    expect(page.get_by_role("alert")).to_contain_text("admin")
    page.goto("/plan")
    expect(page.get_by_role("button", name="Plan these minutes")).to_be_disabled()
    people.wrong.clear()  # the browser writes each refusal down


def test_an_admin_lets_somebody_in_and_keeps_them_out(people, wheel, address, browser):
    page = people("ada")
    page.goto("/people")
    may = {}
    for name in ("Ann Smith", "<b>x</b>", "-x", "Zo\u00eb", "ann.smith+lab@saqiya-2.org"):
        page.locator("#add-name").fill(name)
        may[name] = page.locator("#add-name").evaluate("one => one.checkValidity()")
    assert list(may.values()) == [False, False, False, True, True]
    page.locator("#add-name").fill("newcomer")
    page.get_by_role("button", name="Add", exact=True).click()
    password = page.locator("#secret").inner_text()
    assert wheel.staff.sign_in("newcomer", password).name == "newcomer"
    row = page.get_by_role("row", name=re.compile("newcomer"))
    row.first.get_by_role("button", name="Disable").click()
    expect(page.get_by_role("row", name=re.compile("newcomer disabled"))).to_be_visible()


def test_one_button_asks_for_the_next_step_and_says_who_asked(people):
    page = people("vic")
    page.goto("/")
    expect(page.get_by_role("button", name="Turn the wheel")).to_be_disabled()
    page = people("rob")
    page.goto("/")
    page.get_by_role("button", name="Turn the wheel").click()
    expect(page.locator("#now")).to_contain_text("rob asked for it")


def test_the_map_plays_the_clip_of_the_failure_that_stands_for_the_mode_looked_at(people, wheel):
    page = queue(people("rob"))
    asked = []
    page.on("request", lambda one: asked.append(one.url) if one.method == "POST" else None)
    modes = page.locator(".legend button")
    assert modes.count() > 2
    for at in (1, 0):  # no film is made of a mode that nobody looks at
        modes.nth(at).hover()
        expect(page.locator("#stands-mode")).to_have_text(modes.nth(at).get_attribute("data-name"))
        expect(page.locator("#stands video")).to_have_js_property("paused", False, timeout=FILMED_MS)
        expect(page.locator("#stands video")).to_have_js_property("readyState", 4)
        expect(page.locator("#stands video")).not_to_have_js_property("currentTime", 0)
    picture = page.evaluate(
        """async () => { const film = document.querySelector('#stands video'), poster = new Image();
        poster.src = film.poster; await poster.decode();
        return [film.videoWidth, film.videoHeight, poster.naturalWidth, poster.naturalHeight]; }"""
    )
    assert picture == [400, 300, 400, 300]
    assert len({one for one in asked if one.endswith("/clip")}) <= 3


def test_a_failure_of_a_simulated_try_is_filmed_when_somebody_asks(people, wheel):
    page = queue(people("vic"))
    stand = set(page.locator(".legend button").evaluate_all("(all) => all.map((one) => one.dataset.medoid)"))
    other = next(one.failure for one in entries_of(wheel) if one.failure not in stand)
    page.locator(f"#row-{other}").click()
    page.locator("#card").get_by_role("button", name="Film this failure").click()
    expect(page.locator("#card video")).to_have_js_property("paused", False, timeout=FILMED_MS)
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator("#card h2")).to_have_text(page.locator("#stands-mode").inner_text())


def test_who_is_not_signed_in_is_led_to_the_form_and_back(people):
    page = people("")
    page.goto("/policies")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Name").fill("vic")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/policies")
    people.wrong.clear()  # the browser writes the refusal down


def test_a_try_is_found_among_all_and_opened(people, wheel):
    page = people("vic")
    page.goto("/")
    page.keyboard.press("g")
    page.keyboard.press("e")
    page.wait_for_url("**/episodes")
    page.get_by_label("Outcome").select_option("failure")
    page.get_by_label("Words").fill("deployment/0015")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".tries li")).to_have_count(1)
    expect(page.locator(".tries .chip")).to_have_text("failure")
    page.locator(".tries a").click()
    page.wait_for_url("**/episodes/episode-*")
    page.goto("/episodes?words=nothing+is+called+that")
    expect(page.get_by_text("No try is like that.")).to_be_visible()


def test_what_does_not_fit_on_one_list_of_tries_is_on_the_next(people):
    page = people("vic")
    page.goto("/episodes")
    first = page.locator(".tries a").first.get_attribute("href")
    page.get_by_role("link", name="Older").click()
    expect(page.locator(f".tries a[href='{first}']")).to_have_count(0)
    page.get_by_role("link", name="Newer").click()
    expect(page.locator(".tries a").first).to_have_attribute("href", first)
