// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement, Verdict} from "../../src/interfaces/IVerification.sol";
import {Terms} from "../../src/interfaces/MarketTypes.sol";

/// @notice Answers the digests that its settlement is (`abi.encode(bytes32[])`), and the distances that it was told, or none at all.
/// @dev The market's side of a settlement is tested with it; proofs are tested against the real verification.
contract SettableVerification is IVerification {
    Statement private _asked;
    uint256[] private _distances;
    bool private _told;

    function setDistances(uint256[] calldata distances) external {
        (_distances, _told) = (distances, true);
    }

    function verify(Statement calldata statement, bytes calldata settlement) external returns (Verdict memory verdict) {
        _asked = statement;
        verdict.digests = abi.decode(settlement, (bytes32[]));
        if (_told) {
            verdict.distances = _distances;
            return verdict;
        }
        uint256 groups = 0;
        for (uint256 i = 0; i < statement.sizes.length; ++i) groups += 1 - ((statement.outside >> i) & 1);
        verdict.distances = new uint256[]((groups * (groups + 1)) / 2);
    }

    function asked() external view returns (Statement memory) {
        return _asked;
    }

    function settlementBytes(Terms calldata) external pure returns (uint256) {
        return 1;
    }

    function checkPoints(bytes calldata, uint256) external pure returns (bool) {
        return true;
    }
}
