// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";

contract BlobsTest is DisputeFixture {
    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function setUp() public override {}

    function test_fuzz_versionedHash_anyPoint_matches(uint256 scalar) external view {
        bytes memory commitment = multiple(bound(scalar, 1, type(uint248).max));
        assertEq(_harness.versionedHash(commitment), blobHash(commitment), "hash");
    }
}
