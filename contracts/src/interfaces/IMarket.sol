// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

/// @notice Every number of a market, fixed at creation. Units and bounds: docs/protocol.md section 1.
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
    uint32 weights;
    uint8 updateBits;
    uint64 clipNano;
    uint128 normBound;
    uint32 roundsPerEpoch;
    uint32 commitSeconds;
    uint32 accuseSeconds;
    uint32 answerSeconds;
    uint32 proveSeconds;
    uint32 drawDelayBlocks;
    bytes32 appHash;
    string metrics;
}

/// @notice The market's stages; docs/protocol.md section 2 tells which event each allows.
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
/// @param rosterHash Hash of the open roster's digests; 0 unless Open.
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

/// @title IMarket
/// @notice One market of OmniLytics: a model owner pays data owners for masked updates whose distances are proven.
/// @dev Invariant: balance >= escrow + bond + stakes + owed + credits.
interface IMarket {
    /// @notice The event is not allowed in this stage; `allowed` has a bit for each stage that would do.
    error MarketWrongStage(Stage actual, uint256 allowed);
    /// @notice Only the model owner may do this.
    error MarketNotModelOwner(address caller);
    /// @notice The ether or tokens that came are not the amount due.
    error MarketWrongPayment(uint256 actual, uint256 expected);
    /// @notice The admission gate refused the data owner.
    error MarketNotAdmitted(address owner);
    /// @notice There are as many data owners as the terms allow, or no seat is free.
    error MarketFull(uint256 most);
    /// @notice The mask key is not canonical or of low order.
    error MarketBadMaskKey(bytes32 maskKey);
    /// @notice The account has no seat.
    error MarketNotRegistered(address account);
    /// @notice The data owner has left and may depart at `leaveAt`.
    error MarketLeaving(address owner, uint256 leaveAt);
    /// @notice The data owner has not given notice by `leave`.
    error MarketNotLeaving(address owner);
    /// @notice The data owner is on the open roster.
    error MarketOnRoster(address owner);
    /// @notice Rounds after `claimedThrough` must be claimed before departing.
    error MarketUnclaimed(uint256 claimedThrough, uint256 finished);
    /// @notice Too few data owners are enrolled.
    error MarketTooFewOwners(uint256 actual, uint256 least);
    /// @notice So many data owners cannot be cut into groups of h and h + 1.
    error MarketUnevenGroups(uint256 owners, uint256 groupSize);
    /// @notice The block of the draw has not been mined, or its hash is not yet in history.
    error MarketDrawTooEarly(uint256 blockNumber, uint256 drawBlock);
    /// @notice The block of the draw has left the chain's history; only `close` is left.
    error MarketDrawLapsed(uint256 blockNumber, uint256 drawBlock);
    /// @notice The header is not that of the block of the draw.
    error MarketWrongHeader(bytes32 actual, bytes32 expected);
    /// @notice The order of the draw is not strictly increasing, or names a seat that is not of the epoch, at this place.
    error MarketWrongOrder(uint256 place);
    /// @notice A list has not the length it must have.
    error MarketWrongLength(uint256 actual, uint256 expected);
    /// @notice The task hash is zero.
    error MarketNoTask();
    /// @notice The round named is not the live one.
    error MarketWrongRound(uint256 actual, uint256 live);
    /// @notice The bitmap names a group that does not exist or, for `waived`, is not on the roster.
    error MarketUnknownGroup(uint256 groups, uint256 known);
    /// @notice Fewer groups than 2f + 3.
    error MarketTooFewGroups(uint256 actual, uint256 least);
    /// @notice The epoch has had all its rounds.
    error MarketEpochOver(uint256 rounds);
    /// @notice The escrow does not cover what may have to be paid.
    error MarketUnderfunded(uint256 escrowWei, uint256 neededWei);
    /// @notice A member of the roster has taken its stake back.
    error MarketNotStaked(uint256 seats);
    /// @notice The commitment of this seat is not signed by its owner, or the signature is malformed or high-s.
    error MarketBadSignature(uint256 seat, address owner);
    /// @notice Too late: the deadline has passed.
    error MarketTooLate(uint256 timestamp, uint256 deadline);
    /// @notice Too early.
    error MarketTooEarly(uint256 timestamp, uint256 from);
    /// @notice More groups than f would go unpaid.
    error MarketTooManyUnpaid(uint256 unpaid, uint256 most);
    /// @notice There are no finished rounds to claim up to this one.
    error MarketNothingToClaim(uint256 throughRound, uint256 claimedThrough);
    /// @notice Nothing is credited to the account.
    error MarketNoCredit(address account);
    /// @notice Ether could not be sent.
    error MarketPaymentFailed(address to, uint256 amountWei);
    /// @notice The chain lacks a contract that markets need.
    error MarketUnsupportedChain(address missing);
    /// @notice A field of the terms is out of its bounds.
    error MarketBadTerms(string field, uint256 actual, uint256 least, uint256 most);

