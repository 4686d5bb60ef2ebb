"""An admin asks on the page to roll back, whoever watches the workspace does it, and the page says who is in charge."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("playwright")
pytest.importorskip("uvicorn")

from playwright.sync_api import expect, sync_playwright

from saqiya.deploy import stage as deploy
from saqiya.domain.nouns import Decision, Episode, GateDecision
from saqiya.domain.words import Rank
from saqiya.loop.flywheel import Flywheel

sys.path.insert(0, str(Path(__file__).parent))
from lab import EVIL, PASSWORD, served
from shots import CHROMIUM, sign_in

expect.set_options(timeout=30_000)
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="there is no Chromium here")]


@pytest.fixture
def promoted(turned):
    """A workspace in which the candidate of the last turn took charge, as a gate would let it."""
    with Flywheel(turned) as wheel:
        held = wheel.store.catalog.get("turn-1/decision", GateDecision)
        said = replace(held, id=wheel.store.catalog.new_id("gate_decision"), decision=Decision.PROMOTE)
        said = wheel.store.catalog.put(said, key="promoted/decision")
        starts = [one.start for one in wheel.store.catalog.all(Episode)[:2] if one.start]
        deploy.run(wheel.store, said, starts, wheel.roller, scope=wheel.scope, key="promoted/deployment")
        for name, rank in (("ada", Rank.ADMIN), ("olga", Rank.OPERATOR)):
            wheel.staff.add(name, rank, password=PASSWORD, by="test")
        yield wheel


def watch_once(root: Path) -> list[str]:
    """Run `saqiya turn --watch` until it has done what is asked for, and return what it said."""
    command = [sys.executable, "-u", "-m", "saqiya", "turn", "--watch", "-w", str(root)]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    said = []
    try:
        for line in watching.stdout:
            said.append(line.strip())
            if "asked:" not in line and not line.startswith("Watching"):
                break
    finally:
        os.killpg(watching.pid, signal.SIGTERM)
        watching.wait()
        watching.stdout.close()
    return said


def test_an_admin_rolls_back_with_a_reason_and_sees_the_champion_of_before(promoted):
    root = promoted.store.root
    with served(promoted) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=address)
        sign_in(page, address, "olga")
        page.goto("/policies")
        expect(page.get_by_text("Roll back to it")).to_have_count(0)
        page.context.clear_cookies()

        sign_in(page, address, "ada")
        page.goto("/policies")
        rows = page.locator("section:has(#list-title) tbody tr")
        earlier = rows.filter(has=page.locator("th", has_text="turn-0/policy"))
        expect(rows.filter(has=page.locator("th", has_text="turn-1/policy"))).to_contain_text("in charge")
        earlier.get_by_text("Roll back to it").click()
        earlier.get_by_label("Why").fill(f"it drops cups {EVIL}")
        earlier.get_by_role("button", name="Ask to roll back").click()
        wish = page.get_by_role("status").filter(has_text="asked to roll back")
        expect(wish).to_contain_text(f"ada asked to roll back to turn-0/policy: it drops cups {EVIL}")
        expect(page.get_by_text("Roll back to it")).to_have_count(0)
        expect(earlier).not_to_contain_text("in charge")

        said = watch_once(root)
        assert re.match(r"ada asked: saqiya policy rollback policy-", said[1])
        page.reload()
        expect(earlier).to_contain_text("in charge")
        expect(wish).to_have_count(0)
        page.goto("/")
        expect(page.locator(".headline")).to_contain_text("turn-0/policy was put back in charge, and")
        assert page.evaluate("document.body.dataset.owned") is None
        browser.close()
    assert promoted.key_of(promoted.champion()[0].id) == "turn-0/policy"
    told = next(one for one in promoted.staff.trail.read() if one.what == "wish")
    assert (told.who, told.detail["reason"]) == ("ada", f"it drops cups {EVIL}")
