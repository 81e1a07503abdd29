"""Forged settlements: the market refuses each by name, with the facts that the verifier in Python tells.

Who may settle, and when: `contracts/test/market/Settle.t.sol`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.verifier import verify
from omnilytics_flwr.errors import LedgerError
from omnilytics_flwr.market.refusals import Refusal, WrongDigests, WrongStage
from omnilytics_flwr.market.roster import roster_hash
from omnilytics_flwr.market.stage import Stage

from .forging import COMMON_FORGERIES, Forgery, Rows, members
from .real_market import NO_TASK, Opened


def refusal_in_python(opened: Opened, settlement: bytes) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        verify(replace(opened.round.statement, outside=opened.waived), settlement)
    return refusal.value


def settle(opened: Opened, settlement: bytes) -> None:
    opened.market.owner.settle(opened.round.number, settlement, opened.round.signed(opened.waived), opened.waived, NO_TASK)


def test_settlement_honest_is_accepted_and_pays_all_but_the_farthest(opened: Opened) -> None:
    settle(opened, opened.settlement)

    assert opened.market.paid_groups(opened.round.number) == 0b111101


@pytest.mark.parametrize("forgery", COMMON_FORGERIES.values(), ids=COMMON_FORGERIES.keys())
def test_settlement_forged_is_refused(opened: Opened, forgery: Forgery) -> None:
    forged = forgery.change(opened.round.taken_apart(opened.settlement, opened.waived))
    expected = refusal_in_python(opened, forged)

    with pytest.raises(Refusal) as refusal:
        settle(opened, forged)

    assert type(refusal.value) is type(expected) is forgery.refusal
    assert refusal.value.args == expected.args
    assert opened.market.owner.state().stage is Stage.OPEN


def swapped_in_a_group(rows: Rows) -> Rows:
    first, second, *rest = rows[0]
    return ((second, first, *rest), *rows[1:])


def digest_of_a_waived_member_replaced(rows: Rows) -> Rows:
    return (*rows[:-1], (bytes(32), *rows[-1][1:]))


@pytest.mark.parametrize("change", [swapped_in_a_group, digest_of_a_waived_member_replaced])
def test_settlement_with_other_digests_than_the_rosters_is_refused(opened: Opened, change: Callable[[Rows], Rows]) -> None:
    """Neither changes a sum, so that the verification takes it; the market knows what the round was opened with."""
    forged = members(change)(opened.round.taken_apart(opened.settlement, opened.waived))
    statement = replace(opened.round.statement, outside=opened.waived)
    digests = verify(statement, forged).digests

    with pytest.raises(WrongDigests) as refusal:
        settle(opened, forged)

    assert refusal.value.args == (roster_hash(opened.round.groups, digests), statement.roster_hash)


@pytest.mark.parametrize("waived", [0, 0b1, 0b110000], ids=["none", "another group", "one more"])
def test_settlement_for_other_waivers_is_refused(opened: Opened, waived: int) -> None:
    statement = replace(opened.round.statement, outside=waived)
    with pytest.raises(Refusal) as expected:
        verify(statement, opened.settlement)

    with pytest.raises(Refusal) as refusal:
        opened.market.owner.settle(1, opened.settlement, opened.round.signed(waived), waived, NO_TASK)

    assert type(refusal.value) is type(expected.value)
    assert refusal.value.args == expected.value.args


def test_settle_twice_is_refused(opened: Opened) -> None:
    settle(opened, opened.settlement)

    with pytest.raises(WrongStage) as refusal:
        settle(opened, opened.settlement)

    assert refusal.value.args == (Stage.IDLE, 1 << Stage.OPEN)


SETTLE_DATA = {
    "empty": lambda data: b"",
    "three bytes of the selector": lambda data: data[:3],
    "an unknown selector": lambda data: b"\0" * 4 + data[4:],
    "the selector only": lambda data: data[:4],
    "cut in the head": lambda data: data[: 4 + 100],
    "cut before the settlement's length": lambda data: data[: 4 + 160],
    "cut in the settlement": lambda data: data[:1000],
    "cut in the signatures": lambda data: data[:-64],
    "settlement at no place": lambda data: data[:36] + b"\xff" * 32 + data[68:],
    "signatures at no place": lambda data: data[:68] + b"\xff" * 32 + data[100:],
    "settlement beyond the end": lambda data: data[:36] + (2**20).to_bytes(32, "big") + data[68:],
    "settlement of no length": lambda data: data[:164] + b"\xff" * 32 + data[196:],
    "settlement longer than the data": lambda data: data[:164] + (2**16).to_bytes(32, "big") + data[196:],
    "a round of more than 32 bits": lambda data: data[:4] + (2**32 + 1).to_bytes(32, "big") + data[36:],
}


@pytest.mark.parametrize("change", SETTLE_DATA.values(), ids=SETTLE_DATA.keys())
def test_settle_calldata_malformed_is_refused(opened: Opened, change: Callable[[bytes], bytes]) -> None:
    owner = opened.market.owner
    arguments = (1, opened.settlement, b"".join(opened.round.signed(opened.waived)), opened.waived, NO_TASK)
    data = artifacts.load(artifacts.MARKET).abi.call_data("settle", *arguments)
    owner.connection.call(owner.address, data, market_reverts(), sender=owner.account)

    with pytest.raises(LedgerError) as refusal:
        owner.connection.call(owner.address, change(data), market_reverts(), sender=owner.account)

    assert "no reason given" in str(refusal.value)
