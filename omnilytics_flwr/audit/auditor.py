"""The audit of a market: every transaction that reached it replayed, and all that the contract did compared with what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from ..crypto.statement import Statement, Verdict
from ..errors import OmnilyticsError
from ..market.messages import SIGNATURE_BYTES
from ..market.stage import Event
from ..market.terms import ZERO_ADDRESS, Address
from .chronicle import Chronicle, RoundStory
from .history import MarketCall, MarketEnd, MarketHistory, MarketLog, MarketTransaction, OwnerFacts, TokenTransfer
from .market_base import Call, Gate
from .memory_market import MemoryMarket
from .verifications import Verification


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing that does not follow from what was sent.

    Attributes
    ----------
    text : str
        What the chain has, and what was expected.
    transaction_hash : str
        Where; empty if it is what the market says of itself at the end.
    block : int
    """

    text: str
    transaction_hash: str
    block: int

    def __str__(self) -> str:
        where = f"transaction {self.transaction_hash} in block {self.block}" if self.transaction_hash else f"at block {self.block}"
        return f"{where}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What an audit found.

    Attributes
    ----------
    through_block : int
    transactions, of_transactions : int
        So many were replayed, of so many.
    signatures, settlements : int
        That were checked again.
    rounds : tuple of RoundStory
        Every round whose end was replayed.
    finding : Finding, optional
        None if everything that was seen follows.
    unseen : tuple of str
        What could not be checked, a sentence each.
    surplus_wei : int
        Ether that was forced into the market, which nobody owns.
    """

    through_block: int
    transactions: int
    of_transactions: int
    signatures: int
    settlements: int
    rounds: tuple[RoundStory, ...]
    finding: Finding | None
    unseen: tuple[str, ...]
    surplus_wei: int = 0


class _Wrong(Exception):
    """A sentence about what does not follow."""


class _Unseen(Exception):
    """A sentence about what cannot be seen, so that nothing after it can be replayed."""


@dataclass
class _ReplayedBlock:
    """The block of a transaction, as its calls see it; keeps what the market receives and pays."""

    transaction: MarketTransaction
    hashes: Mapping[int, bytes]
    market: Address
    received_wei: int = 0
    received_tokens: int = 0
    transfers: list[TokenTransfer] = field(default_factory=list)

    @property
    def number(self) -> int:
        return self.transaction.block

    @property
    def timestamp(self) -> int:
        return self.transaction.timestamp

    @property
    def base_fee_wei(self) -> int:
        return self.transaction.base_fee_wei

    @property
    def blob_base_fee_wei(self) -> int:
        return self.transaction.blob_base_fee_wei or 0

    def block_hash(self, number: int) -> bytes | None:
        return self.hashes.get(number)

    def transfer(self, sender: Address, to: Address, amount_wei: int) -> None:
        self.received_wei += amount_wei * ((to == self.market) - (sender == self.market))

    def transfer_token(self, token: Address, sender: Address, to: Address, amount: int) -> None:
        self.received_tokens += amount * ((to == self.market) - (sender == self.market))
        self.transfers.append(TokenTransfer(sender, to, amount))


class Auditor:
    """Replays a market's history.

    Parameters
    ----------
    history : MarketHistory
    verification : Verification, optional
        What recomputes verdicts of the market's verification; None if nobody here can.
    gate : Gate, optional
        What recomputes whom the market's admission contract admits; None if it has none, or nobody here can.
    """

    def __init__(self, history: MarketHistory, verification: Verification | None, gate: Gate | None = None) -> None:
        self._history = history
        self._market = MemoryMarket(
            address=history.market,
            chain_id=history.chain_id,
            model_owner=history.model_owner,
            terms=history.terms,
            verification=verification or _UnknownVerification(history.terms.verification),
            gate=gate,
            blobs=history.blobs,
        )
        self._chronicle = Chronicle(history.terms)
        self._balance_wei = self._tokens = self._signatures = self._settlements = 0
        self._unseen: list[str] = []
        if history.terms.admission != ZERO_ADDRESS and gate is None:
            self._unseen.append(f"whom the admission contract {history.terms.admission} admits: this version does not know it")

    def run(self) -> AuditReport:
        """Replay everything up to the first thing that does not follow, or that cannot be seen."""
        history, done, surplus_wei = self._history, 0, 0
        finding, at = None, ("", history.end.block)
        try:
            for transaction in history.transactions:
                at = (transaction.transaction_hash, transaction.block)
                self._replay(transaction)
                done += 1
            at = ("", history.end.block)
            surplus_wei = self._check_end(history.end)
        except _Wrong as wrong:
            finding = Finding(str(wrong), *at)
        except _Unseen as unseen:
            self._unseen.append(f"transaction {at[0]} in block {at[1]} and everything after it: {unseen}")
        return AuditReport(
            through_block=history.end.block,
            transactions=done,
            of_transactions=len(history.transactions),
            signatures=self._signatures,
            settlements=self._settlements,
            rounds=tuple(story for story in self._chronicle.rounds.values() if story.is_over),
            finding=finding,
            unseen=tuple(self._unseen),
            surplus_wei=surplus_wei,
        )

    def _replay(self, transaction: MarketTransaction) -> None:
        """Do what a transaction asked for, and compare."""
        if transaction.calls is None:
            raise _Unseen("the node does not show what it asked for; ask one that keeps old transactions and has debug_traceTransaction")
        asked_for = {call.function for call in transaction.calls} if transaction.blob_base_fee_wei is None else set()
        if Event.ANSWER.value in asked_for:
            raise _Unseen("the node does not tell the price of blobs, on which what an answer is refunded depends; ask one that does")
        if Event.ACCUSE.value in asked_for:
            where = f"the accusation in block {transaction.block}"
            self._unseen.append(f"whether the deposits of {where} were enough for blobs: the node does not tell their price then")
        block = _ReplayedBlock(transaction, self._history.block_hashes, self._history.market)
        logs = [log for asked in transaction.calls for log in self._call(block, asked)]
        _check_logs(transaction.logs, logs)
        if transaction.transfers != tuple(block.transfers):
            raise _Wrong(f"of the market's token moved {_told(transaction.transfers)}; expected {_told(tuple(block.transfers))}")
        self._balance_wei += block.received_wei
        self._tokens += block.received_tokens
        self._chronicle.add(transaction)

    def _call(self, block: _ReplayedBlock, asked: MarketCall) -> Iterable[MarketLog]:
        call = Call(block, asked.sender, asked.value_wei, block.transaction.blob_hashes)
        block.transfer(asked.sender, self._history.market, asked.value_wei)
        try:
            getattr(self._market, Event(asked.function).value)(call, *asked.arguments)
        except OmnilyticsError as error:
            raise _Wrong(f"the market did {asked.function}, which it had to refuse: {error}") from error
        self._signatures += _signatures_of(asked)
        self._settlements += asked.function == Event.SETTLE.value
        return call.logs.items()

    def _check_end(self, end: MarketEnd) -> int:
        """Compare what the market says of itself at the end; the ether that was forced into it."""
        market = self._market
        _check_fields("the market's state", asdict(end.state), asdict(market.state()))
        _check("members of the epoch are", end.members, market.members())
        for owner, facts in end.owners.items():
            _check(f"of {owner} the market knows", facts, OwnerFacts(market.owner_record(owner), market.claimable_wei(owner)))
        for number, paid in end.payouts.items():
            _check(f"seats and share that round {number} pays are", paid, (market.paid_seats(number), market.bond_share_wei(number)))
        # More than is owed may lie there: anybody can force ether, and send tokens, into a contract.
        for what, actual, least in (("wei", end.balance_wei, self._balance_wei), ("units", end.token_balance, self._tokens)):
            if actual < least:
                raise _Wrong(f"the market holds {actual} {what}; expected {least}")
        return end.balance_wei - self._balance_wei


@dataclass(frozen=True)
class _UnknownVerification:
    """A verification contract that nobody here can recompute."""

    address: Address

    def verify(self, statement: Statement, settlement: bytes) -> Verdict:
        raise _Unseen(f"it settles by the verification contract {self.address}, which this version does not know")

    def check_points(self, points: bytes, polynomials: int) -> bool:
        raise _Unseen(f"this version does not know the verification contract {self.address}")


def _signatures_of(asked: MarketCall) -> int:
    """How many signatures of data owners a call brings."""
    if asked.function == Event.ANSWER.value:
        return bool(asked.arguments[-1])
    at = {Event.ACCUSE.value: 3, Event.SETTLE.value: 2}.get(asked.function)
    return len(bytes(asked.arguments[at])) // SIGNATURE_BYTES if at is not None else 0  # type: ignore[call-overload]


def _check_logs(actual: tuple[MarketLog, ...], expected: list[MarketLog]) -> None:
    _check("the events of the market are", tuple(name for name, _ in actual), tuple(name for name, _ in expected))
    for (name, fields), (_, wanted) in zip(actual, expected, strict=True):
        _check_fields(f"the event {name}", fields, wanted)


def _check_fields(what: str, actual: Mapping[str, object], expected: Mapping[str, object]) -> None:
    for name in {**expected, **actual}:
        _check(f"{what} says that {name} is", actual.get(name), expected.get(name))


def _check(what: str, actual: object, expected: object) -> None:
    if actual != expected:
        raise _Wrong(f"{what} {_told(actual)}; expected {_told(expected)}")


def _told(value: object) -> str:
    """A value as a sentence has it."""
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, tuple):
        return ", ".join(map(_told, value)) or "none"
    return str(value)
