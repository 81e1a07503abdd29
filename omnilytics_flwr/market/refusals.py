"""The refusals of a market and its verification: one class for each Solidity error, with the same facts.

A class has its error's name without the prefix ``Market``, which stays only if another error of ours has the short name. Refusals that our
code handles by name are written out as classes; each of the others is made from a row of `_TEXTS`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import errors
from ..crypto import statement  # noqa: F401 - whose classes are refusals, too
from ..errors import Refusal as Refusal
from .roster import bits_of
from .stage import Stage
from .terms import Address

if TYPE_CHECKING:

    def __getattr__(name: str) -> type[Refusal]: ...


_TEXTS = {
    "MarketNotModelOwner(caller)": "{caller} is not the model owner, who alone may do this",
    "MarketWrongPayment(actual, expected)": "{actual} wei came; expected exactly {expected} wei",
    "MarketNotAdmitted(owner)": "the market's admission contract refused {owner}; ask its keeper for a credential",
    "MarketFull(most)": "all {most} seats are taken; wait until a data owner has departed and an epoch was frozen",
    "MarketBadMaskKey(mask_key)": "the mask key {mask_key} is not canonical, or of low order; expected a fresh X25519 public key",
    "MarketNotRegistered(account)": "{account} has no seat in this market",
    "MarketLeaving(owner, leave_at)": "{owner} is leaving; depart at {leave_at} (Unix seconds), then join anew",
    "MarketNotLeaving(owner)": "{owner} has not given notice; leave first, then wait",
    "MarketOnRoster(owner)": "{owner} is on the roster of the open round; depart when it is settled or timed out",
    "MarketTooFewOwners(actual, least)": "{actual} enrolled; an epoch needs {least} data owners",
    "MarketUnevenGroups(owners, group_size)": "{owners} data owners cannot be cut into groups of {group_size} or one more; wait for more "
    "to join",
    "MarketDrawLapsed(block_number, draw_block)": "at block {block_number} the chain has forgotten block {draw_block}: a draw must come "
    "within 8191 blocks; close the market",
    "MarketWrongHeader(actual, expected)": "the header hashes to {actual}; the draw's block has the hash {expected}",
    "MarketWrongOrder(place)": "the draw's order breaks at place {place}; expected all members by rank, each once",
    "MarketNoTask()": "the task hash is zero; expected the hash of a task",
    "MarketNoGroups()": "the roster has no group; a round needs one at least",
    "MarketWrongTerms(expected, actual)": "the terms that were agreed to hash to {expected}, those of the market to {actual}",
    "MarketEpochOver(rounds)": "this epoch has had its {rounds} rounds; freeze and draw the next",
    "MarketUnderfunded(escrow_wei, needed_wei)": "the escrow holds {escrow_wei} wei; the round needs {needed_wei} wei; fund the difference",
    "MarketTooEarly(timestamp, from_)": "it is {timestamp}; this is allowed from {from_} on (Unix seconds, or blocks if a frozen market is "
    "to be closed)",
    "MarketNothingToClaim(through_round, claimed_through)": "no finished round after {claimed_through} and up to {through_round} is left "
    "to claim",
    "MarketPaymentFailed(to, amount_wei)": "{to} did not take {amount_wei} wei of ether",
    "MarketUnsupportedChain(missing)": "the chain has nothing at {missing}, where a market needs the history of block hashes (EIP-2935)",
    "MarketBadTerms(field, actual, least, most)": "{field} is {actual}; it must lie in {least} .. {most}",
    "MarketNoSeats()": "the accusation names nobody",
    "MarketUnknownSeats(seats, known)": "the seats {seats:#b} are not all on the open roster, {known:#b}",
    "MarketAlreadyAccused(seats)": "the seats {seats:#b} were accused in this round before",
    "MarketWrongDigests(actual, expected)": "the digests hash to {actual}, those that the round was opened with to {expected}",
    "MarketUnderpaid(actual, least)": "{actual} wei came; the accusation needs {least} wei at this block; send more while fees rise",
    "MarketNoAccusations()": "the market's terms know no accusations; waive the groups of silent members",
    "MarketWrongPoint(polynomial, actual, expected)": "the point of polynomial {polynomial} leads to {actual}; the accused digest is "
    "{expected}",
    "MarketWrongBlob(index, actual, expected)": "blob {index} has the hash {actual}; expected {expected}: the committed vector's "
    "polynomials, in order",
    "MarketBadPoint(index)": "the point of blob {index} is not on the curve: it commits to nothing, and nobody can answer with it",
}
"""Text of each error that our code does not name, by name and facts."""


class WrongStage(Refusal):
    """The event is not allowed in this stage; `allowed` has a bit for each stage that would do."""

    actual: int
    allowed: int

    def __str__(self) -> str:
        allowed = " or ".join(Stage(stage).name.lower() for stage in bits_of(self.allowed))
        return f"the market is in stage {Stage(self.actual).name.lower()}; this needs {allowed}"


class DrawTooEarly(Refusal):
    """The block of the draw has not been mined, or its hash is not yet in history."""

    block_number: int
    draw_block: int
    TEXT = "this is block {block_number}; the draw needs a block after {draw_block}"


class MarketWrongLength(Refusal):
    """A list has not the length it must have; of an answer's blobs, `expected` are the most."""

    actual: int
    expected: int
    TEXT = "a list has length {actual}; expected {expected} (of an answer's blobs: one to {expected})"


