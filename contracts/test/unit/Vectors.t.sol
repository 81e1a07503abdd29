// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification, Statement, Verdict} from "../../src/interfaces/IVerification.sol";
import {Terms} from "../../src/interfaces/MarketTypes.sol";
import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {Test} from "../utils/Test.sol";
import {vm} from "../utils/Vm.sol";

/// @notice The contract gives what `tests/vectors` say, as the Python package does; FORMAT.md there tells what the files hold.
contract VectorsTest is Test {
    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));
    IVerification private immutable _verification = IVerification(deploy("SumcheckVerification"));
    IVerification private immutable _computed = IVerification(deploy("ComputedVerification"));

    Terms private _terms;
    string private _json;
    string private _case;

    function test_maskKeys() external {
        for (uint256 i = 0; next("mask_key", i); ++i) {
            assertTrue(_harness.isUsable(vm.parseJsonBytes32(_json, input("public_key"))) == isGood(), name());
        }
    }

    function test_digests() external {
        for (uint256 i = 0; next("digest", i); ++i) {
            bytes memory points = vm.parseJsonBytes(_json, input("points"));
            bytes32[] memory hashes = vm.parseJsonBytes32Array(_json, output("versioned_hashes"));
            assertEq(_harness.root(points), vm.parseJsonBytes32(_json, output("digest")), name());
            bool good = _verification.checkPoints{gas: 2_000_000}(points, points.length / 96);
            assertTrue(good == vm.parseJsonBool(_json, output("good")), name());
            for (uint256 k = 0; k < hashes.length; ++k) {
                assertEq(_harness.versionedHash(slice(points, 96 * k, 96)), hashes[k], name());
            }
        }
    }

    function test_transcripts() external {
        for (uint256 i = 0; next("transcript", i); ++i) {
            (bytes32 rho, bytes32 z, bytes32 gamma) = _harness.transcript(
                statement(),
                join(vm.parseJsonBytesArray(_json, input("points"))),
                abi.encodePacked(vm.parseJsonBytes32Array(_json, input("values"))),
                bytes.concat(
                    vm.parseJsonBytes(_json, input("quotient")),
                    vm.parseJsonBytes(_json, input("remainder")),
                    vm.parseJsonBytes(_json, input("tail"))
                ),
                abi.encodePacked(vm.parseJsonBytes32Array(_json, input("evaluations")))
            );
            assertEq(rho, vm.parseJsonBytes32(_json, output("rho")), name());
            assertEq(z, vm.parseJsonBytes32(_json, output("z")), name());
            assertEq(gamma, vm.parseJsonBytes32(_json, output("gamma")), name());
        }
    }

    function test_selections() external {
        for (uint256 i = 0; next("selection", i); ++i) {
            uint256[] memory sizes = vm.parseJsonUintArray(_json, input("sizes"));
            uint256[] memory distances = vm.parseJsonUintArray(_json, input("distances"));
            uint256 most = _harness.mostUnpaid(sizes.length, vm.parseJsonUint(_json, input("faulty")));
            uint256[] memory scores = _harness.scores(distances, sizes, most);
            uint256[] memory expected = vm.parseJsonUintArray(_json, output("scores"));
            assertEq(keccak256(abi.encodePacked(scores)), keccak256(abi.encodePacked(expected)), name());
            uint256 longest = _harness.lcm(sizes) ** 2 * vm.parseJsonUint(_json, input("norm_bound"));
            uint256 eligible = _harness.eligible(distances, sizes.length, longest);
            uint256 ineligible = sizes.length - _harness.count(eligible);
            uint256 kept = _harness.keep(scores, eligible, most - ineligible, vm.parseJsonUint(_json, input("outlier_percent")));
            assertEq(kept, vm.parseJsonUint(_json, output("accepted")), name());
        }
    }

    function test_settlements() external {
        for (uint256 i = 0; next("settlement", i); ++i) judge(_verification);
    }

    /// @dev The verification asks its caller for the terms.
    function test_computedSettlements() external {
        for (uint256 i = 0; next("computed", i); ++i) {
            _terms.weights = uint32(vm.parseJsonUint(_json, input("weights")));
            _terms.updateBits = uint8(vm.parseJsonUint(_json, input("bits")));
            _terms.groupSize = uint8(vm.parseJsonUint(_json, input("group_size")));
            judge(_computed);
        }
    }

    function terms() external view returns (Terms memory) {
        return _terms;
    }

    // ------------------------------------------------------------------------------------------------------------ reading

    /// @dev Go to the i-th case of a file; false if there is none.
    function next(string memory file, uint256 i) private returns (bool) {
        if (i == 0) _json = vm.readFile(string.concat("../tests/vectors/", file, ".json"));
        _case = string.concat(".cases[", vm.toString(i), "]");
        return vm.keyExistsJson(_json, _case);
    }

    /// @dev A settlement is good or refused as its case says.
    function judge(IVerification verification) private {
        bytes memory settlement = vm.parseJsonBytes(_json, input("settlement"));
        try verification.verify{gas: 20_000_000}(statement(), settlement) returns (Verdict memory verdict) {
            assertTrue(isGood(), name());
            bytes32[] memory distances = vm.parseJsonBytes32Array(_json, output("distances"));
            bytes32[] memory digests = vm.parseJsonBytes32Array(_json, output("digests"));
            assertEq(keccak256(abi.encodePacked(verdict.digests)), keccak256(abi.encodePacked(digests)), name());
            assertEq(keccak256(abi.encodePacked(verdict.distances)), keccak256(abi.encodePacked(distances)), name());
        } catch (bytes memory why) {
            assertTrue(!isGood(), name());
            assertEq(keccak256(why), keccak256(vm.parseJsonBytes(_json, at(".revert"))), name());
        }
    }

    function at(string memory key) private view returns (string memory) {
        return string.concat(_case, key);
    }

    function input(string memory key) private view returns (string memory) {
        return at(string.concat(".input.", key));
    }

    function output(string memory key) private view returns (string memory) {
        return at(string.concat(".output.", key));
    }

    function name() private view returns (string memory) {
        return vm.parseJsonString(_json, at(".name"));
    }

    function isGood() private view returns (bool) {
        return !vm.keyExistsJson(_json, at(".error"));
    }

    function statement() private view returns (Statement memory) {
        return Statement({
            context: vm.parseJsonBytes32(_json, input("context")),
            rosterHash: vm.parseJsonBytes32(_json, input("roster_hash")),
            sizes: vm.parseJsonUintArray(_json, input("sizes")),
            outside: vm.parseJsonUint(_json, input("outside")),
            polynomials: vm.parseJsonUint(_json, input("polynomials"))
        });
    }

    function join(bytes[] memory parts) private pure returns (bytes memory whole) {
        for (uint256 i = 0; i < parts.length; ++i) whole = bytes.concat(whole, parts[i]);
    }

    function slice(bytes memory from, uint256 start, uint256 length) private pure returns (bytes memory part) {
        part = new bytes(length);
        for (uint256 i = 0; i < length; ++i) part[i] = from[start + i];
    }
}
