"""The projection that a data owner hands over in a projected market (docs/specification/protocol.md section 6).

The agent signs it when it delivers, and the watcher when it answers an accusation: both by these lines, and always the same one for a roster.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..crypto.digest import points_digest
from ..crypto.field import FieldVector, N
from ..crypto.kzg import BLOB_BYTES, commit
from ..crypto.projection import project, projection_seed
from ..market.market_view import MarketState
from ..market.messages import Signer, sign_delivery
from .journal import Entry, Journal
from .step_times import StepTimes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SignedProjection:
    """The projected point, and the data owner's signature of its digest as `omnilytics_flwr.market.messages.Delivery`.

    Attributes
    ----------
    point : bytes, length 96
    signature : bytes, length 64
    """

    point: bytes
    signature: bytes

    @property
    def answer(self) -> bytes:
        """What the last part of an answer brings, 96 bytes: projected digest and signature."""
        return points_digest(self.point) + self.signature


def sign_projection(
    entry: Entry, state: MarketState, *, journal: Journal, signer: Signer, times: StepTimes | None = None
) -> SignedProjection:
    """Project an entry's vector as the open round of `state` has it; the caller holds the journal's lock.

    The projection follows from the roster. After a reorganisation the round may open with another one, and the same vector gets a second
    projection: only ever for the roster that the chain shows. It is journalled before it is signed, where the disk takes it: made again,
    it is the same, and a full disk must not cost the stake.
    """
    times = times or StepTimes()
    point = dict(entry.projected).get(state.roster_hash)
    if point is None:
        with times.step("project"):
            seed = projection_seed(entry.task.settlement_context(state.epoch_seed), state.roster_hash)
            point = commit(project(_polynomials(entry.vector), seed))
        with times.step("journal"):
            try:
                journal.write(replace(entry, projected=(*entry.projected, (state.roster_hash, point))))
            except OSError as error:
                _log.error("the projection of round %d is signed and not journalled: %s", entry.task.round, error)
    with times.step("sign"):
        return SignedProjection(point, sign_delivery(signer, entry.task, state.roster_hash, points_digest(point)))


def _polynomials(vector: bytes) -> Iterator[FieldVector]:
    """The polynomials of a vector, decoded one after the other."""
    view = memoryview(vector)
    for start in range(0, len(vector), BLOB_BYTES):
        yield FieldVector.from_bytes(view[start : start + BLOB_BYTES], N)
