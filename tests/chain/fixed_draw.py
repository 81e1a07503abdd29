"""A draw whose outcome, and the gas that it takes, are the same in every run."""

from __future__ import annotations

import rlp

from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.evm.anvil import Devnet
from omnilytics_flwr.evm.connection import HISTORY_CONTRACT
from omnilytics_flwr.market.draw import PREVRANDAO_FIELD

HISTORY_SLOTS = 8191
OPCODE_BLOCKS = 256
"""So far back ``BLOCKHASH`` answers by itself; before that, contracts ask the history contract."""


def plain_header(number: int, prevrandao: bytes) -> bytes:
    """RLP of a header with all fields of Osaka, each as long as on a real chain, that follows from its arguments alone."""

    def noise(place: int, length: int) -> bytes:
        return (keccak256(word(place) + word(number)) * (length // 32 + 1))[:length]

    lengths = [32, 32, 20, 32, 32, 32, 256, 0, 3, 4, 4, 4, 8, 32, 8, 4, 32, 3, 4, 32, 32]
    fields = [noise(place, length) for place, length in enumerate(lengths)]
    fields[PREVRANDAO_FIELD] = prevrandao
    return bytes(rlp.encode(fields))


def fix_draw(devnet: Devnet, draw_block: int, prevrandao: bytes) -> bytes:
    """Make the chain believe that a block had `prevrandao`.

    Contracts that look the block up by EIP-2935 from now on find the hash of the header that this returns. Blocks are mined
    until the opcode, which would tell the truth, no longer knows the block.

    Parameters
    ----------
    devnet : Devnet
    draw_block : int
        May lie in the future.
    prevrandao : bytes, length 32

    Returns
    -------
    bytes
        RLP of the header, for `EthereumLedger.draw_with`.
    """
    number = int(devnet.endpoint.request("eth_blockNumber"), 16)
    devnet.mine(max(0, draw_block + OPCODE_BLOCKS + 1 - number))
    header = plain_header(draw_block, prevrandao)
    slot = "0x" + word(draw_block % HISTORY_SLOTS).hex()
    devnet.endpoint.request("anvil_setStorageAt", HISTORY_CONTRACT, slot, "0x" + keccak256(header).hex())
    return header
