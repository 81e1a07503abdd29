// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "./interfaces/IMarket.sol";
import {IVerification, Statement, Verdict} from "./interfaces/IVerification.sol";
import {Terms} from "./interfaces/MarketTypes.sol";
import {Bits} from "./libraries/Bits.sol";
import {Lanes, LaneLayout} from "./libraries/Lanes.sol";
import {LaneSums} from "./libraries/LaneSums.sol";
import {Signatures} from "./libraries/Signatures.sol";

/// @title ComputedVerification
/// @notice The paper's own way: the masked vectors themselves are settled with, summed and compared here, without a proof and without a
/// precompile. Everybody sees the sum of each group.
/// @dev Nothing is stored, nobody owns it, and any number of markets may use one: the caller's terms tell how its vectors are packed.
contract ComputedVerification is IVerification {
    using Bits for uint256;

    uint256 private constant _DIGEST_BYTES = 32;
    /// @dev The rest of a settling transaction, as for the sumcheck verification.
    uint256 private constant _OTHER_BYTES = 2048;

    /// @inheritdoc IVerification
    function verify(Statement calldata statement, bytes calldata settlement) external view returns (Verdict memory verdict) {
        Lanes memory lanes = LaneLayout.lanesOf(IMarket(msg.sender).terms());
        uint256 vectorBytes = LaneLayout.ELEMENT_BYTES * lanes.elements;
        (uint256[] memory sizes, uint256[] memory starts, uint256 members) = _divide(statement, settlement, vectorBytes);
        verdict.digests = _digests(statement, settlement, vectorBytes, members);
        verdict.distances = LaneSums.distances(lanes, settlement, starts, sizes);
    }

    /// @inheritdoc IVerification
    /// @dev A digest is no root of a tree of points, so that nobody could answer an accusation; and nothing is projected.
    function settlementBytes(Terms calldata terms) external pure returns (uint256 most) {
        if (terms.projected) revert IMarket.MarketBadTerms("projected", 1, 0, 0);
        if (terms.answerSeconds != 0) revert IMarket.MarketBadTerms("answerSeconds", terms.answerSeconds, 0, 0);
        uint256 bits = LaneLayout.mostUpdateBits(terms.groupSize);
        if (terms.updateBits > bits) revert IMarket.MarketBadTerms("updateBits", terms.updateBits, 3, bits);
        uint256 vectorBytes = LaneLayout.ELEMENT_BYTES * LaneLayout.lanesOf(terms).elements;
        return terms.mostOwners * (vectorBytes + Signatures.SIGNATURE_BYTES) + _OTHER_BYTES;
    }

    /// @inheritdoc IVerification
    /// @dev There are none.
    function checkPoints(bytes calldata points, uint256) external pure returns (bool good) {
        if (points.length != 0) revert VerificationWrongLength(points.length, 0);
        return true;
    }

    /// @dev Sizes of the groups taking part, where their vectors begin, and the members of all groups; refused unless the settlement's
    /// length is exactly what the statement demands.
    function _divide(
        Statement calldata statement,
        bytes calldata settlement,
        uint256 vectorBytes
    ) private pure returns (uint256[] memory sizes, uint256[] memory starts, uint256 members) {
        uint256 groups = (Bits.below(statement.sizes.length) & ~statement.outside).count();
        (sizes, starts) = (new uint256[](groups), new uint256[](groups));
        uint256 next = 0;
        uint256 end = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) {
            uint256 size = statement.sizes[position];
            bool outside = statement.outside.has(position);
            members += size;
            if (!outside) (sizes[next], starts[next++]) = (size, end);
            end += size * (outside ? _DIGEST_BYTES : vectorBytes);
        }
        if (settlement.length != end) revert VerificationWrongLength(settlement.length, end);
    }

    /// @dev Digest of each member: of its vector, or as it is given if the group is outside. The settlement has been divided.
    function _digests(
        Statement calldata statement,
        bytes calldata settlement,
        uint256 vectorBytes,
        uint256 members
    ) private pure returns (bytes32[] memory result) {
        result = new bytes32[](members);
        uint256 next = 0;
        uint256 start = 0;
        for (uint256 position = 0; position < statement.sizes.length; ++position) {
            bool outside = statement.outside.has(position);
            uint256 length = outside ? _DIGEST_BYTES : vectorBytes;
            for (uint256 end = next + statement.sizes[position]; next < end; ++next) {
                result[next] = outside ? bytes32(settlement[start:start + length]) : _hash(settlement, start, length);
                start += length;
            }
        }
    }

    /// @dev Keccak-256 of a part of calldata that the caller knows to be there; the memory is used again.
    function _hash(bytes calldata data, uint256 start, uint256 length) private pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            let room := mload(0x40)
            calldatacopy(room, add(data.offset, start), length)
            digest := keccak256(room, length)
        }
    }
}
