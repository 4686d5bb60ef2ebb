"""A person at a real browser drives the tiny site out of a failure and hands it in; what they see is what happened."""

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")

from playwright.sync_api import sync_playwright
from tests.loop.driven import asked

from saqiya.domain.nouns import Episode, Rank, Submission
from saqiya.loop.flywheel import Flywheel

sys.path.insert(0, str(Path(__file__).parent))
from lab import PASSWORD, served

CHROMIUM = Path("/usr/bin/chromium")

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium here")


@pytest.fixture(scope="module")
def wheel(turned_once, room):
    with Flywheel(Path(shutil.copytree(turned_once.store.root, room / "driven-by-hand"))) as made:
        made.staff.add("olga", Rank.OPERATOR, password=PASSWORD, by="test")
        yield made


@pytest.fixture(scope="module")
def page(wheel):
    with served(wheel) as address, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        made = browser.new_context(viewport={"width": 1280, "height": 860}, base_url=address).new_page()
        made.goto("/sign-in")
        made.fill("[name=name]", "olga")
        made.fill("[name=password]", PASSWORD)
        made.click("button[type=submit]")
        made.wait_for_load_state()
        yield made
        browser.close()


@pytest.fixture
def complaints(page):
    heard = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda message: heard.append(message.text) if message.type == "error" else None)
    return heard


def control(page, word):
    page.locator(f"#stage[data-control={word}]").wait_for(timeout=30_000)


def test_out_of_a_failure_by_keys_and_handed_in(wheel, page, complaints):
    request = asked(wheel, "asked/by-hand")
    lease = wheel.desk.claim("olga", request.id)
    page.goto(f"/drive/{lease.id}")
    control(page, "paused")
    assert "to begin" in page.inner_text("#veil-text")
    assert page.locator("[data-signal=save]").is_disabled()
    page.keyboard.down("ArrowUp")
    control(page, "recovery")
    page.keyboard.press("Tab")
    control(page, "correction")
    page.wait_for_timeout(700)
    page.keyboard.up("ArrowUp")
    assert int(page.inner_text("#steps")) > 5
    assert float(page.inner_text("#latency")) > 0
    page.keyboard.press("r")
    control(page, "paused")
    assert page.inner_text("#redos") == "1"
    page.mouse.move(400, 400)
    page.mouse.down()
    page.mouse.move(460, 400, steps=4)
    control(page, "recovery")
    page.wait_for_timeout(400)
    page.mouse.up()
    page.keyboard.press("f")
    page.locator("[data-signal=failure][aria-pressed=true]").wait_for()
    page.keyboard.press("Enter")
    page.locator("#done").wait_for(timeout=30_000)
    assert page.inner_text("#done-title") == "Handed in"
    (submission,) = [one for one in wheel.store.catalog.all(Submission) if one.operator == "olga"]
    assert (submission.request, submission.redos, submission.takeovers) == (request.id, 1, 1)
    episode = wheel.store.catalog.get(submission.episode, Episode)
    streams = wheel.store.streams(episode)
    author, code = streams["author"].values[:, 0], streams["drive/control"].values[:, 0]
    assert not author[: len(author) - len(code)].any()
    assert set(code) == {2.0}  # after the redo it was a recovery to the end
    assert (streams["drive/latency_ms"].values > 0).all()
    assert (streams["action/operator"].values[-1] != streams["action/intended"].values[-1]).any()
    assert complaints == []


def test_escape_asks_before_it_throws_away_and_a_window_too_many_is_told(wheel, page, complaints):
    lease = wheel.desk.claim("olga", asked(wheel, "asked/thrown-away").id)
    page.goto(f"/drive/{lease.id}?begin=watch")
    control(page, "autonomous")
    page.keyboard.press("Space")
    control(page, "paused")
    page.keyboard.press("Space")
    control(page, "autonomous")
    page.keyboard.press("Escape")
    page.locator("#sure[open]").wait_for()
    page.keyboard.press("Escape")
    control(page, "autonomous")
    page.keyboard.press("Escape")
    page.click("#sure button[value=yes]")
    page.locator("#done").wait_for(timeout=30_000)
    assert page.inner_text("#done-title") == "Discarded"
    assert [one.id for one in wheel.desk.held("olga")] == [lease.id]
    wheel.desk.hand_back(lease.id, "olga")
    assert complaints == []


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_of_the_page_lies_beside_the_screen(wheel, page, width):
    lease = wheel.desk.claim("olga", asked(wheel, f"asked/wide-{width}").id)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"/drive/{lease.id}")
    control(page, "paused")
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0
    for button in page.locator("#acts button:visible, #pads button:visible").all():
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert box["height"] >= 38  # a thumb
    page.click("[data-signal=discard]")
    page.click("#sure button[value=yes]")
    page.locator("#done").wait_for(timeout=30_000)
    wheel.desk.hand_back(lease.id, "olga")
