"""The examples that docs/start walks through: ordinary Flower apps, run as it says, and paid."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnilytics_flwr.errors import Unreachable
from omnilytics_flwr.evm.endpoint import Endpoint

APPS = Path(__file__).parents[2] / "runs" / "examples"
ROUND = ("--run-config", "num-server-rounds=1")


def command(app: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "omnilytics_flwr", "local", *options, "--", "flwr", "run", str(APPS / app), *ROUND]


@pytest.mark.first
@pytest.mark.timeout(900)
def test_quickstart_learns_everybody_is_paid_and_its_chain_stays_until_it_is_ended(tmp_path: Path) -> None:
    page, log = tmp_path / "market.html", tmp_path / "log"
    with log.open("w") as stderr:
        words = command("quickstart", "--by-examples", "--json", "--keep", "--html", str(page))
        running = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=tmp_path)
    assert running.stdout is not None
    try:
        said = ""
        while not said.endswith("\n}\n"):
            line = running.stdout.readline()
            assert line, log.read_text()[-2000:]
            said += line
        facts = json.loads(said)
        assert facts.get("settled_rounds") == 1, (facts, log.read_text()[-2000:])
        assert sum(owner["paid_rounds"] for owner in facts["owners"]) >= 15, "one group of six may differ too much"
        assert sum(int(owner["earned_wei"]) for owner in facts["owners"]) >= 15 * 10**15
        assert "after round 1: accuracy " in log.read_text()
        assert "Updates weigh by the numbers of examples that 18 of 18 data owners stated" in log.read_text()
        assert facts["market"] in page.read_text()
        chain = Endpoint(facts["rpc_url"])
        assert len(chain.request("eth_getCode", facts["market"], "latest")) > 2

        running.send_signal(signal.SIGTERM)

        assert running.wait(60) == 130
        with pytest.raises(Unreachable):
            chain.request_once("eth_chainId")
        assert [path.name for path in tmp_path.iterdir() if path not in (page, log)] == []
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_client_that_raises_leaves_its_group_out_and_holds_nobody_up(tmp_path: Path) -> None:
    shutil.copytree(APPS / "quickstart", tmp_path / "app")
    client = tmp_path / "app" / "quickstart" / "client_app.py"
    train = "    model = new_model("
    raising = f"    assert context.node_config['partition-id'] != 7\n{train}"
    client.write_text(client.read_text().replace(train, raising, 1))

    done = subprocess.run(command(str(tmp_path / "app")), capture_output=True, text=True, cwd=tmp_path, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    assert "Market round 1: 18 nodes train for 18 data owners in 6 groups" in done.stdout
    assert "Market round 1 settled: 17 of 18 data owners committed, 5 groups on the roster" in done.stdout
    assert "opens only when its commit window ends" not in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_private_head_stays_and_what_everybody_earned_is_shown(tmp_path: Path) -> None:
    done = subprocess.run(command("private"), capture_output=True, text=True, cwd=tmp_path, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    assert "after round 1: accuracy " in done.stdout
    together = next(line for line in done.stdout.splitlines() if "together" in line)
    assert float(together.split()[-2]) >= 0.015


def test_quickstart_knows_of_the_market_in_two_lines_of_each_side_only() -> None:
    folder = APPS / "quickstart" / "quickstart"
    lines = {name: (folder / name).read_text().splitlines() for name in ("client_app.py", "server_app.py", "task.py")}

    touched = {name: sum("mnilytics" in line for line in text) for name, text in lines.items()}

    assert touched == {"client_app.py": 2, "server_app.py": 2, "task.py": 0}
