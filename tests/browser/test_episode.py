"""The page of one try in a real browser: the moment, the pictures on the screen, plots, two tries, factors, phones."""

from __future__ import annotations

import base64
import io
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")
pytest.importorskip("av")

from benchmarks._coded import EYES, coded_episode, read
from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright

from saqiya.domain.nouns import Episode, FactorClaim, Failure, Outcome, OutcomeClaim
from saqiya.domain.words import Rank
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.episode.moments import RATE_HZ, ticks
from saqiya.loop.flywheel import Flywheel

sys.path.insert(0, str(Path(__file__).parent))
from lab import served

CHROMIUM = Path("/usr/bin/chromium")
WRONG = Path(__file__).with_name("wrong.js")
PASSWORD = "a few unrelated words"
SETTLED = ".episode[data-ready=yes][data-settled=true]"
EVIL = '<img src=x onerror="document.body.dataset.owned=1">'

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM.exists(), reason="there is no Chromium here")]


@pytest.fixture(scope="module")
def logs():
    return [coded_episode(seed=seed, seconds=seconds, streams=4) for seed, seconds in ((1, 5.0), (2, 4.0))]


@pytest.fixture(scope="module")
def wheel(logs, tmp_path_factory):
    root = tmp_path_factory.mktemp("episode")
    with Flywheel.init(root / "workspace") as made:
        for log in logs:
            McapFormat().write(log, root / f"{log.key}.mcap")
            made.ingest([root / f"{log.key}.mcap"])
        for name, rank in (("olga", Rank.OPERATOR), ("rob", Rank.REVIEWER), ("vic", Rank.VIEWER)):
            made.staff.add(name, rank, password=PASSWORD, by="test")
        yield made


@pytest.fixture(scope="module")
def refs(wheel):
    found = {one.key_in_recording: one.id for one in wheel.store.catalog.all(Episode)}
    return [found["coded_1"], found["coded_2"]]


@pytest.fixture(scope="module")
def address(wheel):
    with served(wheel) as found:
        yield found


@pytest.fixture(scope="module")
def chromium():
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield made
        made.close()


@pytest.fixture(scope="module")
def contexts(chromium, address):
    """A signed-in browser for each person and width; what it has loaded once it keeps."""
    made = {}

    def of(who: str, width: int) -> BrowserContext:
        if (who, width) not in made:
            made[who, width] = chromium.new_context(viewport={"width": width, "height": 900})
            answer = made[who, width].request.post(
                f"{address}/api/v1/session", data={"name": who, "password": PASSWORD}
            )
            assert answer.ok, answer.text()
        return made[who, width]

    yield of
    for context in made.values():
        context.close()


