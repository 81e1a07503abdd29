"""The lines that put an app into a market."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import TermsError
from .app_folder import AppFolder
from .local_round import LocalRound

_SERVER = (
    "around the strategy",
    "from omnilytics_flwr import Omnilytics, open_market",
    "strategy = Omnilytics(strategy, ledger=open_market(), run_config=context.run_config)",
)
_CLIENT = (
    "as the first of the app's mods",
    "from omnilytics_flwr import omnilytics_mod",
    "app = ClientApp(mods=[omnilytics_mod])",
)


def check_has_lines(app: Path, found: LocalRound) -> None:
    """Raise `TermsError` with the lines to add, and to which file, unless an app's server and client have them."""
    folder = AppFolder.read(app)
    missing = [] if found.start.in_market else [_told(folder, "serverapp", *_SERVER)]
    missing += [] if found.has_mod else [_told(folder, "clientapp", *_CLIENT)]
    if missing:
        raise TermsError("\n".join(["the app is not made for a market yet; expected these lines; add them", *missing]))


def _told(app: AppFolder, component: str, where: str, *lines: str) -> str:
    module = app.components[component].partition(":")[0]
    file = app.path.joinpath(*module.split(".")).with_suffix(".py")
    return "\n    ".join([f"to {os.path.relpath(file)}, {where}:", *lines])
