"""Taking deliveries: what is not what was committed never gets any further."""

from __future__ import annotations

from ..crypto.commitment import mismatched, points_digest
from ..crypto.curve import parse_points
from ..crypto.field import FieldVector, N
from ..errors import ChainError, ProtocolError
from ..market.terms import Address
from .live_round import Delivered, LiveRound, Metrics
from .round_journal import RoundHistory
from .surroundings import Surroundings

CHECK_TRIES = 3


class Receiving:
    """Takes the deliveries of a round.

    Parameters
    ----------
    around : Surroundings
    history : RoundHistory
    """

    def __init__(self, around: Surroundings, history: RoundHistory) -> None:
        self._around = around
        self._history = history

    def add(self, live: LiveRound, owner: Address, vector: bytes, points: bytes, metrics: Metrics) -> None:
        """Take one delivery; `RoundKeeper.add_delivery` says what it raises."""
        polynomials = self._around.terms.polynomials
        if owner not in {member.owner for member in live.roster_members()}:
            raise ProtocolError(
                f"{owner} is not on the roster of round {live.task.round}; expected one of its members; ignore the delivery"
            )
        if points_digest(points) != live.commitments[owner].digest:
            raise ProtocolError(f"the points of {owner} are not those of its digest; expected what it committed to; ignore the delivery")
        with live.timed("server_crypto"):
            elements = FieldVector.from_bytes(vector, N * polynomials)
            parsed = parse_points(points, polynomials)
        with live.timed("chain"):
            good = self._check_points(points)
        if not good:
            raise ProtocolError(f"the verification refuses the points of {owner}; expected points of the subgroup; ignore the delivery")
        live.deliveries[owner] = Delivered(elements, points, parsed, metrics)
        self._history.save_delivery(live, owner)

    def drop_mismatches(self, live: LiveRound) -> None:
        """Forget deliveries whose vector is not what their points commit to."""
        owners = list(live.deliveries)
        delivered = [live.deliveries[owner] for owner in owners]
        for index in mismatched([one.vector for one in delivered], [one.parsed for one in delivered]):
            self._around.on_trouble(f"{owners[index]} delivered another vector than it committed to; it counts as missing")
            self._history.drop_delivery(live, owners[index])

    def _check_points(self, points: bytes) -> bool:
        """The market's own check; if the chain does not answer, ours, which is the same and has passed, is enough."""
        for _ in range(CHECK_TRIES):
            try:
                return self._around.ledger.check_points(points)
            except ChainError as error:
                self._around.on_trouble(f"the chain could not check a delivery: {error}")
                self._around.pause()
        return True
