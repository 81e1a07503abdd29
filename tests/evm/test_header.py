"""Headers as the market hashes them."""

from __future__ import annotations

import pytest
import rlp

from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.errors import UnsupportedChain
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import Connection, connect
from omnilytics_flwr.evm.header import header_rlp
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


def test_header_rlp_field_of_a_later_fork_raises(connection: Connection) -> None:
    block = connection.block("latest")
    fields = [*rlp.decode(header_rlp(block)), b"\x11" * 32]
    later = block | {"hash": "0x" + keccak256(rlp.encode(fields)).hex(), "blockAccessListHash": "0x" + "11" * 32}
    with pytest.raises(UnsupportedChain, match="does not hash"):
        header_rlp(later)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("mixHash", "0x" + "22" * 32, "hash"), ("number", "0x7", "hash"), ("mixHash", "0xzz", "garbles"), ("stateRoot", None, "stateRoot")],
)
def test_header_rlp_field_wrong_or_missing_raises(connection: Connection, field: str, value: str | None, words: str) -> None:
    fields = connection.block("latest") | {field: value}
    with pytest.raises(UnsupportedChain, match=words):
        header_rlp({name: told for name, told in fields.items() if told is not None})
