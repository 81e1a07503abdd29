"""Markets, owners and events as facts to show: bitmaps as lists, names in words, everything else as the ledger has it."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from ..errors import ChainError

if TYPE_CHECKING:
    from ..chain.market_reader import MarketReader
    from ..market.market_view import MarketState
    from ..market.terms import Address, Terms

Facts = dict[str, Any]

_BITMAPS = frozenset("groups members enrolled staked accused answered slashed seats paid_seats accepted waived slashed_seats".split())


def state_facts(state: MarketState) -> Facts:
    """A market's state."""
    return _listed(asdict(state)) | {"stage": state.stage.name.lower()}


def money_facts(state: MarketState, terms: Terms) -> Facts:
    """Who is in a market, and the money that is there."""
    books = {name: value for name, value in asdict(state).items() if name.endswith("_wei") and value}
    return {"data_owners": f"{(state.staked | state.slashed).bit_count()} of at most {terms.most_owners}", **books}


def terms_facts(terms: Terms) -> Facts:
    """A market's terms, with what follows from them."""
    named = {field.name: getattr(terms, field.name) for field in fields(terms)}
    return named | {"polynomials": terms.polynomials, "least_groups": terms.least_groups, "leave_seconds": terms.leave_seconds}


def log_facts(log: dict[str, object]) -> Facts:
    """Fields of a market's event."""
    return _listed({_snake(name): value for name, value in log.items()})


def account_facts(market: MarketReader, account: Address) -> Facts:
    """What a market holds for an account; amounts that the node cannot tell are None."""
    record, state = market.owner_record(account), market.state()
    mine = [name for name in ("enrolled", "members", "staked") if record.registered and getattr(state, name) >> record.seat & 1]
    credit_wei: int | None
    try:
        credit_wei, refund_wei = market.withdrawable_wei(account)
    except ChainError:
        credit_wei = refund_wei = None
    return {
        "market": market.address,
        "token": market.terms().token,
        "stage": state.stage.name.lower(),
        "role": "model owner" if account == market.model_owner else "data owner" if record.registered else "none",
        "seat": record.seat if record.registered else None,
        "in_epoch": "members" in mine,
        "enrolled": "enrolled" in mine,
        "leave_at": record.leave_at,
        "stake_wei": market.terms().stake_wei if "staked" in mine else 0,
        "claimable_wei": market.claimable_wei(account) if record.registered else 0,
        "credit_wei": credit_wei,
        "refund_wei": refund_wei,
    }


def group_facts(market: MarketReader) -> list[Facts]:
    """Groups of the present epoch: who is in them with how many examples, and whether they are on the open roster."""
    state, members = market.state(), market.members()
    rows = []
    for number in range(len(members) // market.terms().group_size):
        seats = market.group_seats(number)
        group = [member for member in members if seats >> member.seat & 1]
        if group:
            rows.append(
                {
                    "group": number,
                    "seats": [member.seat for member in group],
                    "on_roster": bool(state.groups >> number & 1),
                    "examples": [member.examples for member in group],
                    "owners": [member.owner for member in group],
                }
            )
    return rows


def _listed(facts: Facts) -> Facts:
    from ..market.roster import bits_of

    return {name: list(bits_of(value)) if name in _BITMAPS and isinstance(value, int) else value for name, value in facts.items()}


def _snake(name: str) -> str:
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in name)
