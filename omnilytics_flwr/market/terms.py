"""Every number of a market, frozen, validated together, hashed.

Bounds and units are those of docs/protocol.md section 1 and of the contract's ``TermsBounds``; a test compares the two at each bound.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from ..crypto.address import Address as Address
from ..crypto.address import is_address
from ..crypto.hashing import keccak256
from ..errors import BadTerms, Malformed

ZERO_ADDRESS = Address("0x" + "00" * 20)
WEIGHTS_PER_POLYNOMIAL = 8192
MOST_SEATS = 254
MOST_SETTLEMENT_BYTES = 128 * 1024
MOST_SCORING_STEPS = 10_000
MONTH_SECONDS = 30 * 24 * 3600

ABI_TYPE = (
    "(address,address,address,uint128,uint128,uint128,uint128,uint16,uint8,uint8,uint32,uint8,uint64,uint128,"
    "uint32,uint32,uint32,uint32,uint32,uint32,bytes32,string)"
)


_KINDS: dict[str, type] = {"Address": str, "bytes": bytes}
"""Types of the fields that are no numbers, as they are annotated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a market, in the order of the contract's struct.

    Parameters
    ----------
    token : Address (default: the zero address)
        ERC-20 in which everything is paid; the zero address is ether.
    admission : Address (default: the zero address)
        Contract that says who may join; the zero address is open to all.
    verification : Address
        Contract that checks a settlement.
    reward_wei : int, 1 .. 2^96
        Paid for each accepted update.
    stake_wei : int, at least (h + 1) rewards, at most 2^104
        What a data owner pays in and gets back.
    bond_wei : int, 1 .. 2^104
        What the model owner locks in a round, shared out if a round times out.
    accuse_fee_wei : int, 0 .. 2^96 (default: 0)
        What an accusation pays to the accused.
    most_owners : int, h (2f + 3) .. 254
        Most data owners at a time; a settlement with all of them must fit a public node's largest transaction, 128 KiB.
    group_size : int, 3 .. 16 (default: 5)
        h; groups have h or h + 1 members.
    faulty_groups : int, 1 .. 20 (default: 1)
        f, tolerated faulty groups of a round.
    weights : int, 1 .. 2^22
        d, weights of the public part.
    update_bits : int, 2 .. 32 (default: 16)
        b, bits of a quantised weight; 4096 B ((h+1) h 2^b)^2 < 2^82.
    clip_nano : int, 1 .. 10^12
        c in 1e-9; entries of an update are clipped to [-c, c].
    norm_bound : int, 1 .. 2^100
        Largest squared L2 norm of a group's mean update, in squared quantisation steps (see `norm_bound_steps`).
    rounds_per_epoch : int, 1 .. 10,000
        Rounds that may open in one epoch.
    commit_seconds, accuse_seconds, answer_seconds, prove_seconds : int
        Windows; floors grow with `most_owners` and B.
    draw_delay_blocks : int, 2 .. 4096
        Blocks from the freeze to the block that seeds the draw.
    app_hash : bytes, length 32 (default: zeros)
        Hash of the client app that the model owner publishes.
    metrics : tuple of str (default: none)
        Names of the metrics that may leave a data owner.

    Raises
    ------
    BadTerms
        With every field that is out of its bounds.
    """

    token: Address = ZERO_ADDRESS
    admission: Address = ZERO_ADDRESS
    verification: Address
    reward_wei: int
    stake_wei: int
    bond_wei: int
    accuse_fee_wei: int = 0
    most_owners: int
    group_size: int = 5
    faulty_groups: int = 1
    weights: int
    update_bits: int = 16
    clip_nano: int
    norm_bound: int
    rounds_per_epoch: int
    commit_seconds: int = 3600
    accuse_seconds: int = 1800
    answer_seconds: int = 3600
    prove_seconds: int = 3600
    draw_delay_blocks: int = 128
    app_hash: bytes = bytes(32)
    metrics: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        faults = tuple(_faults(self))
        if faults:
            raise BadTerms(faults)

    @property
    def polynomials(self) -> int:
        """B, the number of polynomials of an update."""
        return polynomials_for(self.weights)

    @property
    def least_groups(self) -> int:
        """2f + 3, the fewest groups of a roster."""
        return 2 * self.faulty_groups + 3

    @property
    def clip(self) -> float:
        """c, the largest absolute entry of an update."""
        return self.clip_nano / 1e9

    @property
    def round_seconds(self) -> int:
        """Seconds from the opening of a round to its settle deadline."""
        return self.accuse_seconds + self.answer_seconds + self.prove_seconds

    @property
    def leave_seconds(self) -> int:
        """Seconds from `leave` to the earliest `depart`: longer than any commitment or round lives."""
        return self.commit_seconds + self.round_seconds

    def abi_tuple(self) -> tuple[object, ...]:
        """Values in the order of the contract's struct."""
        values = [getattr(self, field.name) for field in fields(self)]
        return (*values[:-1], " ".join(self.metrics))

    @classmethod
    def from_abi(cls, values: tuple[object, ...]) -> Terms:
        """Terms from the contract's struct; the inverse of `abi_tuple`.

        Raises
        ------
        Malformed
            Not the struct's number of values, or not of its types.
        BadTerms
            Out of bounds.
        """
        kinds = {field.name: _KINDS.get(str(field.type), int) for field in fields(cls)} | {"metrics": str}
        if len(values) != len(kinds) or not all(map(isinstance, values, kinds.values())):
            raise Malformed(f"these are no terms: {values!r}; expected {ABI_TYPE}; read them from a market of this version")
        named = dict(zip(kinds, values, strict=True))
        # Every blank counts: other terms would hash to something else.
        named["metrics"] = tuple(str(values[-1]).split(" ")) if values[-1] else ()
        return cls(**named)  # type: ignore[arg-type]

    def digest(self) -> bytes:
        """``termsHash``: Keccak-256 of the ABI encoding, 32 bytes."""
        from eth_abi.abi import encode as abi_encode  # takes long to load, and a Flower client does without it

        return keccak256(abi_encode([ABI_TYPE], [self.abi_tuple()]))


