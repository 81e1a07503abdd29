// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FR_INVERSE_4096, FR_ONE, FR_ZERO, Fr, peek, toFr} from "../types/Fr.sol";

/// @title Sumcheck
/// @notice The field arithmetic of the settlement proof; docs/protocol.md section 7.
/// @dev Rows are g-major: row g holds the B values of group g, row 0 those of the zero update.
library Sumcheck {
    uint256 private constant _WEIGHT_SHIFT = 84;
    uint256 private constant _WEIGHT_MASK = (1 << _WEIGHT_SHIFT) - 1;

    /// @notice a_{0,k}: the zero update on the scale L, two weights of 2^(b-1) to an element.
    function zeroUpdate(uint256 scale, uint256 updateBits) internal pure returns (Fr) {
        uint256 zero = scale << (updateBits - 1);
        return toFr(zero + (zero << _WEIGHT_SHIFT));
    }

    /// @notice R(z) = sum over pairs p = (i, j) of rho^p sum over k of (a_{i,k} - a_{j,k})^2.
    /// @param rows a_{g,k} at z, g = 0 .. G, one row after the other.
    function combine(Fr[] memory rows, uint256 polynomials, Fr rho) internal pure returns (Fr total) {
        Fr power = FR_ONE;
        uint256 end = rows.length;
        // Indices of rows that exist.
        unchecked {
            for (uint256 i = 0; i < end; i += polynomials) {
                for (uint256 j = i + polynomials; j < end; j += polynomials) {
                    total = total + power * _squaredDistance(rows, i, j, polynomials);
                    power = power * rho;
                }
            }
        }
    }

    /// @notice f(0) = (1/N) sum over pairs of rho^p V_p: a polynomial of degree below N sums over H to N times its constant term.
    function constantTerm(Fr[] memory values, Fr rho) internal pure returns (Fr) {
        Fr total = FR_ZERO;
        Fr power = FR_ONE;
        for (uint256 p = 0; p < values.length; ++p) {
            total = total + power * peek(values, p);
            power = power * rho;
        }
        return total * FR_INVERSE_4096;
    }

    /// @notice Whether R(z) = q(z) (z^N - 1) + f(z).
    function holds(Fr combined, Fr z, Fr quotient, Fr remainder) internal pure returns (bool) {
        return combined == quotient * (z.pow(4096) - FR_ONE) + remainder;
    }

    /// @notice T of every pair from its V.
    function distances(Fr[] memory values) internal pure returns (uint256[] memory result) {
        result = new uint256[](values.length);
        for (uint256 p = 0; p < result.length; ++p) result[p] = distance(peek(values, p));
    }

    /// @notice T = S0 + S1 from V = S0 + 2^84 (2 S01) + 2^168 S1, where the middle term may be negative.
    function distance(Fr value) internal pure returns (uint256) {
        uint256 packed = Fr.unwrap(value);
        uint256 cross = (packed >> _WEIGHT_SHIFT) & _WEIGHT_MASK;
        // Below 2^84 + 2^87 + 1.
        unchecked {
            return (packed & _WEIGHT_MASK) + (packed >> (2 * _WEIGHT_SHIFT)) + (cross >> (_WEIGHT_SHIFT - 1));
        }
    }

    /// @dev Between the rows that begin at i and j.
    function _squaredDistance(Fr[] memory rows, uint256 i, uint256 j, uint256 polynomials) private pure returns (Fr total) {
        unchecked {
            for (uint256 end = i + polynomials; i < end; ++i) {
                total = total + (peek(rows, i) - peek(rows, j)).square();
                ++j;
            }
        }
    }
}
