"""A model owner's process killed by SIGKILL on a real chain, and a node that restarts, in the middle of rounds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.stage import Stage
from tests.flower.killing import Orders
from tests.flower.markets import NUM_OWNERS, REWARD_WEI, ChainRun, chain_run
from tests.support.nodes import FaultyNode, faulty_node

ROUNDS = 1
CHILD_SECONDS = 200


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainRun]:
    with chain_run(tmp_path_factory.mktemp("chain")) as made:
        yield made


def start(run: ChainRun, run_dir: Path, kind: str = "", times: int = -1) -> subprocess.CompletedProcess[str]:
    """A process of the model owner, until it ends or is killed."""
    orders = Orders(run.market.anvil.url, run.market.ledger.address, str(run.folder), str(run_dir), NUM_OWNERS, ROUNDS, kind, times)
    return subprocess.run(
        [sys.executable, "-m", "tests.flower.killing", orders.argument()],
        capture_output=True,
        text=True,
        timeout=CHILD_SECONDS,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        check=False,
    )


def live(run: ChainRun, run_dir: Path) -> dict[str, Any]:
    """Let a process live to its end; what it ended with."""
    done = start(run, run_dir)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def kill(run: ChainRun, run_dir: Path, kind: str, times: int = 0) -> None:
    done = start(run, run_dir, kind, times)
    assert done.returncode == -signal.SIGKILL, done.stderr[-3000:]


@pytest.fixture(scope="module")
def undisturbed(run: ChainRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run.rewind()
    return live(run, tmp_path_factory.mktemp("undisturbed"))


def sent_of_model_owner(run: ChainRun, since_block: int) -> int:
    """Transactions that the model owner has on the chain since a block."""
    connection = run.market.ledger.connection
    owner = run.market.ledger.account.lower()
    found = 0
    for number in range(since_block + 1, connection.block_number() + 1):
        block = connection.request("eth_getBlockByNumber", hex(number), True)
        found += sum(transaction["from"].lower() == owner for transaction in block["transactions"])
    return found


BETWEEN = [("write round", 0), ("write round", 1), ("write delivery", 7), ("write outcome", 0), ("write progress", 0)]


@pytest.mark.parametrize("strikes", [[("broadcast", 0)] * 3, pytest.param(BETWEEN, marks=pytest.mark.slow)], ids=["broadcasts", "between"])
def test_killed_process_ends_as_undisturbed(
    run: ChainRun, undisturbed: dict[str, Any], tmp_path: Path, strikes: list[tuple[str, int]]
) -> None:
    """Whenever a transaction has left, or at stages in between: the round is settled and paid, by three transactions and no more."""
    run.rewind()
    since = run.market.ledger.connection.block_number()
    for kind, times in strikes:
        kill(run, tmp_path / "run", kind, times)
    assert live(run, tmp_path / "run")["model"] == undisturbed["model"]
    state = run.state
    assert (state.stage, state.round) == (Stage.ANCHORED, ROUNDS + 1)
    assert state.owed_wei == ROUNDS * 12 * REWARD_WEI == run.claimable_wei()
    assert run.surplus_wei() == 0
    assert sent_of_model_owner(run, since) == 3, "anchor, open, settle"


# A node that restarts


def restart_when_missed(node: FaultyNode, anvil: Anvil, options: AnvilOptions, started: list[Anvil]) -> None:
    """End the chain's process; start it again, from its saved state, once three requests have failed."""
    anvil.close()
    passed = len(node.passed)

    def restart() -> None:
        deadline = time.monotonic() + 60
        while len(node.passed) < passed + 3 and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        started.append(Anvil(options))
        node.upstream = started[-1].url

    threading.Thread(target=restart).start()


@pytest.mark.parametrize("stage", [pytest.param((1, "deliver"), marks=pytest.mark.slow), (1, "settle")])
def test_node_that_restarts_in_mid_round_costs_nothing(tmp_path: Path, stage: tuple[int, str]) -> None:
    options = AnvilOptions(accounts=NUM_OWNERS + 10, state=tmp_path / "state.json")
    started: list[Anvil] = []
    with chain_run(tmp_path, chain=options) as run, faulty_node(run.market.anvil.url) as node:
        connection = connect(node.url)
        ledger = EthereumLedger(sender_for(connection, dev_wallet(0, connection)), run.market.ledger.address)
        for number, home in enumerate(run.market.homes):
            run.market._owner_ledgers[number] = EthereumLedger(sender_for(connection, home.wallet(connection)), ledger.address)

        def strike(number: int, name: str) -> None:
            if (number, name) == stage and not struck:
                struck.append(name)
                restart_when_missed(node, run.market.anvil, options, started)

        struck: list[str] = []
        try:
            _, strategy = run.start(run.grid(), ledger=ledger, rounds=1, on_stage=strike)
            assert struck
            assert len(started) == 1
            (report,) = strategy.reports
            assert (report.settled, len(report.paid), report.waived) == (True, 12, ())
            assert [record.event for record in connection.transactions] == ["anchor", "open", "settle"]
            assert ledger.state().owed_wei == 12 * REWARD_WEI
        finally:
            for anvil in started:
                anvil.close()
