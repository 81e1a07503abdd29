"""The ledger on a chain: every event of a market's life, every reading, every refusal typed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.market_reader import MarketReader
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.errors import UnknownMarket
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.market import refusals
from omnilytics_flwr.market.draw import epoch_seed
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.market_view import MarketState, OwnerRecord
from omnilytics_flwr.market.messages import Commitment
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.market.terms import ZERO_ADDRESS

from .market_play import GROUPS, NEXT_TASK, NO_TASK, OWNERS, REWARD_WEI, TASK, Play, all_seats, mask_key, updates

BOND_WEI = 15 * 10**14 + 7
FUNDS_WEI = 10**18


def settle_round(play: Play, *, odd_group: int, next_task: bytes) -> int:
    """One round in which a group's updates lie far from the others; the bitmap of the paid seats."""
    vectors = updates(play.seats(), odd_seats=play.owner.group_seats(odd_group))
    points = play.open(vectors)
    receipt = play.settle(vectors, points, next_task=next_task)
    return int(str(receipt.logs["Settled"]["paidSeats"]))


def test_every_event_of_a_market_leaves_the_state_that_it_should(market: Play) -> None:
    owner, first = market.owner, market.data[0]
    assert owner.state().stage is Stage.ENROLLING
    receipt, record = first.join(mask_key(0), examples=1200), first.connection.transactions[-1]
    assert (record.event, record.account, record.transaction_hash) == ("join", first.account, receipt.transaction_hash)
    assert (receipt.event, receipt.block, receipt.gas_used) == ("join", owner.connection.block_number(), record.gas_used)
    assert receipt.logs == {"Joined": {"owner": first.account, "seat": 0, "epoch": 1, "maskKey": mask_key(0), "examples": 1200}}
    market.join_all()
    assert owner.state().enrolled == owner.state().staked == all_seats()
    assert owner.state().stakes_wei == OWNERS * 4 * REWARD_WEI
    assert owner.freeze().logs["Frozen"]["members"] == all_seats()
    assert owner.state().stage is Stage.FROZEN
    assert [member.examples for member in owner.members()] == [1200, *[0] * (OWNERS - 1)]
    order = owner.draw().logs["Drawn"]["order"]
    assert sorted(order) == list(range(OWNERS))  # type: ignore[call-overload]
    assert owner.fund(FUNDS_WEI).logs == {"Funded": {"from": owner.account, "amountWei": FUNDS_WEI}}
    assert owner.anchor(TASK).logs["Anchored"]["taskHash"] == TASK
    assert owner.state().stage is Stage.ANCHORED
    paid = settle_round(market, odd_group=2, next_task=NEXT_TASK)
    assert paid == all_seats() & ~owner.group_seats(2) == owner.paid_seats(1)
    state = owner.state()
    assert (state.stage, state.round, state.task_hash, state.opened_in_epoch) == (Stage.ANCHORED, 2, NEXT_TASK, 1)
    assert (state.bond_wei, state.owed_wei) == (BOND_WEI, 12 * REWARD_WEI)
    assert state.escrow_wei == FUNDS_WEI - BOND_WEI - 12 * REWARD_WEI
    for member in owner.members():
        due = REWARD_WEI if paid >> member.seat & 1 else 0
        assert owner.claimable_wei(member.owner) == due
    seat = owner.owner_record(first.account).seat
    before = owner.connection.balance_wei(first.account)
    owner.claim(first.account, 1)
    assert owner.connection.balance_wei(first.account) - before == (REWARD_WEI if paid >> seat & 1 else 0)
    assert owner.owner_record(first.account).claimed_through == 1
    credit = owner.close().logs["Closed"]["creditWei"]
    assert credit == owner.state().credits_wei == FUNDS_WEI - 12 * REWARD_WEI
    before = owner.connection.balance_wei(owner.account)
    fee = owner.withdraw(owner.account).fee_wei
    assert owner.connection.balance_wei(owner.account) - before == int(str(credit)) - fee
    assert owner.state().stage is Stage.CLOSED


def test_refused_event_raises_typed_and_is_not_sent(market: Play) -> None:
    sent = len(market.owner.connection.transactions)
    attempts: list[tuple[Callable[[], Receipt], refusals.Refusal]] = [
        (lambda: market.data[0].freeze(), refusals.NotModelOwner(market.data[0].account)),
        (lambda: market.owner.freeze(), refusals.TooFewOwners(0, 15)),
        (lambda: market.owner.anchor(TASK), refusals.WrongStage(Stage.ENROLLING, 0b1100)),
        (lambda: market.data[0].join(bytes(32)), refusals.BadMaskKey(bytes(32))),
        (lambda: market.owner.withdraw(market.owner.account), refusals.NoCredit(market.owner.account)),
        (lambda: market.owner.claim(market.owner.account, 1), refusals.NotRegistered(market.owner.account)),
    ]
    for attempt, expected in attempts:
        with pytest.raises(type(expected)) as caught:
            attempt()
        assert caught.value.args == expected.args
    assert len(market.owner.connection.transactions) == sent


