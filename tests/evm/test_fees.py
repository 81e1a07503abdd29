"""Fees: what a transaction offers when the account cannot pay for what is usually offered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.fees import BLOB_FEE, GAS_FEE, TIP, affordable, highest_cost_wei, suggested
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import Wallet

from .tiny_contracts import send

FEES = st.integers(1, 10**12)


@given(st.integers(21_000, 10**7), FEES, FEES, FEES, st.integers(0, 6), st.integers(0, 10**18), st.fractions(0, 3))
def test_fees_are_lowered_to_what_the_account_has_but_never_below_half(
    gas: int, base_fee: int, tip: int, blob_fee: int, blobs: int, value: int, share: object
) -> None:
    fees = {GAS_FEE: 2 * base_fee + tip, TIP: tip} | ({BLOB_FEE: 2 * blob_fee} if blobs else {})
    transaction = {"gas": gas, "value": value, "blobVersionedHashes": [b""] * blobs} | fees
    due_wei = highest_cost_wei(transaction) - value
    left_wei = int(due_wei * share)  # type: ignore[operator]
    offered = affordable(transaction, value + left_wei)
    assert offered.keys() == fees.keys()
    assert offered[TIP] <= offered[GAS_FEE]
    if due_wei <= 2 * left_wei < 2 * due_wei:
        assert highest_cost_wei(transaction | offered) <= value + left_wei, "it can be paid"
        assert all(offered[name] >= fees[name] // 2 for name in fees if name != TIP), "and is not less than what is due now"
    else:
        assert offered == fees


def test_account_that_cannot_pay_twice_the_present_fees_sends_all_the_same(connection: Connection, anvil: Anvil) -> None:
    """An accused data owner that waits until it has more loses its stake."""
    poor = Wallet.create()
    gas = 21_000 + 21_000 // 5 + 10_000
    usual_wei = gas * suggested(connection, blobs=False)[GAS_FEE]
    connection.request("anvil_setBalance", poor.address, hex(usual_wei * 6 // 10))
    mined = send(connection, poor, Payload(poor.address, b""))
    assert connection.balance_wei(poor.address) == usual_wei * 6 // 10 - mined.fee_wei
