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
        TermsBounds.check(terms, settlementBytes, blobs);
        _checkVerification(terms.verification, terms.weights);
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

    /// @dev Without a verification that packs updates as the market does, no round could ever settle.
    function _checkVerification(address verification, uint256 weights) private view {
        uint256 expected = TermsBounds.polynomialsFor(weights);
        uint256 actual = verification.code.length == 0 ? 0 : IVerification(verification).polynomialsFor(weights);
        if (actual != expected) revert IMarket.MarketBadTerms("verification", actual, expected, expected);
    }
}
