"""Signed messages: EIP-712 hashes against eth-account's, compact signatures, and what is refused."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from eth_account.messages import _hash_eip191_message, encode_typed_data
from eth_typing import Hash32
from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.errors import Malformed, WrongLength
from omnilytics_flwr.market.messages import HALF_ORDER, Commitment, Delivery, Voucher, compact, domain_separator, recover
from omnilytics_flwr.market.terms import Address
from tests.support.builders import MARKET, address_of, make_account, make_digest, make_task, sign_hash

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
COMMITMENT = Commitment(epoch=2, round=7, task_hash=make_task(7), digest=make_digest(3, 7), open_by=1_800_000_000)
HASH = COMMITMENT.signing_hash(chain_id=31337, market=MARKET)
GOOD = sign_hash(0, HASH)
STRANGE_GATE = address_of(77)


def typed_data_hash(name: str, fields: dict[str, tuple[str, object]], chain_id: int, contract: str) -> bytes:
    """The hash that any wallet computes from the typed data."""
    message = encode_typed_data(
        domain_data={"name": "OmniLytics", "version": "2", "chainId": chain_id, "verifyingContract": contract},
        message_types={name: [{"name": field, "type": kind} for field, (kind, _) in fields.items()]},
        message_data={field: value for field, (_, value) in fields.items()},
    )
    assert message.header == domain_separator(chain_id, contract)  # type: ignore[arg-type]
    return bytes(_hash_eip191_message(message))


NUMBERS, HASHES = st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32)


@given(
    epoch=NUMBERS,
    round_number=NUMBERS,
    task=HASHES,
    first=HASHES,
    second=HASHES,
    open_by=st.integers(0, 2**64 - 1),
    chain_id=st.integers(1, 2**64),
    market=st.sampled_from([MARKET, address_of(0)]),
)
def test_signing_hashes_equal_those_of_wallets(
    epoch: int, round_number: int, task: bytes, first: bytes, second: bytes, open_by: int, chain_id: int, market: Address
) -> None:
    rounds = {"epoch": ("uint32", epoch), "round": ("uint32", round_number), "taskHash": ("bytes32", task)}
    commitment, delivery = Commitment(epoch, round_number, task, open_by, first), Delivery(epoch, round_number, task, first, second)
    voucher = Voucher(market, address_of(0), epoch)
    hashes = [message.signing_hash(chain_id=chain_id, market=market) for message in (commitment, delivery)]
    hashes.append(voucher.signing_hash(chain_id=chain_id, gate=STRANGE_GATE))
    assert hashes == [
        typed_data_hash("Commitment", rounds | {"openBy": ("uint64", open_by), "digest": ("bytes32", first)}, chain_id, market),
        typed_data_hash("Delivery", rounds | {"rosterHash": ("bytes32", first), "projectedDigest": ("bytes32", second)}, chain_id, market),
        typed_data_hash(
            "Voucher",
            {"market": ("address", market), "owner": ("address", address_of(0)), "throughEpoch": ("uint32", epoch)},
            chain_id,
            STRANGE_GATE,
        ),
    ]


DELIVERY = Delivery(epoch=2, round=7, task_hash=make_task(7), roster_hash=b"\x01" * 32, projected_digest=b"\x02" * 32)


@pytest.mark.parametrize("message", [COMMITMENT, DELIVERY])
def test_signing_hash_differs_in_every_field_chain_and_market(message: Commitment | Delivery) -> None:
    hashes = {message.signing_hash(chain_id=31337, market=MARKET)}
    hashes |= {message.signing_hash(chain_id=1, market=MARKET), message.signing_hash(chain_id=31337, market=address_of(0))}
    for field in fields(message):
        value = getattr(message, field.name)
        other = replace(message, **{field.name: value + 1 if isinstance(value, int) else b"\x09" * 32})
        hashes.add(other.signing_hash(chain_id=31337, market=MARKET))
    assert len(hashes) == 3 + len(fields(message))


@pytest.mark.parametrize("changes", [{"epoch": 1 << 32}, {"round": -1}, {"task_hash": bytes(31)}])
def test_message_that_does_not_fit_its_fields_is_refused(changes: dict[str, object]) -> None:
    for message in (COMMITMENT, DELIVERY):
        with pytest.raises(Malformed):
            replace(message, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", range(8))
def test_recover_names_the_signer(number: int) -> None:
    assert recover(HASH, sign_hash(number, HASH)) == address_of(number)


def test_recover_other_hash_names_somebody_else() -> None:
    assert recover(COMMITMENT.signing_hash(chain_id=1, market=MARKET), GOOD) != address_of(0)


def test_recover_flipped_parity_names_somebody_else() -> None:
    flipped = GOOD[:32] + (int.from_bytes(GOOD[32:], "big") ^ 1 << 255).to_bytes(32, "big")
    assert recover(HASH, flipped) != address_of(0)


def with_s(s: int) -> bytes:
    return GOOD[:32] + s.to_bytes(32, "big")


MALFORMED = {
    "all zero": bytes(64),
    "all ones": b"\xff" * 64,
    "r zero": bytes(32) + GOOD[32:],
    "r the order": ORDER.to_bytes(32, "big") + GOOD[32:],
    "r no point": (5).to_bytes(32, "big") + GOOD[32:],
    "s zero": with_s(0),
    "s zero, odd": with_s(1 << 255),
    "s one above half": with_s(HALF_ORDER + 1),
    "s one above half, odd": with_s(HALF_ORDER + 1 | 1 << 255),
    "s of 255 ones": with_s((1 << 255) - 1),
}


@pytest.mark.parametrize("signature", MALFORMED.values(), ids=MALFORMED.keys())
def test_recover_impossible_signature_raises(signature: bytes) -> None:
    with pytest.raises(Malformed):
        recover(HASH, signature)


def test_recover_largest_low_s_is_read() -> None:
    # Some account, whoever it is, can have made this signature.
    assert recover(HASH, with_s(HALF_ORDER)).startswith("0x")


def test_recover_signature_of_the_point_at_infinity_raises() -> None:
    # r and s are chosen so that s R = z G: the public key would be the point at infinity, which no account has.
    from eth_keys.backends.native.jacobian import fast_multiply
    from eth_keys.constants import SECPK1_G, SECPK1_N

    z = int.from_bytes(HASH, "big") % SECPK1_N
    for k in range(2, 40):
        x, y = fast_multiply(SECPK1_G, k)
        s = z * pow(k, -1, SECPK1_N) % SECPK1_N
        if s <= HALF_ORDER:
            break
    signature = x.to_bytes(32, "big") + (s | (y & 1) << 255).to_bytes(32, "big")
    with pytest.raises(Malformed):
        recover(HASH, signature)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_recover_wrong_length_raises(length: int) -> None:
    with pytest.raises(WrongLength) as caught:
        recover(HASH, bytes(length))
    assert (caught.value.actual, caught.value.expected) == (length, 64)


def ordinary(number: int) -> bytes:
    return bytes(make_account(number).unsafe_sign_hash(Hash32(HASH)).signature)


@pytest.mark.parametrize("number", range(8))
def test_compact_keeps_r_s_and_parity(number: int) -> None:
    signature = ordinary(number)
    packed = int.from_bytes(compact(signature)[32:], "big")
    assert compact(signature)[:32] == signature[:32]
    assert packed & (1 << 255) - 1 == int.from_bytes(signature[32:64], "big")
    assert packed >> 255 == signature[64] - 27


@pytest.mark.parametrize("v", [0, 1, 26, 29, 255])
def test_compact_other_v_raises(v: int) -> None:
    with pytest.raises(Malformed, match=f"v = {v}"):
        compact(ordinary(0)[:64] + bytes([v]))


def test_compact_high_s_raises() -> None:
    signature = ordinary(0)
    high = ORDER - int.from_bytes(signature[32:64], "big")
    with pytest.raises(Malformed, match="high s"):
        compact(signature[:32] + high.to_bytes(32, "big") + bytes([55 - signature[64]]))


@pytest.mark.parametrize("length", [0, 64, 66])
def test_compact_wrong_length_raises(length: int) -> None:
    with pytest.raises(WrongLength):
        compact(bytes(length))
