"""Pictures of every page, to be looked at: `python tests/browser/shots.py OUT [PAGE ...]`.

Light and dark, 1280 and 390 px wide. It says what a look at a picture would miss: a page that scrolls sideways, words
that run over their box, and whatever the browser complained about.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))
from lab import PASSWORD, build, served

CHROMIUM = "/usr/bin/chromium"
PAGES = {
    "sign-in": ("", "/sign-in"),
    "wheel": ("rob", "/"),
    "failures": ("rob", "/failures"),
    "corrections": ("olga", "/corrections"),
    "review": ("rob", "/review"),
    "episodes": ("rob", "/episodes"),
    "datasets": ("rob", "/datasets"),
    "policies": ("rob", "/policies"),
    "plan": ("rob", "/plan"),
    "people": ("ada", "/people"),
    "account": ("vic", "/account"),
    "error": ("vic", "/people"),
}
"""By name: who looks at it, and where it is."""
WIDTHS = (1280, 390)
THEMES = ("light", "dark")
WRONG = (Path(__file__).parent / "wrong.js").read_text()


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def sign_in(page: Page, address: str, name: str) -> None:
    """Sign in by the form."""
    page.goto(f"{address}/sign-in")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{address}/")


def overhear(page: Page, at: str, wrong: list[str]) -> None:
    """Write down what the browser complains about."""
    page.on("console", lambda said: wrong.append(f"{at}: {said.text}") if said.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"{at}: {error}"))


def shoot(made: Browser, address: str, names: Sequence[str], out: Path) -> list[str]:
    """Photograph pages, and return what is wrong with them."""
    wrong: list[str] = []
    cookies: dict[str, list] = {"": []}
    for name in names:
        who, path = PAGES[name]
        for theme in THEMES:
            for width in WIDTHS:
                context = made.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
                page = context.new_page()
                overhear(page, f"{name} {width}", wrong)
                if who not in cookies:
                    sign_in(page, address, who)
                    cookies[who] = context.cookies()
                context.add_cookies(cookies[who])
                page.goto(f"{address}{path}")
                if name == "failures":
                    page.wait_for_selector("#card h2")
                page.wait_for_timeout(250)
                page.screenshot(path=out / f"{name}-{theme}-{width}.png", full_page=True)
                wrong += [f"{name} {theme} {width}: {one}" for one in page.evaluate(WRONG)]
                context.close()
    return wrong


def main(out: Path, names: Sequence[str]) -> None:
    """Build, serve, photograph."""
    from saqiya.loop.flywheel import Flywheel

    out.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.gettempdir()) / "saqiya-shots"
    if not (place / "workspace.json").exists():
        build(place)
    with Flywheel(place) as wheel, served(wheel) as address, browser() as made:
        for one in shoot(made, address, names or list(PAGES), out):
            print(one)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
