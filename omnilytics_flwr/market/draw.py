"""The draw: which data owners form a group for an epoch (docs/specification/protocol.md section 2).

Members are frozen before the seed's block exists and sorted by Keccak-256 of seed and address, so nobody chooses a group: no model owner can
single somebody out, and no data owner can sit among its own. Groups last for a whole epoch: if they were redrawn every round, the group sums
would soon determine every single update (So et al., arXiv 2106.03328).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate

from ..crypto.address import address_bytes
from ..crypto.hashing import keccak256, word
from ..errors import Malformed
from .terms import Address

HISTORY_BLOCKS = 8191
"""Blocks whose hash a contract can still ask for (EIP-2935): a draw that comes later lapses."""
PREVRANDAO_FIELD = 13
"""Place of prevrandao, which nodes still call ``mixHash``, in a block's header."""


def prevrandao_of(header: bytes) -> bytes:
    """Prevrandao in an RLP header, 32 bytes.

    Raises
    ------
    Malformed
        It is no header of a block.
    """
    import rlp  # takes long to load, and a Flower client does without it

    try:
        fields = rlp.decode(header)
        prevrandao = fields[PREVRANDAO_FIELD] if isinstance(fields, (list, tuple)) else b""
    except (rlp.exceptions.RLPException, IndexError, TypeError, ValueError, RecursionError) as error:
        raise _no_header(header) from error
    if not isinstance(prevrandao, bytes) or len(prevrandao) != 32:
        raise _no_header(header)
    return prevrandao


def _no_header(header: bytes) -> Malformed:
    return Malformed(f"{len(header)} bytes are no header of a block; expected its RLP")


def epoch_seed(prevrandao: bytes, epoch: int, market: Address) -> bytes:
    """Seed of an epoch's draw.

    Parameters
    ----------
    prevrandao : bytes, length 32
        Of the block that the freeze named.
    epoch : int
        Epoch that is drawn, from 1.
    market : Address
        The market, so that two markets never share groups.

    Returns
    -------
    bytes, length 32
    """
    return keccak256(prevrandao + word(epoch) + address_bytes(market))


def rank(seed: bytes, owner: Address) -> bytes:
    """What a data owner is sorted by: Keccak-256 of seed and address, 32 bytes."""
    return keccak256(seed + address_bytes(owner))


def draw_order(seed: bytes, owners: Mapping[int, Address]) -> tuple[int, ...]:
    """Seats in the order of their owners' ranks.

    Parameters
    ----------
    seed : bytes, length 32
        Seed of the epoch.
    owners : mapping of seat to Address
        All members of the epoch.
    """
    return tuple(sorted(owners, key=lambda seat: rank(seed, owners[seat])))


def cut_groups(order: Sequence[int], group_size: int) -> tuple[tuple[int, ...], ...]:
    """Seats of each group, in the order of the draw."""
    sizes = group_sizes(len(order), group_size)
    return tuple(tuple(order[end - size : end]) for size, end in zip(sizes, accumulate(sizes), strict=True))


def group_sizes(owners: int, group_size: int) -> tuple[int, ...]:
    """Members of each group: the first ``owners mod h`` groups take h + 1, the rest h."""
    groups, left_over = divmod(owners, group_size)
    return tuple(group_size + 1 if group < left_over else group_size for group in range(groups))
