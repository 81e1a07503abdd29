// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";
import {IMarket} from "../interfaces/IMarket.sol";

/// @title Treasury
/// @notice A market's books, and the only place where money comes in or goes out.
/// @dev Invariant: balance >= escrow + bond + owed + credits + stakes; the stakes are one stake for each staked seat. The ether of
/// disputes comes on top (Disputes).
/// escrow + bond + owed + credits grows by `fund` and `forfeit` alone, which keep it below 2^128, so that no sum of them overflows.
library Treasury {
    using SafeERC20 for IERC20;

    /// @dev Who is credited with what is burned. Nobody has its key.
    address internal constant BURNED = 0x000000000000000000000000000000000000dEaD;

    /// @dev Two slots of sums, and the credits one by one.
    struct Books {
        uint128 escrowWei;
        uint128 owedWei; // second half of the slot that settling writes
        uint128 bondWei;
        uint128 creditsWei;
        mapping(address account => uint256) creditOf;
    }

    /// @notice Add to the escrow; refused if the books would not hold it.
    function fund(Books storage self, uint256 amountWei) internal {
        _checkRoom(self, amountWei);
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

    /// @notice Turn lost stakes into owed rewards, and burn the rest; refused if the books would not hold it.
    /// @dev The caller knows that lostWei >= rewardsWei.
    /// @return burnedWei The rest.
    function forfeit(Books storage self, uint256 lostWei, uint256 rewardsWei) internal returns (uint256 burnedWei) {
        _checkRoom(self, lostWei);
        unchecked {
            burnedWei = lostWei - rewardsWei;
            self.owedWei += uint128(rewardsWei);
        }
        _credit(self, BURNED, burnedWei);
    }

    /// @notice Share the bond out among `members`, rounded down in favour of the escrow, which gets the rest; all if there are none.
    /// @return shareWei What each member is owed.
    function shareBond(Books storage self, uint256 members) internal returns (uint256 shareWei) {
        (uint256 bondWei, uint256 escrowWei, uint256 owedWei) = (self.bondWei, self.escrowWei, self.owedWei);
        if (members != 0) shareWei = bondWei / members;
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
        }
        (self.escrowWei, self.bondWei) = (0, 0);
        _credit(self, account, amountWei);
    }

    /// @notice Strike an account's credit, which is about to be paid; 0 if it has none.
    function takeCredit(Books storage self, address account) internal returns (uint256 amountWei) {
        amountWei = self.creditOf[account];
        if (amountWei == 0) return 0;
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

    /// @notice Pay out, and ether on top whatever the token is. The caller has changed the books before.
    function payWithEther(address token, address to, uint256 amountWei, uint256 etherWei) internal {
        if (token == address(0)) return pay(token, to, amountWei + etherWei);
        pay(token, to, amountWei);
        pay(address(0), to, etherWei);
    }

    /// @dev Let an account withdraw so much more.
    function _credit(Books storage self, address account, uint256 amountWei) private {
        // The books hold it.
        unchecked {
            self.creditsWei += uint128(amountWei);
            self.creditOf[account] += amountWei;
        }
    }

    /// @dev Refuse what would bring escrow + owed + bond + credits to 2^128.
    function _checkRoom(Books storage self, uint256 amountWei) private view {
        uint256 booked = uint256(self.escrowWei) + self.owedWei + self.bondWei + self.creditsWei;
        uint256 most = type(uint128).max - booked;
        if (amountWei > most) revert IMarket.MarketWrongPayment(amountWei, most);
    }
}
