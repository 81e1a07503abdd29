// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Stage} from "../interfaces/MarketTypes.sol";

/// @notice Stage, epoch and live round of a market: one storage slot, which they fill.
/// @dev A field keeps its last value where its stage is over. Times and blocks fit 40 bits for 34,000 years of seconds.
struct Live {
    Stage stage;
    uint32 epoch; // freezes so far
    uint32 round; // anchored tasks so far
    uint16 openedInEpoch; // at most 10,000 by the terms
    uint8 members; // seats of the epoch, at most 254
    uint40 openBy; // Unix seconds
    uint40 settleBy; // Unix seconds
    uint40 drawBlock; // block number
    uint40 answerBy; // Unix seconds; 0 if the last opened round has had no accusation
}

using {lastFinished, hasRound} for Live global;

/// @dev Whether a task is anchored or a round open.
function hasRound(Live memory self) pure returns (bool) {
    return self.stage == Stage.Anchored || self.stage == Stage.Open;
}

/// @notice The last round that will not change any more; 0 before the first.
function lastFinished(Live memory self) pure returns (uint32) {
    // A live round has a number of at least 1.
    unchecked {
        return self.hasRound() ? self.round - 1 : self.round;
    }
}
