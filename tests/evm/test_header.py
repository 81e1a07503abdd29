"""Headers as the market hashes them."""

from __future__ import annotations

import pytest
import rlp

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.errors import UnsupportedChain
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.header import block_header, header_rlp
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.draw import prevrandao_of


@pytest.mark.parametrize("hardfork", ["london", "paris", "shanghai", "cancun", "prague", "osaka"])
def test_header_rlp_of_every_fork_hashes_to_the_block(hardfork: str) -> None:
    with Anvil(AnvilOptions(hardfork=hardfork)) as anvil:
        connection = connect(anvil.url)
        wallet = dev_wallet(0, connection)
        mined = sender_for(connection, wallet).send("test", Payload(wallet.address, b"", 1))
        block = connection.block(mined.block)
        assert int(block["gasUsed"], 16) == mined.gas_used
        header = header_rlp(block)
        assert keccak256(header).hex() == block["hash"][2:]
        assert prevrandao_of(header).hex() == block["mixHash"][2:]


def later_block(connection: Connection, **new: str) -> tuple[dict[str, object], bytes]:
    """The latest block with fields of a later fork, as a node tells it, and its header."""
    block = connection.block("latest")
    header = rlp.encode([*rlp.decode(header_rlp(block)), *(bytes.fromhex(value[2:]) for value in new.values())])
    return block | {"hash": "0x" + keccak256(header).hex()} | new, header


def test_header_rlp_of_amsterdam_has_access_list_and_slot(connection: Connection) -> None:
    block, header = later_block(connection, blockAccessListHash="0x" + "11" * 32, slotNumber="0x1234")
    assert header_rlp(block) == header


def test_header_rlp_field_of_an_unknown_fork_raises(connection: Connection) -> None:
    with pytest.raises(UnsupportedChain, match=r"does not hash.*--header"):
        header_rlp(later_block(connection, novelty="0x" + "11" * 32)[0])


@pytest.mark.parametrize("raw", ["good", "0x1234", None])
def test_block_header_is_the_nodes_own_if_it_is_right(connection: Connection, monkeypatch: pytest.MonkeyPatch, raw: str | None) -> None:
    block, header = later_block(connection, novelty="0x" + "11" * 32) if raw == "good" else later_block(connection)
    request = connection.request
    answer = "0x" + header.hex() if raw == "good" else raw
    monkeypatch.setattr(connection, "block", lambda number: block)
    monkeypatch.setattr(connection, "request", lambda method, *a: answer if method == "debug_getRawHeader" else request(method, *a))
    assert block_header(connection, 1) == header


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("mixHash", "0x" + "22" * 32, "hash"),
        ("number", "0xffffffff", "hash"),
        ("mixHash", "0xzz", "garbles"),
        ("stateRoot", None, "stateRoot"),
    ],
)
def test_header_rlp_field_wrong_or_missing_raises(connection: Connection, field: str, value: str | None, words: str) -> None:
    fields = connection.block("latest") | {field: value}
    with pytest.raises(UnsupportedChain, match=words):
        header_rlp({name: told for name, told in fields.items() if told is not None})
