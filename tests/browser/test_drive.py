"""A person at a real browser drives the tiny site out of a failure and hands it in; what they see is what happened."""

import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")

from playwright.sync_api import sync_playwright
from tests.loop.driven import asked
from tests.loop.watched import carried_on, fitted_on, one_try

from saqiya.domain.nouns import Calibration, Episode, Rank, Submission
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.tries.monitor import encoded
from saqiya.server import driving

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


def test_an_alarm_of_the_monitor_is_shown_at_once_with_its_reason_and_is_in_the_data(wheel, page, complaints):
    normal = [one_try(seed).log for seed in range(8)]
    carried = carried_on(fitted_on(normal, ("distance",)), normal)
    champion, catalog = wheel.champion()[0].id, wheel.store.catalog
    calibration = Calibration(
        id=catalog.new_id("calibration"), detector="any", version="1", policy=champion, budget=0.1, successes=18,
        threshold=carried.fusion.threshold, episodes=(), horizon_s=4.0,
        monitor=wheel.store.objects.put(encoded(carried)),
    )  # fmt: skip
    catalog.put(calibration, key="test/calibration")
    lease = wheel.desk.claim("olga", asked(wheel, "asked/watched").id)
    page.goto(f"/drive/{lease.id}?begin=watch")
    control(page, "autonomous")
    page.locator("#alarm:visible").wait_for(timeout=30_000)
    assert "distance at" in page.inner_text("#alarm-text")
    page.keyboard.press("Space")
    control(page, "paused")
    assert page.locator("#alarm").is_hidden()  # they have control now
    page.keyboard.press("ArrowUp")  # a tap is enough
    control(page, "recovery")
    page.wait_for_timeout(200)
    page.keyboard.press("Enter")
    page.locator("#done").wait_for(timeout=30_000)
    submission = next(one for one in catalog.all(Submission) if one.request == lease.request.id)
    episode = catalog.get(submission.episode, Episode)
    names = [event.name for event in episode.events]
    assert names.index("alarm/distance") < names.index("takeover")
    assert "monitor/score" in wheel.store.streams(episode)
    assert complaints == []


PAD = """
const buttons = Array.from({ length: 17 }, () => ({ pressed: false, value: 0 }));
window.pad = { connected: true, id: "a pad", index: 0, mapping: "standard", axes: [0, 0, 0, 0], buttons };
navigator.getGamepads = () => [null, window.pad, null, null];
"""


def test_all_of_a_drive_is_done_with_a_gamepad(wheel, page, complaints):
    lease = wheel.desk.claim("olga", asked(wheel, "asked/padded").id)
    pad = page.context.new_page()
    pad.add_init_script(PAD)
    pad.goto(f"/drive/{lease.id}?begin=watch")

    def press(button):
        pad.evaluate("(one) => { pad.buttons[one].pressed = true; }", button)
        pad.wait_for_timeout(60)
        pad.evaluate("(one) => { pad.buttons[one].pressed = false; }", button)
        pad.wait_for_timeout(60)

    control(pad, "autonomous")
    press(3)
    control(pad, "paused")
    pad.evaluate("pad.axes[0] = 0.05")  # a stick that does not come back to its middle moves nothing
    pad.wait_for_timeout(200)
    control(pad, "paused")
    pad.evaluate("pad.axes[0] = 0.7")
    control(pad, "recovery")
    press(2)
    control(pad, "correction")
    pad.evaluate("pad.axes[0] = 0")
    press(5)
    pad.locator("[data-signal=success][aria-pressed=true]").wait_for()
    press(4)
    pad.locator("[data-signal=failure][aria-pressed=true]").wait_for()
    press(3)
    control(pad, "autonomous")
    press(3)
    control(pad, "paused")
    press(8)
    pad.wait_for_function("document.getElementById('redos').textContent === '1'")
    press(14)
    pad.locator("#sure[open]").wait_for()
    press(1)
    pad.locator("#sure[open]").wait_for(state="detached")
    pad.evaluate("pad.axes[1] = 1")
    control(pad, "recovery")
    press(9)
    pad.locator("#done").wait_for(timeout=30_000)
    assert (pad.inner_text("#done-title"), complaints) == ("Handed in", [])
    pad.close()


def test_a_page_that_falls_silent_is_told_that_its_request_went_back(wheel, page, complaints, monkeypatch):
    lease = wheel.desk.claim("olga", asked(wheel, "asked/silent").id)
    page.goto(f"/drive/{lease.id}")
    control(page, "paused")
    page.keyboard.down("ArrowUp")
    control(page, "recovery")
    page.wait_for_timeout(300)
    page.keyboard.up("ArrowUp")
    page.evaluate("WebSocket.prototype.send = () => {}")  # the tab froze, or its network did
    monkeypatch.setattr(driving, "LOST_S", 0.5)
    page.locator("#done").wait_for(timeout=30_000)
    said = page.inner_text("#done-text")
    assert said.startswith("Nothing was heard of the page any more, so the request went back to the queue.")
    assert "kept as an aborted try" in said
    assert lease.id not in [one.id for one in wheel.desk.held("olga")]
    assert [one for one in wheel.store.catalog.all(Episode) if one.extra.get("lease") == lease.id]
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
    page.click("#done-again")
    control(page, "autonomous")
    second = page.context.new_page()
    second.goto(f"/drive/{lease.id}?begin=watch")
    page.locator("#done").wait_for(timeout=30_000)
    said = page.inner_text("#done-title"), page.inner_text("#done-text")
    assert said == ("You drive in another window", "It goes on there.")
    second.close()
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
