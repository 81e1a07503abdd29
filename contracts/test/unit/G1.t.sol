// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification} from "../../src/interfaces/IVerification.sol";
import {FR_ORDER} from "../../src/types/Fr.sol";
import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {DisputeFixture} from "../utils/DisputeFixture.sol";
import {vm} from "../utils/Vm.sol";

contract G1Test is DisputeFixture {
    bytes private constant _MINUS_G =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f"
        hex"c3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"00000000000000000000000000000000114d1d6855d545a8aa7d76c8cf2e21f2"
        hex"67816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca";
    bytes private constant _TWICE_G =
        hex"000000000000000000000000000000000572cbea904d67468808c8eb50a9450c"
        hex"9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e"
        hex"00000000000000000000000000000000166a9d8cabc673a322fda673779d8e38"
        hex"22ba3ecb8670e461f73bb9021d5fd76a4c56d9d4cd16bd1bba86881979749d28";
    bytes private constant _TAU =
        hex"000000000000000000000000000000000d3eb50121139aa34db1d545093ac937"
        hex"4ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c81"
        hex"0000000000000000000000000000000017de623f59a3043952d2f637a935fae1"
        hex"4b6dee8b255e526304963d58ab6f1a827c7de623d34d394f8a3d0f57d6e972b9";
    bytes private constant _COMPRESSED_G =
        hex"97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
    bytes private constant _COMPRESSED_MINUS_G =
        hex"b7f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";
    /// @dev (0, 2) is on y^2 = x^3 + 4 and of order 3.
    bytes private constant _ORDER_3 =
        hex"0000000000000000000000000000000000000000000000000000000000000000"
        hex"0000000000000000000000000000000000000000000000000000000000000000"
        hex"0000000000000000000000000000000000000000000000000000000000000000"
        hex"0000000000000000000000000000000000000000000000000000000000000002";
    /// @dev (0, 2 + p): the same point, not canonical.
    bytes private constant _NOT_CANONICAL =
        hex"0000000000000000000000000000000000000000000000000000000000000000"
        hex"0000000000000000000000000000000000000000000000000000000000000000"
        hex"000000000000000000000000000000001a0111ea397fe69a4b1ba7b6434bacd7"
        hex"64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaad";

    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));
    IVerification private immutable _verification = IVerification(deploy("SumcheckVerification"));

    function setUp() public override {}

    function test_add_knownPoints_givesKnownSum() external view {
        bytes memory infinity = new bytes(128);
        assertEq(keccak256(_harness.addAll(bytes.concat(short(_G), short(_G)))), keccak256(_TWICE_G), "G + G");
        assertEq(keccak256(_harness.addAll(bytes.concat(short(_G), short(infinity)))), keccak256(_G), "G + 0");
        assertEq(keccak256(_harness.addAll(bytes.concat(short(_G), short(_MINUS_G)))), keccak256(infinity), "G - G");
    }

    function test_add_offCurveOrNotCanonical_reverts() external {
        bytes memory off = _G;
        off[127] = bytes1(uint8(off[127]) ^ 1);
        vm.expectRevert(IVerification.VerificationBadPoint.selector);
        _harness.addAll(bytes.concat(short(_G), short(off)));
        vm.expectRevert(IVerification.VerificationBadPoint.selector);
        _harness.addAll(bytes.concat(short(_G), short(_NOT_CANONICAL)));
    }

    function test_add_outsideSubgroup_passes() external view {
        // Why the multi-exponentiation has to look: addition does not.
        _harness.addAll(bytes.concat(short(_G), short(_ORDER_3)));
    }

    function test_msm_knownTerms_givesKnownSum() external view {
        uint256[] memory scalars = new uint256[](2);
        (scalars[0], scalars[1]) = (4, FR_ORDER - 1);

        (bool success, bytes memory result) = _harness.msm(bytes.concat(_G, _TWICE_G), scalars);

        assertTrue(success, "success");
        assertEq(keccak256(result), keccak256(_TWICE_G), "4 G - 2 G");
    }

    function test_msm_outsideSubgroup_fails() external view {
        uint256[] memory scalars = new uint256[](2);
        (scalars[0], scalars[1]) = (1, 3);

        (bool success, ) = _harness.msm{gas: 1_000_000}(bytes.concat(_G, _ORDER_3), scalars);

        assertTrue(!success, "refused, although 3 times the point is infinity");
    }

    function test_msm_noTerms_fails() external view {
        (bool success, ) = _harness.msm{gas: 1_000_000}("", new uint256[](0));
        assertTrue(!success, "refused");
    }

    function test_compress_knownPoints_givesKnownForm() external view {
        bytes memory infinity = bytes.concat(hex"c0", new bytes(47));
        assertEq(keccak256(_harness.compress(_G)), keccak256(_COMPRESSED_G), "G");
        assertEq(keccak256(_harness.compress(_MINUS_G)), keccak256(_COMPRESSED_MINUS_G), "-G, the larger y");
        assertEq(keccak256(_harness.compress(new bytes(128))), keccak256(infinity), "infinity");
    }

    function test_opens_polynomialX_onlyToItsValue() external view {
        // The polynomial X has commitment [tau], and the quotient (X - z) / (X - z) is 1.
        assertTrue(_harness.opens(_TAU, 5, 5, _COMPRESSED_G), "right value");
        assertTrue(_harness.opens(_TAU, 0, 0, _COMPRESSED_G), "at zero");
        assertTrue(!_harness.opens(_TAU, 5, 6, _COMPRESSED_G), "wrong value");
        assertTrue(!_harness.opens(_TAU, 5, 5, _COMPRESSED_MINUS_G), "wrong proof");
        assertTrue(!_harness.opens(_G, 5, 5, _COMPRESSED_G), "wrong commitment");
    }

    function test_opens_outsideSubgroup_fails() external view {
        // The constant 0 has the commitment infinity; the same with a point of order 3 must not pass.
        bytes memory infinite = bytes.concat(hex"c0", new bytes(47));
        assertTrue(_harness.opens(new bytes(128), 5, 0, infinite), "zero polynomial");
        assertTrue(!_harness.opens(_ORDER_3, 5, 0, infinite), "order 3");
    }

    function test_checkPoints_wrongLength_reverts() external {
        vm.expectRevert(abi.encodeWithSelector(IVerification.VerificationWrongLength.selector, 95, 96));
        _verification.checkPoints(new bytes(95), 1);
        vm.expectRevert(abi.encodeWithSelector(IVerification.VerificationWrongLength.selector, 0, 96));
        _verification.checkPoints("", 1);
    }

    function test_fuzz_versionedHash_anyPoint_matches(uint256 scalar) external view {
        bytes memory commitment = multiple(bound(scalar, 1, type(uint248).max));
        assertEq(_harness.versionedHash(commitment), blobHash(commitment), "hash");
    }

    /// @dev A point as it travels: without the padding.
    function short(bytes memory point) private pure returns (bytes memory) {
        (uint256 xUpper, uint256 xLower, uint256 yUpper, uint256 yLower) = abi.decode(point, (uint256, uint256, uint256, uint256));
        return abi.encodePacked(uint128(xUpper), xLower, uint128(yUpper), yLower);
    }
}
