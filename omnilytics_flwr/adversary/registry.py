"""Every attack of a data owner by its one name, with what it does."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from ..data_owner.journal import Journal
from ..data_owner.local_agent import LocalAgent
from ..data_owner.owner_home import OwnerHome
from ..errors import TermsError
from ..market.messages import Signer
from .colluding import DirectedDeviation, InnerProduct, JustAccepted, LittleIsEnough
from .forgers import CommitsToGarbage, DeliversAnother, DeliversNotCanonical, DeliversWrongLength, Forges, ProjectsAnother
from .labels import flip_labels
from .rogues import (
    Copies,
    Impersonates,
    JoinsWithKey,
    Late,
    Leaves,
    NeverCommits,
    NeverDelivers,
    ReplaysCommitment,
    ReplaysDelivery,
    Rogue,
    SignsTwo,
)
from .updates import BeyondClip, Constant, Copied, Echo, Noise, NotANumber, Scaled, SignFlip, Stale, Truncated, Zero
from .vectors import HalfOutOfRange, Isotropic, OutOfRange, Unmasked

if TYPE_CHECKING:
    from ..chain.ethereum_ledger import EthereumLedger


class Family(StrEnum):
    """What an attack takes hold of, and so how it is used."""

    LABELS = "labels"
    """A function of the labels that an owner trains on."""
    UPDATE = "update"
    """An `UpdateAttack`: of one's own update."""
    COLLUSION = "collusion"
    """An `UpdateAttack` that needs the updates of others."""
    VECTOR = "vector"
    """A `VectorAttack`, for the agent `Forges`."""
    AGENT = "agent"
    """An owner agent that breaks the protocol."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One entry of the registry: `make` is the class or function that is the attack."""

    name: str
    family: Family
    make: Callable[..., Any]

    @property
    def does(self) -> str:
        """What it does, in one sentence."""
        return self.story.partition("\n")[0]

    @property
    def story(self) -> str:
        """All that is to say about it, with the literature."""
        return inspect.getdoc(self.make) or ""


_FAMILIES: dict[Family, dict[str, Callable[..., Any]]] = {
    Family.LABELS: {"label-flip": flip_labels},
    Family.UPDATE: {
        "sign-flip": SignFlip,
        "scaled": Scaled,
        "noise": Noise,
        "zero": Zero,
        "constant": Constant,
        "copied": Copied,
        "stale": Stale,
        "echo": Echo,
        "nan": NotANumber,
        "beyond-clip": BeyondClip,
        "wrong-length": Truncated,
    },
    Family.COLLUSION: {
        "little-is-enough": LittleIsEnough,
        "inner-product": InnerProduct,
        "directed-deviation": DirectedDeviation,
        "just-accepted": JustAccepted,
    },
    Family.VECTOR: {"out-of-range": OutOfRange, "half-out-of-range": HalfOutOfRange, "isotropic": Isotropic, "unmasked": Unmasked},
    Family.AGENT: {
        "forges": Forges,
        "never-commits": NeverCommits,
        "never-delivers": NeverDelivers,
        "late": Late,
        "leaves": Leaves,
        "signs-two": SignsTwo,
        "delivers-another": DeliversAnother,
        "delivers-wrong-length": DeliversWrongLength,
        "delivers-not-canonical": DeliversNotCanonical,
        "projects-another": ProjectsAnother,
        "commits-to-garbage": CommitsToGarbage,
        "replays-commitment": ReplaysCommitment,
        "replays-delivery": ReplaysDelivery,
        "copies": Copies,
        "impersonates": Impersonates,
        "joins-with-key": JoinsWithKey,
    },
}

ATTACKS: dict[str, Attack] = {name: Attack(name, family, make) for family, members in _FAMILIES.items() for name, make in members.items()}
"""By name."""


def attack_named(name: str, *families: Family) -> Attack:
    """The attack of that name, if it is of one of these families (default: any); `TermsError` otherwise."""
    attack = ATTACKS.get(name)
    known = [each.name for each in ATTACKS.values() if not families or each.family in families]
    if attack is None or attack.name not in known:
        raise TermsError(f"{name!r} is no attack that can be used here; expected one of {', '.join(known)}")
    return attack


def rogue_named(name: str, honest: LocalAgent, *, signer: Signer, journal: Journal, **options: Any) -> Rogue:
    """An owner agent that attacks.

    Parameters
    ----------
    name : str
        Of family ``agent`` or ``vector``; a vector attack is committed to and delivered by `Forges`.
    honest, signer, journal
        See `Rogue`.
    **options
        What the rogue takes besides, or the fields of the vector attack.

    Raises
    ------
    TermsError
        No such attack.
    """
    attack = attack_named(name, Family.AGENT, Family.VECTOR)
    if attack.family is Family.VECTOR:
        return Forges(honest, signer=signer, journal=journal, attack=attack.make(**options))
    rogue: Rogue = attack.make(honest, signer=signer, journal=journal, **options)
    return rogue


def rogue_of_home(home: OwnerHome, ledger: EthereumLedger, name: str, **options: Any) -> Rogue:
    """The agent of an owner home on a ledger, made to attack; `name` and `options` as for `rogue_named`."""
    return rogue_named(name, home.agent_for(ledger), signer=ledger.sender, journal=home.journal(), **options)
