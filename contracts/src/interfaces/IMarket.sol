// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {MarketState, OwnerRecord, Stage, Terms} from "./MarketTypes.sol";

/// @title IMarket
/// @notice One market of OmniLytics: a model owner pays data owners for masked updates whose distances are proven.
/// @dev Invariant: balance >= escrow + bond + stakes + owed + credits, in the market's token; and ether for the disputes besides.
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
    /// @notice The data owner has neither given notice by `leave` nor lost its stake.
    error MarketNotLeaving(address owner);
    /// @notice The data owner is on the open roster.
    error MarketOnRoster(address owner);
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
    /// @notice A round needs a group at least.
    error MarketNoGroups();
    /// @notice The epoch has had all its rounds.
    error MarketEpochOver(uint256 rounds);
    /// @notice The escrow does not cover what may have to be paid.
    error MarketUnderfunded(uint256 escrowWei, uint256 neededWei);
    /// @notice Members of the roster have taken their stake back or lost it.
    error MarketNotStaked(uint256 seats);
    /// @notice The commitment or delivery of this seat is not signed by its owner, or the signature is malformed or high-s.
    error MarketBadSignature(uint256 seat, address owner);
    /// @notice Too late: the deadline has passed.
    error MarketTooLate(uint256 timestamp, uint256 deadline);
    /// @notice Too early. Both are Unix seconds, or, if a frozen market is to be closed, block numbers.
    error MarketTooEarly(uint256 timestamp, uint256 from);
    /// @notice More groups would go unpaid than the groups that are judged allow; `most` is f' of docs/specification/protocol.md.
    error MarketTooManyUnpaid(uint256 unpaid, uint256 most);
    /// @notice There are no finished rounds to claim up to this one.
    error MarketNothingToClaim(uint256 throughRound, uint256 claimedThrough);
    /// @notice Nothing is credited to the account.
    error MarketNoCredit(address account);
    /// @notice Accused members may still answer.
    error MarketUnresolved(uint256 seats, uint256 answerBy);
    /// @notice The terms know no accusations.
    error MarketNoAccusations();
    /// @notice The data owner means other terms than the market has.
    error MarketWrongTerms(bytes32 expected, bytes32 actual);
    /// @notice No seat is accused.
    error MarketNoSeats();
    /// @notice The bitmap names a seat that is not on the roster.
    error MarketUnknownSeats(uint256 seats, uint256 known);
    /// @notice These seats are accused already.
    error MarketAlreadyAccused(uint256 seats);
    /// @notice The digests do not hash to the roster's hash.
    error MarketWrongDigests(bytes32 actual, bytes32 expected);
    /// @notice The ether sent is less than fees and least deposits.
    error MarketUnderpaid(uint256 actual, uint256 least);
    /// @notice The seat is not accused in this round, or has answered.
    error MarketNotAccused(uint256 seat);
    /// @notice The point shown for this polynomial is not the one of the accused digest.
    error MarketWrongPoint(uint256 polynomial, bytes32 actual, bytes32 expected);
    /// @notice Answers come in order: `answered` polynomials are there, and the next must be among those shown.
    error MarketWrongStart(uint256 first, uint256 answered);
    /// @notice The transaction's blob at `index` is not the polynomial; the hash is 0 if there is no such blob.
    error MarketWrongBlob(uint256 index, bytes32 actual, bytes32 expected);
    /// @notice The commitment that the blob at `index` is compared with is not on the curve, or not encoded as it must be.
    error MarketBadPoint(uint256 index);
    /// @notice Ether could not be sent.
    error MarketPaymentFailed(address to, uint256 amountWei);
    /// @notice The chain lacks a contract that markets need.
    error MarketUnsupportedChain(address missing);
    /// @notice A field of the terms is out of its bounds.
    error MarketBadTerms(string field, uint256 actual, uint256 least, uint256 most);

    /// @notice A data owner is enrolled for `epoch` with this mask key and number of examples.
    event Joined(address indexed owner, uint8 indexed seat, uint32 indexed epoch, bytes32 maskKey, uint32 examples);
    /// @notice A data owner has given notice and may depart from `leaveAt` (Unix seconds) on.
    event Left(address indexed owner, uint64 leaveAt);
    /// @notice A data owner has given up its seat, and has its stake (unless it was lost) and all that it was owed.
    event Departed(address indexed owner, uint8 indexed seat, uint256 amountWei);
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
    /// @notice A round is settled. Two bitmaps of groups; a group of the roster in none of them was dropped or is void. One of seats.
    event Settled(uint32 indexed epoch, uint32 indexed round, uint256 accepted, uint256 waived, uint256 paidSeats);
    /// @notice Seats are accused; until `answerBy` they, and those accused before, may answer.
    event Accused(uint32 indexed epoch, uint32 indexed round, uint256 seats, uint64 answerBy);
    /// @notice Polynomials from, .. from + count - 1 of the vector of a seat are on chain: blob from - first of this transaction, and those
    /// after it.
    event Answered(uint32 indexed epoch, uint32 indexed round, uint8 indexed seat, uint16 from, uint16 count, uint16 first);
    /// @notice A complete answer under projection: what the seat's owner signed for the settlement.
    event Delivered(
        uint32 indexed epoch,
        uint32 indexed round,
        uint8 indexed seat,
        bytes32 projectedDigest,
        bytes signature
    );
    /// @notice Groups of a settled round are void: these seats have lost their stakes, of which so much is burned.
    event Voided(uint32 indexed epoch, uint32 indexed round, uint256 groups, uint256 slashedSeats, uint256 burnedWei);
    /// @notice A round was not settled in time: each of these seats is owed the reward and the share.
    event TimedOut(uint32 indexed epoch, uint32 indexed round, uint256 paidSeats, uint256 bondShareWei);
    /// @notice A data owner was paid for the rounds up to this one.
    event Claimed(address indexed owner, uint32 throughRound, uint256 amountWei);
    /// @notice The market has ended; escrow and bond are credited to the model owner.
    event Closed(uint256 creditWei);
    /// @notice A credit was paid out, and ether that disputes had freed.
    event Withdrawn(address indexed account, uint256 amountWei, uint256 refundWei);

    /// @notice Register (with the stake) if new, pay the stake again if it was lost, and enrol for the next epoch.
    /// @param expectedTerms Hash of the terms that the sender agrees to, lest a reorganisation put another market here.
    /// @param maskKey X25519 public key for the next epoch, canonical, not of low order.
    /// @param examples On how many examples the data owner will train in that epoch, by its own word: its update is weighed by it when
    /// its group's are summed, and nobody checks it. 0 if it does not say.
    /// @param admissionData Passed to the admission gate; empty if there is none.
    function join(bytes32 expectedTerms, bytes32 maskKey, uint32 examples, bytes calldata admissionData) external payable;

    /// @notice Give notice: out of the next epoch, and free to depart after the delay.
    function leave() external;

    /// @notice Give a data owner its stake and all that it is owed, and its seat up: one that has left, after the delay, or one whose
    /// stake is lost, at once. Anybody may call; the money goes to the owner.
    /// @dev After very many unclaimed rounds `claim` some first, lest the gas does not suffice.
    /// @param owner Registered data owner that is not on the open roster.
    function depart(address owner) external;

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
    /// @param taskHash Hash of the task; not zero.
    function anchor(bytes32 taskHash) external;

    /// @notice Open the live round with whole groups. Model owner only. From here it settles or everybody is paid.
    /// @param round The live round.
    /// @param groups Bitmap of at least one group. How many may go unpaid follows from how many are judged.
    /// @param rosterHash Keccak-256 of `groups` as a word and the digests of all members, groups ascending, seats ascending. It is not
    /// looked into here: members look before they deliver, and a digest that nobody signed can neither be settled nor accused.
    function open(uint32 round, uint256 groups, bytes32 rosterHash) external;

    /// @notice Accuse members of the open roster of not having delivered. Model owner only, until `settleBy` less the windows for answers
    /// and proof. The ether sent is a fee for each accused and equal deposits, which pay for answers.
    /// @param round The open round.
    /// @param seats Bitmap of members not yet accused.
    /// @param digests Of the whole roster, groups ascending, seats ascending.
    /// @param signatures Commitment signatures of the accused, 64 bytes (EIP-2098) each, in the order of the roster.
    function accuse(uint32 round, uint256 seats, bytes32[] calldata digests, bytes calldata signatures) external payable;

    /// @notice Answer for an accused seat: the blobs of this transaction are polynomials of its vector. Anybody; the caller is freed what
    /// the new ones cost in this block, at most their share of the deposit. The fee of a complete answer is burned.
    /// @param round The open round.
    /// @param seat The accused.
    /// @param first Polynomial of the first blob; at most as many as have been answered.
    /// @param points Commitments of the blobs, 96 bytes each.
    /// @param proofs For each point the words that lead from its leaf up to the accused digest, three for each of ceil(log4 B) levels.
    /// @param delivery In a projected market with the last polynomial: projected digest (32 bytes) and the owner's signature of the
    /// delivery (64); empty otherwise.
    function answer(
        uint32 round,
        uint8 seat,
        uint16 first,
        bytes calldata points,
        bytes32[] calldata proofs,
        bytes calldata delivery
    ) external;

    /// @notice Settle the open round: verify, select, owe the rewards, anchor the next task. Model owner only; not while an accused may
    /// still answer.
    /// @param round The open round.
    /// @param settlement What the verification asks for.
    /// @param signatures For each member of a group that takes part 64 bytes (EIP-2098): of its commitment in an exact market, of its
    /// delivery in a projected one.
    /// @param waived Bitmap of groups that are paid and not aggregated.
    /// @param nextTaskHash Task of the next round; 0 for none.
    function settle(
        uint32 round,
        bytes calldata settlement,
        bytes calldata signatures,
        uint256 waived,
        bytes32 nextTaskHash
    ) external;

    /// @notice Pay everybody on the roster of a round that was not settled in time, but for accused who did not answer. Anybody.
    /// @param round The open round.
    function timeout(uint32 round) external;

    /// @notice Pay a data owner what finished rounds owe it. Anybody may call; the money goes to the owner.
    /// @param owner Registered data owner.
    /// @param throughRound Last round to pay; rounds that are not finished are left for later.
    function claim(address owner, uint32 throughRound) external;

    /// @notice End the market and credit escrow and bond to the model owner. By anybody once a draw has lapsed.
    function close() external;

    /// @notice Pay out a credit, and the ether that disputes have freed for an account. Anybody may call; the money goes to the account.
    /// @param account Who is paid.
    function withdraw(address account) external;

    /// @notice The terms.
    /// @return All of them, from the market's code.
    function terms() external view returns (Terms memory);

    /// @notice Keccak-256 of the ABI-encoded terms.
    /// @return Hash.
    function termsHash() external view returns (bytes32);

    /// @notice Who pays.
    /// @return Account that created the market.
    function modelOwner() external view returns (address);

    /// @notice Everything that changes, but for the owners.
    /// @return Present state.
    function state() external view returns (MarketState memory);

    /// @notice What is known of an account as data owner.
    /// @param account Any account.
    /// @return Its record; all zero for one without a seat.
    function ownerRecord(address account) external view returns (OwnerRecord memory);

    /// @notice Members of the present epoch, seats ascending.
    /// @return owners Their accounts.
    /// @return seats Their seats.
    /// @return maskKeys Their X25519 public keys of this epoch.
    /// @return examples On how many examples each trains in this epoch, as it said when it joined; 0 if it did not say.
    function members()
        external
        view
        returns (address[] memory owners, uint8[] memory seats, bytes32[] memory maskKeys, uint32[] memory examples);

    /// @notice Bitmap of the seats of a group of the present epoch; 0 if there is no such group, or none are drawn.
    /// @param group Number from 0.
    /// @return seats One bit for each seat.
    function groupSeats(uint256 group) external view returns (uint256 seats);

    /// @notice Bitmap of the seats that a finished round pays.
    /// @param round Number of a round.
    /// @return seats One bit for each seat; 0 for a round that is not finished, or lapsed before it opened.
    function paidSeats(uint32 round) external view returns (uint256 seats);

    /// @notice What a timed-out round pays each member on top of the reward.
    /// @param round Number of a round.
    /// @return shareWei Smallest token units; 0 unless it timed out.
    function bondShareWei(uint32 round) external view returns (uint256 shareWei);

    /// @notice What `owner` would get by claiming through the last finished round.
    /// @param owner Any account.
    /// @return amountWei Smallest token units; 0 for one without a seat.
    function claimableWei(address owner) external view returns (uint256 amountWei);

    /// @notice Least deposit for one accused at this block: twice the blobs and the gas of its answer.
    /// @return Wei of ether, 0 in a market without accusations; depends on the block's fees, of which a call without a gas price may see none.
    function answerCostWei() external view returns (uint256);

    /// @notice Blobs that a transaction may carry, as the factory was told of the chain.
    /// @return count 0 on a chain without.
    function blobs() external view returns (uint256 count);

    /// @notice The accusation of a seat in the open round; zeros if there is none.
    /// @param seat Any seat.
    /// @return digest What it committed to.
    /// @return depositWei Most that an answer of all polynomials is refunded.
    /// @return answeredPolynomials How many have been answered.
    function accusation(uint8 seat) external view returns (bytes32 digest, uint128 depositWei, uint16 answeredPolynomials);

    /// @notice EIP-712 hash that a data owner signs to commit `digest` in the live round; refused if there is none.
    /// @param digest Hash of all points of an update.
    /// @return What is signed.
    function commitmentHash(bytes32 digest) external view returns (bytes32);

    /// @notice EIP-712 hash that a data owner signs to deliver in the open round of a projected market; refused if none is open.
    /// @param projectedDigest Hash of the point of its projected vector.
    /// @return What is signed.
    function deliveryHash(bytes32 projectedDigest) external view returns (bytes32);
}