class WrongRound(Refusal):
    """The round named is not the live one."""

    actual: int
    live: int
    TEXT = "round {actual} is not live; the live one is {live}"


class UnknownGroup(Refusal):
    """A bitmap names a group that the epoch does not have or, for `waived`, that is not on the roster."""

    groups: int
    known: int
    TEXT = "the groups {groups:#b} are not all among {known:#b}"


class NotStaked(Refusal):
    """Members of the roster have taken their stakes back, or lost them."""

    seats: int
    TEXT = "members on the seats {seats:#b} have no stake here; leave their groups out"


class BadSignature(Refusal):
    """The commitment or delivery of a seat is not signed by its owner, or the signature is malformed or high-s."""

    seat: int
    owner: Address
    TEXT = "what seat {seat} is said to have signed is not signed by {owner}; expected its EIP-2098 signature"


class TooLate(Refusal):
    """A deadline has passed; both are Unix seconds."""

    timestamp: int
    deadline: int
    TEXT = "it is {timestamp}; the deadline was {deadline} (Unix seconds)"


class TooManyUnpaid(Refusal):
    """More groups would go unpaid than may (f')."""

    unpaid: int
    most: int
    TEXT = "{unpaid} groups would go unpaid; at most {most} may; waive (and pay) the others"


class NoCredit(Refusal):
    """Nothing is credited to the account, and no dispute freed ether for it."""

    account: Address
    TEXT = "nothing is credited to {account}"


class NotAccused(Refusal):
    """The seat was not accused in this round, or has answered."""

    seat: int
    TEXT = "seat {seat} was not accused in this round, or has answered"


class WrongStart(Refusal):
    """The next polynomial to be answered is not among those shown."""

    first: int
    answered: int
    TEXT = "the answer begins at polynomial {first}; {answered} have been answered, and the next must be in it"


class Unresolved(Refusal):
    """A round is settled while accused members may still answer."""

    seats: int
    answer_by: int
    TEXT = "the seats {seats:#b} may answer until {answer_by} (Unix seconds); settle when they have, or afterwards"


def _made_of(error: str, text: str) -> type[Refusal]:
    name, _, facts = error.removesuffix(")").partition("(")
    short = name.removeprefix("Market")
    members = {"FACTS": tuple(facts.split(", ")) if facts else (), "TEXT": text, "__module__": __name__}
    return type(name if hasattr(errors, short) else short, (Refusal,), members)


_MADE = [_made_of(error, text) for error, text in _TEXTS.items()]

REFUSALS: dict[str, type[Refusal]] = {
    cls.__name__ if cls.__name__.startswith(("Market", "Verification")) else f"Market{cls.__name__}": cls
    for cls in Refusal.__subclasses__()
}
"""Class of each Solidity error, by its name there."""
globals().update((cls.__name__, cls) for cls in REFUSALS.values())
