// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement, Verdict} from "../../src/interfaces/IVerification.sol";

/// @notice Answers what it was told to, or else that all groups that take part are alike; keeps the statement that it was asked about.
/// @dev The market's side of a settlement is tested with it; proofs are tested against the real verification.
contract SettableVerification is IVerification {
    Statement private _asked;
    bool private _told;
    uint256 private _excluded;
    uint256[] private _distances;
    bytes32 private _settlementHash;

    function setVerdict(uint256 excluded, uint256[] calldata distances) external {
        (_told, _excluded, _distances) = (true, excluded, distances);
    }

    function verify(Statement calldata statement, bytes calldata settlement) external returns (Verdict memory verdict) {
        _asked = statement;
        _settlementHash = keccak256(settlement);
        if (_told) return Verdict(_excluded, _distances);
        uint256 groups = statement.sizes.length;
        for (uint256 outside = statement.outside; outside != 0; outside &= outside - 1) --groups;
        verdict.distances = new uint256[]((groups * (groups + 1)) / 2);
    }

    function asked() external view returns (Statement memory) {
        return _asked;
    }

    function settlementHash() external view returns (bytes32) {
        return _settlementHash;
    }

    function polynomialsFor(uint256 weights) external pure returns (uint256) {
        return (weights + 8191) / 8192;
    }

    function checkPoints(bytes calldata, uint256) external pure returns (bool) {
        return true;
    }
}
