// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {IMarket} from "../interfaces/IMarket.sol";

/// @title Treasury
/// @notice A market's books, and the only place where money comes in or goes out.
/// @dev Invariant: balance >= escrow + bond + owed + credits + stakes; the stakes are one stake for each staked seat.
/// escrow + bond + owed + credits grows by `fund` alone, which keeps it below 2^128, so that no sum of them overflows.
library Treasury {
    using SafeERC20 for IERC20;

    struct Books {
        uint128 escrowWei;
        uint128 owedWei; // second half of the slot that settling writes
        uint128 bondWei;
        uint128 creditsWei;
        mapping(address account => uint256) creditOf;
    }

    /// @notice Add to the escrow; refused if the books would not hold it.
    function fund(Books storage self, uint256 amountWei) internal {
        uint256 booked = uint256(self.escrowWei) + self.owedWei + self.bondWei + self.creditsWei;
        uint256 most = type(uint128).max - booked;
        if (amountWei > most) revert IMarket.MarketWrongPayment(amountWei, most);
        // amountWei and the sum are at most 2^128 - 1.
        unchecked {
            self.escrowWei += uint128(amountWei);
        }
    }

    /// @notice Refuse unless the escrow covers `rewardsWei` and what the bond lacks, and lock the latter.
    function lockBond(Books storage self, uint256 rewardsWei, uint256 fullBondWei) internal {
        (uint256 escrowWei, uint256 bondWei) = (self.escrowWei, self.bondWei);
        // The bond is 0 or full; amounts are below 2^128.
        unchecked {
            uint256 lackingWei = fullBondWei - bondWei;
            if (escrowWei < rewardsWei + lackingWei) revert IMarket.MarketUnderfunded(escrowWei, rewardsWei + lackingWei);
            if (lackingWei == 0) return;
            self.escrowWei = uint128(escrowWei - lackingWei);
            self.bondWei = uint128(fullBondWei);
        }
    }

    /// @notice Turn escrow into owed rewards.
    /// @dev The caller knows that opening the round found as much in the escrow, which an open round cannot lose.
    function owe(Books storage self, uint256 rewardsWei) internal {
        (uint256 escrowWei, uint256 owedWei) = (self.escrowWei, self.owedWei);
        unchecked {
            self.escrowWei = uint128(escrowWei - rewardsWei);
            self.owedWei = uint128(owedWei + rewardsWei);
        }
    }

    /// @notice Share the bond out among `members`, rounded down in favour of the escrow, which gets the rest.
    /// @return shareWei What each member is owed.
    function shareBond(Books storage self, uint256 members) internal returns (uint256 shareWei) {
        (uint256 bondWei, uint256 escrowWei, uint256 owedWei) = (self.bondWei, self.escrowWei, self.owedWei);
        shareWei = bondWei / members;
        // shareWei * members <= bondWei.
        unchecked {
            self.escrowWei = uint128(escrowWei + bondWei - shareWei * members);
            self.owedWei = uint128(owedWei + shareWei * members);
        }
        self.bondWei = 0;
    }

    /// @notice Strike what is about to be paid off the owed rewards.
    function settleDebt(Books storage self, uint256 amountWei) internal {
        // owedWei is the sum over all seats of what their unclaimed rounds owe.
        unchecked {
            self.owedWei -= uint128(amountWei);
        }
    }

    /// @notice Credit escrow and bond to an account.
    function creditAll(Books storage self, address account) internal returns (uint256 amountWei) {
        unchecked {
            amountWei = uint256(self.escrowWei) + self.bondWei;
            (self.escrowWei, self.bondWei) = (0, 0);
            self.creditsWei += uint128(amountWei);
            self.creditOf[account] += amountWei;
        }
    }

    /// @notice Strike an account's credit, which is about to be paid.
    function takeCredit(Books storage self, address account) internal returns (uint256 amountWei) {
        amountWei = self.creditOf[account];
        if (amountWei == 0) revert IMarket.MarketNoCredit(account);
        delete self.creditOf[account];
        // creditsWei is the sum of all credits.
        unchecked {
            self.creditsWei -= uint128(amountWei);
        }
    }

    /// @notice Take exactly `amountWei` from the caller: the ether of this call, or tokens from its allowance.
    /// @dev A token that delivers less than it was asked for is refused here, before any promise rests on it.
    function collect(address token, uint256 amountWei) internal {
        uint256 etherWei = token == address(0) ? amountWei : 0;
        if (msg.value != etherWei) revert IMarket.MarketWrongPayment(msg.value, etherWei);
        if (token == address(0) || amountWei == 0) return;

        uint256 before = IERC20(token).balanceOf(address(this));
        IERC20(token).safeTransferFrom(msg.sender, address(this), amountWei);
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amountWei) revert IMarket.MarketWrongPayment(received, amountWei);
    }

    /// @notice Pay out. The caller has changed the books before.
    function pay(address token, address to, uint256 amountWei) internal {
        if (amountWei == 0) return;
        if (token != address(0)) IERC20(token).safeTransfer(to, amountWei);
        else if (!LowLevelCall.callNoReturn(to, amountWei, "")) revert IMarket.MarketPaymentFailed(to, amountWei);
    }
}
