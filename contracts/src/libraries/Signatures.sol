// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Bits} from "./Bits.sol";

/// @title Signatures
/// @notice What data owners sign: EIP-712 messages that bind a digest to a round. A commitment is signed before the round opens; under
/// projection a delivery, when the roster and so the projection are known.
library Signatures {
    using Bits for uint256;

    bytes32 private constant _COMMITMENT =
        keccak256("Commitment(uint32 epoch,uint32 round,bytes32 taskHash,uint64 openBy,bytes32 digest)");
    bytes32 private constant _DELIVERY =
        keccak256("Delivery(uint32 epoch,uint32 round,bytes32 taskHash,bytes32 rosterHash,bytes32 projectedDigest)");

    /// @dev EIP-2098.
    uint256 internal constant SIGNATURE_BYTES = 64;

    /// @notice A message of the live round, complete but for its digest.
    /// @param domain EIP-712 domain separator.
    /// @param encoded Type hash and fields; the digest, which is the last of six words, is 0.
    struct Message {
        bytes32 domain;
        bytes encoded;
    }

    /// @notice A commitment of the live round.
    function commitment(bytes32 domain, uint32 epoch, uint32 round, bytes32 taskHash, uint64 openBy) internal pure returns (Message memory) {
        return Message(domain, abi.encode(_COMMITMENT, epoch, round, taskHash, openBy, bytes32(0)));
    }

    /// @notice A delivery in the open round.
    function delivery(
        bytes32 domain,
        uint32 epoch,
        uint32 round,
        bytes32 taskHash,
        bytes32 rosterHash
    ) internal pure returns (Message memory) {
        return Message(domain, abi.encode(_DELIVERY, epoch, round, taskHash, rosterHash, bytes32(0)));
    }

    /// @notice EIP-712 hash of a message with this digest, which is written into it.
    function hashOf(Message memory self, bytes32 digest) internal pure returns (bytes32) {
        bytes memory encoded = self.encoded;
        assembly ("memory-safe") {
            mstore(add(encoded, 0xc0), digest)
        }
        return MessageHashUtils.toTypedDataHash(self.domain, keccak256(encoded));
    }

    /// @notice Refuse a digest that the owner of a seat has not signed.
    /// @param signatures At `start` 64 bytes in EIP-2098 form, which the caller knows to be there; a high s is refused.
    function checkOne(
        Message memory self,
        uint256 seat,
        address owner,
        bytes32 digest,
        bytes calldata signatures,
        uint256 start
    ) internal pure {
        bytes32 r;
        bytes32 vs;
        assembly ("memory-safe") {
            r := calldataload(add(signatures.offset, start))
            vs := calldataload(add(add(signatures.offset, start), 0x20))
        }
        // Zero for a malformed signature, which no seat belongs to.
        // slither-disable-next-line unused-return
        (address signer, , ) = ECDSA.tryRecover(hashOf(self, digest), r, vs);
        if (signer != owner) revert IMarket.MarketBadSignature(seat, owner);
    }

    /// @notice Refuse unless the digests of some members are signed by the owners of their seats.
    /// @param roster Seats of each group.
    /// @param seats Members whose digests are looked at; the signatures are theirs alone, in the order of the roster.
    /// @param digests Of all members of the roster.
    function check(
        Message memory self,
        uint256[] memory roster,
        uint256 seats,
        mapping(uint256 seat => address) storage ownerOf,
        bytes32[] memory digests,
        bytes calldata signatures
    ) internal view {
        uint256 length = SIGNATURE_BYTES * seats.count();
        if (signatures.length != length) revert IMarket.MarketWrongLength(signatures.length, length);
        uint256 place = 0;
        uint256 next = 0;
        // At most 254 members.
        unchecked {
            for (uint256 i = 0; i < roster.length; ++i) {
                for (uint256 rest = roster[i]; rest != 0; rest = rest.withoutLeast()) {
                    if (seats & rest & (0 - rest) != 0) {
                        uint256 seat = rest.least();
                        checkOne(self, seat, ownerOf[seat], digests[place], signatures, next);
                        next += SIGNATURE_BYTES;
                    }
                    ++place;
                }
            }
        }
    }
}
