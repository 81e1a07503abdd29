"""Settlements that are not what they should be: the market refuses each by name, with the facts that the verifier in Python tells."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.market_reader import refusals
from omnilytics_flwr.crypto.proof import verify
from omnilytics_flwr.errors import LedgerError
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.market.refusals import NotModelOwner, Refusal, TooLate, UnknownGroup, WrongRound, WrongStage
from omnilytics_flwr.market.stage import Stage

from .forging import COMMON_FORGERIES, OTHER_FORGERIES, Forgery
from .real import NO_TASK, Opened

FORGERIES = COMMON_FORGERIES | OTHER_FORGERIES


def refusal_in_python(opened: Opened, settlement: bytes) -> Refusal:
    with pytest.raises(Refusal) as refusal:
        verify(replace(opened.round.statement, outside=opened.waived), settlement)
    return refusal.value


def settle(opened: Opened, settlement: bytes) -> None:
    opened.market.owner.settle(opened.round.number, settlement, opened.waived, NO_TASK)


def test_settlement_honest_is_accepted_and_pays_all_but_the_excluded(opened: Opened) -> None:
    settle(opened, opened.settlement)

    assert opened.market.paid_groups(opened.round.number) == 0b111101


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
def test_settlement_forged_is_refused(opened: Opened, forgery: Forgery) -> None:
    forged = forgery.change(opened.round.taken_apart(opened.settlement, opened.waived))
    expected = refusal_in_python(opened, forged)

    with pytest.raises(Refusal) as refusal:
        settle(opened, forged)

    assert type(refusal.value) is type(expected) is forgery.refusal
    assert refusal.value.args == expected.args
    assert opened.market.owner.state().stage is Stage.OPEN


@pytest.mark.parametrize("waived", [0, 0b1, 0b110000], ids=["none", "another group", "one more"])
def test_settlement_for_other_waivers_is_refused(opened: Opened, waived: int) -> None:
    statement = replace(opened.round.statement, outside=waived)
    with pytest.raises(Refusal) as expected:
        verify(statement, opened.settlement)

    with pytest.raises(Refusal) as refusal:
        opened.market.owner.settle(1, opened.settlement, waived, NO_TASK)

    assert type(refusal.value) is type(expected.value)
    assert refusal.value.args == expected.value.args


CALLS: dict[str, tuple[Callable[[Opened], object], type[Refusal], Callable[[Opened], tuple[object, ...]]]] = {
    "by a data owner": (
        lambda o: o.market.data[0].settle(1, o.settlement, o.waived, NO_TASK),
        NotModelOwner,
        lambda o: (o.market.data[0].account,),
    ),
    "of an earlier round": (
        lambda o: o.market.owner.settle(0, o.settlement, o.waived, NO_TASK),
        WrongRound,
        lambda o: (0, 1),
    ),
    "of a later round": (
        lambda o: o.market.owner.settle(2, o.settlement, o.waived, NO_TASK),
        WrongRound,
        lambda o: (2, 1),
    ),
    "with an unknown group waived": (
        lambda o: o.market.owner.settle(1, o.settlement, 1 << 6, NO_TASK),
        UnknownGroup,
        lambda o: (1 << 6, 0b111111),
    ),
    "with group 255 waived": (
        lambda o: o.market.owner.settle(1, o.settlement, 1 << 255, NO_TASK),
        UnknownGroup,
        lambda o: (1 << 255, 0b111111),
    ),
}


@pytest.mark.parametrize(("call", "refusal", "facts"), CALLS.values(), ids=CALLS.keys())
def test_settle_called_wrongly_is_refused(
    opened: Opened, call: Callable[[Opened], object], refusal: type[Refusal], facts: Callable[[Opened], tuple[object, ...]]
) -> None:
    with pytest.raises(refusal) as found:
        call(opened)

    assert found.value.args == facts(opened)


def test_settle_twice_is_refused(opened: Opened) -> None:
    settle(opened, opened.settlement)

    with pytest.raises(WrongStage) as refusal:
        settle(opened, opened.settlement)

    assert refusal.value.args == (Stage.IDLE, 1 << Stage.OPEN)


def test_settle_after_the_deadline_is_refused(opened: Opened, devnet: Devnet) -> None:
    settle_by = opened.market.owner.state().settle_by
    devnet.set_next_timestamp(settle_by + 1)

    with pytest.raises(TooLate) as refusal:
        settle(opened, opened.settlement)

    assert refusal.value.args == (settle_by + 1, settle_by)


def test_settle_at_the_deadline_is_accepted(opened: Opened, devnet: Devnet) -> None:
    devnet.set_next_timestamp(opened.market.owner.state().settle_by)
    settle(opened, opened.settlement)

    assert opened.market.owner.state().stage is Stage.IDLE


SETTLE_DATA = {
    "empty": lambda data: b"",
    "three bytes of the selector": lambda data: data[:3],
    "an unknown selector": lambda data: b"\0" * 4 + data[4:],
    "the selector only": lambda data: data[:4],
    "cut in the head": lambda data: data[: 4 + 100],
    "cut before the settlement's length": lambda data: data[: 4 + 128],
    "cut in the settlement": lambda data: data[:-64],
    "settlement at no place": lambda data: data[:36] + b"\xff" * 32 + data[68:],
    "settlement beyond the end": lambda data: data[:36] + (2**20).to_bytes(32, "big") + data[68:],
    "settlement of no length": lambda data: data[:132] + b"\xff" * 32 + data[164:],
    "settlement longer than the data": lambda data: data[:132] + (2**16).to_bytes(32, "big") + data[164:],
    "a round of more than 32 bits": lambda data: data[:4] + (2**32 + 1).to_bytes(32, "big") + data[36:],
}


@pytest.mark.parametrize("change", SETTLE_DATA.values(), ids=SETTLE_DATA.keys())
def test_settle_calldata_malformed_is_refused(opened: Opened, change: Callable[[bytes], bytes]) -> None:
    owner = opened.market.owner
    arguments = (1, opened.settlement, opened.waived, NO_TASK)
    data = artifacts.load(artifacts.MARKET).abi.call_data("settle", *arguments)
    owner.connection.call(owner.address, data, refusals(), sender=owner.account)

    with pytest.raises(LedgerError) as refusal:
        owner.connection.call(owner.address, change(data), refusals(), sender=owner.account)

    assert "no reason given" in str(refusal.value)
