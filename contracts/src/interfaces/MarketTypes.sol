// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Every number of a market, fixed at creation. Units and bounds: docs/specification/protocol.md section 1.
struct Terms {
    address token;
    address admission;
    address verification;
    uint128 rewardWei;
    uint128 stakeWei;
    uint128 bondWei;
    uint128 accuseFeeWei;
    uint16 mostOwners;
    uint8 groupSize;
    uint8 faultyGroups;
    uint8 outlierPercent;
    uint32 weights;
    uint8 updateBits;
    bool projected;
    uint64 clipNano;
    uint128 normBound;
    uint32 usualExamples;
    uint32 roundsPerEpoch;
    uint32 commitSeconds;
    uint32 accuseSeconds;
    uint32 answerSeconds;
    uint32 proveSeconds;
    uint32 drawDelayBlocks;
    bytes32 appHash;
    string metrics;
}

/// @notice The market's stages; docs/specification/protocol.md section 2 tells which event each allows.
enum Stage {
    Enrolling,
    Frozen,
    Idle,
    Anchored,
    Open,
    Closed
}

/// @notice Everything about a market that changes, but for its owners.
/// @param stage Present stage.
/// @param epoch Freezes so far.
/// @param round Anchored tasks so far; the live round if the stage is Anchored or Open.
/// @param openedInEpoch Rounds opened in this epoch.
/// @param openBy Unix seconds until which the live round may open; 0 unless Anchored or Open.
/// @param settleBy Unix seconds until which the open round may settle; 0 unless Open.
/// @param drawBlock Block whose prevrandao seeds the draw of this epoch; 0 unless Frozen.
/// @param taskHash Task of the live round; 0 unless Anchored or Open.
/// @param rosterHash Hash of the open roster's groups and digests; 0 unless Open.
/// @param groups Bitmap of the groups on the open roster; 0 unless Open.
/// @param epochSeed Seed of this epoch's groups; 0 unless Idle, Anchored or Open.
/// @param members Bitmap of the seats of this epoch.
/// @param enrolled Bitmap of the seats enrolled for the next epoch.
/// @param staked Bitmap of the seats whose stake is here.
/// @param escrowWei Free money for rewards.
/// @param bondWei The model owner's bond.
/// @param stakesWei All stakes.
/// @param owedWei Unclaimed rewards.
/// @param creditsWei Credited and not yet withdrawn.
/// @param answerBy Unix seconds until which the accused may answer; 0 unless Open with an accusation.
/// @param accused Bitmap of the seats accused in the open round; 0 unless Open.
/// @param answered Bitmap of those that have answered in full; 0 unless Open.
/// @param slashed Bitmap of the seats whose stake is lost and was not paid again.
/// @param disputesWei Ether of accusations, held or freed and not yet withdrawn.
struct MarketState {
    Stage stage;
    uint32 epoch;
    uint32 round;
    uint32 openedInEpoch;
    uint64 openBy;
    uint64 settleBy;
    uint64 drawBlock;
    bytes32 taskHash;
    bytes32 rosterHash;
    uint256 groups;
    bytes32 epochSeed;
    uint256 members;
    uint256 enrolled;
    uint256 staked;
    uint256 escrowWei;
    uint256 bondWei;
    uint256 stakesWei;
    uint256 owedWei;
    uint256 creditsWei;
    uint64 answerBy;
    uint256 accused;
    uint256 answered;
    uint256 slashed;
    uint256 disputesWei;
}

/// @notice What a market knows of a data owner.
/// @param registered Whether it has a seat.
/// @param seat Its seat.
/// @param leaveAt Unix seconds from which it may depart; 0 if it has not left.
/// @param claimedThrough Last round that it has claimed.
struct OwnerRecord {
    bool registered;
    uint8 seat;
    uint64 leaveAt;
    uint32 claimedThrough;
}
