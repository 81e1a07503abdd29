"""The task of a round: canonical bytes of arrays and configuration, and the hash that is anchored (docs/specification/protocol.md section 7).

All data owners check this hash before they train, so nobody can be given a model or a configuration of its own
(Pasquini et al., "Eluding Secure Aggregation in Federated Learning via Model Inconsistency", CCS 2022).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..crypto.address import Address, address_bytes
from ..crypto.hashing import keccak256, label, tag, word
from ..errors import Malformed

ConfigScalar = bool | int | float | str | bytes
ConfigValue = ConfigScalar | Sequence[bool] | Sequence[int] | Sequence[float] | Sequence[str] | Sequence[bytes]

_LETTERS = {bool: b"b", int: b"i", float: b"f", str: b"s", bytes: b"y"}


@dataclass(frozen=True, slots=True)
class TaskId:
    """Which task of which market; what a data owner is asked to take part in.

    Attributes
    ----------
    chain_id : int
        EIP-155.
    market : Address
        Checksummed, like all addresses.
    epoch, round : int
        From 1.
    task_hash : bytes, length 32
        From `TaskParts.task_hash`.
    """

    chain_id: int
    market: Address
    epoch: int
    round: int
    task_hash: bytes

    def settlement_context(self, epoch_seed: bytes) -> bytes:
        """Hash that binds a settlement to this task, and to the draw of its epoch (docs/specification/protocol.md section 7); 32 bytes."""
        market_word = bytes(12) + address_bytes(self.market)
        numbers = word(self.epoch) + word(self.round)
        return keccak256(tag("settlement") + word(self.chain_id) + market_word + epoch_seed + numbers + self.task_hash)


@dataclass(frozen=True, slots=True)
class TaskParts:
    """Hashes of what a task consists of, but for the round that it belongs to.

    Attributes
    ----------
    arrays : bytes, length 32
        From `arrays_hash`.
    train_config, evaluate_config : bytes, length 32
        From `named_config_hash`.
    run_config : bytes, length 32 (default: the hash of an empty configuration)
        From `config_hash` of Flower's run config, which user functions often read settings from.
    """

    arrays: bytes
    train_config: bytes
    evaluate_config: bytes
    run_config: bytes = keccak256(label("config") + bytes(4))

    def task_hash(self, round_number: int) -> bytes:
        """Hash of the task of a round, 32 bytes."""
        parts = self.arrays + self.train_config + self.evaluate_config + self.run_config
        return keccak256(label("task") + parts + word(round_number))


def arrays_hash(arrays: Iterable[tuple[str, NDArray[np.generic]]]) -> bytes:
    """Hash of named arrays in their order.

    Parameters
    ----------
    arrays : iterable of (name, array)
        Any numeric dtype; the bytes hashed are little-endian and in C order.

    Returns
    -------
    bytes, length 32

    Raises
    ------
    Malformed
        An array holds Python objects, or a name is no text.
    """
    encoded = [_array_bytes(name, array) for name, array in arrays]
    return keccak256(label("arrays") + struct.pack(">I", len(encoded)), *encoded)


def config_hash(config: Mapping[str, ConfigValue]) -> bytes:
    """Hash of a flat configuration, whatever the order of its keys.

    Returns
    -------
    bytes, length 32

    Raises
    ------
    Malformed
        A value is of a type that a Flower ConfigRecord cannot hold, or text that is none.
    """
    by_bytes = sorted((_utf8(key), key) for key in config)
    encoded = [_sized(raw) + _value_bytes(key, config[key]) for raw, key in by_bytes]
    return keccak256(label("config") + struct.pack(">I", len(encoded)) + b"".join(encoded))


def named_config_hash(config: Mapping[str, ConfigValue], *, name: str, arrays_name: str) -> bytes:
    """Hash of a request's configuration, and of the names of the records that it and the arrays come in: an app finds them by name.

    Parameters
    ----------
    config : mapping
        As for `config_hash`; empty if there is none.
    name, arrays_name : str
        Of the records; empty if there is none.
    """
    return keccak256(label("request"), _sized(_utf8(arrays_name)), _sized(_utf8(name)), config_hash(config))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise Malformed(f"{text!r} is no text ({error.reason}); expected characters that UTF-8 has; use others") from error


def _sized(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _array_bytes(name: str, array: NDArray[np.generic]) -> bytes:
    if array.dtype.hasobject:
        raise Malformed(f"array {name!r} holds Python objects; expected numbers; convert it")
    data = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
    dims = struct.pack(f">B{array.ndim}Q", array.ndim, *array.shape)
    return _sized(_utf8(name)) + _sized(array.dtype.name.encode()) + dims + struct.pack(">Q", len(data)) + data


def _value_bytes(key: str, value: ConfigValue) -> bytes:
    if isinstance(value, (list, tuple)):
        letters = {_letter(key, item) for item in value} or {b"y"}
        if len(letters) > 1:
            raise Malformed(f"config entry {key!r} mixes types in a list; give all its values one type")
        return letters.pop().upper() + struct.pack(">I", len(value)) + b"".join(_scalar_bytes(item) for item in value)
    return _letter(key, value) + _scalar_bytes(value)  # type: ignore[arg-type]


def _letter(key: str, value: object) -> bytes:
    if type(value) not in _LETTERS:
        raise Malformed(f"config entry {key!r} is a {type(value).__name__}; use bool, int, float, str, bytes or a list of one")
    return _LETTERS[type(value)]


def _scalar_bytes(value: ConfigScalar) -> bytes:
    if isinstance(value, bool):
        return struct.pack(">?", value)
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise Malformed(f"config value {value} does not fit 64 bits; send it as a string")
        return struct.pack(">q", value)
    if isinstance(value, float):
        return struct.pack(">d", value)
    return _sized(_utf8(value) if isinstance(value, str) else value)
