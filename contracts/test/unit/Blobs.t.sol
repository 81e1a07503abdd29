// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";

contract BlobsTest is DisputeFixture {
    bytes private constant _COMPRESSED_G =
        hex"97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";

    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function setUp() public override {}

    function test_versionedHash_zeroBlob_isTheKnownOne() external view {
        bytes32 known = 0x010657f37554c781402a22917dee2f75def7ab966d7b770905398eba3c444014;
        assertEq(_harness.versionedHash(new bytes(128)), known, "of infinity");
    }

    function test_versionedHash_generator_isTheHashOfItsKnownForm() external view {
        bytes32 expected = bytes32((uint256(sha256(_COMPRESSED_G)) & (type(uint256).max >> 8)) | (1 << 248));
        assertEq(_harness.versionedHash(multiple(1)), expected, "G");
    }

    function test_fuzz_versionedHash_anyPoint_matches(uint256 scalar) external view {
        bytes memory commitment = multiple(bound(scalar, 1, type(uint248).max));
        assertEq(_harness.versionedHash(commitment), blobHash(commitment), "hash");
    }
}
