// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Terms} from "./MarketTypes.sol";

/// @title IMarketFactory
/// @notice Creates markets and announces them, so that data owners can find one.
interface IMarketFactory {
    /// @notice A market exists; its terms can be read from it.
    event MarketCreated(address indexed market, address indexed modelOwner, bytes32 indexed termsHash);

    /// @notice Create a market with the caller as model owner.
    /// @param terms Checked here; refused with the first field out of bounds.
    /// @return market Address of the new market.
    function create(Terms calldata terms) external returns (address market);

    /// @notice The code that every market of this factory runs.
    /// @return Address of the implementation behind the proxies.
    function implementation() external view returns (address);

    /// @notice Whether this factory created an account as a market.
    /// @param account Any account.
    /// @return True if its code and its books are those of a market of this factory.
    function isMarket(address account) external view returns (bool);

    /// @notice Largest transaction, in bytes, that terms may need: what the chain's public nodes take.
    /// @return Bytes.
    function settlementBytes() external view returns (uint256);

    /// @notice Blobs that a transaction of this chain may carry.
    /// @return Number; 0 if the chain has no blobs, whose markets know no accusations.
    function blobs() external view returns (uint256);

    /// @notice Markets created so far.
    /// @return How many.
    function count() external view returns (uint256);

    /// @notice The market with this number, from 0.
    /// @param index Below `count`.
    /// @return Its address.
    function marketAt(uint256 index) external view returns (address);
}
