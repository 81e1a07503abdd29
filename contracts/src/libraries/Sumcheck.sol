// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FR_INVERSE_4096, FR_ONE, FR_ORDER, Fr, peek} from "../types/Fr.sol";

/// @title Sumcheck
/// @notice The field arithmetic of the settlement proof; docs/specification/protocol.md section 7.
/// @dev Rows are g-major: row g holds the B values of group g, row 0 those of the zero update, all 0.
library Sumcheck {
    uint256 private constant _WEIGHT_SHIFT = 84;
    uint256 private constant _WEIGHT_MASK = (1 << _WEIGHT_SHIFT) - 1;

    /// @notice Both sides that the pairs p = (i, j) are folded into: R(z) = sum of rho^p sum over k of (a_{i,k} - a_{j,k})^2, and the
    /// constant term f(0) = (1/N) sum of rho^p V_p, as a polynomial of degree below N sums over H to N times its constant term.
    /// @param rows a_{g,k} at z, g = 0 .. G, one row after the other.
    /// @param values V of every pair.
    /// @dev By addresses, as it is done for every pair. Equivalent to, for each pair (i, j) of rows and `pair` counting them:
    /// combined += power * sum over k of (rows[i][k] - rows[j][k])^2; constantTerm += power * values[pair]; power *= rho
    function combine(
        Fr[] memory rows,
        uint256 polynomials,
        Fr[] memory values,
        Fr rho
    ) internal pure returns (Fr combined, Fr constantTerm) {
        uint256 order = FR_ORDER;
        assembly ("memory-safe") {
            let rowBytes := shl(5, polynomials)
            let value := add(values, 0x20)
            let power := 1
            let end := add(add(rows, 0x20), shl(5, mload(rows)))
            for { let i := add(rows, 0x20) } lt(i, end) { i := add(i, rowBytes) } {
                for { let right := add(i, rowBytes) } lt(right, end) { } {
                    let squares := 0
                    let left := i
                    for { let last := add(right, rowBytes) } lt(right, last) { right := add(right, 0x20) } {
                        let gap := addmod(mload(left), sub(order, mload(right)), order)
                        squares := addmod(squares, mulmod(gap, gap, order), order)
                        left := add(left, 0x20)
                    }
                    combined := addmod(combined, mulmod(power, squares, order), order)
                    constantTerm := addmod(constantTerm, mulmod(power, mload(value), order), order)
                    power := mulmod(power, rho, order)
                    value := add(value, 0x20)
                }
            }
        }
        constantTerm = constantTerm * FR_INVERSE_4096;
    }

    /// @notice T of every pair from its V, in the memory of the V.
    function distances(Fr[] memory values) internal pure returns (uint256[] memory result) {
        uint256 length = values.length;
        assembly ("memory-safe") {
            result := values
        }
        for (uint256 p = 0; p < length; ++p) result[p] = distance(peek(values, p));
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
}