@pytest.fixture
def visit(contexts, address):
    """Open a page as somebody; whatever the browser complains about fails the test."""
    wrong, pages = [], []

    def open_page(path: str, *, who: str = "olga", width: int = 1280) -> Page:
        page = contexts(who, width).new_page()
        pages.append(page)
        page.set_default_timeout(20_000)
        page.on("console", lambda said: said.type == "error" and wrong.append(said.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(f"{address}{path}")
        page.wait_for_selector(SETTLED)
        return page

    yield open_page
    for page in pages:
        page.close()
    assert wrong == []


def moment(page: Page) -> int:
    return int(page.get_attribute(".episode", "data-t-ns"))


def numbers(page: Page) -> dict[str, int]:
    """Read the number off each camera as it stands on the screen."""
    photo = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
    found = {}
    for eye in EYES:
        box = page.locator(f'.cam[data-camera="{eye.name}"]:not(.other) canvas').bounding_box()
        left, top = round(box["x"]), round(box["y"])
        found[eye.name] = read(photo[top : top + round(box["height"]), left : left + round(box["width"])])
    return found


def right(log, t_ns: int) -> dict[str, int]:
    """The picture of each camera that was the latest at a moment."""
    zero = log.span.start_ns
    return {
        eye.name: max(0, int(np.searchsorted(log.videos[eye.name].track.t_ns - zero, t_ns, "right")) - 1)
        for eye in EYES
    }


def playheads(page: Page) -> list[float]:
    """Where the cursors of the plots on the screen stand, as shares of their plots' widths."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".plot .playhead")].filter((one) => one.checkVisibility()).slice(0, 4)
          .map((one) => { const over = one.parentElement.getBoundingClientRect(), own = one.getBoundingClientRect();
            return (own.left + own.width / 2 - over.left) / over.width; })"""
    )


def test_seeks_show_the_exact_pictures_and_every_cursor_follows(visit, logs, refs):
    page = visit(f"/episodes/{refs[0]}")
    box = page.locator("#bands canvas").bounding_box()
    whole_ns = logs[0].span.end_ns - logs[0].span.start_ns
    for x in np.random.default_rng(0).uniform(70, box["width"] - 20, 5).tolist():
        page.mouse.click(box["x"] + x, box["y"] + 24)
        page.wait_for_selector(SETTLED)
        assert numbers(page) == right(logs[0], moment(page))
        share = moment(page) / whole_ns
        assert share == pytest.approx((x - 64) / (box["width"] - 76), abs=0.004)
        assert playheads(page) == pytest.approx([share] * 4, abs=0.01)
    apart = {"author", *(f"action/{one}" for one in ("intended", "operator", "executed"))}
    assert page.locator(".plot").count() == 3 + len(set(logs[0].streams) - apart)  # who acted is a band
    assert page.locator(".plot canvas").count() == page.locator('.plot[data-state="drawn"]').count()


def test_an_address_names_a_moment_and_keys_step_by_pictures(visit, logs, refs):
    page = visit(f"/episodes/{refs[0]}?t=2.5")
    assert moment(page) == 2_500_000_000
    stamps = logs[0].videos[EYES[0].name].track.t_ns - logs[0].span.start_ns
    at = right(logs[0], 2_500_000_000)[EYES[0].name]
    for key, wanted in ((",", at - 1), (".", at), ("ArrowRight", at + 1), ("ArrowLeft", at)):
        page.keyboard.press(key)
        page.wait_for_selector(SETTLED)
        assert moment(page) == stamps[wanted]
        assert numbers(page)[EYES[0].name] == wanted
    page.wait_for_function("() => location.search.includes('t=')")
    page.wait_for_timeout(200)
    page.reload()
    page.wait_for_selector(SETTLED)
    assert moment(page) == pytest.approx(stamps[at], abs=1000)


def test_playing_moves_on_loops_in_its_span_and_stops_on_an_exact_picture(visit, logs, refs):
    page = visit(f"/episodes/{refs[0]}?t=1&span=1,1.6&loop=1&speed=2")
    page.keyboard.press(" ")
    page.wait_for_timeout(900)
    assert page.get_attribute("#play", "aria-pressed") == "true"
    page.keyboard.press(" ")
    page.wait_for_selector(SETTLED)
    assert 1_000_000_000 <= moment(page) <= 1_600_000_000
    assert moment(page) != 1_000_000_000
    assert numbers(page) == right(logs[0], moment(page))


def test_zooming_asks_for_more_points(visit, refs):
    page = visit(f"/episodes/{refs[0]}?t=1.1")
    with page.expect_response(lambda one: "/series?" in one.url and "start_s=1" in one.url) as told:
        over = page.locator('.plot[data-name="action 0"] .u-over').bounding_box()
        page.mouse.move(over["x"] + 0.2 * over["width"], over["y"] + 40)
        page.mouse.down()
        page.mouse.move(over["x"] + 0.25 * over["width"], over["y"] + 40, steps=4)
        page.mouse.up()
    assert all(one["high"] is None for one in told.value.json())
    page.wait_for_selector("#whole:not([hidden])")
    page.keyboard.press("z")
    page.wait_for_selector("#whole", state="hidden")


def test_two_tries_stand_side_by_side_and_are_laid_over_by_their_phases(visit, logs, refs):
    page = visit(f"/episodes/{refs[0]}?t=2&beside={refs[1]}&align=phase")
    page.wait_for_selector(".stage.paired .cam.other[data-index]")
    page.wait_for_selector(SETTLED)
    assert page.locator(".cam.other").count() == len(EYES)
    assert "phases (reach, grasp, place)" in page.text_content("#paired")
    at = int(page.get_attribute(f'.cam.other[data-camera="{EYES[0].name}"]', "data-index"))
    third = [
        next(event.t_ns for event in log.events if event.name == "phase/grasp") - log.span.start_ns for log in logs
    ]
    assert at == right(logs[1], round(third[1] + (2e9 - third[0]) * third[1] / third[0]))[EYES[0].name]


def test_a_person_sets_a_factor_and_markup_shows_as_text(visit, wheel, refs):
    page = visit(f"/episodes/{refs[1]}")
    page.get_by_label("Factor", exact=True).fill("note")
    page.get_by_label("Value", exact=True).fill(EVIL[:64])
    page.get_by_role("button", name="Say so").click()
    page.wait_for_selector("#factors li:has-text('olga')")
    (claim,) = wheel.store.catalog.referring(refs[1], FactorClaim)
    assert (claim.factor, claim.value, claim.author) == ("note", EVIL[:64], "olga")
    page.reload()
    page.wait_for_selector(SETTLED)
    assert EVIL[:64] in page.inner_text("#factors")
    assert page.evaluate("document.body.dataset.owned") is None


def test_a_reviewer_says_how_a_try_ended(visit, wheel, refs):
    assert visit(f"/episodes/{refs[0]}").locator("#ended").count() == 0  # an operator
    page = visit(f"/episodes/{refs[0]}", who="rob")
    page.get_by_role("button", name="failure", exact=True).click()
    page.wait_for_selector("#outcomes li:has-text('person: rob')")
    assert "failure" in page.inner_text("#outcomes li:last-child")
    claim = wheel.store.catalog.referring(refs[0], OutcomeClaim)[-1]
    assert (claim.value, claim.author) == (Outcome.FAILURE, "rob")
    page.reload()
    page.wait_for_selector("#outcomes li:has-text('person: rob')")


def test_a_viewer_sees_no_form_and_is_refused(visit, address, refs):
    page = visit(f"/episodes/{refs[0]}", who="vic")
    assert page.locator("#factor").count() == 0
    token = page.get_attribute('meta[name="csrf"]', "content")
    answer = page.request.post(
        f"{address}/api/v1/episodes/{refs[0]}/factors",
        data={"factor": "light", "value": "dark"},
        headers={"X-CSRF-Token": token},
    )
    assert answer.status == 403


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_scrolls_sideways_or_overlaps(visit, refs, width):
    page = visit(f"/episodes/{refs[0]}?t=3&beside={refs[1]}", width=width)
    page.wait_for_selector(".cam.other[data-index]")
    assert page.evaluate(WRONG.read_text()) == []


def downloaded(page: Page, name: str, suffix: str) -> Path:
    """Press the link of a viewer and return the file that comes."""
    with page.expect_download() as told:
        page.get_by_role("link", name=name).click()
    assert told.value.suggested_filename.endswith(f"-3.500s{suffix}")
    came = Path(told.value.path())
    return came.rename(came.with_suffix(suffix))


def test_a_moment_comes_as_a_file_that_foxglove_reads(visit, refs, logs):
    from mcap.reader import make_reader

    page = visit(f"/episodes/{refs[0]}?t=3.5")
    page.wait_for_selector('[data-viewer="foxglove"][href*="t=3.5"]')
    zero = logs[0].span.start_ns
    with downloaded(page, "Foxglove", ".mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        told = reader.get_summary()
        events = [(json.loads(one.data), one.log_time) for _, _, one in reader.iter_messages(topics="events")]
    topics = {one.topic: told.schemas[one.schema_id].name for one in told.channels.values()}
    assert set(topics) == {*logs[0].streams, *logs[0].videos, "events"}
    assert all(topics[eye.name] == "foxglove.CompressedVideo" for eye in EYES)
    assert [t_ns - zero for one, t_ns in events if one["name"] == "view/moment"] == [3_500_000_000]
    assert told.statistics.message_end_time - zero >= 4_900_000_000


def test_a_moment_comes_as_a_file_that_rerun_reads(visit, refs, logs):
    pytest.importorskip("rerun")
    from rerun.chunk import RrdReader

    page = visit(f"/episodes/{refs[0]}?t=3.5")
    page.wait_for_selector('[data-viewer="rerun"][href*="t=3.5"]')
    reader = RrdReader(downloaded(page, "Rerun", ".rrd"))
    rows, about, stamps = Counter(), {}, {}
    for chunk in reader.stream():
        batch = chunk.to_record_batch()
        if not chunk.is_static:
            rows[chunk.entity_path] += chunk.num_rows
            stamps.setdefault(chunk.entity_path, []).extend(batch.column("time").cast("int64").to_pylist())
        if "moment" in chunk.timeline_names:
            about.setdefault(chunk.entity_path, []).extend(batch.column("moment").cast("int64").to_pylist())
    whole = {f"/{name}": len(one.t_ns) for name, one in logs[0].streams.items()}
    whole |= {f"/{name}": len(one.track) for name, one in logs[0].videos.items()}
    assert {name: rows[name] for name in whole} == whole
    zero = logs[0].span.start_ns
    assert 0 in about["/events"]
    assert zero + 3_500_000_000 in stamps["/events"]
    assert -1_000_000_000 <= about["/observation/joint_0"][0] <= 0 < about["/observation/joint_0"][-1]


def test_the_clip_of_a_failure_plays_the_very_pictures_about_its_moment(visit, address, wheel, refs, logs):
    at_ns = 2_000_000_000
    failure = Failure(
        id=wheel.store.catalog.new_id("failure"), episode=refs[1], alarms=(), phase="",
        moment_ns=logs[1].span.start_ns + at_ns,
    )  # fmt: skip
    wheel.store.catalog.put(failure, key="watched/failure")
    page = visit(f"/episodes/{refs[1]}")
    page.goto(f"{address}/failures")
    page.locator("#card video").wait_for(timeout=120_000)
    _, numbers = ticks(wheel.replay.stamps(refs[1], "camera/front"), at_ns)
    seen = []
    for tick in (0, len(numbers) // 2, len(numbers) - 1):
        png = page.evaluate(
            """async (at) => {
                const film = document.querySelector("#card video");
                film.pause();
                await new Promise((resolve) => { film.onseeked = resolve; film.currentTime = at; });
                const canvas = document.createElement("canvas");
                [canvas.width, canvas.height] = [film.videoWidth, film.videoHeight];
                canvas.getContext("2d").drawImage(film, 0, 0);
                return canvas.toDataURL().split(",")[1];
            }""",
            (tick + 0.5) / RATE_HZ,
        )
        seen.append(read(np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"))))
    assert seen == [int(numbers[tick]) for tick in (0, len(numbers) // 2, len(numbers) - 1)]
