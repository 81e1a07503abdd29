"""Errors of omnilytics_flwr, in one tree. Each says what happened, what was expected and, if anything helps, what to do.

OmnilyticsError
├── TermsError            what was asked for is impossible
│   ├── BadTerms          terms out of bounds; lists every fault
│   └── CannotCompose     a strategy that needs individual updates
├── WireError             bytes in the wrong form
│   ├── WrongLength       too short or too long
│   ├── NotCanonical      a scalar not below the field's order
│   ├── BadPoint          off the curve or outside the subgroup
│   ├── WeakMaskKey       an X25519 key that must not be used
│   └── Malformed         anything else that does not decode
├── UpdateError           an update that cannot be quantised
├── ProtocolError         well-formed, but not acceptable now
│   ├── OutOfTurn         an event that the stage does not allow
│   ├── TaskMismatch      the task is not the one anchored
│   ├── Refused           the owner agent's policy says no
│   ├── TooFewGroups      no whole group, so that a round cannot be opened
│   ├── NothingLearnt     rounds that taught nothing, so that a run ends
│   ├── CommitmentsExpired  signatures that died with the deadline they name
│   └── SettlementRefused the market did not take a settlement
├── ChainError            the chain or the way to it
│   ├── Unreachable       no answer from the endpoint
│   ├── NodeError         the node refused a request (in `omnilytics_flwr.evm.endpoint`)
│   ├── BadAnswer         the node's answer has the wrong form (in `omnilytics_flwr.evm.rpc_values`)
│   ├── WrongChain        another chain id than asked for
│   ├── UnsupportedChain  a precompile, a fork, or blobs are missing
│   ├── NotFunded         not enough ether for the transaction
│   ├── UnknownMarket     no market of this version at the address
│   ├── TransactionLost   no receipt within the time limit
│   ├── BlobsMissing      an accused's answer is not available in full, or no longer
│   └── ToolMissing       a program is not on this machine
└── LedgerError           the market or its verification said no
    └── Refusal           with a Solidity error: one class for each, in `omnilytics_flwr.market.refusals`

Every class takes its facts positionally, so that errors can be pickled across processes.
"""

from __future__ import annotations

from inspect import get_annotations
from typing import ClassVar


class OmnilyticsError(Exception):
    """Root of the tree. Takes a sentence; or, in a subclass that annotates facts, these in their order: `TEXT` puts them in words."""

    FACTS: ClassVar[tuple[str, ...]] = ()
    TEXT: ClassVar[str] = ""

    def __init_subclass__(cls) -> None:
        cls.FACTS = vars(cls).get("FACTS") or tuple(get_annotations(cls)) or cls.FACTS

    def __init__(self, *facts: object) -> None:
        if (self.FACTS or self.TEXT) and len(facts) != len(self.FACTS):
            raise TypeError(f"{type(self).__name__} takes {len(self.FACTS)} facts ({', '.join(self.FACTS)}), not {len(facts)}")
        super().__init__(*facts)
        for name, fact in zip(self.FACTS, facts, strict=False):
            setattr(self, name, fact)

    def __str__(self) -> str:
        if not self.TEXT:
            return super().__str__()
        shown = {name: f"0x{fact.hex()}" if isinstance(fact, bytes) else fact for name, fact in zip(self.FACTS, self.args, strict=True)}
        return self.TEXT.format(**shown)


class TermsError(OmnilyticsError):
    """What was asked for is impossible."""


class BadTerms(TermsError):
    """Terms out of bounds; `faults` lists every one as a sentence."""

    faults: tuple[str, ...]

    def __str__(self) -> str:
        return "these terms cannot be used: " + "; ".join(self.faults)


class CannotCompose(TermsError):
    """A strategy that needs more than the mean of the updates."""


class WireError(OmnilyticsError):
    """Bytes that are not what they must be."""


class WrongLength(WireError):
    """Too short or too long."""

    what: str
    actual: int
    expected: int
    TEXT = "{what} has length {actual}, expected {expected}"


class NotCanonical(WireError):
    """A scalar that is not below the field's order."""

    index: int
    value: int
    TEXT = "element {index} is {value:#x}, expected a value below the field's order"


