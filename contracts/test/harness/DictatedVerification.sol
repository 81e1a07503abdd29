// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement, Verdict} from "../../src/interfaces/IVerification.sol";

/// @notice Believes its settlement, `abi.encode(uint256 excluded, uint256[] distances)`, unless it is empty.
/// @dev A walk of random calls dictates verdicts with it, to a market in memory and to one on a chain alike.
contract DictatedVerification is IVerification {
    function verify(Statement calldata, bytes calldata settlement) external pure returns (Verdict memory verdict) {
        if (settlement.length == 0) revert VerificationWrongSumcheck();
        (verdict.excluded, verdict.distances) = abi.decode(settlement, (uint256, uint256[]));
    }

    function polynomialsFor(uint256 weights) external pure returns (uint256) {
        return (weights + 8191) / 8192;
    }

    function checkPoints(bytes calldata points, uint256 polynomials) external pure returns (bool) {
        if (points.length != 128 * polynomials) revert VerificationWrongLength(points.length, 128 * polynomials);
        return true;
    }
}
