// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Terms} from "../interfaces/MarketTypes.sol";

/// @title TermsCode
/// @notice Model owner and terms of a market live in its code, behind the proxy, as `abi.encode(modelOwner, terms)`.
/// @dev That is one word for the model owner, one for the offset of the terms, 25 for the terms, then the metrics' length and bytes.
library TermsCode {
    /// @dev The 45 bytes of an ERC-1167 proxy come first.
    uint256 private constant _MODEL_OWNER_AT = 0x2d;
    uint256 private constant _TERMS_AT = 0x6d;
    /// @dev All fields before the metrics, one word each.
    uint256 private constant _NUMBERS_BYTES = 0x300;

    /// @notice The bytes that a market is created with.
    function encode(address owner, Terms memory terms) internal pure returns (bytes memory) {
        return abi.encode(owner, terms);
    }

    /// @notice `abi.encode(terms)`: a word 0x20, then the code after the model owner and the offset.
    function encoded() internal view returns (bytes memory result) {
        result = new bytes(address(this).code.length - _TERMS_AT + 0x20);
        assembly ("memory-safe") {
            mstore(add(result, 0x20), 0x20)
            extcodecopy(address(), add(result, 0x40), _TERMS_AT, sub(mload(result), 0x20))
        }
    }

    /// @notice The terms but for the metrics, which are left empty.
    /// @dev Equivalent to `abi.decode(encoded(), (Terms))` but for the metrics, at a tenth of the gas: in memory a struct of values is
    /// what its ABI encoding is, one word a field, and the factory's encoder cleaned the words.
    function numbers() internal view returns (Terms memory terms) {
        assembly ("memory-safe") {
            extcodecopy(address(), terms, _TERMS_AT, _NUMBERS_BYTES)
        }
    }

    /// @notice Who created the market and pays.
    function modelOwner() internal view returns (address owner) {
        assembly ("memory-safe") {
            extcodecopy(address(), 0, _MODEL_OWNER_AT, 0x20)
            owner := mload(0)
        }
    }
}
