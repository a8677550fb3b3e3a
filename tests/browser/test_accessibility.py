"""Every page in light and dark: axe-core finds nothing serious, Streamlit's own elements included; a picture is kept.

Pages are those that app.py lists, so that a new one is covered when it is added.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.browser.conftest import ROOT, OpenPage, Serve

BAD = ("serious", "critical")
OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The rules of axe that a scheme of colours can break; nothing else of a page changes with it."""


def listed_pages() -> dict[str, str]:
    """Name -> path in the address, of every page of app.py; the default page has none."""
    text = (ROOT / "app.py").read_text(encoding="utf-8")
    found = {}
    for file, title, rest in re.findall(r'st\.Page\(f"\{PAGES\}/(\w+)\.py", title="([^"]+)"(.*)\)', text):
        found[title] = "" if "default=True" in rest else file
    return found


VIEWS = {
    **listed_pages(),
    "Explore, asked another way": "?clip=bow&ask=true&method=limb+removal",
    "Break it, broken": 'break_it?clip=kick+left&without=[{"kind":"limbs","limbs":["left leg"]}]',
    "Lessons, a step with a question": "lessons?lesson=attention&step=4",
    "Lessons, presenting": "lessons?lesson=tokens&step=2&present=1",
    "Trust, two methods": "trust?compare=true",
}
"""Name -> address of what is looked at: every page as it opens, and those that a click makes another."""


def settle(page: Page) -> None:
    """Until no script runs any more and what it drew has stood still."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")
    busy = ", ".join(f"[data-testid={name}]" for name in ("stSkeleton", "stSpinner", "stProgress"))
    busy += ", [data-stale=true]"  # a part that runs again is dimmed until it has
    page.wait_for_function(f"() => document.querySelectorAll('{busy}').length === 0")
    page.wait_for_timeout(700)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def keep(page: Page, path: Path) -> None:
    """A picture of all of the page, however long: Streamlit scrolls a part of it, so the window is made as high."""
    width = page.viewport_size["width"] if page.viewport_size else 1440
    height = page.locator("[data-testid=stMain]").evaluate("(node) => node.scrollHeight")
    page.set_viewport_size({"width": width, "height": min(max(900, int(height)), 5000)})
    settle(page)
    page.screenshot(path=path)


def violations(page: Page, rules: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """What is serious and stays so: the rule, the elements. A part that is drawn again may be dimmed for a moment.
    All rules of axe by default."""
    for _ in range(4):
        if not (bad := _violations(page, rules)):
            break
        settle(page)
    return bad


def _violations(page: Page, rules: tuple[str, ...]) -> list[dict[str, Any]]:
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = Axe().run(page, options=options).response["violations"]
    return [
        {
            "rule": each["id"],
            "impact": each["impact"],
            "nodes": [
                (node["target"], node["html"][:240], node.get("failureSummary", "")[:300]) for node in each["nodes"]
            ],
        }
        for each in found
        if each["impact"] in BAD
    ]


@pytest.fixture(scope="module")
def app(serve: Serve) -> str:
    return serve(ROOT / "app.py")


def test_the_pages_of_the_app_are_found() -> None:
    assert {"Explore", "Tokens", "Break it", "Trust", "Lessons"} <= set(listed_pages())
    files = {path.stem for path in (ROOT / "xai" / "dashboard" / "pages").glob("*.py")} - {"__init__"}
    assert files - {"explore"} == set(listed_pages().values()) - {""}


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_serious_stands_in_the_way_of_anybody(
    app: str, open_page: OpenPage, screenshots: Path, name: str
) -> None:
    page = open_page(f"{app}/{VIEWS[name]}", color_scheme="light")
    settle(page)
    file = re.sub(r"\W+", "-", name.lower())
    found = {}
    for scheme in ("light", "dark"):  # a page follows the scheme of the system while it is open
        page.emulate_media(color_scheme=scheme)
        keep(page, screenshots / f"{file}-{scheme}.png")
        found[scheme] = violations(page, () if scheme == "light" else OF_COLOURS)
        back = page.locator("[data-testid=stApp]").evaluate("(node) => getComputedStyle(node).backgroundColor")
        assert (max(map(int, re.findall(r"\d+", back)[:3])) < 128) == (scheme == "dark")
    page.set_viewport_size({"width": 390, "height": 844})
    settle(page)  # what is narrower is higher
    keep(page, screenshots / f"{file}-390.png")
    wide = page.locator("[data-testid=stMain]").evaluate("(node) => node.scrollWidth - node.clientWidth")
    assert wide <= 1, f"{name} is {wide} px wider than a telephone"
    assert not any(found.values()), "\n".join(map(str, found.items()))
    assert page.locator("[data-testid=stException]").count() == 0
