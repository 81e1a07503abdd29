"""Messages between a Flower client and the owner agent's process, and the one place where they are decoded.

A call names a method of `OwnerAgent` with its arguments. The reply is what the method returned, or the error that it raised: class,
facts and text. Both are MessagePack; `omnilytics_flwr.data_owner.agent_socket` frames them and bounds their length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from ..crypto.address import Address, parse_address
from ..decoding import Hash, decode_msgpack
from ..errors import Malformed, OmnilyticsError, Refusal, WrongLength
from ..market.task import TaskId
from .owner_agent import Admission, MaskedUpdate, SignedCommitment

MOST_WEIGHTS = 2**26
"""Of any market's terms."""
MOST_CALL_BYTES = 8 * MOST_WEIGHTS + 2**16
"""The largest update, and what goes with it."""
MOST_REPLY_BYTES = (131_072 + 96) * (MOST_WEIGHTS // 8192) + 2**16
"""Vector and points of the largest update, and what goes with them."""
MOST_ERROR_TEXT = 2000
"""Characters of an error that travel."""

Result = Admission | tuple[str, ...] | SignedCommitment | MaskedUpdate | bytes | None
T = TypeVar("T")


class _Message(Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """Told apart by its entry `kind`."""


class _TaskCall(_Message, frozen=True):
    task: TaskId

    def __post_init__(self) -> None:
        _check_round(self.task.chain_id, self.task.market, self.task.epoch, self.task.round)
        if len(self.task.task_hash) != 32:
            raise WrongLength("a task's hash", len(self.task.task_hash), 32)


class AdmitCall(_TaskCall, frozen=True, tag="admit"):
    """Calls `OwnerAgent.admit`."""


class EvaluateCall(_TaskCall, frozen=True, tag="evaluate"):
    """Calls `OwnerAgent.admit_evaluation`."""


class CommitCall(_TaskCall, frozen=True, tag="commit"):
    """Calls `OwnerAgent.commit`."""

    dtype: Literal["<f4", "<f8"]
    update_bytes: bytes

    def __post_init__(self) -> None:
        super().__post_init__()
        size = np.dtype(self.dtype).itemsize
        if len(self.update_bytes) % size:
            raise WrongLength("an update", len(self.update_bytes), len(self.update_bytes) // size * size)

    @classmethod
    def of(cls, task: TaskId, update: NDArray[np.floating]) -> CommitCall:
        """The call for an update, which travels as little-endian float32 if it is of float32, else as float64."""
        dtype: Literal["<f4", "<f8"] = "<f4" if update.dtype == np.float32 else "<f8"
        return cls(task, dtype, np.ascontiguousarray(update, dtype=dtype).tobytes())

    @property
    def update(self) -> NDArray[np.floating]:
        """The update; it cannot be written to."""
        return np.frombuffer(self.update_bytes, dtype=self.dtype)


class DeliverCall(_Message, frozen=True, tag="deliver"):
    """Calls `OwnerAgent.deliver`."""

    chain_id: int
    market: Address
    epoch: int
    round: int
    digests: tuple[Hash, ...]

    def __post_init__(self) -> None:
        _check_round(self.chain_id, self.market, self.epoch, self.round)


class KeptCall(_Message, frozen=True, tag="kept"):
    """Calls `OwnerAgent.kept`."""

    chain_id: int
    market: Address
    name: str

    def __post_init__(self) -> None:
        _check_round(self.chain_id, self.market, 0, 0)


class KeepCall(KeptCall, frozen=True, tag="keep"):
    """Calls `OwnerAgent.keep`."""

    content: bytes


Call = AdmitCall | EvaluateCall | CommitCall | DeliverCall | KeepCall | KeptCall


class _Returned(_Message, Generic[T], frozen=True, tag="returned"):
    value: T


class _Raised(_Message, frozen=True, tag="raised"):
    name: str
    facts: list[Any]
    text: str


def decode_call(raw: bytes) -> Call:
    """Decode an untrusted call; raises `Malformed` or `WrongLength`."""
    return _decoded(raw, Call)  # type: ignore[no-any-return]


def encode_reply(reply: Result | OmnilyticsError) -> bytes:
    """A reply as `decode_reply` reads it."""
    if not isinstance(reply, OmnilyticsError):
        return msgspec.msgpack.encode(_Returned(reply))
    sent, text, facts = _sent_class(type(reply)), str(reply), [_packed(fact) for fact in reply.args]
    if sent is not type(reply):
        text, facts = f"{type(reply).__name__}: {text}", []
    if len(str(facts)) > MOST_ERROR_TEXT:
        facts = []
    return msgspec.msgpack.encode(_Raised(sent.__name__, facts, _text(text[:MOST_ERROR_TEXT])))


def decode_reply(raw: bytes, expected: type[T]) -> T:
    """What the agent returned, of the `expected` type, from untrusted bytes; or raise what it raised.

    Raises
    ------
    OmnilyticsError
        As the agent raised it: of the same class, if this process knows that class and it says the same.
    Malformed
        The bytes are no such reply.
    """
    reply = _decoded(raw, _Returned[expected] | _Raised)  # type: ignore[valid-type]
    if isinstance(reply, _Raised):
        raise _error_of(reply.name, reply.facts, reply.text)
    return reply.value  # type: ignore[no-any-return]


def _decoded(raw: bytes, kind: Any) -> Any:
    try:
        return decode_msgpack(raw, kind)
    except Malformed as error:
        raise Malformed(f"a message does not decode ({error}); use the same release on both sides") from error


def _check_round(chain_id: int, market: str, epoch: int, round_number: int) -> None:
    if min(chain_id, epoch, round_number) < 0:
        raise Malformed(f"chain {chain_id}, epoch {epoch} and round {round_number}: expected numbers from 0 up")
    if parse_address(market) != market:
        raise Malformed(f"market {market!r} is written without its checksum")


def _sent_class(kind: type[OmnilyticsError]) -> type[OmnilyticsError]:
    """An error's class, or the nearest above it that every client can load: of the chain adapter's own errors, a client must still learn
    that they are of the chain, since their text must not go on to the model owner.
    """
    return next(kin for kin in kind.__mro__ if kin.__module__ == OmnilyticsError.__module__ or issubclass(kin, Refusal))


def _error_of(name: str, facts: Sequence[object], text: str) -> OmnilyticsError:
    """The error again, or the nearest class above it that says just `text`."""
    known = _class_named(name)
    if known is None:
        return OmnilyticsError(f"{name}: {text}")
    try:
        error = known(*(_unpacked(fact) for fact in facts))
        if str(error) == text:
            return error
    except Exception:  # noqa: S110 - a constructor may raise anything for facts that are not its own
        pass
    plain = next(kin for kin in known.__mro__ if issubclass(kin, OmnilyticsError) and _says_its_text(kin))
    return plain(text if plain is known else f"{name}: {text}")


def _says_its_text(kind: type[OmnilyticsError]) -> bool:
    ours = [base for base in kind.__mro__ if issubclass(base, OmnilyticsError) and base is not OmnilyticsError]
    return not (kind.FACTS or kind.TEXT) and not any(name in vars(base) for base in ours for name in ("__init__", "__str__"))


def _class_named(name: str) -> type[OmnilyticsError] | None:
    found = {known.__name__: known for known in _tree(OmnilyticsError)}
    if name not in found:
        from ..market import refusals  # loads the ABI's library, so only for an error that needs it

        found = {known.__name__: known for known in _tree(refusals.Refusal)}
    return found.get(name)


def _tree(root: type[OmnilyticsError]) -> Iterator[type[OmnilyticsError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)


def _packed(fact: object) -> object:
    """A fact as MessagePack can hold it, whose numbers have 64 bits; amounts of wei may have more."""
    if isinstance(fact, (tuple, list)):
        return [_packed(item) for item in fact]
    if isinstance(fact, int) and fact.bit_length() > 63:
        return {"int": str(fact)}
    return fact if isinstance(fact, (bytes, int, float)) else _text(str(fact))


def _unpacked(fact: object) -> object:
    if isinstance(fact, dict):
        return int(fact["int"])
    return tuple(_unpacked(item) for item in fact) if isinstance(fact, list) else fact


def _text(text: str) -> str:
    """`text` without lone surrogates, which UTF-8 does not have."""
    return text.encode(errors="replace").decode()
