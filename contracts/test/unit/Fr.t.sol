// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification} from "../../src/interfaces/IVerification.sol";
import {FR_INVERSE_4096, FR_ORDER, FR_ROOT_4096, Fr} from "../../src/types/Fr.sol";
import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {Test} from "../utils/Test.sol";
import {vm} from "../utils/Vm.sol";

contract FrTest is Test {
    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function test_toFr_belowOrder_isKept() external view {
        assertEq(_harness.fr(0), 0, "zero");
        assertEq(_harness.fr(FR_ORDER - 1), FR_ORDER - 1, "largest");
    }

    function test_toFr_atOrAboveOrder_reverts() external {
        uint256[3] memory bad = [FR_ORDER, FR_ORDER + 1, type(uint256).max];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IVerification.VerificationNotCanonical.selector, bad[i]));
            _harness.fr(bad[i]);
        }
    }

    function test_fuzz_operations_anyElements_matchModularArithmetic(uint256 x, uint256 y) external view {
        (x, y) = (x % FR_ORDER, y % FR_ORDER);

        (uint256 sum, uint256 difference, uint256 product, bool equal) = _harness.frOperations(x, y);

        assertEq(sum, addmod(x, y, FR_ORDER), "sum");
        assertEq(addmod(difference, y, FR_ORDER), x, "difference");
        assertTrue(difference < FR_ORDER, "difference is canonical");
        assertEq(product, mulmod(x, y, FR_ORDER), "product");
        assertTrue(equal == (x == y), "equality");
    }

    function test_operations_atTheEdges_matchModularArithmetic() external view {
        uint256[3] memory edges = [uint256(0), 1, FR_ORDER - 1];
        for (uint256 i = 0; i < 9; ++i) {
            (uint256 x, uint256 y) = (edges[i / 3], edges[i % 3]);
            (uint256 sum, uint256 difference, , bool equal) = _harness.frOperations(x, y);
            assertEq(sum, addmod(x, y, FR_ORDER), "sum");
            assertEq(difference, x >= y ? x - y : FR_ORDER - (y - x), "difference");
            assertTrue(equal == (x == y), "equality");
        }
    }

    function test_fuzz_power_smallExponent_isRepeatedProduct(uint256 x, uint8 exponent) external view {
        x %= FR_ORDER;
        uint256 expected = 1;
        for (uint256 i = 0; i < exponent; ++i) expected = mulmod(expected, x, FR_ORDER);

        assertEq(_harness.frPower(x, exponent), expected, "power");
    }

    function test_constants_areWhatTheirNamesSay() external view {
        uint256 root = Fr.unwrap(FR_ROOT_4096);
        assertEq(mulmod(Fr.unwrap(FR_INVERSE_4096), 4096, FR_ORDER), 1, "inverse");
        assertEq(root, _harness.frPower(7, (FR_ORDER - 1) / 4096), "root from the generator 7");
        assertEq(_harness.frPower(root, 2048), FR_ORDER - 1, "primitive");
    }

    function test_fuzz_challenge_anyDigest_isItsRemainder(bytes32 digest) external view {
        assertEq(_harness.challenge(digest), uint256(digest) % FR_ORDER, "remainder");
    }
}
