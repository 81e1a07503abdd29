// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../interfaces/IMarket.sol";
import {OwnerRecord} from "../interfaces/MarketTypes.sol";
import {Bits} from "./Bits.sol";

/// @title Registry
/// @notice A market's data owners: their seats, stakes, claims, mask keys and numbers of examples.
/// @dev A seat names one address for a whole epoch: one that was given up stays blocked while it belongs to the present epoch. Every
/// registered data owner has a seat that is staked or slashed; those enrolled are staked.
library Registry {
    using Bits for uint256;

    /// @dev Bit 255 of a bitmap of seats is a flag; 254 stays clear.
    uint256 private constant _SEATS = 254;

    /// @dev Bitmaps of seats, and who has them.
    struct Owners {
        uint256 enrolled; // seats that are in the next epoch
        uint256 staked; // seats whose stake is here
        uint256 slashed; // seats whose stake is lost and was not paid again
        mapping(uint256 seat => address) ownerOf; // the last owner of the seat
        mapping(address owner => OwnerRecord) records;
        // Keys and numbers of the present epoch must outlast enrolment for the next: two banks, by the epoch's parity.
        mapping(uint256 parity => mapping(uint256 seat => bytes32)) maskKeys;
        uint32[256][2] examples; // by parity, then seat: eight seats to a slot
    }

    /// @notice Give an account the lowest free seat.
    /// @param blocked Seats of the present epoch.
    /// @param most Data owners that the market takes; there are more seats, lest blocked ones keep everybody out.
    /// @param round Present round: what came before is not the newcomer's, whoever had the seat.
    function register(Owners storage self, address account, uint256 blocked, uint256 most, uint32 round) internal returns (uint8 seat) {
        uint256 staked = self.staked;
        // The slashed may pay again at any time: their places are not for others.
        uint256 taken = staked | self.slashed;
        uint256 free = Bits.below(_SEATS) & ~(taken | blocked);
        if (taken.count() >= most || free == 0) revert IMarket.MarketFull(most);
        seat = uint8(free.least());
        self.staked = staked | (1 << seat);
        self.ownerOf[seat] = account;
        self.records[account] = OwnerRecord({registered: true, seat: seat, leaveAt: 0, claimedThrough: round});
    }

    /// @notice Book the stake of a seat again if it was lost.
    /// @return due Whether it was, so that a stake has to be paid.
    function restake(Owners storage self, uint8 seat) internal returns (bool due) {
        uint256 slashed = self.slashed;
        due = slashed.has(seat);
        if (due) {
            self.slashed = slashed & ~(1 << seat);
            self.staked |= 1 << seat;
        }
    }

    /// @notice Take the stakes of seats that are all staked, and the seats out of the next epoch.
    function slash(Owners storage self, uint256 seats) internal {
        self.staked &= ~seats;
        self.enrolled &= ~seats;
        self.slashed |= seats;
    }

    /// @notice Put a seat into the next epoch, with a key and a number of examples for it.
    function enrol(Owners storage self, uint8 seat, uint32 nextEpoch, bytes32 maskKey, uint32 examples) internal {
        self.enrolled |= 1 << seat;
        self.maskKeys[nextEpoch & 1][seat] = maskKey;
        self.examples[nextEpoch & 1][seat] = examples;
    }

    /// @notice Take a data owner out of the next epoch, to depart from `leaveAt` on.
    function leave(Owners storage self, address account, uint64 leaveAt) internal {
        OwnerRecord storage record = self.records[account];
        (bool registered, uint8 seat, uint64 leaving) = (record.registered, record.seat, record.leaveAt);
        if (!registered) revert IMarket.MarketNotRegistered(account);
        if (leaving != 0) revert IMarket.MarketLeaving(account, leaving);
        record.leaveAt = leaveAt;
        self.enrolled &= ~(1 << seat);
    }

    /// @notice Give up the seat and forget the data owner: one that has left, when the time has come, or a slashed one.
    /// @param onRoster Seats of the open roster.
    /// @return record What was known of the data owner.
    /// @return staked Whether its stake was here, and is due.
    function depart(
        Owners storage self,
        address account,
        uint256 onRoster
    ) internal returns (OwnerRecord memory record, bool staked) {
        record = self.records[account];
        if (!record.registered) revert IMarket.MarketNotRegistered(account);
        staked = self.staked.has(record.seat);
        if (staked) {
            if (record.leaveAt == 0) revert IMarket.MarketNotLeaving(account);
            if (block.timestamp < record.leaveAt) revert IMarket.MarketTooEarly(block.timestamp, record.leaveAt);
        }
        if (onRoster.has(record.seat)) revert IMarket.MarketOnRoster(account);
        delete self.records[account];
        if (staked) self.staked &= ~(1 << record.seat);
        else self.slashed &= ~(1 << record.seat);
    }

    /// @notice Owners, seats, mask keys and numbers of examples of the members of an epoch, seats ascending.
    function list(
        Owners storage self,
        uint256 members,
        uint32 epoch
    )
        internal
        view
        returns (address[] memory owners, uint8[] memory seats, bytes32[] memory maskKeys, uint32[] memory examples)
    {
        uint256 size = members.count();
        (owners, seats) = (new address[](size), new uint8[](size));
        (maskKeys, examples) = (new bytes32[](size), new uint32[](size));
        for (uint256 i = 0; i < size; ++i) {
            uint256 seat = members.least();
            owners[i] = self.ownerOf[seat];
            seats[i] = uint8(seat);
            maskKeys[i] = self.maskKeys[epoch & 1][seat];
            examples[i] = self.examples[epoch & 1][seat];
            members = members.withoutLeast();
        }
    }
}
