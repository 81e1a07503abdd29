"""Errors of omnilytics_flwr: one tree, each says what happened, what was expected, what to do.

OmnilyticsError
├── TermsError            what was asked for is impossible
│   ├── BadTerms          terms out of bounds; lists every fault
│   └── CannotCompose     a strategy that needs individual updates
├── WireError             bytes that are not what they must be
│   ├── WrongLength       too short or too long
│   ├── NotCanonical      a scalar not below the field's order
│   ├── BadPoint          off the curve or outside the subgroup
│   ├── WeakMaskKey       an X25519 key that must not be used
│   └── Malformed         anything else that does not decode
├── UpdateError           an update that cannot be quantised
├── ProtocolError         well-formed, not acceptable now
│   ├── OutOfTurn         an event that the stage does not allow
│   ├── TaskMismatch      the task is not the one anchored
│   ├── Refused           the owner agent's policy says no
│   └── TooFewGroups      fewer whole groups than a round needs
├── ChainError            the chain or the way to it
│   ├── Unreachable       no answer from the endpoint
│   ├── NodeError         the node refused a request (in `omnilytics_flwr.chain.endpoint`)
│   ├── WrongChain        another chain id than asked for
│   ├── UnsupportedChain  a precompile or fork is missing
│   ├── NotFunded         not enough ether for the transaction
│   ├── UnknownMarket     no market of this version at the address
│   ├── TransactionLost   no receipt within the time limit
│   └── ToolMissing       a program is not on this machine
└── LedgerError           the market said no; one class per Solidity error, in `omnilytics_flwr.market.refusals`

Every class takes its facts positionally, so that errors can be pickled across processes.
"""

from __future__ import annotations


class OmnilyticsError(Exception):
    """Root of the tree."""


class TermsError(OmnilyticsError):
    """What was asked for is impossible."""


class BadTerms(TermsError):
    """Terms out of bounds; `faults` lists every one as a sentence."""

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__(faults)
        self.faults = faults

    def __str__(self) -> str:
        return "these terms cannot be used: " + "; ".join(self.faults)


class CannotCompose(TermsError):
    """A strategy that needs more than the mean of the updates."""


class WireError(OmnilyticsError):
    """Bytes that are not what they must be."""


class WrongLength(WireError):
    """Too short or too long."""

    def __init__(self, what: str, actual: int, expected: int) -> None:
        super().__init__(what, actual, expected)
        self.what, self.actual, self.expected = what, actual, expected

    def __str__(self) -> str:
        return f"{self.what} has length {self.actual}, expected {self.expected}; ask the sender for it again"


class NotCanonical(WireError):
    """A scalar that is not below the field's order."""

    def __init__(self, index: int, value: int) -> None:
        super().__init__(index, value)
        self.index, self.value = index, value

    def __str__(self) -> str:
        return f"element {self.index} is {self.value:#x}, expected a value below the field's order; refuse the sender"


class BadPoint(WireError):
    """A point off the curve or outside the subgroup, or a bad encoding of one."""

    def __init__(self, index: int) -> None:
        super().__init__(index)
        self.index = index

    def __str__(self) -> str:
        return f"point {self.index} is not a canonical point of the G1 subgroup; refuse the sender"


class WeakMaskKey(WireError):
    """A public X25519 key that must not be used; `reason` says what it is."""

    def __init__(self, key: bytes, reason: str) -> None:
        super().__init__(key, reason)
        self.key, self.reason = key, reason

    def __str__(self) -> str:
        return (
            f"mask key 0x{self.key.hex()} is {self.reason}; expected the canonical X25519 key of full order that the market lists; "
            "do not mask with it, enrol again with a new key if it is one's own"
        )


class Malformed(WireError):
    """Anything else that does not decode."""


class UpdateError(OmnilyticsError):
    """An update that cannot be quantised: NaN, infinity, wrong number of weights."""


class ProtocolError(OmnilyticsError):
    """Well-formed, but not acceptable now."""


class OutOfTurn(ProtocolError):
    """An event that the stage does not allow."""

    def __init__(self, stage: str, event: str, allowed: tuple[str, ...]) -> None:
        super().__init__(stage, event, allowed)
        self.stage, self.event, self.allowed = stage, event, allowed

    def __str__(self) -> str:
        return f"{self.event} is not allowed in stage {self.stage}; allowed now: {', '.join(self.allowed) or 'nothing'}"


class TaskMismatch(ProtocolError):
    """The task that came is not the one anchored on chain."""


class Refused(ProtocolError):
    """The owner agent's policy says no."""


class TooFewGroups(ProtocolError):
    """Fewer whole groups committed than a round needs."""

    def __init__(self, actual: int, least: int) -> None:
        super().__init__(actual, least)
        self.actual, self.least = actual, least

    def __str__(self) -> str:
        return (
            f"{self.actual} whole groups committed, a round needs {self.least}; see which data owners are down, then anchor the task again"
        )


class ChainError(OmnilyticsError):
    """The chain, or the way to it."""


class Unreachable(ChainError):
    """No answer from the endpoint."""


class WrongChain(ChainError):
    """Another chain id than the one asked for."""

    def __init__(self, actual: int, expected: int) -> None:
        super().__init__(actual, expected)
        self.actual, self.expected = actual, expected

    def __str__(self) -> str:
        return f"the endpoint serves chain {self.actual}, expected {self.expected}; check the RPC address"


class UnsupportedChain(ChainError):
    """A precompile or fork that the market needs is missing."""


class NotFunded(ChainError):
    """Not enough ether for the transaction."""


class UnknownMarket(ChainError):
    """No market of this version at the address."""


class TransactionLost(ChainError):
    """No receipt within the time limit; the transaction may still be mined."""

    def __init__(self, transaction_hash: str, seconds: float) -> None:
        super().__init__(transaction_hash, seconds)
        self.transaction_hash, self.seconds = transaction_hash, seconds

    def __str__(self) -> str:
        return (
            f"transaction {self.transaction_hash} has no receipt after {self.seconds:g} s, expected one by then; "
            "it may still be mined: call again, which goes on with the same nonce"
        )


class ToolMissing(ChainError):
    """A program is not on this machine."""


class LedgerError(OmnilyticsError):
    """The market or its verification said no."""
