"""What a market answers when it says no to an accusation or an answer; users find them in `omnilytics_flwr.market.refusals`."""

from __future__ import annotations

from ..crypto.refusals import Refusal


class NoSeats(Refusal, solidity="MarketNoSeats"):
    """An accusation names nobody."""

    TEXT = "the accusation names no seat; expected at least one; name the members whose vectors did not come"


class UnknownSeats(Refusal, solidity="MarketUnknownSeats"):
    """An accusation names seats that are not on the open roster."""

    seats: int
    known: int
    TEXT = "the seats {seats:#b} are not all among {known:#b}; expected members of the open roster; accuse nobody else"


class AlreadyAccused(Refusal, solidity="MarketAlreadyAccused"):
    """Members that were accused in this round before."""

    seats: int
    TEXT = "the seats {seats:#b} are accused already; expected members accused for the first time this round; leave them out"


class WrongDigests(Refusal, solidity="MarketWrongDigests"):
    """The digests are not those that the round was opened with."""

    actual: bytes
    expected: bytes
    TEXT = "the digests hash to {actual!r}; the roster's hash is {expected!r}; give all digests of the roster in its order"


class Underpaid(Refusal, solidity="MarketUnderpaid"):
    """The ether that came does not cover the fees and answers of the accused."""

    actual: int
    least: int
    TEXT = "{actual} wei came; the accusation needs {least} wei at this block; send that, and more if fees are rising"


class NotAccused(Refusal, solidity="MarketNotAccused"):
    """The seat was not accused in this round, or has answered."""

    seat: int
    TEXT = "seat {seat} has nothing to answer; expected one accused in this round that has not answered; read the state again"


class WrongPoints(Refusal, solidity="MarketWrongPoints"):
    """The points are not those of the accused digest."""

    actual: bytes
    expected: bytes
    TEXT = "the points hash to {actual!r}; the accused digest is {expected!r}; answer with the points that were committed"


class WrongStart(Refusal, solidity="MarketWrongStart"):
    """An answer does not begin where the last one ended."""

    first: int
    expected: int
    TEXT = "the answer begins at polynomial {first}; the next one is {expected}; answer in order, each polynomial once"


class WrongBlob(Refusal, solidity="MarketWrongBlob"):
    """A blob of the transaction is not the polynomial that it should be; `actual` is zeros if there is no such blob."""

    index: int
    actual: bytes
    expected: bytes
    TEXT = "blob {index} has the hash {actual!r}; expected {expected!r}; send the committed vector's polynomials as blobs, in order"


class MarketBadPoint(Refusal, solidity="MarketBadPoint"):
    """A point of an answer is not on the curve, or not encoded as it must be; `index` counts the answer's blobs."""

    index: int
    TEXT = "the point of blob {index} is not on the curve; expected a commitment to a polynomial; nobody can answer with it"