    /// @notice A data owner is enrolled for `epoch` with this mask key.
    event Joined(address indexed owner, uint8 indexed seat, uint32 indexed epoch, bytes32 maskKey);
    /// @notice A data owner has given notice and may depart from `leaveAt` (Unix seconds) on.
    event Left(address indexed owner, uint64 leaveAt);
    /// @notice A data owner has its stake back.
    event Departed(address indexed owner, uint8 indexed seat);
    /// @notice The escrow has grown.
    event Funded(address indexed from, uint256 amountWei);
    /// @notice An epoch's members, as a bitmap of seats, and the block of its draw are fixed.
    event Frozen(uint32 indexed epoch, uint256 members, uint64 drawBlock);
    /// @notice An epoch has its groups: consecutive pieces of `order`, one byte a seat.
    event Drawn(uint32 indexed epoch, bytes32 epochSeed, bytes order);
    /// @notice A round has begun.
    event Anchored(uint32 indexed epoch, uint32 indexed round, bytes32 taskHash, uint64 openBy);
    /// @notice A round's roster, as a bitmap of groups, is on chain; it settles until `settleBy` or everybody is paid.
    event Opened(uint32 indexed epoch, uint32 indexed round, uint256 groups, bytes32 rosterHash, uint64 settleBy);
    /// @notice A round is settled. Three bitmaps of groups; a group of the roster in none of them was dropped. One of seats.
    event Settled(uint32 indexed epoch, uint32 indexed round, uint256 accepted, uint256 waived, uint256 excluded, uint256 paidSeats);
    /// @notice A round was not settled in time: each of these seats is owed the reward and the share.
    event TimedOut(uint32 indexed epoch, uint32 indexed round, uint256 paidSeats, uint256 bondShareWei);
    /// @notice A data owner was paid for the rounds up to this one.
    event Claimed(address indexed owner, uint32 throughRound, uint256 amountWei);
    /// @notice The market has ended; escrow and bond are credited to the model owner.
    event Closed(uint256 creditWei);
    /// @notice A credit was paid out.
    event Withdrawn(address indexed account, uint256 amountWei);

    /// @notice Register (with the stake) if new, and enrol for the next epoch.
    /// @param maskKey X25519 public key for the next epoch, canonical, not of low order.
    /// @param admissionData Passed to the admission gate; empty if there is none.
    function join(bytes32 maskKey, bytes calldata admissionData) external payable;

    /// @notice Give notice: out of the next epoch, and free to depart after the delay.
    function leave() external;

    /// @notice Take the stake back and give the seat up.
    function depart() external;

    /// @notice Add to the escrow.
    /// @param amountWei Equal to the ether sent, or taken from the caller's allowance of the token.
    function fund(uint256 amountWei) external payable;

    /// @notice Fix the enrolled data owners as the next epoch and the block that will seed its draw. Model owner only.
    function freeze() external;

    /// @notice Draw the groups. Anybody.
    /// @param header RLP of the header of `drawBlock`.
    /// @param order All seats of the epoch, one byte each, strictly increasing by keccak256(epochSeed, address).
    function draw(bytes calldata header, bytes calldata order) external;

    /// @notice Start a round by anchoring its task. Model owner only.
    function anchor(bytes32 taskHash) external;

    /// @notice Open the live round with whole groups. Model owner only. From here it settles or everybody is paid.
    /// @param round The live round.
    /// @param groups Bitmap of at least 2f + 3 groups.
    /// @param digests Of every member, groups ascending, seats ascending.
    /// @param signatures 64 bytes (EIP-2098) for each digest.
    function open(uint32 round, uint256 groups, bytes32[] calldata digests, bytes calldata signatures) external;

    /// @notice Settle the open round: verify, select, owe the rewards, anchor the next task. Model owner only.
    /// @param round The open round.
    /// @param settlement What the verification asks for.
    /// @param waived Bitmap of groups that are paid and not aggregated.
    /// @param nextTaskHash Task of the next round; 0 for none.
    function settle(uint32 round, bytes calldata settlement, uint256 waived, bytes32 nextTaskHash) external;

    /// @notice Pay everybody on the roster of a round that was not settled in time. Anybody.
    function timeout(uint32 round) external;

    /// @notice Pay a data owner what finished rounds owe it. Anybody may call; the money goes to the owner.
    /// @param owner Registered data owner.
    /// @param throughRound Last round to pay; rounds that are not finished are left for later.
    function claim(address owner, uint32 throughRound) external;

    /// @notice End the market and credit escrow and bond to the model owner. By anybody once a draw has lapsed.
    function close() external;

    /// @notice Pay out a credit.
    function withdraw(address account) external;

    /// @notice The terms.
    function terms() external view returns (Terms memory);

    /// @notice Keccak-256 of the ABI-encoded terms.
    function termsHash() external view returns (bytes32);

    /// @notice Who pays.
    function modelOwner() external view returns (address);

    /// @notice Everything that changes, but for the owners.
    function state() external view returns (MarketState memory);

    /// @notice What is known of an account as data owner.
    function ownerRecord(address account) external view returns (OwnerRecord memory);

    /// @notice Members of the present epoch, seats ascending.
    function members() external view returns (address[] memory owners, uint8[] memory seats, bytes32[] memory maskKeys);

    /// @notice Bitmap of the seats of a group of the present epoch; 0 if there is no such group, or none are drawn.
    function groupSeats(uint256 group) external view returns (uint256 seats);

    /// @notice Bitmap of the seats that a finished round pays.
    function paidSeats(uint32 round) external view returns (uint256 seats);

    /// @notice What a timed-out round pays each member on top of the reward.
    function bondShareWei(uint32 round) external view returns (uint256 shareWei);

    /// @notice What `owner` would get by claiming through the last finished round.
    function claimableWei(address owner) external view returns (uint256 amountWei);

    /// @notice EIP-712 hash that a data owner signs to commit `digest` in the live round; refused if there is none.
    function commitmentHash(bytes32 digest) external view returns (bytes32);

    /// @notice Context that a settlement of the live round is bound to; refused if there is none.
    function settlementContext() external view returns (bytes32);
}
