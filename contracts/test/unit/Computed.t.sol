// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {IVerification, Statement, Verdict} from "../../src/interfaces/IVerification.sol";
import {Terms} from "../../src/interfaces/MarketTypes.sol";
import {Test} from "../utils/Test.sol";
import {vm} from "../utils/Vm.sol";

/// @notice The computed verification against plain loops over the weights; this contract is the market that asks it.
contract ComputedTest is Test {
    uint256 private constant _ORDER = 0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001;
    uint256 private constant _FAR = 1 << 128;

    IVerification private immutable _verification = IVerification(deploy("ComputedVerification"));

    Terms private _terms;
    /// @dev Units of each group's sum.
    int256[][] private _sums;

    function terms() external view returns (Terms memory) {
        return _terms;
    }

    function setTerms(uint256 weights, uint256 bits, uint256 groupSize) private {
        (_terms.weights, _terms.updateBits, _terms.groupSize) = (uint32(weights), uint8(bits), uint8(groupSize));
        (_terms.mostOwners, _terms.faultyGroups) = (uint16(5 * groupSize), 1);
    }

    /// @dev ceil(log2(h + 1)) in the plainest way.
    function width() private view returns (uint256 bits) {
        bits = _terms.updateBits;
        for (uint256 power = 1; power < uint256(_terms.groupSize) + 1; power *= 2) ++bits;
    }

    function lanes() private view returns (uint256) {
        return 3 * (254 / (3 * width()));
    }

    function elements() private view returns (uint256) {
        return (_terms.weights + lanes() - 1) / lanes();
    }

    /// @dev One weight of one member: often at an end of its range, rarely beyond.
    function unit(bytes32 seed, bool beyond) private view returns (int256) {
        int256 most = int256((1 << (_terms.updateBits - 1)) - 1);
        uint256 drawn = uint256(seed);
        if (beyond && drawn % 50 == 0) return most + 1;
        if (drawn % 3 == 0) return (drawn >> 8) & 1 == 0 ? most : -most;
        return int256((drawn >> 8) % uint256(2 * most + 1)) - most;
    }

    /// @dev Vectors of one group, whose masks cancel; notes the sums of its units.
    function deliver(uint256 seed, uint256 members, bool beyond) private returns (bytes[] memory vectors) {
        int256[] memory sums = new int256[](lanes() * elements());
        uint256[] memory masks = new uint256[](elements());
        vectors = new bytes[](members);
        for (uint256 member = 0; member < members; ++member) {
            for (uint256 element = 0; element < elements(); ++element) {
                uint256 mask = uint256(keccak256(abi.encode(seed, "mask", member, element))) % _ORDER;
                if (member == members - 1) mask = _ORDER - masks[element];
                masks[element] = addmod(masks[element], mask, _ORDER);
                for (uint256 lane = 0; lane < lanes(); ++lane) {
                    uint256 place = element * lanes() + lane;
                    int256 one = unit(keccak256(abi.encode(seed, member, place)), beyond);
                    sums[place] += one;
                    uint256 size = uint256(one < 0 ? -one : one) << (width() * lane);
                    mask = addmod(mask, one < 0 ? _ORDER - size : size, _ORDER);
                }
                vectors[member] = bytes.concat(vectors[member], bytes32(mask));
            }
        }
        _sums.push(sums);
    }

    function isInRange(uint256 group, uint256 members) private view returns (bool good) {
        int256 most = int256(members * ((1 << (_terms.updateBits - 1)) - 1));
        good = true;
        for (uint256 i = 0; i < _sums[group].length; ++i) good = good && _sums[group][i] <= most && -_sums[group][i] <= most;
    }

    function plainDistance(uint256 i, int256 first, uint256 k, int256 second) private view returns (uint256 total) {
        for (uint256 place = 0; place < _sums[k].length; ++place) {
            int256 gap = second * _sums[k][place] - (i == k ? int256(0) : first * _sums[i][place]);
            total += uint256(gap * gap);
        }
    }

    function statement(uint256[] memory sizes, uint256 outside) private pure returns (Statement memory) {
        return Statement({context: 0, rosterHash: 0, sizes: sizes, outside: outside, polynomials: 1});
    }

    function testFuzz_verify_givesWhatPlainLoopsGive(uint256 seed) external {
        uint256 groupSize = bound(uint256(keccak256(abi.encode(seed, "h"))), 3, 9);
        setTerms(bound(seed, 1, 40), 3, groupSize);
        uint256 spare = width() - 3;
        _terms.updateBits = uint8(bound(uint256(keccak256(abi.encode(seed, "b"))), 3, 28 - spare));
        bool beyond = seed & 1 == 1;
        uint256[] memory sizes = new uint256[](4);
        bytes32[] memory digests;
        bytes memory settlement;
        for (uint256 group = 0; group < 4; ++group) {
            sizes[group] = groupSize + ((seed >> group) & 1);
            bytes[] memory vectors = deliver(uint256(keccak256(abi.encode(seed, group))), sizes[group], beyond && group != 2);
            for (uint256 i = 0; i < vectors.length; ++i) {
                digests = pushed(digests, keccak256(vectors[i]));
                // Group 1 is outside.
                settlement = bytes.concat(settlement, group == 1 ? bytes.concat(keccak256(vectors[i])) : vectors[i]);
            }
        }
        Verdict memory verdict = _verification.verify(statement(sizes, 2), settlement);
        assertEq(keccak256(abi.encodePacked(verdict.digests)), keccak256(abi.encodePacked(digests)), "digests");
        checkDistances(sizes, verdict.distances);
    }

    /// @dev Of groups 0, 2 and 3.
    function checkDistances(uint256[] memory sizes, uint256[] memory distances) private view {
        uint256[3] memory taking = [uint256(0), 2, 3];
        uint256 mixed = sizes[0] == sizes[2] && sizes[2] == sizes[3] ? sizes[0] : uint256(_terms.groupSize) * (_terms.groupSize + 1);
        uint256 next = 3;
        assertEq(distances.length, 6, "pairs");
        for (uint256 k = 0; k < 3; ++k) {
            uint256 group = taking[k];
            int256 factor = int256(mixed / sizes[group]);
            bool good = isInRange(group, sizes[group]);
            assertEq(distances[k], good ? plainDistance(group, 0, group, factor) : _FAR, "to the zero update");
            for (uint256 i = k + 1; i < 3; ++i) {
                uint256 other = taking[i];
                bool both = good && isInRange(other, sizes[other]);
                int256 second = int256(mixed / sizes[other]);
                assertEq(distances[next++], both ? plainDistance(group, factor, other, second) : _FAR, "pair");
            }
        }
    }

    function pushed(bytes32[] memory list, bytes32 one) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](list.length + 1);
        for (uint256 i = 0; i < list.length; ++i) longer[i] = list[i];
        longer[list.length] = one;
    }

    function test_verify_oneBitTooMuch_isFar() external {
        // 12 lanes of 18 bits; 2^17 in any of them, up or down, is more than three members can add up to.
        setTerms(1, 16, 3);
        for (uint256 bit = 17; bit < 18 * 12; bit += 18) {
            assertEq(distanceOf(1 << bit), _FAR, "above");
            assertEq(distanceOf(_ORDER - (1 << bit)), _FAR, "below");
        }
        for (uint256 bit = 18 * 12; bit < 254; ++bit) assertEq(distanceOf(1 << bit), _FAR, "beyond all lanes");
        assertTrue(distanceOf(1 << 16) == 1 << 32, "in range");
    }

    /// @dev Squared distance to the zero update of a group of three whose sum is one element.
    function distanceOf(uint256 sum) private returns (uint256) {
        uint256[] memory sizes = new uint256[](1);
        sizes[0] = 3;
        return _verification.verify(statement(sizes, 0), abi.encode(sum, uint256(0), uint256(0))).distances[0];
    }

    function test_verify_wrongLength_reverts() external {
        setTerms(30, 16, 3);
        uint256[] memory sizes = new uint256[](2);
        (sizes[0], sizes[1]) = (3, 4);
        // Three elements each; the second group is outside.
        uint256 length = 3 * 96 + 4 * 32;
        for (uint256 wrong = length - 1; wrong < length + 2; wrong += 2) {
            vm.expectRevert(abi.encodeWithSelector(IVerification.VerificationWrongLength.selector, wrong, length));
            _verification.verify(statement(sizes, 2), new bytes(wrong));
        }
    }

    function test_settlementBytes_ofVectorsAndSignatures() external {
        setTerms(3200, 16, 3);
        // 12 lanes of 18 bits; ceil(3200 / 12) = 267.
        assertEq(_verification.settlementBytes(_terms), 15 * (32 * 267 + 64) + 2048, "bytes");
    }

    function test_settlementBytes_termsThatCannotBeComputed_revert() external {
        setTerms(3200, 16, 3);
        _terms.projected = true;
        refused("projected", 1, 0, 0);
        (_terms.projected, _terms.answerSeconds) = (false, 1800);
        refused("answerSeconds", 1800, 0, 0);
        (_terms.answerSeconds, _terms.updateBits) = (0, 27);
        refused("updateBits", 27, 3, 26);
        (_terms.groupSize, _terms.updateBits) = (16, 24);
        refused("updateBits", 24, 3, 23);
    }

    function refused(string memory field, uint256 actual, uint256 least, uint256 most) private {
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadTerms.selector, field, actual, least, most));
        _verification.settlementBytes(_terms);
    }

    function test_checkPoints_any_reverts() external {
        assertTrue(_verification.checkPoints("", 1), "none");
        vm.expectRevert(abi.encodeWithSelector(IVerification.VerificationWrongLength.selector, 96, 0));
        _verification.checkPoints(new bytes(96), 1);
    }
}
