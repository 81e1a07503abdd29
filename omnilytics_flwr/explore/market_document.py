"""All that a page shows of a market, as JSON: read once, then kept up to date block by block."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..audit.chronicle import Chronicle, EpochStory, OwnerStory, RoundStory
from ..chain.history_reader import HistoryReader
from ..errors import UnsupportedChain
from ..evm import rpc_values
from ..market.outlook import outlook
from ..market.roster import bits_of
from .terms_in_words import terms_in_words

if TYPE_CHECKING:
    from ..chain.market_reader import MarketReader
    from ..market.terms import Address

Document = dict[str, Any]

_BOOKS = ("escrow_wei", "bond_wei", "stakes_wei", "owed_wei", "credits_wei")


class WatchedMarket:
    """A market's story, as far as it was read; threads may share it.

    Parameters
    ----------
    reader : MarketReader
    first_block : int
        No earlier block has anything of the market.
    """

    def __init__(self, reader: MarketReader, first_block: int) -> None:
        self._reader = reader
        self._first_block = first_block
        self._lock = threading.Lock()
        self._history, self._chronicle, self._last = self._beginning()

    def document(self, own: Address | None = None) -> Document:
        """The market as of the latest block; the seat of `own` is marked.

        Raises
        ------
        ChainError
            The node cannot show it.
        """
        with self._lock:
            then = self._reader.snapshot()
            block = then.block_number
            if not self._is_on_chain():
                self._history, self._chronicle, self._last = self._beginning()
            for transaction in self._history.read_through(block):
                self._chronicle.add(transaction)
            self._last = (block, self._hash_of(block))
            return self._told(then, own)

    def _beginning(self) -> tuple[HistoryReader, Chronicle, tuple[int, bytes] | None]:
        """What a market is before anything was read, and the last block that was."""
        return HistoryReader(self._reader, self._first_block), Chronicle(self._reader.terms()), None

    def _is_on_chain(self) -> bool:
        """Whether the last block that was read is still one of the chain."""
        if self._last is None:
            return True
        try:
            return self._hash_of(self._last[0]) == self._last[1]
        except UnsupportedChain:
            return False

    def _hash_of(self, block: int) -> bytes:
        return rpc_values.octets("hash of a block", self._reader.connection.block(block).get("hash"), 32)

    def _told(self, then: MarketReader, own: Address | None) -> Document:
        # What never changes comes from the reader that keeps it: `then` is a fresh copy at each look.
        terms, currency = self._reader.terms(), self._reader.currency
        state, chronicle = then.state(), self._chronicle
        now, block = then.now(), then.block_number
        where = outlook(state, terms, now=now, block=block)
        return {
            "market": then.address,
            "chain": then.chain_id,
            "modelOwner": self._reader.model_owner,
            "own": own,
            "block": block,
            "now": now,
            "stage": state.stage.name.lower(),
            "sentence": where.sentence,
            "nextStep": where.next_step,
            "deadline": where.deadline,
            "currency": currency._asdict(),
            "books": {name.removesuffix("_wei"): str(getattr(state, name)) for name in _BOOKS},
            "disputes": str(state.disputes_wei),
            "epoch": state.epoch,
            "round": state.round,
            "enrolled": list(bits_of(state.enrolled)),
            "slashed": list(bits_of(state.slashed)),
            "mostOwners": terms.most_owners,
            "polynomials": terms.polynomials,
            "terms": terms_in_words(terms, currency, public_sums=self._reader.scheme().public_sums),
            **stories(chronicle),
        }


def stories(chronicle: Chronicle) -> Document:
    """What a market's events tell."""
    numbers = {address: number for number, address in enumerate(chronicle.owners)}
    return {
        "funded": str(chronicle.funded_wei),
        "fees": str(chronicle.fees_wei),
        "owners": list(map(_owner, chronicle.owners.values())),
        "epochs": [_epoch(epoch, numbers) for epoch in chronicle.epochs.values()],
        "rounds": list(map(_round, chronicle.rounds.values())),
    }


def _owner(story: OwnerStory) -> Document:
    return {
        "address": story.address,
        "seat": story.seat,
        "epoch": story.epoch,
        "leaveAt": story.leave_at,
        "departedAt": story.departed_at,
        "earned": str(story.earned_wei),
        "paid": str(story.paid_wei),
        "paidRounds": story.paid_rounds,
        "rounds": story.rounds,
        "slashed": story.slashed,
    }


def _epoch(story: EpochStory, numbers: dict[Address, int]) -> Document:
    """An epoch; its members are pairs of a seat and a place in the list of owners."""
    return {
        "number": story.number,
        "drawBlock": story.draw_block,
        "frozenAt": story.frozen_at,
        "drawnAt": story.drawn_at,
        "groups": story.groups,
        "members": [(seat, numbers[owner]) for seat, owner in story.owners.items()],
    }


def _round(story: RoundStory) -> Document:
    return {
        "number": story.number,
        "epoch": story.epoch,
        "outcome": story.outcome.value,
        "task": "0x" + story.task_hash.hex(),
        "anchoredAt": story.anchored_at,
        "openBy": story.open_by,
        "openedAt": story.opened_at,
        "settleBy": story.settle_by,
        "endedAt": story.ended_at,
        "roster": story.roster,
        "unpaid": story.dropped,
        "waived": story.waived,
        "void": story.void,
        "paidSeats": story.paid_seats,
        "slashedSeats": story.slashed_seats,
        "paidEach": str(story.paid_each_wei),
        "burned": str(story.burned_wei),
        "incidents": [{"at": one.at, "seats": one.seats, "sender": one.sender, "answered": one.answered} for one in story.incidents],
        "gas": story.gas,
        "fees": str(sum(story.fees_wei.values())),
    }