def test_settlement_with_a_flipped_bit_raises_the_verifications_error_and_is_not_sent(drawn: Play) -> None:
    drawn.owner.fund(FUNDS_WEI)
    drawn.owner.anchor(TASK)
    vectors = updates(drawn.seats(), odd_seats=0)
    points = drawn.open(vectors)
    settlement, signatures = drawn.settlement(vectors, points), drawn.signatures({seat: points_digest(points[seat]) for seat in points})
    sent = len(drawn.owner.connection.transactions)
    for place in (-1, -49, -300):
        wrong = bytearray(settlement)
        wrong[place] ^= 1
        with pytest.raises((refusals.VerificationWrongOpening, refusals.VerificationBadPoint)):
            drawn.owner.settle(1, bytes(wrong), signatures, 0, NO_TASK)
    with pytest.raises(refusals.VerificationWrongLength):
        drawn.owner.settle(1, b"", signatures, 0, NO_TASK)
    assert len(drawn.owner.connection.transactions) == sent
    drawn.owner.settle(1, settlement, signatures, 0, NO_TASK)


def test_readings_agree_with_what_python_computes(market: Play) -> None:
    market.join_all()
    owner = market.owner
    owner.freeze()
    draw_block = owner.state().draw_block
    owner.draw()
    owner.anchor(TASK)
    state, terms = owner.state(), owner.terms()
    prevrandao = bytes.fromhex(owner.connection.block(draw_block)["mixHash"][2:])
    assert state.epoch_seed == epoch_seed(prevrandao, 1, owner.address)
    message = Commitment(1, 1, TASK, state.open_by, b"\x05" * 32)
    assert owner.commitment_hash(b"\x05" * 32) == message.signing_hash(chain_id=31337, market=owner.address)
    assert (owner.blobs(), owner.terms_hash()) == (6, terms.digest())
    assert [member.mask_key for member in owner.members()] == [mask_key(number) for number in range(OWNERS)]
    assert sorted(market.seats()) == list(range(OWNERS))
    assert [owner.group_seats(group).bit_count() for group in range(GROUPS + 1)] == [3] * GROUPS + [0]
    assert (owner.model_owner, owner.chain_id, terms.metrics) == (owner.account, 31337, ("accuracy", "loss"))
    assert state.open_by > owner.now() > state.open_by - terms.commit_seconds - 60


def test_check_points_wrong_points_are_told_apart(drawn: Play) -> None:
    good = commit(updates([0], odd_seats=0)[0])
    assert drawn.owner.check_points(good)
    assert not drawn.owner.check_points(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(refusals.VerificationWrongLength):
        drawn.owner.check_points(good[:-1])


def test_structs_have_the_fields_of_the_interface_in_order() -> None:
    described = artifacts.described(artifacts.MARKET)["abi"]
    for function, kind in (("state", MarketState), ("ownerRecord", OwnerRecord)):
        (entry,) = [e for e in described if e.get("name") == function]
        names = [snake(component["name"]) for component in entry["outputs"][0]["components"]]
        assert names == [f.name for f in fields(kind)]


def test_every_error_of_the_contracts_has_a_class_with_as_many_facts() -> None:
    for name in (artifacts.MARKET, artifacts.FACTORY, artifacts.VERIFICATION):
        for signature in artifacts.load(name).abi.errors.values():
            if signature.name.startswith(("Market", "Verification")):
                assert len(refusals.REFUSALS[signature.name].FACTS) == len(signature.types), signature.name


def test_what_is_no_market_of_this_version_is_told(connection: Connection, drawn: Play, deployment: Deployment) -> None:
    for address, words in ((ZERO_ADDRESS, "no contract"), (deployment.factory, "no market")):
        with pytest.raises(UnknownMarket, match=words):
            MarketReader(connection, address)
    implementation = bytes.fromhex(deployment.implementation[2:])
    code = connection.code(drawn.owner.address).replace(implementation, bytes.fromhex(deployment.verification[2:]))
    connection.request("anvil_setCode", drawn.owner.address, "0x" + code.hex())
    with pytest.raises(UnknownMarket, match="other code"):
        MarketReader(connection, drawn.owner.address)


def test_has_known_verification_other_code_is_not(connection: Connection, drawn: Play, deployment: Deployment) -> None:
    assert drawn.owner.has_known_verification()
    code = connection.code(deployment.verification)
    connection.request("anvil_setCode", deployment.verification, "0x" + code.hex() + "00")
    assert not drawn.owner.has_known_verification()


def snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
