"""The hash of a task: everything in it counts, nothing else does, and its bytes are those that docs/specification/protocol.md says."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.errors import Malformed
from omnilytics_flwr.market.task import TaskParts, arrays_hash, config_hash, named_config_hash

ARRAYS = [("a", np.arange(6, dtype="float32").reshape(2, 3)), ("b", np.ones(4))]


def plain_arrays_bytes(arrays: list[tuple[str, np.ndarray]]) -> bytes:
    """Canonical arrays, written from docs/specification/protocol.md section 6 entry by entry."""
    text = struct.pack(">I", len(arrays))
    for name, array in arrays:
        dtype = array.dtype.name.encode()
        text += struct.pack(">I", len(name.encode())) + name.encode() + struct.pack(">I", len(dtype)) + dtype
        text += bytes([len(array.shape)]) + b"".join(n.to_bytes(8, "big") for n in array.shape)
        data = b"".join(array.dtype.newbyteorder("<").type(x).tobytes() for x in array.ravel(order="C"))
        text += len(data).to_bytes(8, "big") + data
    return text


def plain_config_bytes(config: Mapping[str, object]) -> bytes:
    """Canonical configuration, likewise."""
    text = len(config).to_bytes(4, "big")
    for key in sorted(config, key=lambda k: k.encode()):
        value = config[key]
        text += len(key.encode()).to_bytes(4, "big") + key.encode()
        items = value if isinstance(value, list) else [value]
        kind = {bool: "b", int: "i", float: "f", str: "s", bytes: "y"}[type(items[0])] if items else "y"
        text += (kind.upper() if isinstance(value, list) else kind).encode()
        if isinstance(value, list):
            text += len(value).to_bytes(4, "big")
        for item in items:
            if isinstance(item, bool):
                text += b"\1" if item else b"\0"
            elif isinstance(item, int):
                text += item.to_bytes(8, "big", signed=True)
            elif isinstance(item, float):
                text += np.array(item, dtype=">f8").tobytes()
            else:
                data = item.encode() if isinstance(item, str) else item
                text += len(data).to_bytes(4, "big") + data
    return text


def test_arrays_hash_is_of_the_documented_bytes() -> None:
    assert arrays_hash(ARRAYS) == keccak256(b"OmniLytics/v2/arrays" + plain_arrays_bytes(ARRAYS))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "uint16", "int64", "bool"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_arrays_hash_of_every_shape_and_dtype_is_of_the_documented_bytes(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    assert arrays_hash([("x", array)]) == keccak256(b"OmniLytics/v2/arrays" + plain_arrays_bytes([("x", array)]))


def test_arrays_hash_of_nothing_is_of_a_zero_count() -> None:
    assert arrays_hash([]) == keccak256(b"OmniLytics/v2/arrays" + bytes(4))


@pytest.mark.parametrize(
    "same",
    [
        [("a", np.asfortranarray(ARRAYS[0][1])), ARRAYS[1]],
        [("a", ARRAYS[0][1].astype(">f4")), ("b", ARRAYS[1][1].astype(">f8"))],
        [("a", np.arange(12, dtype="float32").reshape(2, 6)[:, ::2] / 2), ARRAYS[1]],
    ],
    ids=["Fortran order", "big-endian", "strided"],
)
def test_arrays_hash_ignores_how_an_array_lies_in_memory(same: list[tuple[str, np.ndarray]]) -> None:
    assert all(np.array_equal(x, y) for (_, x), (_, y) in zip(same, ARRAYS, strict=True))
    assert arrays_hash(same) == arrays_hash(ARRAYS)


def test_arrays_hash_tells_every_change() -> None:
    a, b = ARRAYS[0][1], ARRAYS[1][1]
    others: list[list[tuple[str, np.ndarray]]] = [
        [("a", a)],
        [("b", b), ("a", a)],
        [("A", a), ("b", b)],
        [("a", a.astype("float64")), ("b", b)],
        [("a", a.reshape(3, 2)), ("b", b)],
        [("a", a.T), ("b", b)],
        [("a", a.reshape(6)), ("b", b)],
        [("a", a.reshape(1, 2, 3)), ("b", b)],
        [("a", a + np.float32(2**-20)), ("b", b)],
        [("a", a), ("b", 0 * b)],
        [("a", a), ("b", -0.0 * b)],
        [("a", -a), ("b", b)],
        [*ARRAYS, ("c", np.zeros(0))],
        [("a", a.view("int32")), ("b", b)],
    ]
    assert len({arrays_hash(other) for other in others} | {arrays_hash(ARRAYS)}) == len(others) + 1


TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
KINDS = (st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXT, st.binary(max_size=8))
CONFIGS = st.dictionaries(TEXT, st.one_of(*KINDS, *(st.lists(kind, max_size=3) for kind in KINDS)), max_size=5)


@given(CONFIGS)
def test_config_hash_is_of_the_documented_bytes(config: dict[str, object]) -> None:
    assert config_hash(config) == keccak256(b"OmniLytics/v2/config" + plain_config_bytes(config))  # type: ignore[arg-type]


@given(CONFIGS, st.randoms())
def test_config_hash_ignores_the_order_of_keys(config: dict[str, object], random: object) -> None:
    keys = list(config)
    random.shuffle(keys)  # type: ignore[attr-defined]
    assert config_hash({key: config[key] for key in keys}) == config_hash(config)  # type: ignore[misc,arg-type]


def test_config_hash_tells_kinds_apart() -> None:
    values: list[object] = [1, 1.0, True, "1", b"1", [1], [1.0], [True], ["1"], [b"1"], [], [1, 1], "", b"", 0, False, 0.0, -0.0]
    assert len({config_hash({"x": value}) for value in values}) == len(values)  # type: ignore[dict-item]


def test_config_hash_keys_sort_by_their_bytes() -> None:
    """U+FFFF sorts before U+10000 as bytes and in Python, and after it in languages that sort by UTF-16."""
    config = {"\U00010000": 1, "\uffff": 2, "z": 3}
    assert config_hash(config) == keccak256(b"OmniLytics/v2/config" + plain_config_bytes(config))


@pytest.mark.parametrize("value", [None, 1j, {}, (1, "a"), [1, 1.0], [True, 1], [None], np.float64(1), np.int64(1), [[1]]])
def test_config_hash_of_a_value_that_flower_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(Malformed, match="config entry 'x'"):
        config_hash({"x": value})  # type: ignore[dict-item]


def test_named_config_hash_is_of_the_documented_bytes() -> None:
    inner = config_hash({"lr": 0.5})
    expected = keccak256(b"OmniLytics/v2/request" + b"\0\0\0\3net" + b"\0\0\0\4conf" + inner)
    assert named_config_hash({"lr": 0.5}, name="conf", arrays_name="net") == expected
    assert named_config_hash({"lr": 0.5}, name="netconf", arrays_name="") != named_config_hash({"lr": 0.5}, name="conf", arrays_name="net")


PARTS = TaskParts(b"\1" * 32, b"\2" * 32, b"\3" * 32)


def test_task_hash_is_of_the_documented_bytes() -> None:
    expected = keccak256(b"OmniLytics/v2/task" + b"\1" * 32 + b"\2" * 32 + b"\3" * 32 + b"\5" * 32 + bytes(31) + b"\7")
    assert replace(PARTS, run_config=b"\5" * 32).task_hash(7) == expected


def test_task_without_a_run_config_has_the_empty_one() -> None:
    assert PARTS.run_config == config_hash({})


def test_task_hash_tells_parts_and_rounds_apart() -> None:
    others = [
        PARTS,
        replace(PARTS, arrays=b"\4" * 32),
        replace(PARTS, train_config=b"\4" * 32),
        replace(PARTS, evaluate_config=b"\4" * 32),
        replace(PARTS, run_config=b"\4" * 32),
        TaskParts(PARTS.arrays, PARTS.evaluate_config, PARTS.train_config),
    ]
    assert len({parts.task_hash(number) for parts in others for number in (1, 2, 256)}) == 18