def polynomials_for(weights: int) -> int:
    """B = ceil(d / 8192): two weights to a field element, 4096 elements to a polynomial."""
    return -(-weights // WEIGHTS_PER_POLYNOMIAL)


def norm_bound_steps(norm: float, *, clip: float, update_bits: int) -> int:
    """Squared norm in quantisation steps of a group mean whose L2 norm is `norm`, for `Terms.norm_bound`.

    Parameters
    ----------
    norm : float, > 0
        Largest L2 norm of an acceptable group mean, in units of the weights.
    clip : float, > 0
        c, one quantised unit is c / (2^(b-1) - 1).
    update_bits : int
        b.
    """
    return max(1, int((norm / clip * (2 ** (update_bits - 1) - 1)) ** 2))


def headroom_bits(*, polynomials: int, group_size: int, update_bits: int) -> int:
    """Bits of 4096 B ((h+1) h 2^b)^2, which bounds the sum of squared differences of one half; must stay at most 82."""
    return (4096 * polynomials * ((group_size + 1) * group_size << update_bits) ** 2).bit_length()


def bounds(terms: Terms) -> dict[str, tuple[int, int]]:
    """Least and most value of each bounded field, given the others; the order is the contract's."""
    h, b = terms.group_size, terms.polynomials
    return {
        "groupSize": (3, 16),
        "faultyGroups": (1, 20),
        "weights": (1, 2**22),
        "rewardWei": (1, 2**96),
        "stakeWei": ((h + 1) * terms.reward_wei, 2**104),
        "bondWei": (1, 2**104),
        "accuseFeeWei": (0, 2**96),
        "mostOwners": (h * terms.least_groups, MOST_SEATS),
        "settlementBytes": (0, MOST_SETTLEMENT_BYTES),
        "scoringSteps": (0, MOST_SCORING_STEPS),
        "updateBits": (2, _most_update_bits(h, b)),
        "clipNano": (1, 10**12),
        "normBound": (1, 2**100),
        "roundsPerEpoch": (1, 10_000),
        "commitSeconds": (60, MONTH_SECONDS),
        "accuseSeconds": (60 + terms.most_owners, MONTH_SECONDS),
        "answerSeconds": (60 + 12 * terms.most_owners * -(-b // 6), MONTH_SECONDS),
        "proveSeconds": (120 + terms.most_owners * b, MONTH_SECONDS),
        "drawDelayBlocks": (2, 4096),
        "metrics": (0, 256),
    }


def _most_update_bits(group_size: int, polynomials: int) -> int:
    """Largest b up to 32 with 4096 B ((h+1) h 2^b)^2 < 2^82."""
    bits = 32
    while bits > 0 and headroom_bits(polynomials=polynomials, group_size=group_size, update_bits=bits) > 82:
        bits -= 1
    return bits


def settlement_bytes(*, owners: int, group_size: int, faulty_groups: int, polynomials: int) -> int:
    """Upper bound of the bytes of a settling transaction, with room for its envelope and the proxy's call.

    Members' points, the distances and evaluations of floor(owners / h) groups, f exclusions, and 2048 bytes for the rest.
    """
    groups = owners // max(group_size, 1)
    return 128 * owners * polynomials + 16 * groups * (groups + 1) + 32 * groups * polynomials + 85 * faulty_groups + 2048


def _value(terms: Terms, field: str) -> int:
    if field == "scoringSteps":
        return (terms.most_owners // max(terms.group_size, 1)) ** 2 * terms.faulty_groups
    if field == "settlementBytes":
        return settlement_bytes(
            owners=terms.most_owners,
            group_size=terms.group_size,
            faulty_groups=terms.faulty_groups,
            polynomials=terms.polynomials,
        )
    name = "".join("_" + c.lower() if c.isupper() else c for c in field)
    if field == "metrics":
        return len(" ".join(terms.metrics).encode(errors="surrogatepass"))
    return int(getattr(terms, name))


def _faults(terms: Terms) -> list[str]:
    faults = []
    for field, (least, most) in bounds(terms).items():
        value = _value(terms, field)
        if not least <= value <= most:
            faults.append(f"{field} is {value}, it must lie in {least} .. {most}")
    for field in ("token", "admission", "verification"):
        if not is_address(getattr(terms, field)):
            faults.append(f"{field} is {getattr(terms, field)!r}, it must be an address: 0x and 40 hexadecimal digits")
    if terms.verification == ZERO_ADDRESS:
        faults.append("verification is the zero address, it must be a deployed verification contract")
    if list(terms.metrics) != sorted(set(terms.metrics)) or not all(map(_is_name, terms.metrics)):
        faults.append("metrics must be sorted, different, not empty and without spaces")
    if len(terms.app_hash) != 32:
        faults.append(f"appHash has {len(terms.app_hash)} bytes, it must have 32")
    return faults


def _is_name(metric: str) -> bool:
    """Whether a metric's name can be told from its neighbours, and encoded."""
    return bool(metric) and " " not in metric and not any("\ud800" <= letter <= "\udfff" for letter in metric)
