// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";
import {IAdmission} from "./interfaces/IAdmission.sol";
import {IMarket} from "./interfaces/IMarket.sol";
import {Domain} from "./libraries/Domain.sol";

/// @title VoucherAdmission
/// @notice A gate for any market: whoever has a voucher of the market's model owner may join, until the epoch that the voucher names.
/// @dev Stores nothing. Members are asked for each epoch anew, so that a voucher that is not renewed keeps its owner out. Whoever signs
/// vouchers can fill a group with its own people around one data owner: data owners know their peers, or trust the model owner in this.
contract VoucherAdmission is IAdmission {
    bytes32 private constant _VOUCHER = keccak256("Voucher(address market,address owner,uint32 throughEpoch)");
    uint256 private constant _DATA_BYTES = 4 + 64;

    /// @inheritdoc IAdmission
    /// @dev `data` is the last epoch (4 bytes) and a signature (64 bytes, EIP-2098). The asking contract says who its model owner is: a
    /// voucher names the market, and is good for no other.
    function mayJoin(address owner, uint32 epoch, bytes calldata data) external view returns (bool allowed) {
        if (data.length != _DATA_BYTES) return false;
        uint32 throughEpoch = uint32(bytes4(data[:4]));
        if (epoch > throughEpoch) return false;
        bytes32 voucher = keccak256(abi.encode(_VOUCHER, msg.sender, owner, throughEpoch));
        bytes32 hash = MessageHashUtils.toTypedDataHash(Domain.separator(), voucher);
        // slither-disable-next-line unused-return
        (address signer, , ) = ECDSA.tryRecover(hash, bytes32(data[4:36]), bytes32(data[36:68]));
        return signer != address(0) && signer == IMarket(msg.sender).modelOwner();
    }
}
