// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Clones} from "@openzeppelin/contracts/proxy/Clones.sol";
import {Market} from "./Market.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {IMarketFactory} from "./interfaces/IMarketFactory.sol";
import {IVerification} from "./interfaces/IVerification.sol";
import {Terms} from "./interfaces/MarketTypes.sol";
import {TermsBounds} from "./libraries/TermsBounds.sol";
import {TermsCode} from "./libraries/TermsCode.sol";

/// @title MarketFactory
/// @notice Creates markets; deploys the one implementation that they all run.
contract MarketFactory is IMarketFactory {
    /// @inheritdoc IMarketFactory
    address public immutable implementation;

    /// @inheritdoc IMarketFactory
    uint256 public immutable settlementBytes;

    /// @inheritdoc IMarketFactory
    uint256 public immutable blobs;

    /// @inheritdoc IMarketFactory
    mapping(address account => bool) public isMarket;

    address[] private _markets;

    /// @param settlementBytes_ Largest transaction that the chain's public nodes take.
    /// @param blobs_ Blobs that a transaction may carry; 0 on a chain without.
    constructor(uint256 settlementBytes_, uint256 blobs_) {
        (settlementBytes, blobs) = (settlementBytes_, blobs_);
        implementation = address(new Market(blobs_));
    }

    /// @inheritdoc IMarketFactory
    function create(Terms calldata terms) external returns (address market) {
        TermsBounds.check(terms, blobs);
        _checkVerification(terms);
        market = Clones.cloneWithImmutableArgs(implementation, TermsCode.encode(msg.sender, terms));
        _markets.push(market);
        isMarket[market] = true;
        emit MarketCreated(market, msg.sender, keccak256(abi.encode(terms)));
    }

    /// @inheritdoc IMarketFactory
    function count() external view returns (uint256) {
        return _markets.length;
    }

    /// @inheritdoc IMarketFactory
    function marketAt(uint256 index) external view returns (address) {
        return _markets[index];
    }

    /// @dev What settles a round is the verification's to say: it must be there, take such terms, and fit a transaction.
    function _checkVerification(Terms calldata terms) private view {
        if (terms.verification.code.length == 0) revert IMarket.MarketBadTerms("verification", 0, 1, 1);
        uint256 needed = IVerification(terms.verification).settlementBytes(terms);
        if (needed > settlementBytes) revert IMarket.MarketBadTerms("settlementBytes", needed, 0, settlementBytes);
    }
}
