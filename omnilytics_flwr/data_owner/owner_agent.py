"""What the Flower mod asks of an owner agent, wherever the agent runs. Light to import: a Flower client lives for one message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from ..crypto.address import Address
from ..decoding import Hash
from ..market.task import TaskId

_Account = Annotated[Address, Meta(pattern="^0x[0-9a-fA-F]{40}$", max_length=42)]


@dataclass(frozen=True, slots=True)
class SignedCommitment:
    """What a data owner returns from the first exchange; the signature is compact (EIP-2098)."""

    owner: _Account
    digest: Hash
    signature: Annotated[bytes, Meta(min_length=64, max_length=64)]


@dataclass(frozen=True, slots=True)
class MaskedUpdate:
    """What a data owner hands over in the second exchange.

    Attributes
    ----------
    vector : bytes, length 131072 B, or 32 E in a computed market
        Masked field elements.
    points : bytes, length 96 B
        Their commitments; empty where the vector's hash commits to it.
    projected, signature : bytes, length 96 and 64 (default: none)
        In a projected market: the projected point, and the signature of its digest (`omnilytics_flwr.market.messages.Delivery`).
    metrics : tuple of str (default: none)
        Names of the metrics that may leave with it.
    """

    owner: _Account
    vector: bytes
    points: bytes
    projected: bytes = b""
    signature: bytes = b""
    metrics: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to work on a task.

    Attributes
    ----------
    metrics : tuple of str
        Names of the metrics that may leave once the round is open.
    commitment : SignedCommitment or None
        The round's commitment if there is one already: then there is nothing to train.
    clip : float (default: 0)
        Largest change of a weight by this data owner that is let through (`omnilytics_flwr.market.examples`); 0 if nobody has said.
    """

    metrics: tuple[str, ...]
    commitment: SignedCommitment | None
    clip: float = 0.0


class OwnerAgent(Protocol):
    """What the mod asks of an agent. Every method raises an `OmnilyticsError` with the reason if the answer is no."""

    def admit(self, task: TaskId) -> Admission:
        """Check chain and policy before training."""

    def admit_evaluation(self, task: TaskId) -> tuple[str, ...]:
        """Check chain and policy before an evaluation; names of the metrics that may leave.

        The answer is yes once a round, whatever becomes of the evaluation.
        """

    def commit(self, task: TaskId, update: NDArray[np.floating]) -> SignedCommitment:
        """Quantise, mask, commit, journal, sign. The same round gives the same digest again."""

    def deliver(self, chain_id: int, market: Address, epoch: int, round_number: int, digests: tuple[bytes, ...]) -> MaskedUpdate:
        """Hand the vector over if the chain shows that the round is open with it."""

    def keep(self, chain_id: int, market: Address, name: str, content: bytes) -> None:
        """Keep something of the client's in the owner home, by market and name, in place of what was kept there before."""

    def kept(self, chain_id: int, market: Address, name: str) -> bytes:
        """What was kept; empty if nothing was."""
