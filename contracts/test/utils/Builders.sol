// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {Terms} from "../../src/interfaces/MarketTypes.sol";

/// @notice Short makers of what the tests feed.
library Builders {
    /// @dev Up to 25 data owners in groups of 4 or 5, one faulty group tolerated, three polynomials.
    function terms(address token, address verification) internal pure returns (Terms memory built) {
        built.token = token;
        built.verification = verification;
        built.rewardWei = 1e15;
        built.stakeWei = 1e16;
        built.bondWei = 3e16;
        built.accuseFeeWei = 1e14;
        built.mostOwners = 25;
        built.groupSize = 4;
        built.faultyGroups = 1;
        built.weights = 20_000;
        built.updateBits = 16;
        built.clipNano = 1e9;
        built.normBound = 1_000_000;
        built.usualExamples = 600;
        built.roundsPerEpoch = 100;
        built.commitSeconds = 600;
        built.accuseSeconds = 600;
        built.answerSeconds = 1800;
        built.proveSeconds = 600;
        built.drawDelayBlocks = 4;
        built.metrics = "accuracy loss";
    }

    /// @dev A block header of the Prague form; only its prevrandao and its hash matter here.
    function header(uint256 blockNumber, bytes32 prevRandao) internal pure returns (bytes memory) {
        bytes[] memory fields = new bytes[](21);
        for (uint256 i = 0; i < fields.length; ++i) fields[i] = RLP.encode(keccak256(abi.encode("field", i)));
        fields[2] = RLP.encode(address(0xc0ffee));
        fields[6] = RLP.encode(new bytes(256));
        fields[7] = RLP.encode(uint256(0));
        fields[8] = RLP.encode(blockNumber);
        fields[9] = RLP.encode(uint256(36_000_000));
        fields[12] = RLP.encode(bytes("extra"));
        fields[13] = RLP.encode(prevRandao);
        fields[14] = RLP.encode(new bytes(8));
        return RLP.encode(fields);
    }

    /// @dev A mask key that is canonical and of no low order: the top byte of the number is 0.
    function maskKey(uint256 which) internal pure returns (bytes32) {
        return keccak256(abi.encode("mask key", which)) & ~bytes32(uint256(0xff));
    }

    /// @dev Verdict of `groups` groups that are all alike.
    function noDistances(uint256 groups) internal pure returns (uint256[] memory) {
        return new uint256[]((groups * (groups + 1)) / 2);
    }
}
