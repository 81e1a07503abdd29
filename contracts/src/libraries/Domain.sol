// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title Domain
/// @notice The EIP-712 domain of what data owners and model owners sign.
/// @dev Of the contract that runs, which is a proxy where it is a market: nothing can be kept from the construction of its code.
library Domain {
    bytes32 private constant _TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant _NAME = keccak256("OmniLytics");
    bytes32 private constant _VERSION = keccak256("2");

    /// @notice Hash of name, version, chain and contract.
    function separator() internal view returns (bytes32) {
        return keccak256(abi.encode(_TYPE, _NAME, _VERSION, block.chainid, address(this)));
    }
}
