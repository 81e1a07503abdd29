"""What a market or its verification answers when it says no: one class for each Solidity error, with the same facts.

A class bears its Solidity error's name less the prefix ``Market``, but for names that another error already has. `REFUSALS` leads from
the Solidity name to the class, whose positional arguments are the Solidity error's.
"""

from __future__ import annotations

from ..crypto.refusals import REFUSALS as REFUSALS
from ..crypto.refusals import Refusal as Refusal
from ..crypto.refusals import VerificationBadPoint as VerificationBadPoint
from ..crypto.refusals import VerificationNotCanonical as VerificationNotCanonical
from ..crypto.refusals import VerificationUnsupportedChain as VerificationUnsupportedChain
from ..crypto.refusals import VerificationWrongExclusion as VerificationWrongExclusion
from ..crypto.refusals import VerificationWrongLength as VerificationWrongLength
from ..crypto.refusals import VerificationWrongOpening as VerificationWrongOpening
from ..crypto.refusals import VerificationWrongRoster as VerificationWrongRoster
from ..crypto.refusals import VerificationWrongSumcheck as VerificationWrongSumcheck
from .dispute_refusals import AlreadyAccused as AlreadyAccused
from .dispute_refusals import MarketBadPoint as MarketBadPoint
from .dispute_refusals import NoSeats as NoSeats
from .dispute_refusals import NotAccused as NotAccused
from .dispute_refusals import Underpaid as Underpaid
from .dispute_refusals import UnknownSeats as UnknownSeats
from .dispute_refusals import WrongBlob as WrongBlob
from .dispute_refusals import WrongDigests as WrongDigests
from .dispute_refusals import WrongPoints as WrongPoints
from .dispute_refusals import WrongStart as WrongStart
from .roster import bits_of
from .stage import Stage
from .terms import Address


class WrongStage(Refusal, solidity="MarketWrongStage"):
    """The event is not allowed in this stage; `allowed` has a bit for each stage that would do."""

    actual: int
    allowed: int

    def __str__(self) -> str:
        allowed = " or ".join(Stage(stage).name.lower() for stage in bits_of(self.allowed))
        return f"the market is in stage {Stage(self.actual).name.lower()}; this needs {allowed}; wait for it or read the state again"


class NotModelOwner(Refusal, solidity="MarketNotModelOwner"):
    """Only the model owner may do this."""

    caller: Address
    TEXT = "{caller} is not the model owner; only the model owner may do this; send it from the model owner's account"


class WrongPayment(Refusal, solidity="MarketWrongPayment"):
    """The ether or tokens that came are not the amount due."""

    actual: int
    expected: int
    TEXT = "{actual} wei came; expected {expected} wei; send exactly that"


class NotAdmitted(Refusal, solidity="MarketNotAdmitted"):
    """The admission gate refused the data owner."""

    owner: Address
    TEXT = "the market's gate refused {owner}; expected a data owner that it admits; ask the gate's keeper for a credential"


class Full(Refusal, solidity="MarketFull"):
    """All seats are taken, or bound to the present epoch."""

    most: int
    TEXT = "all {most} seats are taken; expected a free one; join after a data owner has departed and an epoch was frozen"


class BadMaskKey(Refusal, solidity="MarketBadMaskKey"):
    """The mask key is not canonical or of low order."""

    mask_key: bytes
    TEXT = "the mask key {mask_key!r} is not canonical or of low order; expected a fresh X25519 public key; make another"


class NotRegistered(Refusal, solidity="MarketNotRegistered"):
    """The account has no seat."""

    account: Address
    TEXT = "{account} has no seat; expected a data owner of this market; join first"


class Leaving(Refusal, solidity="MarketLeaving"):
    """The data owner has left and may depart at `leave_at`."""

    owner: Address
    leave_at: int
    TEXT = "{owner} has left; expected a data owner that stays; depart at {leave_at} (Unix seconds), then join anew"


class NotLeaving(Refusal, solidity="MarketNotLeaving"):
    """The data owner has not given notice."""

    owner: Address
    TEXT = "{owner} has not given notice; expected a leave some time ago; call leave, wait, then depart"


class OnRoster(Refusal, solidity="MarketOnRoster"):
    """The data owner is on the open roster."""

    owner: Address
    TEXT = "{owner} is on the roster of the open round; expected nobody's round to be open; depart when it is settled or timed out"


class TooFewOwners(Refusal, solidity="MarketTooFewOwners"):
    """Too few data owners are enrolled."""

    actual: int
    least: int
    TEXT = "{actual} data owners are enrolled; an epoch needs {least}; wait for more to join"


class UnevenGroups(Refusal, solidity="MarketUnevenGroups"):
    """So many data owners cannot be cut into groups of h and h + 1."""

    owners: int
    group_size: int
    TEXT = "{owners} data owners cannot be cut into groups of {group_size} or one more; wait for more to join"


class DrawTooEarly(Refusal, solidity="MarketDrawTooEarly"):
    """The block of the draw has not been mined, or its hash is not yet in history."""

    block_number: int
    draw_block: int
    TEXT = "this is block {block_number}; the draw needs a block after {draw_block}; wait for it"


