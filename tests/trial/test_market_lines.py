"""An app that is not made for a market is refused with the lines that it lacks, and where they go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, ConfigRecord
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.errors import TermsError
from omnilytics_flwr.trial.app_model import AppStart
from omnilytics_flwr.trial.local_round import LocalRound
from omnilytics_flwr.trial.market_lines import check_has_lines

PROJECT = '[tool.flwr.app.components]\nserverapp = "mine.server_app:app"\nclientapp = "mine.client_app:app"\n'
START = AppStart(ArrayRecord(), FedAvg(), 3, ConfigRecord(), ConfigRecord(), in_market=True, private=())
SERVER = [
    "to mine/server_app.py, around the strategy:",
    "    from omnilytics_flwr import Omnilytics, open_market",
    "    strategy = Omnilytics(strategy, ledger=open_market(), run_config=context.run_config)",
]
CLIENT = [
    "to mine/client_app.py, as the first of the app's mods:",
    "    from omnilytics_flwr import omnilytics_mod",
    "    app = ClientApp(mods=[omnilytics_mod])",
]


@pytest.mark.parametrize(
    ("in_market", "has_mod", "lines"), [(False, False, [*SERVER, *CLIENT]), (False, True, SERVER), (True, False, CLIENT), (True, True, [])]
)
def test_lines_that_an_app_lacks_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_market: bool, has_mod: bool, lines: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    found = LocalRound(replace(START, in_market=in_market), (), (), (), has_mod, 0.0, "")
    told: list[str] = []

    try:
        check_has_lines(Path(), found)
    except TermsError as refused:
        told = str(refused).splitlines()

    assert told[1:] == lines
    assert not told or told[0] == "the app is not made for a market yet; expected these lines; add them"
