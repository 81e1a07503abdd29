"""What an agent asks its node while nothing happens: providers count requests."""

from __future__ import annotations

from pathlib import Path

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.data_owner.journal import Journal
from omnilytics_flwr.data_owner.policy import Policy
from omnilytics_flwr.data_owner.watcher import Watcher
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key
from omnilytics_flwr.evm.wallet_sender import sender_for
from tests.chain.market_play import Play, open_round
from tests.support.nodes import FaultyNode


def test_agent_of_a_market_that_does_not_change_asks_for_its_state_alone(node: FaultyNode, drawn: Play, tmp_path: Path) -> None:
    """Of a node elsewhere, before and after a transaction of the account's own; of an open round, for its block as well, which tells the time."""
    node.falsifying["web3_clientVersion"] = lambda answer: answer | {"result": "Geth/v1.16.5"}
    connection = connect(node.url)
    wallet = Wallet(Secret(dev_key(1)))
    ledger = EthereumLedger(sender_for(connection, wallet), drawn.owner.address)
    watcher = Watcher(
        ledger=ledger,
        journal=Journal(tmp_path / "journal"),
        signer=wallet,
        policy=Policy().for_chain(is_local=False),
        balance_wei=lambda: connection.balance_wei(wallet.address),
        gas_price_wei=ledger.gas_price_wei,
        tidy=lambda: None,
    )

    def asked_in(looks: int) -> list[str]:
        node.asked.clear()
        for _ in range(looks):
            watcher.look()
        return list(node.asked)

    assert len(asked_in(1)) > 1
    assert asked_in(5) == 5 * ["eth_call"]
    connection.note_own(connection.block_number())
    assert asked_in(5) == 5 * ["eth_blockNumber", "eth_call"]
    open_round(drawn)
    asked_in(1)
    assert asked_in(5) == 5 * ["eth_getBlockByNumber", "eth_call"]
