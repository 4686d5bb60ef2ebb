"""A reviewer at a real browser: a submission on one line, the spans that teach, and verdicts by keys."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")

from playwright.sync_api import expect, sync_playwright
from tests.loop.driven import asked

from saqiya.domain.nouns import Episode, Rank, Review, Verdict
from saqiya.loop.driving.drive import Drive
from saqiya.loop.driving.drives import Begin, Drives
from saqiya.loop.driving.person import Inputs, Person
from saqiya.loop.flywheel import Flywheel

sys.path.insert(0, str(Path(__file__).parent))
from lab import PASSWORD, served
from shots import CHROMIUM, WRONG, overhear, sign_in

pytestmark = pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="there is no Chromium here")
STEP_S = 0.05


@pytest.fixture(scope="module")
def wheel(turned_once, room):
    with Flywheel(Path(shutil.copytree(turned_once.store.root, room / "reviewed"))) as made:
        for name, rank in (("olga", Rank.OPERATOR), ("rob", Rank.REVIEWER)):
            made.staff.add(name, rank, password=PASSWORD, by="test")
        yield made


@pytest.fixture(scope="module")
def window(wheel):
    """Give the window of a reviewer, so wide; and what the browser complained about."""
    wrong = []
    with served(wheel) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        cookies = []

        def opened(width=1280, **how):
            context = browser.new_context(viewport={"width": width, "height": 860}, base_url=address, **how)
            made = context.new_page()
            made.set_default_timeout(15_000)
            overhear(made, str(width), wrong)
            if not cookies:
                sign_in(made, address, "rob")
                cookies.extend(context.cookies())
            context.add_cookies(cookies)
            return made

        yield opened
        assert wrong == []
        browser.close()


@pytest.fixture
def handed(wheel, request):
    """A submission: the policy was watched, a person took over and stood still for a while, and it failed."""
    lease = wheel.desk.claim("olga", asked(wheel, f"asked/{request.node.name}").id)
    drives = Drives(wheel)
    order, site = drives.order(lease, Begin.WATCH), wheel.site
    person = Person("olga", site.controls, site.spec, 20.0)
    policy = order.task.policy.load()
    drive = Drive(site, order.task.roll, person, policy=policy, facts=order.task.facts, journal=order.journal)
    for _ in range(20):
        drive.step(Inputs())
    drive.signal("takeover")
    for axes in 15 * [(1.0, 0.0, 0.0)] + 30 * [(0.0, 0.0, 0.0)] + 15 * [(0.0, 1.0, 0.0)]:
        drive.step(Inputs(axes=axes))
    drive.finish(None)
    return drives.settle(order.journal).submission


def shown(page, submission):
    page.goto(f"/review?submission={submission.id}")
    expect(page.locator(".line .lane")).not_to_have_count(0)


def verdict(wheel, submission):
    return next((one for one in wheel.store.catalog.all(Review) if one.submission == submission.id), None)


def edges(wheel, submission):
    episode = wheel.store.catalog.get(submission.episode, Episode)
    t_ns = wheel.store.streams(episode)["action/executed"].t_ns - episode.start_ns
    return [*(t_ns / 1e9).round(6).tolist(), (episode.end_ns - episode.start_ns) / 1e9]


def numbers(page, row=0):
    return [float(page.locator(f"#{end}-{row}").input_value()) for end in ("from", "to")]


def place(page, share, lane=".teaches"):
    box = page.locator(f".line {lane} .bar").bounding_box()
    return box["x"] + share * box["width"], box["y"] + box["height"] / 2


def drag(page, start, end):
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(*end, steps=8)
    page.mouse.up()


def test_a_warning_lies_over_its_span_and_leads_there(wheel, window, handed):
    page = window()
    shown(page, handed)
    (idle,) = [one for one in wheel.desk.doubts(handed.id) if one.kind == "idle"]
    episode = wheel.store.catalog.get(handed.episode, Episode)
    link = page.locator("#warnings a", has_text="hand stands still")
    mark = page.locator(".line b", has_text="hand stands still").bounding_box()
    lane = page.locator(".line .bar", has_text="hand stands still").bounding_box()
    lasts_ns = episode.end_ns - episode.start_ns
    assert (mark["x"] - lane["x"]) / lane["width"] == pytest.approx(
        (idle.start_ns - episode.start_ns) / lasts_ns, abs=0.01
    )
    assert mark["width"] / lane["width"] == pytest.approx((idle.end_ns - idle.start_ns) / lasts_ns, abs=0.02)
    link.click()
    at_s = (idle.start_ns - episode.start_ns) / 1e9
    expect(page.locator("#moment")).to_have_text(f"{at_s:.3f} s · person (olga), recovery")
    assert f"t={at_s:.3f}" in page.locator("#open").get_attribute("href")
    assert page.locator(".line b.on").inner_text().startswith("the hand stands still")
    page.keyboard.press("e")
    assert page.locator("#warnings a[aria-current]").inner_text() != link.inner_text()
    page.locator(".line .playhead").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#moment")).to_have_text(f"{STEP_S:.3f} s · policy, autonomous")
    page.keyboard.press("Shift+ArrowRight")
    expect(page.locator("#moment")).to_have_text(f"{11 * STEP_S:.3f} s · policy, autonomous")


def test_who_acted_is_a_band_and_no_line_of_numbers(window, handed):
    page = window()
    shown(page, handed)
    assert page.locator(".line i[data-who]").all_inner_texts() == ["policy", "person (olga)", "autonomous", "recovery"]
    page.locator("#open").click()
    page.wait_for_selector(".episode[data-ready=yes]")
    names = page.locator(".plot").evaluate_all("(all) => all.map((one) => one.dataset.name)")
    assert "drive/latency_ms" in names
    assert not {"author", "drive/control"} & set(names)


def test_a_span_is_dragged_typed_and_moved_by_keys_and_always_keeps_to_the_steps(wheel, window, handed):
    page = window()
    shown(page, handed)
    steps = edges(wheel, handed)
    drag(page, place(page, 0.31), place(page, 0.62))
    first = numbers(page)
    assert set(first) <= set(steps)
    assert first == pytest.approx([0.31 * steps[-1], 0.62 * steps[-1]], abs=STEP_S)
    handle = page.locator(".span .end.to")
    box = handle.bounding_box()
    drag(page, (box["x"] + 6, box["y"] + 10), place(page, 0.8))
    assert numbers(page)[0] == first[0]
    assert numbers(page)[1] in steps
    assert numbers(page)[1] == pytest.approx(0.8 * steps[-1], abs=2 * STEP_S)
    handle.focus()
    before = numbers(page)[1]
    page.keyboard.press("ArrowLeft")
    assert numbers(page)[1] == pytest.approx(before - STEP_S)
    page.keyboard.press("Shift+ArrowLeft")
    assert numbers(page)[1] == pytest.approx(before - 11 * STEP_S)
    page.keyboard.press("End")
    assert numbers(page)[1] == round(steps[-1], 3)
    assert handle.get_attribute("aria-valuetext") == f"{steps[-1]:.3f} seconds"
    page.locator(".span .end.from").focus()
    page.keyboard.press("Home")
    for at, side, share in (
        (0, "from", 0.3),
        (1, "to", 0.6),
    ):  # at the very ends too there is something to take hold of
        box = page.locator(f".span .end.{side}").bounding_box()
        drag(page, (box["x"] + 6, box["y"] + 10), place(page, share))
        assert numbers(page)[at] == pytest.approx(share * steps[-1], abs=2 * STEP_S)


def test_what_is_typed_keeps_to_the_steps_too_and_moves_the_span(wheel, window, handed):
    page = window()
    shown(page, handed)
    steps = edges(wheel, handed)
    page.get_by_text("Spans and labels").click()
    page.locator("#to-0").fill("99")
    page.locator("#from-0").fill("1.237")
    page.locator("#from-0").press("Tab")
    assert numbers(page) == [1.25, round(steps[-1], 3)]
    left = page.locator(".span").bounding_box()["x"]
    assert left == pytest.approx(place(page, 1.25 / steps[-1])[0], abs=2)
    page.get_by_role("button", name="Another span").click()
    page.locator("#to-1").fill("0.5")
    page.locator("#from-1").fill("0.2")
    page.locator("#from-1").press("Tab")
    assert page.locator(".span").count() == 2
    page.locator(".span[data-row='1'] .end.from").focus()
    page.keyboard.press("Delete")
    assert page.locator("#from-1").input_value() == ""
    page.keyboard.press("a")
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review")
    (span,) = verdict(wheel, handed).spans
    zero = wheel.store.catalog.get(handed.episode, Episode).start_ns
    assert ((span.start_ns - zero) / 1e9, (span.end_ns - zero) / 1e9) == (1.25, steps[-1])  # to the very end


def test_by_keys_alone_a_span_begins_and_ends_where_one_looks(window, handed):
    page = window()
    shown(page, handed)
    for _ in range(4):
        page.keyboard.press(".")
    page.keyboard.press("[")
    for _ in range(6):
        page.keyboard.press(".")
    page.keyboard.press("]")
    assert numbers(page) == [4 * STEP_S, 10 * STEP_S]


def test_nothing_is_chosen_and_whoever_accepts_against_a_red_warning_says_so(wheel, window, handed):
    page = window()
    shown(page, handed)
    assert page.locator("[name=verdict]:checked").count() == 0
    assert page.locator("#warnings li.severe").inner_text().startswith("it ended as failure")
    page.keyboard.press("Enter")
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    page.wait_for_timeout(300)
    assert verdict(wheel, handed) is None  # it asks for the second press
    expect(page.locator("#against")).to_be_visible()
    form = {"verdict": "accept", "csrf": page.locator("#decide [name=csrf]").input_value()}
    refused = page.request.post(f"/review/{handed.id}", form=form, headers={"Origin": page.url.split("/review")[0]})
    assert (refused.status, "a warning speaks against it: it ended as failure" in refused.text()) == (422, True)
    assert verdict(wheel, handed) is None
    page.keyboard.press("a")
    expect(page.locator("#against")).to_be_checked()
    page.keyboard.press("Enter")
    page.wait_for_url("**/review")
    assert verdict(wheel, handed).verdict is Verdict.ACCEPT


def test_a_rejection_takes_its_key_a_reason_and_enter(wheel, window, handed):
    page = window()
    shown(page, handed)
    page.keyboard.press("x")
    page.locator("#reason:focus").wait_for()
    page.keyboard.type("it stands still")
    page.keyboard.press("Enter")
    page.wait_for_url("**/review")
    said = verdict(wheel, handed)
    assert (said.verdict, said.reason) == (Verdict.REJECT, "it stands still")


def test_a_finger_does_on_a_phone_what_a_mouse_does(wheel, window, handed):
    page = window(390, has_touch=True)
    shown(page, handed)
    assert page.evaluate(WRONG) == []
    steps = edges(wheel, handed)
    page.locator(".teaches .bar").scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def finger(kind, at):
        points = [] if kind == "touchEnd" else [{"x": at[0], "y": at[1]}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def slide(start, end):
        finger("touchStart", start)
        for share in np.linspace(0.2, 1.0, 5):
            finger("touchMove", [a + share * (b - a) for a, b in zip(start, end, strict=True)])
        finger("touchEnd", end)

    slide(place(page, 0.4), place(page, 0.7))
    assert numbers(page) == pytest.approx([0.4 * steps[-1], 0.7 * steps[-1]], abs=STEP_S)
    box = page.locator(".span .end.from").bounding_box()
    slide((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), place(page, 0.2))
    assert numbers(page)[0] == pytest.approx(0.2 * steps[-1], abs=2 * STEP_S)
    assert set(numbers(page)) <= set(steps)
    assert page.evaluate(WRONG) == []
