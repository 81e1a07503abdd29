"""Rounds and deliveries as records of a run directory."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from ..crypto.curve import parse_points
from ..crypto.field import FieldVector, N
from ..errors import Malformed
from ..market.ledger import Receipt
from ..market.market_view import Member
from ..market.task import TaskId
from ..market.terms import Address
from .live_round import Delivered, LiveRound, SettleCall, Signed
from .run_directory import Record


def encode_round(live: LiveRound) -> Record:
    """A round without its deliveries, each of which is a record of its own."""
    task, call = live.task, live.call
    facts = {
        "task": [task.chain_id, task.market, task.epoch, task.round, task.task_hash.hex()],
        "open_by": live.open_by,
        "groups": [[[member.owner, member.seat, member.mask_key.hex()] for member in group] for group in live.groups],
        "commitments": {owner: [signed.digest.hex(), signed.signature.hex()] for owner, signed in live.commitments.items()},
        "roster": live.roster,
        "opened": live.opened,
        "accused": sorted(live.accused),
        "answered": sorted(live.answered),
        "spoilt": sorted(live.spoilt),
        "call": None if call is None else [str(call.waived), call.following.hex()],
        "fates": live.fates,
        "done": live.done,
        "receipts": [{key: value for key, value in asdict(receipt).items() if key != "logs"} for receipt in live.receipts],
        "seconds": live.seconds,
    }
    return Record(facts, {} if call is None else {"settlement": np.frombuffer(call.settlement, dtype=np.uint8)})


def decode_round(record: Record) -> LiveRound:
    """The round of a record; raises `Malformed` for a record of another kind."""
    facts = record.facts
    try:
        chain_id, market, epoch, number, task_hash = facts["task"]
        call = facts["call"]
        return LiveRound(
            task=TaskId(chain_id, market, epoch, number, bytes.fromhex(task_hash)),
            open_by=facts["open_by"],
            groups=tuple(tuple(Member(Address(o), s, bytes.fromhex(k)) for o, s, k in group) for group in facts["groups"]),
            commitments={Address(o): Signed(bytes.fromhex(d), bytes.fromhex(s)) for o, (d, s) in facts["commitments"].items()},
            roster=tuple(facts["roster"]),
            opened=facts["opened"],
            accused=set(map(Address, facts["accused"])),
            answered=set(map(Address, facts["answered"])),
            spoilt=set(facts["spoilt"]),
            call=None if call is None else SettleCall(record.arrays["settlement"].tobytes(), int(call[0]), bytes.fromhex(call[1])),
            fates={name: tuple(places) for name, places in facts["fates"].items()},
            done=facts["done"],
            receipts=[Receipt(**receipt) for receipt in facts["receipts"]],
            seconds=dict(facts["seconds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged("round", error) from error


def encode_delivery(owner: Address, delivered: Delivered) -> Record:
    """A delivery."""
    return Record(
        {"owner": owner, "metrics": {name: dict(metrics) for name, metrics in delivered.metrics.items()}},
        {
            "vector": np.frombuffer(delivered.vector.to_bytes(), dtype=np.uint8),
            "points": np.frombuffer(delivered.points, dtype=np.uint8),
        },
    )


def decode_delivery(record: Record, polynomials: int) -> tuple[Address, Delivered]:
    """A delivery and whose it is.

    Parameters
    ----------
    record : Record
    polynomials : int
        B.
    """
    try:
        points = record.arrays["points"].tobytes()
        vector = FieldVector.from_bytes(record.arrays["vector"].tobytes(), N * polynomials)
        return Address(record.facts["owner"]), Delivered(vector, points, parse_points(points, polynomials), record.facts["metrics"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged("delivery", error) from error


def _damaged(what: str, error: Exception) -> Malformed:
    return Malformed(f"a {what} of the run directory does not decode ({error!r}); expected it as it was written; put it back from a copy")
