// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement} from "../interfaces/IVerification.sol";
import {FR_ROOT_4096, Fr} from "../types/Fr.sol";
import {G1} from "../types/G1.sol";
import {Bits} from "./Bits.sol";
import {GroupSums} from "./GroupSums.sol";
import {Layout, Parts} from "./Layout.sol";
import {Openings} from "./Openings.sol";

/// @title Exclusions
/// @notice Groups whose sum is out of range at one place, shown by an opening there.
/// @dev The place is an index: the point is derived from it. At a free point any sum takes any value.
library Exclusions {
    using Bits for uint256;
    using Layout for bytes;

    uint256 private constant _ELEMENTS = 4096;
    uint256 private constant _INDEX_BITS = 12;
    /// @dev Two weights to an element, 84 bits apart.
    uint256 private constant _WEIGHT_SHIFT = 84;

    /// @notice Roster positions of the excluded groups.
    function check(Statement calldata statement, bytes calldata settlement, Parts memory parts) internal view returns (uint256 excluded) {
        uint256 judged = Bits.below(statement.sizes.length) & ~statement.outside;
        for (uint256 i = 0; i < parts.exclusions; ++i) {
            uint256 offset = parts.exclusionsAt + i * Layout.EXCLUSION_BYTES;
            uint256 position = uint8(settlement[offset]);
            // Strictly increasing: nothing at or above the position is excluded so far.
            if (!judged.has(position) || excluded >> position != 0) revert IVerification.VerificationWrongExclusion(position);
            _checkOne(statement, settlement, position, offset + 1, i);
            excluded |= 1 << position;
        }
    }

    /// @dev Refuse an exclusion that does not show an element of the group's sum out of range.
    /// @param offset Where the exclusion goes on after its position.
    /// @param which Its number, from 0.
    function _checkOne(
        Statement calldata statement,
        bytes calldata settlement,
        uint256 position,
        uint256 offset,
        uint256 which
    ) private view {
        uint256 polynomial = uint16(bytes2(settlement[offset:offset + 2]));
        uint256 index = uint16(bytes2(settlement[offset + 2:offset + 4]));
        if (polynomial >= statement.polynomials || index >= _ELEMENTS) revert IVerification.VerificationWrongExclusion(position);
        Fr value = settlement.elementAt(offset + 4);
        if (_inRange(value, statement.sizes[position], statement.updateBits)) {
            revert IVerification.VerificationWrongExclusion(position);
        }
        G1 sum = GroupSums.one(statement, settlement, position, polynomial);
        bytes calldata proof = settlement[offset + 36:offset + 36 + Openings.PROOF_BYTES];
        if (!Openings.holds(sum, rootAt(index), value, proof)) revert IVerification.VerificationWrongOpening(2 + which);
    }

    /// @notice H[index]: the roots of unity in bit-reversed order.
    function rootAt(uint256 index) internal pure returns (Fr) {
        uint256 exponent = 0;
        for (uint256 bit = 0; bit < _INDEX_BITS; ++bit) {
            exponent = (exponent << 1) | ((index >> bit) & 1);
        }
        return FR_ROOT_4096.pow(exponent);
    }

    /// @dev Whether both weights of an element are sums of `size` quantised weights, each in [1, 2^bits - 1].
    function _inRange(Fr value, uint256 size, uint256 bits) private pure returns (bool) {
        uint256 low = Fr.unwrap(value) & ((1 << _WEIGHT_SHIFT) - 1);
        uint256 high = Fr.unwrap(value) >> _WEIGHT_SHIFT;
        uint256 most = size * ((1 << bits) - 1);
        return low >= size && low <= most && high >= size && high <= most;
    }
}
