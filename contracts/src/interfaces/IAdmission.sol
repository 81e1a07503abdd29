// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @title IAdmission
/// @notice A gate that a market's terms may name: it decides who may join.
interface IAdmission {
    /// @notice Whether `owner` may join the calling market.
    /// @param owner Data owner that wants to join.
    /// @param epoch Epoch that it would be a member of; members are asked again for each.
    /// @param data Whatever the gate asks for (a credential, a proof); opaque to the market.
    /// @return allowed False to refuse.
    function mayJoin(address owner, uint32 epoch, bytes calldata data) external returns (bool allowed);
}
