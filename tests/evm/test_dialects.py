"""What nodes mean by their errors, in the words of each."""

from __future__ import annotations

import pytest

from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.dialects import Meaning, meaning_of
from omnilytics_flwr.evm.endpoint import Endpoint, NodeError, Overloaded
from omnilytics_flwr.evm.reverts import revert_data

from ..support.dialects import DIALECTS
from ..support.nodes import faulty_node, impatient


@pytest.mark.parametrize(("meaning", "who", "code", "message"), [(m, *said) for m, sayings in DIALECTS.items() for said in sayings])
def test_meaning_of_each_dialect_is_told(meaning: Meaning, who: str, code: int, message: str) -> None:
    assert meaning_of(code, message) is meaning, who


@pytest.mark.parametrize(
    ("code", "message"), [(-32000, "gas required exceeds allowance (16777216)"), (-32602, "invalid argument 0"), (-32603, "internal error")]
)
def test_meaning_of_what_is_not_known_is_none(code: int, message: str) -> None:
    assert meaning_of(code, message) is None


@pytest.mark.parametrize(
    ("code", "message", "data", "expected"),
    [
        (3, "execution reverted: too many requests", "0x1234", b"\x12\x34"),
        (-32015, "VM execution error.", "Reverted 0x1234", b"\x12\x34"),
        (-32000, "Execution reverted", "0x1234", b"\x12\x34"),
        (-32603, "VM Exception while processing transaction: reverted with an unrecognized custom error", {"data": "0x1234"}, b"\x12\x34"),
        (-32000, "execution reverted", None, b""),
        (-32000, "header not found", "0x1234", None),
        (-32603, "internal error", {"data": "0x1234"}, None),
    ],
)
def test_revert_data_is_only_that_of_a_revert(code: int, message: str, data: object, expected: bytes | None) -> None:
    assert revert_data(NodeError("eth_call", code, message, data)) == expected


@pytest.mark.parametrize(("who", "code", "message"), DIALECTS[Meaning.BUSY])
def test_request_refused_for_now_is_repeated_and_never_an_answer(anvil: Anvil, who: str, code: int, message: str) -> None:
    with faulty_node(anvil.url) as node:
        node.refuse_every(2, code, message)
        assert [Endpoint(node.url).request("eth_chainId") for _ in range(3)] == ["0x7a69"] * 3
        node.refuse_every(1, code, message)
        with pytest.raises(Overloaded, match=r"for now: .*"):
            impatient(Endpoint(node.url)).request("eth_chainId")
