// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Statement} from "../../src/interfaces/IVerification.sol";

/// @notice What forge's tests use of the opened libraries.
interface ILibraryHarness {
    function fr(uint256 value) external pure returns (uint256);
    function frOperations(uint256 x, uint256 y) external pure returns (uint256 sum, uint256 difference, uint256 product, bool equal);
    function frPower(uint256 x, uint256 exponent) external pure returns (uint256);
    function challenge(bytes32 digest) external pure returns (uint256);
    function addAll(bytes calldata points) external view returns (bytes memory result);
    function compress(bytes calldata point) external pure returns (bytes memory result);
    function msm(bytes calldata points, uint256[] calldata scalars) external view returns (bool success, bytes memory result);
    function opens(bytes calldata commitment, uint256 point, uint256 value, bytes calldata proof) external view returns (bool);
    function versionedHash(bytes calldata commitment) external view returns (bytes32);
    function transcript(
        Statement calldata statement,
        bytes calldata points,
        bytes calldata values,
        bytes calldata commitments,
        bytes calldata evaluations
    ) external pure returns (bytes32 rho, bytes32 z, bytes32 gamma);
    function root(bytes calldata points) external pure returns (bytes32);
    function mostUnpaid(uint256 groups, uint256 faultyGroups) external pure returns (uint256);
    function lcm(uint256[] calldata sizes) external pure returns (uint256);
    function eligible(uint256[] calldata distances, uint256 groups, uint256 most) external pure returns (uint256);
    function scores(uint256[] calldata distances, uint256[] calldata sizes, uint256 unpaid) external pure returns (uint256[] memory);
    function keep(uint256[] calldata score, uint256 set, uint256 most, uint256 outlierPercent) external pure returns (uint256);
    function isUsable(bytes32 maskKey) external pure returns (bool);
    function seatsOf(bytes calldata order, uint256 groupSize, uint256 group) external pure returns (uint256);
    function count(uint256 set) external pure returns (uint256);
    function least(uint256 set) external pure returns (uint256);
    function pick(uint256 set, uint256 places) external pure returns (uint256);
    function placesOf(uint256 set, uint256 subset) external pure returns (uint256);
}
