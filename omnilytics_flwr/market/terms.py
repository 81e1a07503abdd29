"""Every number of a market: frozen, checked together, and hashed (docs/specification/protocol.md section 1).

A field's line says everything about it: its type in the contract, its use, its bounds and its default. The check, the hash and the command
line's file of terms all follow from that line.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, NamedTuple, Self

from ..crypto.address import ZERO_ADDRESS as ZERO_ADDRESS
from ..crypto.address import Address as Address
from ..crypto.address import is_address
from ..crypto.fixedpoint import polynomials_for
from ..crypto.hashing import keccak256
from ..crypto.lanes import MOST_WIDTH, Lanes, lane_width
from ..errors import BadTerms, Malformed
from .amount import wei_of
from .examples import MOST_EXAMPLES, MOST_TIMES_USUAL, usual_of
from .public_part import count_weights, measure_update
from .terms_bounds import (
    ETHEREUM,
    MONTH_SECONDS,
    MOST_DISTANCE_STEPS,
    MOST_EXACT_POINTS,
    MOST_METRIC_BYTES,
    MOST_SCORING_STEPS,
    MOST_SEATS,
    MOST_WEIGHTS,
    ChainLimits,
    answer_bounds,
    computed_settlement_bytes,
    distance_steps,
    least_accuse_seconds,
    least_prove_seconds,
    most_computed_weights,
    most_update_bits,
    most_weights,
    norm_bound_steps,
    scoring_steps,
    settlement_bytes,
    usual_faulty_groups,
    usual_group_size,
)

USUAL_CLIP, USUAL_LONGEST_MEAN = 0.5, 10.0
CLIP_FACTOR, NORM_FACTOR = 2.0, 3.0
"""How much further than one local round others may move a weight, and a group's mean the model."""

Bound = int | Callable[["Terms"], int]


@dataclass(frozen=True, slots=True)
class About:
    """What a field of `Terms` is.

    Attributes
    ----------
    abi_type : str
        In the contract's struct.
    text : str
        What it is for.
    least, most : int or callable of Terms, optional
        Bounds; None if the field is no measure. Those of `answer_seconds` follow from the chain (`bounds`).
    measure : callable (default: int)
        What of the value lies within the bounds.
    """

    abi_type: str
    text: str
    least: Bound | None = None
    most: Bound | None = None
    measure: Callable[[Any], int] = int


def _joined(names: Iterable[str]) -> str:
    return " ".join(names)


