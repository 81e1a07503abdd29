"""Histories that somebody has changed, by name: what was changed, and what an audit says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from omnilytics_flwr.audit.history import MarketHistory, MarketTransaction, OwnerFacts

from .life import ODD

Change = Callable[[MarketHistory], MarketHistory]


def bit(value: Any, place: int = -1) -> bytes:
    """A string with one bit of the byte at a place changed."""
    changed = bytearray(value)
    changed[place] ^= 1
    return bytes(changed)


def at(history: MarketHistory, function: str, number: int = 0) -> int:
    """Place of the transaction that called a function, of several the one with this number."""
    places = [i for i, one in enumerate(history.transactions) if one.calls and one.calls[0].function == function]
    return places[number]


def changed(function: str, number: int, change: Callable[[MarketTransaction], MarketTransaction]) -> Change:
    """One transaction changed."""

    def apply(history: MarketHistory) -> MarketHistory:
        place, transactions = at(history, function, number), list(history.transactions)
        transactions[place] = change(transactions[place])
        assert transactions[place] != history.transactions[place]
        return replace(history, transactions=tuple(transactions))

    return apply


def argument(function: str, place: int, change: Callable[[Any], Any], number: int = 0) -> Change:
    """One argument of a call changed."""

    def apply(one: MarketTransaction) -> MarketTransaction:
        assert one.calls is not None
        arguments = list(one.calls[0].arguments)
        arguments[place] = change(arguments[place])
        return replace(one, calls=(replace(one.calls[0], arguments=tuple(arguments)),))

    return changed(function, number, apply)


def call(function: str, number: int = 0, **fields: Any) -> Change:
    """Sender or value of a call changed."""

    def apply(one: MarketTransaction) -> MarketTransaction:
        assert one.calls is not None
        return replace(one, calls=(replace(one.calls[0], **fields),))

    return changed(function, number, apply)


def event(function: str, name: str, field: str, change: Callable[[Any], Any], number: int = 0) -> Change:
    """One field of an event changed."""

    def apply(one: MarketTransaction) -> MarketTransaction:
        logs = tuple((log, {**fields, field: change(fields[field])} if log == name else fields) for log, fields in one.logs)
        return replace(one, logs=logs)

    return changed(function, number, apply)


def without(function: str, number: int = 0) -> Change:
    """One transaction hidden."""

    def apply(history: MarketHistory) -> MarketHistory:
        place = at(history, function, number)
        return replace(history, transactions=history.transactions[:place] + history.transactions[place + 1 :])

    return apply


def twice(function: str) -> Change:
    """One transaction told twice."""

    def apply(history: MarketHistory) -> MarketHistory:
        place = at(history, function)
        return replace(history, transactions=history.transactions[: place + 1] + history.transactions[place:])

    return apply


def swapped(history: MarketHistory) -> MarketHistory:
    """The first settlement told before the opening of its round."""
    place, transactions = at(history, "settle"), list(history.transactions)
    transactions[place - 1], transactions[place] = transactions[place], transactions[place - 1]
    return replace(history, transactions=tuple(transactions))


def end(**changes: Callable[[Any], Any]) -> Change:
    """What the market says of itself at the end changed."""
    return lambda history: replace(
        history, end=replace(history.end, **{name: change(getattr(history.end, name)) for name, change in changes.items()})
    )


def more(number: int) -> int:
    return number + 1


def swap(order: bytes) -> bytes:
    return bytes([order[1], order[0], *order[2:]])


def _richer(owners: Any) -> Any:
    first = next(iter(owners))
    facts = owners[first]
    return {**owners, first: OwnerFacts(facts.record, facts.claimable_wei + 1)}


MANIPULATIONS: dict[str, tuple[Change, str]] = {
    "one bit of a settlement's proof": (argument("settle", 1, bit), "did settle, which it had to refuse"),
    "one bit of a member's point": (argument("settle", 1, lambda s: bit(s, 5)), "did settle, which it had to refuse"),
    "one bit of a commitment's signature": (argument("settle", 2, lambda s: bit(s, 7)), "is not signed by"),
    "two signatures exchanged": (argument("settle", 2, lambda s: s[64:128] + s[:64] + s[128:]), "is not signed by"),
    "a settlement without a signature": (argument("settle", 2, lambda s: s[64:]), "did settle, which it had to refuse"),
    "a settlement sent by somebody else": (call("settle", sender="0x" + "11" * 20), "is not the model owner"),
    "a settlement too late": (changed("settle", 0, lambda t: replace(t, timestamp=t.timestamp + 10**6)), "the deadline was"),
    "a settlement that is missing": (without("settle"), "did open, which it had to refuse"),
    "an opening that is missing": (without("open"), "did settle, which it had to refuse"),
    "a settlement before its round opens": (swapped, "did settle, which it had to refuse"),
    "a dropped group that is said to be accepted": (
        event("settle", "Settled", "accepted", lambda groups: groups | 1 << ODD),
        "the event Settled says that accepted is 31; expected 27",
    ),
    "seats that were not paid": (event("settle", "Settled", "paidSeats", lambda seats: seats & seats - 1), "says that paidSeats is"),
    "a waiver that nobody asked for": (event("settle", "Settled", "waived", more), "says that waived is 1; expected 0"),
    "another next task": (event("settle", "Anchored", "taskHash", bit), "the event Anchored says that taskHash is"),
    "another header of the draw's block": (argument("draw", 0, bit), "the header hashes to"),
    "another order of the draw": (argument("draw", 1, swap), "the draw's order breaks at place"),
    "another seed": (event("draw", "Drawn", "epochSeed", bit), "says that epochSeed is"),
    "another block of the draw": (event("freeze", "Frozen", "drawBlock", more), "says that drawBlock is"),
    "a member left out of the epoch": (event("freeze", "Frozen", "members", lambda seats: seats >> 1), "says that members is"),
    "a stake that was not paid": (call("join", 3, value_wei=4_999), "4999 wei came; expected exactly 5000 wei"),
    "a data owner that somebody else is": (call("join", 3, sender="0x" + "22" * 20), "the event Joined says that owner is"),
    "a roster of other digests": (argument("open", 2, bit), "the event Opened says that rosterHash is"),
    "a group less on the roster": (argument("open", 1, lambda groups: groups >> 1), "the event Opened says that groups is"),
    "a later deadline": (event("open", "Opened", "settleBy", more), "says that settleBy is"),
    "an accusation without the accused's word": (argument("accuse", 3, bit), "is not signed by"),
    "an accusation for less than it costs": (call("accuse", value_wei=1), "the accusation needs"),
    "an answer with another blob": (
        changed("answer", 0, lambda t: replace(t, blob_hashes=(bit(t.blob_hashes[0]),))),
        "did answer, which it had to refuse: blob 0 has the hash",
    ),
    "an answer without its proof": (argument("answer", 4, lambda words: (bit(words[0]), *words[1:])), "did answer, which it had to refuse"),
    "an answer that is missing": (without("answer", 1), "did settle, which it had to refuse"),
    "stakes burned that were owed": (event("settle", "Voided", "burnedWei", more, 2), "the event Voided says that burnedWei is 3001"),
    "another data owner slashed": (event("settle", "Voided", "slashedSeats", lambda s: s << 1, 2), "says that slashedSeats is"),
    "a larger share of the bond": (event("timeout", "TimedOut", "bondShareWei", more), "says that bondShareWei is 834; expected 833"),
    "a timeout before its time": (changed("timeout", 0, lambda t: replace(t, timestamp=t.timestamp - 9)), "did timeout, which it had to"),
    "a claim of more": (event("claim", "Claimed", "amountWei", more), "the event Claimed says that amountWei is"),
    "a claim paid twice": (twice("claim"), "did claim, which it had to refuse"),
    "a claim that is hidden": (without("claim", 1), "expected"),
    "a departure that pays more": (event("depart", "Departed", "amountWei", more), "the event Departed says that amountWei is"),
    "a credit that is larger": (event("close", "Closed", "creditWei", more), "the event Closed says that creditWei is"),
    "a withdrawal of more": (event("withdraw", "Withdrawn", "refundWei", more), "says that refundWei is"),
    "a withdrawal that is hidden": (without("withdraw", 1), "the market's state says that credits_wei is 0; expected 3000"),
    "a call of somebody unseen in the end": (
        end(state=lambda state: replace(state, owed_wei=state.owed_wei + 1)),
        "the market's state says that owed_wei is",
    ),
    "another mask key in the end": (
        end(members=lambda members: (replace(members[0], mask_key=bit(members[0].mask_key)), *members[1:])),
        "members of the epoch are",
    ),
    "a claim in the end that nobody earned": (end(owners=_richer), "the market knows"),
    "pay of a finished round changed in the end": (end(payouts=lambda paid: {**paid, 1: (paid[1][0] | 1 << 60, 0)}), "round 1 pays"),
    "a wei that is gone": (end(balance_wei=lambda balance: balance - 1), "the market holds"),
}
