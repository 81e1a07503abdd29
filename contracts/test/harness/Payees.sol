// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IAdmission} from "../../src/interfaces/IAdmission.sol";

/// @notice A gate that admits whoever shows the right word, and counts its calls.
contract WordAdmission is IAdmission {
    bytes32 private immutable _wordHash;
    uint256 public calls;
    uint32 public lastEpoch;

    constructor(bytes memory word) {
        _wordHash = keccak256(word);
    }

    function mayJoin(address, uint32 epoch, bytes calldata data) external returns (bool allowed) {
        ++calls;
        lastEpoch = epoch;
        return keccak256(data) == _wordHash;
    }
}

/// @notice An account that does what it is told, and with ether that comes in what it was told before.
contract Puppet {
    enum Manner {
        Accept,
        Refuse,
        Reenter
    }

    Manner private _manner;
    address private _target;
    bytes private _call;
    bytes public lastFailure;
    uint256 public entries;

    receive() external payable {
        if (_manner == Manner.Refuse) revert("no money, please");
        if (_manner == Manner.Reenter) {
            ++entries;
            (bool success, bytes memory answer) = _target.call(_call);
            if (!success) lastFailure = answer;
        }
    }

    function behave(Manner manner, address target, bytes calldata data) external {
        (_manner, _target, _call) = (manner, target, data);
    }

    /// @dev Passes on success, answer and failure.
    function perform(address target, uint256 valueWei, bytes calldata data) external payable returns (bytes memory) {
        (bool success, bytes memory answer) = target.call{value: valueWei}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        return answer;
    }
}
