"""Money that comes in and goes out, and the invariant that there is enough of it."""

from __future__ import annotations

from ..refusals import NoCredit, WrongPayment
from ..stage import Event
from ..terms import Address
from .market import Call, MemoryMarket

MOST_BOOKED_WEI = 2**128 - 1
"""Most that escrow, bond, unclaimed rewards and credits may come to together."""


def fund(market: MemoryMarket, call: Call, amount_wei: int) -> None:
    """Add to the escrow, whoever pays.

    Checks: stage; the books can hold it; the payment is the amount.
    """
    market.check_stage(Event.FUND)
    held = market.storage
    room_wei = MOST_BOOKED_WEI - (held.escrow_wei + held.owed_wei + held.bond_wei + held.credits_wei)
    if amount_wei > room_wei:
        raise WrongPayment(amount_wei, room_wei)

    held.escrow_wei += amount_wei
    call.log("Funded", **{"from": call.sender, "amountWei": amount_wei})
    collect(call, amount_wei)


def withdraw(market: MemoryMarket, call: Call, account: Address) -> None:
    """Pay what is credited to `account`, whoever calls.

    Checks: there is a credit; it can be paid.
    """
    credit_wei = market.storage.credits.get(account, 0)
    if credit_wei == 0:
        raise NoCredit(account)

    del market.storage.credits[account]
    call.log("Withdrawn", account=account, amountWei=credit_wei)
    pay(market, call, account, credit_wei)


def collect(call: Call, amount_wei: int) -> None:
    """Refuse the call unless exactly `amount_wei` came with it."""
    if call.value_wei != amount_wei:
        raise WrongPayment(call.value_wei, amount_wei)


def pay(market: MemoryMarket, call: Call, to: Address, amount_wei: int) -> None:
    """Send ether out of the market; raises `PaymentFailed` if the receiver takes none."""
    if amount_wei:
        call.world.transfer(market.address, to, amount_wei)


def surplus_wei(market: MemoryMarket, balance_wei: int) -> int:
    """What the market's balance exceeds its debts by: escrow, bond, stakes, unclaimed rewards and credits.

    Never negative; 0 but for ether that was forced in.
    """
    state = market.state()
    debts_wei = state.escrow_wei + state.bond_wei + state.stakes_wei + state.owed_wei + state.credits_wei
    return balance_wei - debts_wei
