"""How much each member of a group counts: by its number of examples, as in FedAvg (McMahan et al. 2017, algorithm 1).

A group's sum cannot be taken apart, so each member weighs its own update before it is masked: it takes it times its share, which is h
times its part of the group's examples, so that the shares of h members add up to h. The numbers are those that the members have signed in
an earlier round: the model owner can neither let one member's update be the sum, nor lengthen a group's until it goes unpaid.
docs/specification/protocol.md section 7 has the bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from ..crypto.address import Address, address_bytes, parse_address
from ..errors import Malformed, TaskMismatch, WrongLength
from .messages import SIGNATURE_BYTES, Examples, recover

MOST_MEDIANS = 2
"""How many times the median a number may count: nobody checks it, so a lie, and a giant that the others could not hide, count no more."""

_ROW_BYTES = 20 + 4 + SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class SignedExamples:
    """A data owner's number of examples, 1 .. 2^32 - 1, with its compact signature (`Examples`)."""

    owner: Address
    examples: int
    signature: bytes

    def check(self, *, chain_id: int, market: Address) -> None:
        """Raise `TaskMismatch` unless its data owner has signed it for this market; `Malformed` if nobody can have."""
        signer = recover(Examples(self.examples).signing_hash(chain_id=chain_id, market=market), self.signature)
        if signer != self.owner:
            raise TaskMismatch(f"the number of examples of {self.owner} is signed by {signer}; it must be signed by its own key")


@dataclass(frozen=True, slots=True)
class ExampleTable:
    """What data owners have signed of their examples, by address, as it goes with a task."""

    rows: tuple[SignedExamples, ...]

    @classmethod
    def of(cls, rows: Iterable[SignedExamples]) -> ExampleTable:
        """The table of these rows, whatever their order."""
        return cls(tuple(sorted(rows, key=lambda row: address_bytes(row.owner))))

    @classmethod
    def from_bytes(cls, encoded: bytes) -> ExampleTable:
        """Decode untrusted; raises `Malformed` or `WrongLength`. Signatures are left to `counts`."""
        if len(encoded) % _ROW_BYTES:
            raise WrongLength("a table of examples", len(encoded), len(encoded) // _ROW_BYTES * _ROW_BYTES)
        rows = tuple(_row(encoded[start : start + _ROW_BYTES]) for start in range(0, len(encoded), _ROW_BYTES))
        if len({row.owner for row in rows}) < len(rows) or not all(row.examples for row in rows):
            raise Malformed("a table of examples holds a data owner twice, or a 0; expected one number from 1 up for each")
        return cls(rows)

    def to_bytes(self) -> bytes:
        """Of each row address, number and signature, 88 bytes."""
        return b"".join(address_bytes(row.owner) + row.examples.to_bytes(4, "big") + row.signature for row in self.rows)

    def counts(self, group: Sequence[Address], *, chain_id: int, market: Address) -> tuple[int, ...]:
        """How much each member of a group counts, in its order; all the same unless the table has every one of them.

        Raises
        ------
        TaskMismatch, Malformed
            As `SignedExamples.check`, for any of the group.
        """
        found = {row.owner: row for row in self.rows if row.owner in group}
        if len(found) < len(group):
            return (1,) * len(group)
        for row in found.values():
            row.check(chain_id=chain_id, market=market)
        return counts([found[member].examples for member in group])


def counts(examples: Sequence[int]) -> tuple[int, ...]:
    """How much the members of a group count, by their numbers of examples: twice their lower median at most."""
    return _counted(examples, _most(examples))


def shares(counted: Sequence[int]) -> tuple[float, ...]:
    """What members who count so much take their updates times; as many as there are in all, and 1 each if they count the same."""
    return tuple(len(counted) * number / sum(counted) for number in counted)


def group_examples(groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """How much each group's mean counts: the examples of its members; 0 stands for a number that is not known, and counts as the median.

    A number counts for twice the median of its group at most, as in `counts`, and for twice the median of all.
    """
    known = [number for group in groups for number in group if number] or [1]
    most, usual = _most(known), _most(known) // MOST_MEDIANS
    filled = [[number or usual for number in group] for group in groups]
    return tuple(sum(_counted(group, min(most, _most(group)))) for group in filled)


def _counted(examples: Iterable[int], most: int) -> tuple[int, ...]:
    return tuple(min(number, most) for number in examples)


def _most(examples: Collection[int]) -> int:
    """Twice the lower median."""
    return MOST_MEDIANS * sorted(examples)[(len(examples) - 1) // 2]


def _row(encoded: bytes) -> SignedExamples:
    return SignedExamples(parse_address(encoded[:20]), int.from_bytes(encoded[20:24], "big"), encoded[24:])
