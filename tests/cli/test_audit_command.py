"""The audit from the command line."""

from __future__ import annotations

import json

import pytest

from omnilytics_flwr.evm.anvil import Anvil
from tests.chain.market_play import OWNERS, Play, open_round
from tests.support.nodes import FaultyNode

from .command_line import CommandLine


def test_audit_confirms_a_market_in_a_sentence_and_a_table(line: CommandLine, drawn: Play, anvil: Anvil) -> None:
    open_round(drawn)
    anvil.set_next_timestamp(drawn.owner.state().settle_by + 1)
    drawn.owner.timeout(1)

    said, told = line("audit"), line.json("audit", drawn.owner.address)

    assert said.startswith("Everything that the contract did follows from what was sent.\n")
    assert "1 rounds" not in said
    assert "timed out" in said
    assert (told["confirmed"], told["complete"], told["finding"]) == (True, True, None)
    assert told["transactions"] == told["of_transactions"] == OWNERS + 6
    assert [one["paid"] for one in told["rounds"]] == [OWNERS]


def test_audit_names_what_does_not_follow_and_fails(
    line: CommandLine, drawn: Play, node: FaultyNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.falsifying["eth_getBalance"] = lambda answer: {**answer, "result": "0x0"}
    monkeypatch.setenv("OMNILYTICS_RPC_URL", node.url)

    code, said, _ = line.run(("audit", drawn.owner.address))
    in_json = json.loads(line.run(("audit", drawn.owner.address, "--json"))[1])

    assert code == 1
    assert said.startswith("This does not follow from what was sent: ")
    assert "the market holds 0 wei; expected" in said
    assert (in_json["confirmed"], in_json["complete"]) == (False, False)
    assert "the market holds 0 wei" in in_json["finding"]["text"]


def test_audit_leaves_the_latest_blocks_out(line: CommandLine, drawn: Play) -> None:
    before = line.json("audit")
    drawn.owner.fund(5)

    assert line.json("audit")["transactions"] == before["transactions"] + 1
    assert line.json("audit", "--confirmations", "1")["transactions"] == before["transactions"]
