"""Bounds of a market's terms that follow from others (docs/specification/protocol.md section 1; the contract's ``TermsBounds``).

n data owners at most, in groups of h or h + 1; G = floor(n / h) groups, of which f may be faulty; d weights, hence B = ceil(d / 8192)
polynomials, of which P are proven for each member; b bits to a quantised weight; updates clipped to [-c, c].
"""

from __future__ import annotations

from dataclasses import dataclass

from ..crypto.field import ELEMENT_BYTES
from ..crypto.fixedpoint import WEIGHTS_PER_POLYNOMIAL, polynomials_for
from ..crypto.lanes import MOST_WIDTH, Lanes
from ..crypto.projection import COPIES

MOST_SEATS = 254
MOST_ANSWERED_POLYNOMIALS = 512
"""Above that an answer costs more than it protects."""
SHORTEST_ANSWER_SECONDS = 1800
"""An answer window must outlast whoever buys blocks out."""
LEAST_SPARE_GROUPS = 6
"""2f + 4 with f = 1: a group more than an epoch needs."""
MOST_SCORING_STEPS = 10_000
MOST_DISTANCE_STEPS = 10_000
"""Of a computed market, whose contract takes about 1,000 gas for each and does not look at this bound."""
MOST_DISTANCE_BITS = 82
"""Of a half's sum of squared differences: halves lie 84 bits apart."""
MOST_METRIC_BYTES = 256
"""Of all names of metrics together, with a space between two."""
MONTH_SECONDS = 30 * 24 * 3600
MOST_WEIGHTS = 2**26
MOST_EXACT_POINTS = 100
"""n B up to which terms for a model prove all polynomials: it costs some 2,500 gas a point, and distances are exact."""


@dataclass(frozen=True, slots=True)
class ChainLimits:
    """What a factory was deployed with, for its chain.

    Attributes
    ----------
    settlement_bytes : int (default: 131,072)
        Largest transaction that public nodes take.
    blobs : int (default: 6)
        Blobs that a transaction may carry; 0 on a chain without.
    """

    settlement_bytes: int = 128 * 1024
    blobs: int = 6


ETHEREUM = ChainLimits()


def settlement_bytes(*, owners: int, group_size: int, polynomials: int) -> int:
    """Upper bound of the bytes of a settling transaction that proves P `polynomials`, with room for its envelope and the proxy's call.

    Members' points and signatures, the distances and evaluations of G groups, and 2048 bytes for the rest.
    """
    groups = owners // max(group_size, 1)
    return owners * (96 * polynomials + 64) + 16 * groups * (groups + 1) + 32 * groups * polynomials + 2048


def computed_settlement_bytes(*, owners: int, elements: int) -> int:
    """The same of a transaction that shows vectors of E `elements`: n (32 E + 64) + 2048."""
    return owners * (ELEMENT_BYTES * elements + 64) + 2048


def scoring_steps(*, owners: int, group_size: int, faulty_groups: int) -> int:
    """G^2 f, the most steps in which the contract finds the scores of multi-Krum."""
    return (owners // max(group_size, 1)) ** 2 * faulty_groups


def distance_steps(*, owners: int, group_size: int, elements: int) -> int:
    """E G (G + 1) / 2: a step for each element of a pair, the zero update included, where the contract computes distances itself."""
    groups = owners // max(group_size, 1)
    return elements * groups * (groups + 1) // 2


def least_accuse_seconds(owners: int) -> int:
    """60 + n."""
    return 60 + owners


def answer_bounds(owners: int, polynomials: int, limits: ChainLimits) -> tuple[int, int]:
    """Bounds of an answer window: at least 60 + 12 n ceil(B / blobs), a block for each transaction; 0 and 0 where nobody could answer."""
    if limits.blobs == 0 or polynomials > MOST_ANSWERED_POLYNOMIALS:
        return 0, 0
    return max(SHORTEST_ANSWER_SECONDS, 60 + 12 * owners * -(-polynomials // limits.blobs)), MONTH_SECONDS


def least_prove_seconds(owners: int, polynomials: int, proven: int) -> int:
    """120 + n P + B."""
    return 120 + owners * proven + polynomials


def most_update_bits(group_size: int, polynomials: int, *, projected: bool) -> int:
    """Largest b up to 32 with 4096 B (h (h+1) 2^b)^2 < 2^82, or 4096 (s B h (h+1) 2^b)^2 under projection.

    Two group means on their common scale differ by less than h (h+1) 2^b in each of the 4096 B entries of a half; an entry of a
    projection is a sum of s B of them.
    """
    entries = 4096 * (COPIES * polynomials) ** 2 if projected else 4096 * polynomials
    bits = 32
    while bits > 0 and (entries * ((group_size + 1) * group_size << bits) ** 2).bit_length() > MOST_DISTANCE_BITS:
        bits -= 1
    return bits


def most_weights(*, owners: int, group_size: int, update_bits: int, projected: bool, limits: ChainLimits) -> int:
    """d of the largest model that fits a chain; 0 if none does."""
    low, high = 0, polynomials_for(MOST_WEIGHTS)
    while low < high:
        polynomials = (low + high + 1) // 2
        proven = 1 if projected else polynomials
        fits = settlement_bytes(owners=owners, group_size=group_size, polynomials=proven) <= limits.settlement_bytes
        if fits and update_bits <= most_update_bits(group_size, polynomials, projected=projected):
            low = polynomials
        else:
            high = polynomials - 1
    return low * WEIGHTS_PER_POLYNOMIAL


def most_computed_weights(*, owners: int, group_size: int, update_bits: int, limits: ChainLimits) -> int:
    """The same where the contract computes distances itself."""
    lanes = Lanes(1, update_bits, group_size)
    if lanes.width > MOST_WIDTH:
        return 0
    room = limits.settlement_bytes - computed_settlement_bytes(owners=owners, elements=0)
    by_gas = MOST_DISTANCE_STEPS // max(distance_steps(owners=owners, group_size=group_size, elements=1), 1)
    return max(min(room // (ELEMENT_BYTES * max(owners, 1)), by_gas), 0) * lanes.count


def usual_group_size(owners: int) -> int:
    """h that terms for a model propose: 4 if that leaves a group to spare for one that is silent, else 3."""
    return 4 if owners // 4 >= LEAST_SPARE_GROUPS else 3


def usual_faulty_groups(groups: int) -> int:
    """f that terms for a model propose: a fifth of the groups, as long as multi-Krum fits a transaction."""
    return max(1, min(groups // 5, MOST_SCORING_STEPS // max(groups, 1) ** 2))


def norm_bound_steps(norm: float, *, clip: float, update_bits: int) -> int:
    """Squared norm in quantisation steps, as `Terms.norm_bound` has it, of a group mean whose L2 norm is `norm`.

    Parameters
    ----------
    norm : float, > 0
        Largest L2 norm of an acceptable group mean, in units of the weights.
    clip : float, > 0
        c; one quantisation step is c / (2^(b-1) - 2).
    update_bits : int, 3 .. 32
        b.
    """
    return max(1, int((norm / clip * (2 ** (update_bits - 1) - 2)) ** 2))
