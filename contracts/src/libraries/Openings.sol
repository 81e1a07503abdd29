// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {FR_ORDER, Fr} from "../types/Fr.sol";
import {G1} from "../types/G1.sol";

/// @title Openings
/// @notice KZG opening proofs, by the point evaluation precompile of EIP-4844.
library Openings {
    uint256 internal constant POINT_EVALUATION = 0x0a;
    uint256 internal constant PROOF_BYTES = 48;

    /// @dev Degree bound of the ceremony; the precompile answers it and the order of the field.
    uint256 private constant _POLYNOMIAL_ELEMENTS = 4096;
    /// @dev EIP-4844: a blob's versioned hash is the SHA-256 of its commitment with 1 for the first byte.
    uint256 private constant _VERSION = 1 << 248;
    uint256 private constant _SHA256 = 0x02;
    uint256 private constant _INPUT_BYTES = 192;

    /// @notice Whether the polynomial of `commitment` has `value` at `point`.
    /// @param proof 48 bytes, compressed.
    function holds(G1 commitment, Fr point, Fr value, bytes memory proof) internal view returns (bool) {
        return holdsWithin(gasleft(), commitment, point, value, proof);
    }

    /// @notice The same with a bound on gas, all of which a refusal costs.
    /// @dev The precompile takes the versioned hash (32 bytes), point, value, commitment (48) and proof (48), and checks that commitment
    /// and proof are canonical, on the curve and in the subgroup.
    function holdsWithin(uint256 mostGas, G1 commitment, Fr point, Fr value, bytes memory proof) internal view returns (bool good) {
        bytes memory room = new bytes(_INPUT_BYTES);
        uint256 input;
        assembly ("memory-safe") {
            input := add(room, 0x20)
        }
        // Also writes 16 bytes where the proof goes next.
        commitment.compressInto(input + 0x60);
        assembly ("memory-safe") {
            mcopy(add(input, 0x90), add(proof, 0x20), 48)
            mstore(add(input, 0x20), point)
            mstore(add(input, 0x40), value)
            good := staticcall(gas(), _SHA256, add(input, 0x60), 48, input, 0x20)
            good := and(good, eq(returndatasize(), 0x20))
            mstore(input, or(and(mload(input), sub(_VERSION, 1)), _VERSION))
            good := and(good, staticcall(mostGas, POINT_EVALUATION, input, _INPUT_BYTES, input, 0x40))
            // A chain without the precompile answers with success and nothing.
            good := and(good, eq(returndatasize(), 0x40))
            good := and(good, eq(mload(input), _POLYNOMIAL_ELEMENTS))
            good := and(good, eq(mload(add(input, 0x20)), FR_ORDER))
        }
    }
}
