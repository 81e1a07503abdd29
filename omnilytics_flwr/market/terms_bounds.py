"""Bounds of a market's terms that follow from others (docs/protocol.md section 1; the contract's ``TermsBounds``).

n data owners at most, in groups of h or h + 1; G = floor(n / h) groups, of which f may be faulty; d weights, hence B = ceil(d / 8192)
polynomials; b bits to a quantised weight; updates clipped to [-c, c].
"""

from __future__ import annotations

MOST_SEATS = 254
MOST_SETTLEMENT_BYTES = 128 * 1024
"""Largest transaction that public nodes take."""
MOST_SCORING_STEPS = 10_000
MOST_DISTANCE_BITS = 82
"""Of a half's sum of squared differences: halves lie 84 bits apart."""
MONTH_SECONDS = 30 * 24 * 3600


def settlement_bytes(*, owners: int, group_size: int, faulty_groups: int, polynomials: int) -> int:
    """Upper bound of the bytes of a settling transaction, with room for its envelope and the proxy's call.

    Members' points, the distances and evaluations of G groups, f exclusions, and 2048 bytes for the rest.
    """
    groups = owners // max(group_size, 1)
    return 128 * owners * polynomials + 16 * groups * (groups + 1) + 32 * groups * polynomials + 85 * faulty_groups + 2048


def scoring_steps(*, owners: int, group_size: int, faulty_groups: int) -> int:
    """G^2 f, the most steps in which the contract finds the scores of multi-Krum."""
    return (owners // max(group_size, 1)) ** 2 * faulty_groups


def least_accuse_seconds(owners: int) -> int:
    """60 + n."""
    return 60 + owners


def least_answer_seconds(owners: int, polynomials: int) -> int:
    """60 + 12 n ceil(B / 6): a block for each transaction of six blobs."""
    return 60 + 12 * owners * -(-polynomials // 6)


def least_prove_seconds(owners: int, polynomials: int) -> int:
    """120 + n B."""
    return 120 + owners * polynomials


def most_update_bits(group_size: int, polynomials: int) -> int:
    """Largest b up to 32 with 4096 B ((h+1) h 2^b)^2 < 2^82.

    Two group means on their common scale differ by less than (h+1) h 2^b in each of the 4096 B entries of a half.
    """
    bits = 32
    while bits > 0 and (4096 * polynomials * ((group_size + 1) * group_size << bits) ** 2).bit_length() > MOST_DISTANCE_BITS:
        bits -= 1
    return bits


def norm_bound_steps(norm: float, *, clip: float, update_bits: int) -> int:
    """Squared norm in quantisation steps, as `Terms.norm_bound` has it, of a group mean whose L2 norm is `norm`.

    Parameters
    ----------
    norm : float, > 0
        Largest L2 norm of an acceptable group mean, in units of the weights.
    clip : float, > 0
        c; one quantisation step is c / (2^(b-1) - 1).
    update_bits : int, 2 .. 32
        b.
    """
    return max(1, int((norm / clip * (2 ** (update_bits - 1) - 1)) ** 2))
