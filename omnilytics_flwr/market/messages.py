"""EIP-712 messages of data owners and model owners, and compact EIP-2098 signatures (docs/specification/protocol.md section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature as UnusableSignature
from eth_utils.exceptions import ValidationError as OutOfRange

from ..crypto.address import address_bytes
from ..crypto.hashing import keccak256, word
from ..errors import Malformed, WrongLength
from .task import TaskId
from .terms import Address

SIGNATURE_BYTES = 64
HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
"""Largest s: of the two signatures (r, s) and (r, -s) that any signature makes, only the lower counts (EIP-2)."""

DOMAIN_TYPE = keccak256(b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)")
NAME_HASH = keccak256(b"OmniLytics")
VERSION_HASH = keccak256(b"2")
COMMITMENT_TYPE = keccak256(b"Commitment(uint32 epoch,uint32 round,bytes32 taskHash,uint64 openBy,bytes32 digest)")
DELIVERY_TYPE = keccak256(b"Delivery(uint32 epoch,uint32 round,bytes32 taskHash,bytes32 rosterHash,bytes32 projectedDigest)")
VOUCHER_TYPE = keccak256(b"Voucher(address market,address owner,uint32 throughEpoch)")


@dataclass(frozen=True, slots=True)
class Commitment:
    """A data owner's word, before a round opens, that its masked update of one task has this digest.

    Attributes
    ----------
    epoch, round : int, below 2^32
        The live round.
    task_hash : bytes, length 32
        What was trained.
    open_by : int, Unix seconds, below 2^64
        Until when the round may open; a round that is anchored again has another.
    digest : bytes, length 32
        Of the update's points.

    Raises
    ------
    Malformed
        A number does not fit its field, or a hash has not 32 bytes.
    """

    epoch: int
    round: int
    task_hash: bytes
    open_by: int
    digest: bytes

    def __post_init__(self) -> None:
        _check_fields(self, (self.epoch, self.round), (self.task_hash, self.digest))
        if not 0 <= self.open_by < 1 << 64:
            raise Malformed(f"{self} cannot be signed; expected a time of 64 bits")

    def signing_hash(self, *, chain_id: int, market: Address) -> bytes:
        """The 32 bytes that are signed, bound to one market on one chain."""
        fields = word(self.epoch) + word(self.round) + self.task_hash + word(self.open_by) + self.digest
        return _signing_hash(chain_id, market, COMMITMENT_TYPE + fields)


@dataclass(frozen=True, slots=True)
class Delivery:
    """A data owner's word, in an open round of a projected market, that its masked update has this projection.

    Attributes
    ----------
    epoch, round : int, below 2^32
        The open round.
    task_hash : bytes, length 32
        What was trained.
    roster_hash : bytes, length 32
        What the round was opened with; the projection follows from it.
    projected_digest : bytes, length 32
        Of the projection's point.

    Raises
    ------
    Malformed
        A number does not fit its field, or a hash has not 32 bytes.
    """

    epoch: int
    round: int
    task_hash: bytes
    roster_hash: bytes
    projected_digest: bytes

    def __post_init__(self) -> None:
        _check_fields(self, (self.epoch, self.round), (self.task_hash, self.roster_hash, self.projected_digest))

    def signing_hash(self, *, chain_id: int, market: Address) -> bytes:
        """The 32 bytes that are signed, bound to one market on one chain."""
        fields = word(self.epoch) + word(self.round) + self.task_hash + self.roster_hash + self.projected_digest
        return _signing_hash(chain_id, market, DELIVERY_TYPE + fields)


@dataclass(frozen=True, slots=True)
class Voucher:
    """A model owner's word that an account may join its market, for the voucher gate.

    Attributes
    ----------
    market, owner : Address
        The market, and who may join it.
    through_epoch : int, below 2^32
        Last epoch that it is good for; members are asked for each epoch anew.

    Raises
    ------
    Malformed
        The epoch does not fit its field.
    """

    market: Address
    owner: Address
    through_epoch: int

    def __post_init__(self) -> None:
        _check_fields(self, (self.through_epoch,), ())

    def signing_hash(self, *, chain_id: int, gate: Address) -> bytes:
        """The 32 bytes that are signed, bound to one gate on one chain."""
        accounts = bytes(12) + address_bytes(self.market) + bytes(12) + address_bytes(self.owner)
        return _signing_hash(chain_id, gate, VOUCHER_TYPE + accounts + word(self.through_epoch))

    def admission_data(self, signature: bytes) -> bytes:
        """What the gate is shown, 68 bytes: the epoch and a compact signature."""
        return self.through_epoch.to_bytes(4, "big") + signature


class Signer(Protocol):
    """What signs for one account."""

    @property
    def address(self) -> Address:
        """Account whose signatures these are."""

    def sign_hash(self, signing_hash: bytes) -> bytes:
        """Ordinary signature of 32 bytes: r, s and v, 65 bytes."""


def sign_commitment(signer: Signer, task: TaskId, digest: bytes, open_by: int) -> bytes:
    """Commit to the update with this digest, for this task, until `open_by` (Unix seconds); compact signature, 64 bytes, low s."""
    message = Commitment(task.epoch, task.round, task.task_hash, open_by, digest)
    return compact(signer.sign_hash(message.signing_hash(chain_id=task.chain_id, market=Address(task.market))))


def sign_delivery(signer: Signer, task: TaskId, roster_hash: bytes, projected_digest: bytes) -> bytes:
    """Say that the update of this task has the projection with this digest, in the round that was opened with this roster; 64 bytes."""
    message = Delivery(task.epoch, task.round, task.task_hash, roster_hash, projected_digest)
    return compact(signer.sign_hash(message.signing_hash(chain_id=task.chain_id, market=Address(task.market))))


def sign_voucher(signer: Signer, voucher: Voucher, *, chain_id: int, gate: Address) -> bytes:
    """Admit a data owner to a market with the voucher gate at `gate`; what the owner shows it, 68 bytes."""
    return voucher.admission_data(compact(signer.sign_hash(voucher.signing_hash(chain_id=chain_id, gate=gate))))


def _check_fields(message: object, numbers: tuple[int, ...], hashes: tuple[bytes, ...]) -> None:
    if not all(0 <= number < 1 << 32 for number in numbers) or any(len(digest) != 32 for digest in hashes):
        raise Malformed(f"{message} cannot be signed; expected numbers of 32 bits and hashes of 32 bytes")


def _signing_hash(chain_id: int, contract: Address, encoded: bytes) -> bytes:
    return keccak256(b"\x19\x01" + domain_separator(chain_id, contract) + keccak256(encoded))


def domain_separator(chain_id: int, contract: Address) -> bytes:
    """EIP-712 domain separator of a market or gate, 32 bytes."""
    verifying_contract = bytes(12) + address_bytes(contract)
    return keccak256(DOMAIN_TYPE + NAME_HASH + VERSION_HASH + word(chain_id) + verifying_contract)


def compact(signature: bytes) -> bytes:
    """EIP-2098 form (64 bytes) of an ordinary signature.

    Parameters
    ----------
    signature : bytes, length 65
        r, s, and v, which must be 27 or 28.

    Raises
    ------
    WrongLength
        Not 65 bytes.
    Malformed
        v is neither 27 nor 28, or s is not the lower of the two.
    """
    if len(signature) != 65:
        raise WrongLength("a signature", len(signature), 65)
    s, v = int.from_bytes(signature[32:64], "big"), signature[64]
    if v not in (27, 28):
        raise Malformed(f"a signature ends in v = {v}, expected 27 or 28; sign with an ordinary Ethereum wallet")
    if s > HALF_ORDER:
        raise Malformed(f"a signature has the high s {s:#x}, expected at most {HALF_ORDER:#x}; negate s and flip v")
    return signature[:32] + word(s | (v - 27) << 255)


def recover(signing_hash: bytes, signature: bytes) -> Address:
    """Who signed `signing_hash`, by the rules that the market applies.

    Parameters
    ----------
    signing_hash : bytes, length 32
        What was signed.
    signature : bytes, length 64
        EIP-2098: r, then s with the parity of y in its top bit.

    Raises
    ------
    WrongLength
        Not 64 bytes.
    Malformed
        No account signed this: s is high, or r or s is not what a signature can have.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise WrongLength("a compact signature", len(signature), SIGNATURE_BYTES)
    r, packed = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    parity, s = packed >> 255, packed & (1 << 255) - 1
    if s > HALF_ORDER:
        raise Malformed(f"a signature has the high s {s:#x}, expected at most {HALF_ORDER:#x}; negate s and flip its parity")
    try:
        signer = Signature(vrs=(parity, r, s)).recover_public_key_from_msg_hash(signing_hash)
    except (UnusableSignature, OutOfRange) as error:
        raise Malformed(f"no account can have made this signature ({error}); ask the data owner to sign again") from error
    return Address(signer.to_checksum_address())
