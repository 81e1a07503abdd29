// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Bits} from "./Bits.sol";

/// @title Commitments
/// @notice What data owners sign: an EIP-712 message that binds the digest of an update to a round.
library Commitments {
    using Bits for uint256;

    bytes32 private constant _TYPE_HASH =
        keccak256("Commitment(uint32 epoch,uint32 round,bytes32 taskHash,bytes32 digest,uint64 openBy)");

    uint256 internal constant SIGNATURE_BYTES = 64;

    /// @notice Encoding of a commitment of the live round with the digest left 0; `hashOf` completes it.
    function encode(uint32 epoch, uint32 round, bytes32 taskHash, uint64 openBy) internal pure returns (bytes memory) {
        return abi.encode(_TYPE_HASH, epoch, round, taskHash, bytes32(0), openBy);
    }

    /// @notice EIP-712 hash of a commitment.
    /// @param encoded From `encode`; the digest is written into it.
    function hashOf(bytes memory encoded, bytes32 domain, bytes32 digest) internal pure returns (bytes32) {
        // The digest is the fifth word of `encode`.
        assembly ("memory-safe") {
            mstore(add(encoded, 0xa0), digest)
        }
        return MessageHashUtils.toTypedDataHash(domain, keccak256(encoded));
    }

    /// @notice Refuse a digest that the owner of its seat has not signed; groups ascending, seats ascending.
    /// @param seats Seats of each group.
    /// @param digests One for each seat.
    /// @param signatures 64 bytes (EIP-2098) for each seat; a high s is refused.
    function check(
        uint256[] memory seats,
        mapping(uint256 seat => address) storage ownerOf,
        bytes memory encoded,
        bytes32 domain,
        bytes32[] calldata digests,
        bytes calldata signatures
    ) internal view {
        uint256 next = 0;
        for (uint256 i = 0; i < seats.length; ++i) {
            for (uint256 rest = seats[i]; rest != 0; rest = rest.withoutLeast()) {
                uint256 seat = rest.least();
                address owner = ownerOf[seat];
                bytes32 hash = hashOf(encoded, domain, digests[next]);
                if (_signer(hash, signatures[SIGNATURE_BYTES * next:]) != owner) revert IMarket.MarketBadSignature(seat, owner);
                ++next;
            }
        }
    }

    /// @dev Zero for a malformed signature, which no seat belongs to.
    function _signer(bytes32 hash, bytes calldata signature) private pure returns (address signer) {
        // slither-disable-next-line unused-return
        (signer, , ) = ECDSA.tryRecover(hash, bytes32(signature[:32]), bytes32(signature[32:64]));
    }
}
