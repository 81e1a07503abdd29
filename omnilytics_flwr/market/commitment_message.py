"""The EIP-712 message that a data owner signs to commit, and its compact EIP-2098 signature (docs/protocol.md section 2)."""

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
VERSION_HASH = keccak256(b"1")
COMMITMENT_TYPE = keccak256(b"Commitment(uint32 epoch,uint32 round,bytes32 taskHash,bytes32 digest,uint64 openBy)")


@dataclass(frozen=True, slots=True)
class Commitment:
    """A data owner's word that its masked update of one task has this digest.

    Attributes
    ----------
    epoch, round : int
        The live round.
    task_hash : bytes, length 32
        What was trained.
    digest : bytes, length 32
        Keccak-256 of the update's points.
    open_by : int, Unix seconds
        The market takes the commitment until then.

    Raises
    ------
    Malformed
        A number does not fit its field, or a hash has not 32 bytes.
    """

    epoch: int
    round: int
    task_hash: bytes
    digest: bytes
    open_by: int

    def __post_init__(self) -> None:
        fits = 0 <= self.epoch < 1 << 32 and 0 <= self.round < 1 << 32 and 0 <= self.open_by < 1 << 64
        if not fits or len(self.task_hash) != 32 or len(self.digest) != 32:
            raise Malformed(
                f"{self} cannot be signed; expected two numbers of 32 bits, two hashes of 32 bytes, and a time; read the market"
            )

    def struct_hash(self) -> bytes:
        """EIP-712 ``hashStruct``, 32 bytes."""
        return keccak256(COMMITMENT_TYPE + word(self.epoch) + word(self.round) + self.task_hash + self.digest + word(self.open_by))

    def signing_hash(self, *, chain_id: int, market: Address) -> bytes:
        """The 32 bytes that are signed, bound to one market on one chain."""
        return keccak256(b"\x19\x01" + domain_separator(chain_id, market) + self.struct_hash())


class Signer(Protocol):
    """What signs for one account."""

    @property
    def address(self) -> Address:
        """Account whose signatures these are."""

    def sign_hash(self, signing_hash: bytes) -> bytes:
        """Ordinary signature of 32 bytes: r, s and v, 65 bytes."""


def sign_commitment(signer: Signer, task: TaskId, digest: bytes, open_by: int) -> bytes:
    """Commit to the update with this digest, for this task, until `open_by` (Unix seconds); compact signature, 64 bytes, low s."""
    message = Commitment(task.epoch, task.round, task.task_hash, digest, open_by)
    return compact(signer.sign_hash(message.signing_hash(chain_id=task.chain_id, market=Address(task.market))))


def domain_separator(chain_id: int, market: Address) -> bytes:
    """EIP-712 domain separator of a market, 32 bytes."""
    verifying_contract = bytes(12) + address_bytes(market)
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
