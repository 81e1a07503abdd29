"""Epochs and rounds from the command line: frozen, drawn, shown, timed out."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnilytics_flwr.chain.ethereum_ledger import EthereumLedger
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.header import block_header
from omnilytics_flwr.market.draw import epoch_seed
from tests.chain.market_play import OWNERS, REWARD_WEI, TASK, Play, fix_draw, open_round

from .command_line import DATA_OWNER, MODEL_OWNER, CommandLine

RANDAO = b"\x2a" * 32
AMSTERDAM = (32, 8)
"""Lengths of the fields that this fork adds: hash of the access list, and slot."""


def test_freeze_and_draw_make_groups_of_everybody(line: CommandLine, market: EthereumLedger) -> None:
    Play.of(market).join_all()
    assert line.json("epoch", "show")["enrolled_for_next"] == OWNERS
    assert line.json("epoch", "freeze", "--dry-run", *MODEL_OWNER)["transactions"][0]["event"] == "freeze"
    assert market.state().stage.name == "ENROLLING"
    frozen = line.json("epoch", "freeze", *MODEL_OWNER)
    assert frozen["events"]["Frozen"]["members"] == list(range(OWNERS))
    assert line.json("epoch", "show")["draw_block"] == market.state().draw_block
    drawn = line.json("epoch", "draw", *DATA_OWNER)
    assert market.state().stage.name == "IDLE"
    assert sorted(seat for group in drawn["groups"] for seat in group["seats"]) == list(range(OWNERS))
    again = line.json("epoch", "draw", *DATA_OWNER)
    assert (again["transactions"], again["groups"]) == ([], drawn["groups"])
    assert "nothing had to be sent" in line("epoch", "draw", *DATA_OWNER)


def test_draw_before_its_block_is_refused_with_the_block_and_planned_after_it(
    line: CommandLine, market: EthereumLedger, tmp_path: Path
) -> None:
    Play.of(market).join_all()
    market.freeze()
    block = market.state().draw_block
    assert f"after {block}" in line.refused("epoch", "draw", "--dry-run", *MODEL_OWNER)
    market.connection.await_block(block + 1)
    (plan,) = line.json("epoch", "draw", "--dry-run", *MODEL_OWNER)["transactions"]
    assert plan["event"] == "draw"
    header = tmp_path / "header.hex"
    header.write_text(f"0x{block_header(market.connection, block).hex()}\n")
    assert line.json("epoch", "draw", "--header", str(header), "--dry-run", *MODEL_OWNER)["transactions"] == [plan]
    (sent,) = line.json("epoch", "draw", "--wait", *MODEL_OWNER)["transactions"]
    assert plan["gas"] == pytest.approx(sent["gas"], rel=0.02)


def test_draw_takes_the_header_of_a_later_fork_from_a_file(line: CommandLine, market: EthereumLedger, anvil: Anvil, tmp_path: Path) -> None:
    Play.of(market).join_all()
    market.freeze()
    header = fix_draw(anvil, market.state().draw_block, RANDAO, later=AMSTERDAM)
    path = tmp_path / "header.hex"
    path.write_text(bytes([*header[:-1], header[-1] ^ 1]).hex())
    assert "the draw's block has the hash" in line.refused("epoch", "draw", "--header", str(path), *DATA_OWNER)
    path.write_text(header.hex())
    line("epoch", "draw", "--header", str(path), *DATA_OWNER)
    assert market.state().epoch_seed == epoch_seed(RANDAO, 1, market.address)


def test_show_epoch_names_members_and_groups(line: CommandLine, drawn: Play) -> None:
    shown = line.json("epoch", "show")
    assert (shown["rounds_opened"], shown["rounds_per_epoch"]) == (0, drawn.owner.terms().rounds_per_epoch)
    owners = {member.seat: member.owner for member in drawn.owner.members()}
    assert [group["seats"] for group in shown["groups"]] == [
        [seat for seat in range(OWNERS) if drawn.owner.group_seats(number) >> seat & 1] for number in range(5)
    ]
    assert all(group["owners"] == [owners[seat] for seat in group["seats"]] for group in shown["groups"])
    assert owners[0] in line("epoch", "show")


def test_show_round_has_deadlines_roster_and_accusations(line: CommandLine, drawn: Play) -> None:
    drawn.owner.fund(10**18)
    drawn.owner.anchor(TASK)
    shown = line.json("round", "show")
    assert (shown["stage"], shown["task_hash"], shown["settle_by"]) == ("anchored", "0x" + TASK.hex(), 0)
    digests = open_round(drawn)
    seat = drawn.seats()[3]
    drawn.accuse(seat, digests)
    shown, state = line.json("round", "show"), drawn.owner.state()
    assert (shown["stage"], shown["round"], shown["settle_by"], shown["answer_by"]) == ("open", 2, state.settle_by, state.answer_by)
    assert (shown["accused"], shown["answered"], shown["slashed"]) == ([seat], [], [])
    assert int(shown["disputes_wei"]) == state.disputes_wei > 0
    assert all(group["on_roster"] for group in shown["members"])
    assert sorted(number for group in shown["members"] for number in group["examples"]) == [0] * (OWNERS - 1) + [1200]
    assert "(in " in line("round", "show")


def test_timeout_pays_everybody_who_then_claims(line: CommandLine, drawn: Play, anvil: Anvil) -> None:
    open_round(drawn)
    assert "allowed from 20" in line.refused("round", "timeout", *DATA_OWNER)
    anvil.increase_time(drawn.owner.terms().round_seconds + 60)
    assert line.json("round", "timeout", "--dry-run", *DATA_OWNER)["transactions"][0]["event"] == "timeout"
    done = line.json("round", "timeout", *DATA_OWNER)
    assert done["paid_seats"] == list(range(OWNERS))
    assert int(done["paid_each_wei"]) == REWARD_WEI + int(done["of_it_bond_share_wei"]) > REWARD_WEI
    shown = line.json("round", "show")
    assert (shown["round"], shown["paid_seats"]) == (1, list(range(OWNERS)))
    assert line.json("round", "show", "--round", "7")["paid_seats"] == []

    member = drawn.data[4]
    before = member.connection.balance_wei(member.account)
    plan = line.json("claim", "--owner", member.account, "--dry-run", *DATA_OWNER)
    assert plan["transactions"][0]["call"] == f"claim(owner={member.account}, throughRound=1)"
    claimed = line.json("claim", "--owner", member.account, *DATA_OWNER)
    assert claimed["events"]["Claimed"]["amount_wei"] == done["paid_each_wei"]
    assert member.connection.balance_wei(member.account) == before + int(done["paid_each_wei"])
    assert "is left to claim" in line.refused("claim", "--owner", member.account, *DATA_OWNER)
    assert "has no seat" in line.refused("claim", "--owner", drawn.owner.account, *DATA_OWNER)
