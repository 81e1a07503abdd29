"""Money that comes in and goes out, and the invariant that there is enough of it."""

from __future__ import annotations

from omnilytics_flwr.market.refusals import NoCredit, WrongPayment
from omnilytics_flwr.market.stage import Event
from omnilytics_flwr.market.terms import Address

from .market import Call, MemoryMarket

MOST_BOOKED_WEI = 2**128 - 1
"""Most that escrow, bond, unclaimed rewards and credits may come to together ."""


def fund(market: MemoryMarket, call: Call, amount_wei: int) -> None:
    """Add to the escrow, whoever pays.

    Checks: stage; the books can hold it; the payment is the amount.
    """
    market.check_stage(Event.FUND)
    check_room(market, amount_wei)

    market.storage.escrow_wei += amount_wei
    call.log("Funded", **{"from": call.sender, "amountWei": amount_wei})
    collect(call, amount_wei)


def check_room(market: MemoryMarket, amount_wei: int) -> None:
    """Refuse what the books cannot hold on top of what they do."""
    held = market.storage
    room_wei = MOST_BOOKED_WEI - (held.escrow_wei + held.owed_wei + held.bond_wei + held.credits_wei)
    if amount_wei > room_wei:
        raise WrongPayment(amount_wei, room_wei)


def withdraw(market: MemoryMarket, call: Call, account: Address) -> None:
    """Pay what is credited to `account` and what disputes have freed for it, whoever calls.

    Checks: there is a credit or a refund; it can be paid.
    """
    held = market.storage
    credit_wei, refund_wei = held.credits.get(account, 0), held.refunds.get(account, 0)
    if credit_wei == 0 and refund_wei == 0:
        raise NoCredit(account)

    held.credits.pop(account, None)
    held.refunds.pop(account, None)
    call.log("Withdrawn", account=account, amountWei=credit_wei, refundWei=refund_wei)
    pay(market, call, account, credit_wei + refund_wei)


def collect(call: Call, amount_wei: int) -> None:
    """Refuse the call unless exactly `amount_wei` came with it."""
    if call.value_wei != amount_wei:
        raise WrongPayment(call.value_wei, amount_wei)


def pay(market: MemoryMarket, call: Call, to: Address, amount_wei: int) -> None:
    """Send ether out of the market; raises `PaymentFailed` if the receiver takes none."""
    if amount_wei:
        call.world.transfer(market.address, to, amount_wei)


def surplus_wei(market: MemoryMarket, balance_wei: int) -> int:
    """What the market's balance exceeds its debts by: escrow, bond, stakes, unclaimed rewards, credits, ether of disputes.

    Never negative; 0 but for ether that was forced in.
    """
    state = market.state()
    own_wei = state.escrow_wei + state.bond_wei
    debts_wei = own_wei + state.stakes_wei + state.owed_wei + state.credits_wei + state.disputes_wei
    return balance_wei - debts_wei
