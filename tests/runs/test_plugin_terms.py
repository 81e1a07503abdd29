"""Apps of which no terms can be found are refused by a sentence, and nothing that they would do is done."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from runs.plugin.__main__ import main

PROJECT = """
[tool.flwr.app.components]
serverapp = "{name}:app"
clientapp = "{name}:app"
"""

HEAD = """
from pathlib import Path
import numpy as np
from flwr.app import Array, ArrayRecord
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
app = ServerApp()
model = ArrayRecord({"w": Array(np.zeros(3))})
"""

OWN_START = (
    HEAD
    + """
class Tracked(FedAvg):
    def start(self, *arguments, **named):
        Path(FOLDER, "tracked").touch()
        return super().start(*arguments, **named)
@app.main()
def main(grid, context):
    Tracked().start(grid=grid, initial_arrays=model)
"""
)
LEGACY = """
from flwr.server import ServerApp, ServerAppComponents, ServerConfig
from flwr.server.strategy import FedAvg
def serve(context):
    return ServerAppComponents(strategy=FedAvg(), config=ServerConfig(num_rounds=1))
app = ServerApp(server_fn=serve)
"""
FAILS = (
    HEAD
    + """
@app.main()
def main(grid, context):
    context.run_config["no-such-entry"]
"""
)
WRITES = (
    HEAD
    + """
@app.main()
def main(grid, context):
    Path("outputs").mkdir()
    FedAvg().start(grid=grid, initial_arrays=model)
"""
)


def terms_of(folder: Path, name: str, text: str, *options: str) -> int:
    app = folder / "app"
    app.mkdir()
    (app / "pyproject.toml").write_text(PROJECT.format(name=name))
    (app / f"{name}.py").write_text(text.replace("FOLDER", repr(str(folder))))
    return main(["terms", str(app), *options])


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("own_start_app", OWN_START, "CannotCompose: Tracked cannot run in a market: its start is its own, which a market does not call. "),
        ("legacy_app", LEGACY, "TermsError: FedAvg is a strategy of flwr.server.strategy, which no market runs; expected one of "),
        ("importing_app", "import no_such_package", "imports no_such_package, which is not here; install what its pyproject.toml names"),
        ("failing_app", FAILS, "fails before it starts a strategy: KeyError: 'no-such-entry'; see whether it runs without a market"),
    ],
)
def test_app_without_terms_is_refused_by_name_and_has_done_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, text: str, sentence: str
) -> None:
    assert terms_of(tmp_path, name, text) == 1
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1, "a sentence, no traceback"
    assert not (tmp_path / "tracked").exists()


def test_what_an_app_writes_beside_it_is_not_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert terms_of(tmp_path, "writing_app", WRITES) == 0
    assert capsys.readouterr().out.endswith("Terms(weights=3)\n")
    assert [path.name for path in tmp_path.iterdir()] == ["app"]


def test_model_that_no_exact_market_takes_is_told_the_largest_and_what_to_choose(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert terms_of(tmp_path, "large_app", WRITES.replace("np.zeros(3)", "np.zeros(4_386_178, np.float32)")) == 0
    said = capsys.readouterr().out
    assert "With exact distances these terms cannot be used: " in said
    assert re.search(r"with 15 data owners .*: [0-9,]+ if exact, [0-9,]+ if projected, .*this one has 4,386,178. Choose another kind", said)
    assert said.endswith("Terms(weights=4386178, projected=True)\n")
    shutil.rmtree(tmp_path / "app")
    assert terms_of(tmp_path, "small_app", WRITES, "--owners", "9") == 1, "too few for any market"
    assert "mostOwners is 9" in capsys.readouterr().err


def test_strategies_are_as_before_afterwards(tmp_path: Path) -> None:
    from flwr.server.strategy import FedAvg as LegacyFedAvg
    from flwr.serverapp.strategy import FedAvg

    terms_of(tmp_path, "quiet_app", OWN_START)
    assert FedAvg().start.__name__ == "start"
    assert LegacyFedAvg(fraction_fit=0.5).fraction_fit == 0.5
