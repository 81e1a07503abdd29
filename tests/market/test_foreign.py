"""Whatever comes from outside, right, wrong or malformed: what decodes it answers, or raises an error of our tree."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import rlp
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from hypothesis import example, given, settings
from hypothesis import strategies as st

from omnilytics_flwr.crypto.address import address_bytes, parse_address
from omnilytics_flwr.errors import BadTerms, Malformed, OmnilyticsError
from omnilytics_flwr.market.draw import PREVRANDAO_FIELD, prevrandao_of
from omnilytics_flwr.market.messages import HALF_ORDER, Commitment, compact, recover
from omnilytics_flwr.market.public_part import select_private
from omnilytics_flwr.market.task import arrays_hash, config_hash
from omnilytics_flwr.market.terms import ABI_TYPE, Terms
from tests.oracle import World
from tests.support.builders import VERIFICATION, address_of, make_terms, sign_hash

MANY = settings(max_examples=300)
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=60)
"""Text with lone surrogates, too."""


def survives(action: Callable[[], object]) -> None:
    """Run it; an error of ours is fine."""
    with suppress(OmnilyticsError):
        action()


# ------------------------------------------------------------------------------------------------------------------ addresses


@MANY
@given(value=st.one_of(ANY_TEXT, st.binary(max_size=45), st.binary(min_size=20, max_size=20), st.from_regex(r"(0x)?[0-9a-fA-F]{38,42}")))
@example(value="0x" + "٠" * 40)
@example(value="0x" + "a" * 40 + "\n")
def test_parse_address_gives_an_address_or_is_malformed(value: str | bytes) -> None:
    try:
        address = parse_address(value)
    except Malformed:
        return
    assert parse_address(address) == parse_address(address_bytes(address)) == address


# ---------------------------------------------------------------------------------------------------------------------- terms

UINTS = {name: st.integers(0, 2**bits - 1) for name, bits in [(f"uint{n}", n) for n in (8, 16, 32, 64, 128)]}
BY_TYPE: dict[str, st.SearchStrategy[Any]] = UINTS | {
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: parse_address(raw)),
    "bool": st.booleans(),
    "bytes32": st.binary(min_size=32, max_size=32),
    "string": st.one_of(st.text(max_size=300), st.lists(st.sampled_from(["acc", "loss", ""]), max_size=4).map(" ".join)),
}
TYPES = ABI_TYPE[1:-1].split(",")


@st.composite
def abi_values(draw: st.DrawFn) -> tuple[object, ...]:
    """Good terms with some of their values replaced by any others of their type."""
    values = list(make_terms().abi_tuple())
    for place in draw(st.sets(st.integers(0, len(values) - 1), max_size=5)):
        values[place] = draw(BY_TYPE[TYPES[place]])
    return tuple(values)


@MANY
@given(values=abi_values())
@example(values=(*make_terms().abi_tuple()[:-1], "acc  loss"))
@example(values=(*make_terms().abi_tuple()[:-1], "acc\tloss"))
def test_terms_of_any_contract_are_the_same_again_or_refused(values: tuple[object, ...]) -> None:
    try:
        terms = Terms.from_abi(values)
    except BadTerms:
        return
    assert terms.abi_tuple() == values
    assert Terms.from_abi(tuple(abi_decode([ABI_TYPE], abi_encode([ABI_TYPE], [values]))[0])).abi_tuple() != ()


@MANY
@given(values=st.lists(st.one_of(st.integers(), st.text(max_size=5), st.binary(max_size=5), st.none()), max_size=25))
def test_terms_from_other_values_are_malformed(values: list[object]) -> None:
    with pytest.raises(Malformed):
        Terms.from_abi(tuple(values))


@MANY
@given(field=st.sampled_from(["token", "admission", "verification"]), text=ANY_TEXT)
def test_terms_with_any_text_for_an_address_are_refused_or_good(field: str, text: str) -> None:
    survives(lambda: make_terms(**{field: text}))


@MANY
@given(names=st.lists(ANY_TEXT, max_size=3))
def test_terms_with_any_metrics_can_be_hashed_or_are_refused(names: list[str]) -> None:
    survives(lambda: make_terms(metrics=tuple(names)).digest())


# ---------------------------------------------------------------------------------------------------- commitments, signatures

SCALARS = st.one_of(
    st.sampled_from([0, 1, HALF_ORDER, HALF_ORDER + 1, SECP256K1_ORDER - 1, SECP256K1_ORDER, 2**255 - 1, 2**255, 2**256 - 1]),
    st.integers(0, 2**256 - 1),
)


@MANY
@given(r=SCALARS, packed=SCALARS, signing_hash=st.binary(min_size=32, max_size=32))
def test_recover_names_an_account_or_is_malformed(r: int, packed: int, signing_hash: bytes) -> None:
    try:
        signer = recover(signing_hash, r.to_bytes(32, "big") + packed.to_bytes(32, "big"))
    except Malformed:
        return
    assert parse_address(signer) == signer


@MANY
@given(signing_hash=st.binary(max_size=40), signature=st.binary(max_size=70))
def test_recover_survives_any_bytes(signing_hash: bytes, signature: bytes) -> None:
    survives(lambda: recover(signing_hash, signature))
    survives(lambda: compact(signature))


@MANY
@given(r=SCALARS, s=SCALARS, v=st.integers(0, 255))
def test_compact_keeps_the_signer_or_is_malformed(r: int, s: int, v: int) -> None:
    try:
        signature = compact(r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v]))
    except Malformed:
        return
    survives(lambda: recover(bytes(32), signature))
    assert (signature[:32], signature[32:]) == (r.to_bytes(32, "big"), (s | (v - 27) << 255).to_bytes(32, "big"))


@given(place=st.integers(0, 63), bit=st.integers(0, 7))
@settings(max_examples=60)
def test_recover_after_any_flipped_bit_is_somebody_else_or_malformed(place: int, bit: int) -> None:
    signature = bytearray(sign_hash(1, b"\x11" * 32))
    signature[place] ^= 1 << bit
    try:
        assert recover(b"\x11" * 32, bytes(signature)) != address_of(1)
    except Malformed:
        pass


@given(numbers=st.tuples(*[st.integers(-(2**70), 2**70)] * 3), hashes=st.tuples(*[st.binary(max_size=34)] * 2))
@example(numbers=(2**32 - 1, 2**32 - 1, 2**64 - 1), hashes=(bytes(32), bytes(32)))
@example(numbers=(0, 2**32, 0), hashes=(bytes(32), bytes(32)))
def test_commitment_that_does_not_fit_its_fields_is_malformed(numbers: tuple[int, ...], hashes: tuple[bytes, ...]) -> None:
    epoch, round_number, open_by = numbers
    fits = 0 <= epoch < 2**32 and 0 <= round_number < 2**32 and 0 <= open_by < 2**64 and all(len(h) == 32 for h in hashes)
    try:
        message = Commitment(epoch, round_number, hashes[0], open_by, hashes[1])
    except Malformed:
        assert not fits
    else:
        assert fits
        assert len(message.signing_hash(chain_id=1, market=VERIFICATION)) == 32


# -------------------------------------------------------------------------------------------------------------------- headers

ITEMS = st.recursive(st.binary(max_size=40), lambda inner: st.lists(inner, max_size=16), max_leaves=40)


@MANY
@given(raw=st.one_of(st.binary(max_size=700), ITEMS.map(rlp.encode)))
@example(raw=b"")
@example(raw=b"\x80")
@example(raw=b"\xc0")
@example(raw=bytes(rlp.encode([[b""]] * 20)))
def test_prevrandao_of_anything_has_32_bytes_or_is_malformed(raw: bytes) -> None:
    try:
        assert len(prevrandao_of(raw)) == 32
    except Malformed:
        pass


def test_prevrandao_of_a_list_within_lists_without_end_is_malformed() -> None:
    raw = b"\xc0"
    for _ in range(3000):
        raw = bytes(rlp.codec.length_prefix(len(raw), 0xC0)) + raw
    with pytest.raises(Malformed, match="no header of a block"):
        prevrandao_of(raw)


@MANY
@given(place=st.integers(0, 600), value=st.integers(0, 255))
def test_prevrandao_of_a_spoiled_header_is_32_bytes_or_malformed(place: int, value: int) -> None:
    header = World().header(5)
    spoiled = bytearray(header)
    spoiled[place % len(header)] = value
    survives(lambda: prevrandao_of(bytes(spoiled)))
    assert rlp.decode(header)[PREVRANDAO_FIELD] == prevrandao_of(header)


# ---------------------------------------------------------------------------------------------------------- tasks, names, blobs

SCALAR_VALUES = st.one_of(st.booleans(), st.integers(-(2**70), 2**70), st.floats(), ANY_TEXT, st.binary(max_size=9), st.none())
DTYPES = ["float32", ">f8", "int8", "bool", "complex64", "datetime64[s]", "S3", "U2", "V5", "object"]


@MANY
@given(config=st.dictionaries(ANY_TEXT, st.one_of(SCALAR_VALUES, st.lists(SCALAR_VALUES, max_size=3), st.just([[1]])), max_size=4))
def test_config_of_anything_hashes_or_is_malformed(config: dict[str, Any]) -> None:
    try:
        digest = config_hash(config)
    except Malformed:
        return
    assert digest == config_hash(dict(reversed(config.items())))


@MANY
@given(name=ANY_TEXT, dtype=st.sampled_from(DTYPES), shape=st.lists(st.integers(0, 3), max_size=4))
def test_arrays_of_any_kind_hash_or_are_malformed(name: str, dtype: str, shape: list[int]) -> None:
    array = np.zeros(shape, dtype=dtype)
    if dtype == "object":
        with pytest.raises(Malformed):
            arrays_hash([(name, array)])
    survives(lambda: arrays_hash([(name, array)]))


@MANY
@given(names=st.lists(ANY_TEXT, max_size=4), patterns=st.lists(st.one_of(ANY_TEXT, st.text("[]!*?a-\\", max_size=8)), max_size=3))
def test_any_patterns_select_or_are_refused(names: list[str], patterns: list[str]) -> None:
    survives(lambda: select_private(names, patterns))
