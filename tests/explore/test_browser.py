"""The pages in a real browser: on a phone and a desk, in the light and in the dark, by keyboard, and live."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.explore.market_document import WatchedMarket
from omnilytics_flwr.explore.page_file import page as page_of
from tests.chain.market_play import Play

playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pages are not tried in a browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium (`apt-get install chromium`): pages are not tried in a browser"),
    pytest.mark.first,
]
Page = Any


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium that asks nobody for anything by itself."""
    quiet = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield browser
        browser.close()


@pytest.fixture(params=[(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark")], ids=lambda p: f"{p[0]}-{p[1]}")
def page(browser: Any, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window that has seen no error, and asked nobody but the page's own server, when it closes."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda asked: errors.append(asked.url) if not asked.url.startswith(("http://127.0.0.1", "file:", "data:")) else None)
    yield page
    context.close()
    assert errors == []


def fits(page: Page) -> bool:
    """Whether nothing sticks out of the window."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_list_of_markets_leads_to_a_market(page: Page, address: str, opened: Play) -> None:
    page.goto(address)
    page.get_by_role("link", name=opened.owner.address).click()

    playwright.expect(page.get_by_role("heading", level=1)).to_have_text("round 1 is open with 5 groups.")
    playwright.expect(page.locator(".next time")).to_contain_text("left")
    playwright.expect(page.locator("p.own")).to_contain_text("Your seat is 0, in group")
    playwright.expect(page.get_by_role("heading", name="Accuracy")).to_have_count(0)
    playwright.expect(page.locator("tr.own")).to_have_count(1)
    assert fits(page)


def test_page_follows_the_chain_and_keeps_what_was_opened_and_focused(page: Page, address: str, opened: Play) -> None:
    page.goto(f"{address}/market/{opened.owner.address}")
    page.locator("#round-1 summary").press("Enter")
    page.get_by_role("button", name="Earned").focus()
    opened.owner.connection.request("evm_setNextBlockTimestamp", hex(opened.owner.state().settle_by + 1))
    opened.owner.timeout(1)

    playwright.expect(page.locator("#round-1 .what")).to_contain_text("timed out, 5 groups")
    playwright.expect(page.locator("#round-1 .inside")).to_contain_text("Group 4")
    playwright.expect(page.get_by_role("button", name="Earned")).to_be_focused()
    playwright.expect(page.get_by_role("status")).to_have_text("Live")


def test_keyboard_sorts_the_owners_and_says_so(page: Page, address: str, opened: Play) -> None:
    page.goto(f"{address}/market/{opened.owner.address}")
    column = page.get_by_role("columnheader", name="Seat")
    playwright.expect(column).to_have_attribute("aria-sort", "ascending")

    page.get_by_role("button", name="Seat").press("Enter")

    playwright.expect(column).to_have_attribute("aria-sort", "descending")
    playwright.expect(page.locator("tbody tr td").first).to_have_text("14")
    playwright.expect(page.get_by_role("table", name="Data owners, their rounds and their pay")).to_be_visible()


def test_file_of_the_largest_market_is_usable(page: Page, watched: WatchedMarket, largest: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "largest.html"
    file.write_text(page_of(watched.document() | largest | {"saved": True, "epoch": 25, "accuracy": [50.0, 75.0, 91.2]}))
    page.goto(file.as_uri())

    playwright.expect(page.get_by_role("img", name="Accuracy by round: 50.0 %, 75.0 %, 91.2 %")).to_be_visible()
    playwright.expect(page.locator("tbody tr")).to_have_count(254)
    playwright.expect(page.locator("ul.groups > li")).to_have_count(84)
    page.get_by_role("button", name="Show all 200 rounds").click()
    playwright.expect(page.locator("ul.rounds > li")).to_have_count(200)
    page.locator("#round-1 summary").click()
    playwright.expect(page.locator("#round-1")).to_contain_text("81 accepted, 2 unpaid, 1 waived")
    assert fits(page)
