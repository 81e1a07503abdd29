"""``python -m runs.screenshots PAGE``: pictures of a market's page, as a phone and a desk show it, in the light and in the dark.

PAGE is a file of ``omnilytics local --html``, ``omnilytics explore --html`` or a run's record. Needs Chromium. The documents show two of the
four pictures.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

from .recipes import RunError
from .screen import told

WIDTHS, HEIGHT = (390, 1280), 844
"""Of the window, in pixels of a style sheet."""
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
"""What the user's system prefers."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def main(arguments: list[str] | None = None) -> int:
    """Parse and do it."""
    parser = argparse.ArgumentParser(prog="python -m runs.screenshots", description=__doc__)
    parser.add_argument("page", type=Path, metavar="PAGE")
    parser.add_argument("--folder", type=Path, default=Path(), help="where the pictures go (default: here)")
    chosen = parser.parse_args(arguments)

    def run() -> int:
        for picture in take(chosen.page, chosen.folder):
            print(picture)
        return 0

    return told(run)


def take(page: Path, folder: Path) -> Iterator[Path]:
    """Write a PNG for each width and scheme."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        raise RunError("there is no chromium; expected one on the PATH; `apt-get install chromium`")
    if not page.is_file():
        raise RunError(f"there is no file {page}; expected a market's page; write one by `omnilytics local --html {page}`")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=list(FLAGS))
        for width, scheme in product(WIDTHS, SCHEMES):
            with browser.new_context(viewport={"width": width, "height": HEIGHT}, color_scheme=scheme) as context:
                window = context.new_page()
                window.goto(page.resolve().as_uri())
                picture = folder / f"market-{width}-{scheme}.png"
                window.screenshot(path=picture)
                yield picture
        browser.close()


if __name__ == "__main__":
    raise SystemExit(main())