class BadPoint(WireError):
    """A point off the curve or outside the subgroup, or a bad encoding of one."""

    index: int
    TEXT = "point {index} is not a canonical point of the G1 subgroup"


class WeakMaskKey(WireError):
    """A public X25519 key that must not be used; `reason` says what it is."""

    key: bytes
    reason: str
    TEXT = "mask key {key} is {reason}; expected the canonical X25519 key of full order that the market lists"


class Malformed(WireError):
    """Anything else that does not decode."""


class UpdateError(OmnilyticsError):
    """An update that cannot be quantised: NaN, infinity, wrong number of weights."""


class ProtocolError(OmnilyticsError):
    """Well-formed, but not acceptable now."""


class OutOfTurn(ProtocolError):
    """An event that the stage does not allow."""

    stage: str
    event: str
    allowed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.event} is not allowed in stage {self.stage}; allowed now: {', '.join(self.allowed) or 'nothing'}"


class TaskMismatch(ProtocolError):
    """The task that came is not the one anchored on chain."""


class Refused(ProtocolError):
    """The owner agent's policy says no."""


class TooFewGroups(ProtocolError):
    """No group is whole."""

    committed: int
    owners: int
    TEXT = "no group is whole: {committed} of {owners} data owners committed; expected one group at least; see which are down"


class NothingLearnt(ProtocolError):
    """A run that ends because its rounds taught nothing; says why."""


class CommitmentsExpired(ProtocolError):
    """A task was anchored anew at another time, so that the signatures of its commitments are void."""

    round_number: int
    open_by: int
    TEXT = (
        "the chain has anchored round {round_number} anew, to open by {open_by} (Unix seconds); expected signatures that name this deadline; "
        "ask the data owners to sign their commitments again"
    )


class NotReopened(ProtocolError):
    """A round whose opening the chain has forgotten, and that it does not open again."""

    round_number: int
    TEXT = (
        "the chain has forgotten the opening of round {round_number}, which cannot be repeated; nobody is paid for it; go on with the next"
    )


class SettlementRefused(ProtocolError):
    """The market did not take a settlement; what it fell over is waived in the next proof."""

    round_number: int
    reason: str
    TEXT = "the settlement of round {round_number} is refused ({reason}); prove again"


class ChainError(OmnilyticsError):
    """The chain, or the way to it."""


class Unreachable(ChainError):
    """No answer from the endpoint."""


class WrongChain(ChainError):
    """Another chain id than the one asked for."""

    actual: int
    expected: int
    TEXT = "the endpoint serves chain {actual}, expected {expected}; check the RPC address"


class UnsupportedChain(ChainError):
    """A precompile or fork that the market needs is missing."""


class NotFunded(ChainError):
    """Not enough ether for the transaction."""


class UnknownMarket(ChainError):
    """No market of this version at the address."""


class TransactionLost(ChainError):
    """No receipt within the time limit; the transaction may still be mined."""

    transaction_hash: str
    seconds: float
    TEXT = "transaction {transaction_hash} has no receipt after {seconds:g} s; it may still be mined: call again, which goes on with the same nonce"


class BlobsMissing(ChainError):
    """An accused's answer is not available in full, or no longer."""

    def __init__(self, round_number: int, seat: int, actual: int, expected: int, advice: str = "") -> None:
        super().__init__(round_number, seat, actual, expected, *filter(None, [advice]))
        self.round_number, self.seat, self.actual, self.expected = round_number, seat, actual, expected
        self.advice = advice or "wait for the answer, or ask an endpoint that keeps blobs"

    def __str__(self) -> str:
        return (
            f"the answer of seat {self.seat} in round {self.round_number} is there with {self.actual} bytes, expected {self.expected}; "
            f"{self.advice}"
        )


class ToolMissing(ChainError):
    """A program is not on this machine."""


class LedgerError(OmnilyticsError):
    """The market or its verification said no."""


class Refusal(LedgerError):
    """The market or its verification said no with one of its Solidity errors, whose arguments are the facts."""