class DrawLapsed(Refusal, solidity="MarketDrawLapsed"):
    """The block of the draw has left the chain's history."""

    block_number: int
    draw_block: int
    TEXT = "at block {block_number} the chain has forgotten block {draw_block}; a draw must come within 8191 blocks; close the market"


class WrongHeader(Refusal, solidity="MarketWrongHeader"):
    """The header is not that of the block of the draw."""

    actual: bytes
    expected: bytes
    TEXT = "the header hashes to {actual!r}; the draw's block has hash {expected!r}; fetch that block's header from the chain"


class WrongOrder(Refusal, solidity="MarketWrongOrder"):
    """The order of the draw is not strictly increasing, or names a seat that is not of the epoch, at this place."""

    place: int
    TEXT = "the draw's order breaks at place {place}; expected all members by rank, each once; sort them by the epoch's seed"


class MarketWrongLength(Refusal, solidity="MarketWrongLength"):
    """A list has not the length it must have."""

    actual: int
    expected: int
    TEXT = "a list has length {actual}; expected {expected} (of an answer's blobs: at most that, and at least one); send as many"


class NoTask(Refusal, solidity="MarketNoTask"):
    """The task hash is zero."""

    TEXT = "the task hash is zero; expected the hash of a task; compute it from arrays and configuration"


class WrongRound(Refusal, solidity="MarketWrongRound"):
    """The round named is not the live one."""

    actual: int
    live: int
    TEXT = "round {actual} is not live; the live one is {live}; read the state again"


class UnknownGroup(Refusal, solidity="MarketUnknownGroup"):
    """The bitmap names a group that does not exist or, for `waived`, is not on the roster."""

    groups: int
    known: int
    TEXT = "the groups {groups:#b} are not all among {known:#b}; name groups of the epoch or, to waive, of the roster"


class MarketTooFewGroups(Refusal, solidity="MarketTooFewGroups"):
    """Fewer groups than 2f + 3."""

    actual: int
    least: int
    TEXT = "{actual} groups on the roster; a round needs {least}; collect more commitments or anchor the task again"


class EpochOver(Refusal, solidity="MarketEpochOver"):
    """The epoch has had all its rounds."""

    rounds: int
    TEXT = "this epoch has had its {rounds} rounds; expected an epoch with rounds left; freeze and draw the next"


class Underfunded(Refusal, solidity="MarketUnderfunded"):
    """The escrow does not cover what may have to be paid."""

    escrow_wei: int
    needed_wei: int
    TEXT = "the escrow holds {escrow_wei} wei; the round needs {needed_wei} wei; fund the difference"


class NotStaked(Refusal, solidity="MarketNotStaked"):
    """A member of the roster has taken its stake back, or lost it."""

    seats: int
    TEXT = "members on the seats {seats:#b} have no stake here; expected everybody on the roster to be staked; leave their groups out"


class BadSignature(Refusal, solidity="MarketBadSignature"):
    """The commitment of this seat is not signed by its owner, or the signature is malformed or high-s."""

    seat: int
    owner: Address
    TEXT = "the commitment of seat {seat} is not signed by {owner}; expected its EIP-2098 signature; leave its group out"


class TooLate(Refusal, solidity="MarketTooLate"):
    """The deadline has passed."""

    timestamp: int
    deadline: int
    TEXT = "it is {timestamp}; the deadline was {deadline} (Unix seconds); too late for this round"


class TooEarly(Refusal, solidity="MarketTooEarly"):
    """Too early; `timestamp` and `from_` are Unix seconds or, where a frozen market is to be closed, block numbers."""

    timestamp: int
    from_: int
    TEXT = "it is {timestamp}; this is allowed from {from_} on (Unix seconds, or blocks if a frozen market is to be closed); wait"


class TooManyUnpaid(Refusal, solidity="MarketTooManyUnpaid"):
    """More groups than f would go unpaid."""

    unpaid: int
    most: int
    TEXT = "{unpaid} groups would go unpaid; at most {most} may; waive (and pay) the others"


class NothingToClaim(Refusal, solidity="MarketNothingToClaim"):
    """There are no finished rounds to claim up to this one."""

    through_round: int
    claimed_through: int
    TEXT = "nothing to claim through round {through_round}; claimed through {claimed_through}; name a later, finished round"


class NoCredit(Refusal, solidity="MarketNoCredit"):
    """Nothing is credited to the account, and no dispute freed ether for it."""

    account: Address
    TEXT = "nothing is credited to {account}; expected a credit or a refund; there is nothing to withdraw"


class PaymentFailed(Refusal, solidity="MarketPaymentFailed"):
    """Ether could not be sent."""

    to: Address
    amount_wei: int
    TEXT = "{to} did not take {amount_wei} wei; expected an account that accepts ether; let the receiving contract accept it"


class MarketUnsupportedChain(Refusal, solidity="MarketUnsupportedChain"):
    """The chain lacks a contract that every market needs."""

    missing: Address
    TEXT = "the chain has nothing at {missing}; a market needs the history of block hashes there (EIP-2935); use another chain"


class MarketBadTerms(Refusal, solidity="MarketBadTerms"):
    """A field of the terms is out of its bounds."""

    field: str
    actual: int
    least: int
    most: int
    TEXT = "{field} is {actual}; it must lie in {least} .. {most}; create the market with other terms"