def _joined_bytes(names: Iterable[str]) -> int:
    return len(_joined(names).encode(errors="surrogatepass"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The terms of a market, in the order of the contract's struct; `for_model` chooses terms that fit a model.

    Raises
    ------
    BadTerms
        With every field that is out of its bounds on Ethereum, which takes more than any other chain; see `faults`.
    """

    token: Annotated[
        Address, About("address", "ERC-20 that all is paid in, without fee on transfer or rebasing; the zero address is ether.")
    ] = ZERO_ADDRESS
    admission: Annotated[Address, About("address", "Contract that says who may join; the zero address is open to all.")] = ZERO_ADDRESS
    verification: Annotated[Address, About("address", "Contract that checks a settlement.")]
    reward_wei: Annotated[int, About("uint128", "Paid for each accepted update.", 1, 2**96)]
    stake_wei: Annotated[
        int,
        About(
            "uint128",
            "What a data owner pays in and gets back; at least one reward more than a group has members.",
            lambda terms: (terms.group_size + 1) * terms.reward_wei,
            2**104,
        ),
    ]
    bond_wei: Annotated[
        int,
        About(
            "uint128", "What the model owner locks in a round, shared out if a round times out.", lambda terms: terms.most_owners, 2**104
        ),
    ]
    accuse_fee_wei: Annotated[
        int, About("uint128", "What an accusation that is answered costs the model owner, and nobody gets; always ether.", 0, 2**96)
    ] = 0
    most_owners: Annotated[
        int,
        About(
            "uint16",
            "Most data owners at a time; with `weights` it decides whether a settlement fits a transaction.",
            lambda terms: terms.group_size * terms.least_groups,
            MOST_SEATS,
        ),
    ]
    group_size: Annotated[
        int, About("uint8", "h: groups have h or h + 1 members. A group is the set that a data owner hides in.", 3, 16)
    ] = 5
    faulty_groups: Annotated[int, About("uint8", "f: faulty groups that a round tolerates; an epoch needs 2 f + 3 groups.", 1, 20)] = 1
    outlier_percent: Annotated[
        int,
        About(
            "uint8",
            "A group goes unpaid only if its score is above so much of the median; 0 is the paper's rule, by which f always do.",
            lambda terms: 110 if terms.outlier_percent else 0,
            lambda terms: 200 if terms.outlier_percent else 0,
        ),
    ] = 200
    weights: Annotated[int, About("uint32", "d: weights of the public part of the model.", 1, MOST_WEIGHTS)]
    update_bits: Annotated[
        int,
        About(
            "uint8",
            "b: bits of a quantised weight.",
            3,
            lambda terms: most_update_bits(terms.group_size, terms.polynomials, projected=terms.projected),
        ),
    ] = 16
    projected: Annotated[
        bool, About("bool", "Whether distances of projections are proven, of any model for the gas of one polynomial, or exact ones.")
    ] = False
    clip_nano: Annotated[int, About("uint64", "c in 1e-9 of a weight: entries of an update are clipped to [-c, c].", 1, 10**12)]
    norm_bound: Annotated[
        int, About("uint128", "Largest squared L2 norm of a group's mean update, in squared quantisation steps.", 1, 2**100)
    ]
    usual_examples: Annotated[
        int,
        About(
            "uint32",
            "Examples of a usual data owner: updates weigh by those that are stated, half to twice as much; 0 lets all weigh the same.",
            0,
            MOST_EXAMPLES,
        ),
    ] = 0
    rounds_per_epoch: Annotated[int, About("uint32", "Rounds that may open before groups are drawn anew.", 1, 10_000)]
    commit_seconds: Annotated[int, About("uint32", "From the anchored task to the opening of the round.", 60, MONTH_SECONDS)] = 3600
    accuse_seconds: Annotated[
        int,
        About(
            "uint32",
            "From the opening: time to accuse who does not deliver.",
            lambda terms: least_accuse_seconds(terms.most_owners),
            MONTH_SECONDS,
        ),
    ] = 1800
    answer_seconds: Annotated[
        int,
        About("uint32", "Then: time of the accused to answer on chain; 0 is a market without accusations."),
    ] = 3600
    prove_seconds: Annotated[
        int,
        About(
            "uint32",
            "Then: time to settle.",
            lambda terms: least_prove_seconds(terms.most_owners, terms.polynomials, terms.polynomials_proven),
            MONTH_SECONDS,
        ),
    ] = 3600
    draw_delay_blocks: Annotated[int, About("uint32", "From the freeze to the block whose randomness draws the groups.", 2, 4096)] = 128
    app_hash: Annotated[bytes, About("bytes32", "Hash of the client app that the model owner publishes; zeros if there is none.")] = bytes(
        32
    )
    metrics: Annotated[
        tuple[str, ...], About("string", "Names of the metrics that may leave a data owner, sorted.", 0, MOST_METRIC_BYTES, _joined_bytes)
    ] = ()

    def __post_init__(self) -> None:
        self.check(computed=False)

    @classmethod
    def for_model(
        cls,
        model: Mapping[str, object] | int,
        *,
        verification: Address,
        private: Iterable[str] = (),
        owners: int = 24,
        group_size: int | None = None,
        faulty_groups: int | None = None,
        reward: str | int = "0.001 ether",
        stake: str | int | None = None,
        bond: str | int | None = None,
        trained: Mapping[str, Any] | None = None,
        clip: float | None = None,
        longest_mean: float | None = None,
        examples: Iterable[int] = (),
        rounds: int = 8,
        update_bits: int = 16,
        projected: bool | None = None,
        computed: bool = False,
        metrics: Iterable[str] = (),
        limits: ChainLimits = ETHEREUM,
    ) -> Self:
        """Terms in ether that fit a model; change what is not asked for here by `dataclasses.replace`.

        Parameters
        ----------
        model : mapping of names to arrays, or int
            Flower's `ArrayRecord`, a torch ``state_dict`` or numpy arrays; or the number d of its public weights.
        verification : Address
            Contract that checks a settlement.
        private : iterable of str (default: none)
            Shell-style patterns of the parameters that stay with the data owners, as for `omnilytics_mod`.
        owners : int, h (2f + 3) .. 254 (default: 24)
            Most data owners at a time.
        group_size : int, 3 .. 16, optional
            h; by default 4 if that leaves a group to spare, so that one silent member holds nobody up, else 3.
        faulty_groups : int, 1 .. 20, optional
            f; by default a fifth of the groups, as long as multi-Krum fits a transaction.
        reward, stake, bond : str or int, optional
            Amounts such as ``"0.001 ether"``, or wei. A stake is twice the rewards of a group of h + 1 by default, the bond a
            round's rewards.
        trained : mapping of names to arrays, optional
            `model` after one local round, on data like the data owners': clip and longest mean then follow from how far it moved.
        clip : float, 1e-9 .. 1000, optional
            Largest absolute entry of an update, in units of the weights; by default twice that of `trained`, else 0.5. With `examples`,
            four times: then a data owner that counts as usual is cut at half of it.
        longest_mean : float, > 0, optional
            Largest L2 norm of a group's mean update, in units of the weights; by default three times that of `trained`, else 10.
        examples : iterable of int, 0 .. 2^32 - 1 (default: none)
            On how many examples data owners train, or some of them: the lower median is the usual number. Left out, all weigh the same.
        rounds : int, 1 .. 10,000 (default: 8)
            Rounds of an epoch.
        update_bits : int, 3 .. 32 (default: 16)
            Bits of a quantised weight.
        projected : bool, optional
            Whether distances of projections are proven; by default unless data owners times polynomials are at most 100.
        computed : bool (default: False)
            Whether the verification is a `ComputedVerification`, which shows everybody the sum of each group's updates, and knows neither
            projections nor accusations. Some 3,000 weights of 15 owners fit a transaction on Ethereum.
        metrics : iterable of str (default: none)
            Names of the metrics that may leave a data owner.
        limits : ChainLimits (default: Ethereum's)
            What transactions of the chain take.

        Raises
        ------
        BadTerms
            These numbers do not go together, or the model is too large for the verification.
        TermsError
            `trained` is not `model` trained, a pattern matches no parameter, or an amount does not read as one.
        UpdateError
            An array can be neither trained nor constant.
        """
        weights = model if isinstance(model, int) else count_weights(model, private)
        polynomials, reward_wei = polynomials_for(weights), wei_of(reward)
        group_size = usual_group_size(owners) if group_size is None else group_size
        if projected is None and not computed:
            exact_bytes = settlement_bytes(owners=owners, group_size=group_size, polynomials=polynomials)
            projected = owners * polynomials > MOST_EXACT_POINTS or exact_bytes > limits.settlement_bytes
        longest, norm = (None, None) if trained is None else measure_update(model, trained, private)
        usual = usual_of(examples)
        clip = (USUAL_CLIP if longest is None else clip_factor(usual) * longest) if clip is None else clip
        longest_mean = (USUAL_LONGEST_MEAN if norm is None else NORM_FACTOR * norm) if longest_mean is None else longest_mean
        answered = (0, 0) if computed else answer_bounds(owners, polynomials, limits)
        made = cls(
            verification=verification,
            reward_wei=reward_wei,
            stake_wei=2 * (group_size + 1) * reward_wei if stake is None else wei_of(stake),
            bond_wei=owners * reward_wei if bond is None else wei_of(bond),
            most_owners=owners,
            group_size=group_size,
            faulty_groups=usual_faulty_groups(owners // max(group_size, 1)) if faulty_groups is None else faulty_groups,
            weights=weights,
            update_bits=update_bits,
            projected=bool(projected),
            clip_nano=round(clip * 1e9),
            norm_bound=norm_bound_steps(longest_mean, clip=clip, update_bits=update_bits),
            usual_examples=usual,
            rounds_per_epoch=rounds,
            accuse_seconds=max(default_of("accuse_seconds"), least_accuse_seconds(owners)),
            answer_seconds=min(max(default_of("answer_seconds"), answered[0]), answered[1]),
            prove_seconds=max(default_of("prove_seconds"), least_prove_seconds(owners, polynomials, 1 if projected else polynomials)),
            metrics=tuple(sorted(metrics)),
        )
        made.check(limits, computed=computed)
        return made

    def check(self, limits: ChainLimits = ETHEREUM, *, computed: bool) -> None:
        """Raise `BadTerms` with every field that is out of its bounds on a chain, under a verification that computes distances or not."""
        found = tuple(faults(self, limits, computed=computed))
        if found:
            raise BadTerms(found)

    @property
    def polynomials(self) -> int:
        """B, the number of polynomials of an update."""
        return polynomials_for(self.weights)

    @property
    def polynomials_proven(self) -> int:
        """P, the polynomials that a settlement proves for each member."""
        return 1 if self.projected else self.polynomials

    @property
    def least_groups(self) -> int:
        """2f + 3, the fewest groups of an epoch."""
        return 2 * self.faulty_groups + 3

    @property
    def clip(self) -> float:
        """c, the largest absolute entry of an update."""
        return self.clip_nano / 1e9

    @property
    def longest_mean(self) -> float:
        """Largest L2 norm of an acceptable group mean, in units of the weights."""
        return self.length_of(self.norm_bound)

    def length_of(self, squared_steps: float) -> float:
        """An L2 norm in units of the weights, of its square in quantisation steps as in `norm_bound`."""
        return float(squared_steps**0.5 / (2 ** (self.update_bits - 1) - 2) * self.clip)

    @property
    def round_seconds(self) -> int:
        """Seconds from the opening of a round to its settle deadline."""
        return self.accuse_seconds + self.answer_seconds + self.prove_seconds

    @property
    def leave_seconds(self) -> int:
        """Seconds from `leave` to the earliest `depart`: longer than any commitment or round lives."""
        return self.commit_seconds + self.round_seconds

    def escrow_wei(self, rounds: int) -> int:
        """What pays every data owner in so many rounds, and the bond."""
        return rounds * self.most_owners * self.reward_wei + self.bond_wei

    def abi_tuple(self) -> tuple[object, ...]:
        """Values in the order of the contract's struct."""
        return tuple(_joined(self.metrics) if name == "metrics" else getattr(self, name) for name in ABOUT)

    @classmethod
    def from_abi(cls, values: tuple[object, ...]) -> Self:
        """Terms from the contract's struct; the inverse of `abi_tuple`.

        Raises
        ------
        Malformed
            Not the struct's number of values, or not of its types.
        BadTerms
            Out of bounds.
        """
        kinds = [_PYTHON_TYPES.get(about.abi_type, int) for about in ABOUT.values()]
        if len(values) != len(kinds) or not all(map(isinstance, values, kinds)):
            raise Malformed(f"these are no terms: {values!r}; expected {ABI_TYPE}; read them from a market of this version")
        named = dict(zip(ABOUT, values, strict=True))
        # Every blank counts: other terms would hash to something else.
        named["metrics"] = tuple(str(values[-1]).split(" ")) if values[-1] else ()
        return cls(**named)  # type: ignore[arg-type]

    def digest(self) -> bytes:
        """``termsHash``: Keccak-256 of the ABI encoding, 32 bytes."""
        from eth_abi.abi import encode as abi_encode  # takes long to load, and a Flower client does without it

        return keccak256(abi_encode([ABI_TYPE], [self.abi_tuple()]))


ABOUT: dict[str, About] = {name: hint.__metadata__[0] for name, hint in Terms.__annotations__.items()}
"""What each field is, in the order of the contract's struct."""
ABI_TYPE = f"({','.join(about.abi_type for about in ABOUT.values())})"

_PYTHON_TYPES: dict[str, type] = {"address": str, "bytes32": bytes, "string": str, "bool": bool}
"""Python's types of those of the contract that are no numbers."""
_DEFAULTS: dict[str, object] = {one.name: one.default for one in fields(Terms)}
_OTHERS_DEPEND_ON = ("group_size", "faulty_groups", "weights")


class Bounded(NamedTuple):
    """A number of some terms, and its bounds given the others."""

    actual: int
    least: int
    most: int


def default_of(field: str) -> int:
    """Default of a field of `Terms` that is a number and has one."""
    return int(str(_DEFAULTS[field]))


def clip_factor(usual_examples: int) -> float:
    """How many times the largest change of one local round a clip is, so that a data owner that counts as usual may move twice as far."""
    return CLIP_FACTOR * (MOST_TIMES_USUAL if usual_examples else 1)


def solidity_name(field: str) -> str:
    """What the contract calls a field of `Terms`."""
    head, *rest = field.split("_")
    return head + "".join(word.capitalize() for word in rest)


def bounds(terms: Terms, limits: ChainLimits = ETHEREUM, *, computed: bool = False) -> dict[str, Bounded]:
    """Every bounded number of the terms on a chain, by its Solidity name.

    Where distances are proven they are in the order in which the contract looks at them; a verification that computes distances itself,
    as `computed` says, narrows some of them after that.
    """
    found: dict[str, Bounded] = {}
    for name in (*_OTHERS_DEPEND_ON, *(name for name in ABOUT if name not in _OTHERS_DEPEND_ON)):
        about = ABOUT[name]
        if about.least is not None and about.most is not None:
            least, most = (limit(terms) if callable(limit) else limit for limit in (about.least, about.most))
            found[solidity_name(name)] = Bounded(about.measure(getattr(terms, name)), least, most)
        if name == "most_owners":
            sizes = {"owners": terms.most_owners, "group_size": terms.group_size}
            found["scoringSteps"] = Bounded(scoring_steps(**sizes, faulty_groups=terms.faulty_groups), 0, MOST_SCORING_STEPS)
        if name == "answer_seconds":
            window = answer_bounds(terms.most_owners, terms.polynomials, limits) if terms.answer_seconds else (0, 0)
            found["answerSeconds"] = Bounded(terms.answer_seconds, *window)
    longest = settlement_bytes(owners=terms.most_owners, group_size=terms.group_size, polynomials=terms.polynomials_proven)
    if computed:
        most_bits = MOST_WIDTH - lane_width(update_bits=0, group_size=terms.group_size)
        narrowed = {"projected": Bounded(terms.projected, 0, 0), "answerSeconds": Bounded(terms.answer_seconds, 0, 0)}
        found |= narrowed | {"updateBits": Bounded(terms.update_bits, 3, min(most_bits, found["updateBits"].most))}
        elements = Lanes(terms.weights, min(terms.update_bits, most_bits), terms.group_size).elements
        steps = distance_steps(owners=terms.most_owners, group_size=terms.group_size, elements=elements)
        found["distanceSteps"] = Bounded(steps, 0, MOST_DISTANCE_STEPS)
        longest = computed_settlement_bytes(owners=terms.most_owners, elements=elements)
    found["settlementBytes"] = Bounded(longest, 0, limits.settlement_bytes)
    return found


def faults(terms: Terms, limits: ChainLimits, *, computed: bool = False) -> list[str]:
    """What is wrong with terms on a chain, a sentence for each field; none if they are good; `computed` as for `bounds`."""
    found = [
        f"{name} is {actual}, it must lie in {least} .. {most}{_remedy(name, terms, limits)}"
        for name, (actual, least, most) in bounds(terms, limits, computed=computed).items()
        if not least <= actual <= most
    ]
    for name in (name for name, about in ABOUT.items() if about.abi_type == "address"):
        if not is_address(getattr(terms, name)):
            found.append(f"{name} is {getattr(terms, name)!r}, it must be an address: 0x and 40 hexadecimal digits")
    if terms.verification == ZERO_ADDRESS:
        found.append("verification is the zero address, it must be a deployed verification contract")
    if list(terms.metrics) != sorted(set(terms.metrics)) or not all(map(is_metric_name, terms.metrics)):
        found.append("metrics must be sorted, different, not empty and without spaces")
    if len(terms.app_hash) != 32:
        found.append(f"appHash has {len(terms.app_hash)} bytes, it must have 32")
    return found


def _remedy(name: str, terms: Terms, limits: ChainLimits) -> str:
    """What to do about a norm out of its bounds, or a model that is too large, as a clause; empty for any other fault."""
    if name == "normBound" and terms.norm_bound > 0 and 3 <= terms.update_bits <= 32:
        return (
            f"; it is the square, in quantisation steps, of the longest mean update of a group, here {terms.longest_mean:.3g}; with this clip "
            f"that may be {0.99 * terms.length_of(2**100):.3g} at most. `omnilytics market terms-propose` finds the norm that an app needs"
        )
    if name not in ("settlementBytes", "distanceSteps", "updateBits", "weights") or not 3 <= terms.update_bits <= 32:
        return ""
    sizes = {"owners": terms.most_owners, "group_size": terms.group_size, "update_bits": terms.update_bits}
    kinds = {kind: most_weights(**sizes, projected=kind == "projected", limits=limits) for kind in ("exact", "projected")}
    kinds["computed"] = most_computed_weights(**sizes, limits=limits)
    largest = ", ".join(f"{most:,} if {kind}" for kind, most in kinds.items())
    return (
        f"; with {terms.most_owners} data owners in groups of {terms.group_size} and {terms.update_bits} bits a model may have at most so many "
        f"weights: {largest}; this one has {terms.weights:,}. Choose another kind, fewer data owners or bits, or a smaller public part"
    )


def is_metric_name(metric: str) -> bool:
    """Whether a metric's name can be told from its neighbours, and encoded."""
    return bool(metric) and " " not in metric and not any("\ud800" <= letter <= "\udfff" for letter in metric)
