// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {Terms} from "../../src/interfaces/MarketTypes.sol";
import {ILibraryHarness} from "../harness/ILibraryHarness.sol";
import {Builders} from "../utils/Builders.sol";
import {Test} from "../utils/Test.sol";
import {vm} from "../utils/Vm.sol";

contract TermsBoundsTest is Test {
    ILibraryHarness private immutable _harness = ILibraryHarness(deploy("LibraryHarness"));

    function test_check_goodTerms_pass() external view {
        _harness.checkTerms(_terms());
    }

    function test_check_eachNumber_isAcceptedAtItsBoundsAndRefusedBeyond() external view {
        // Place in the struct, name, least, most; for the terms of Builders (h = 4, f = 1, B = 3, 25 data owners).
        _checkBounds(3, "rewardWei", 1, 2e15); // more would raise the least stake
        _checkBounds(4, "stakeWei", 5e15, 2 ** 104);
        _checkBounds(5, "bondWei", 1, 2 ** 104);
        _checkBounds(6, "accuseFeeWei", 0, 2 ** 96);
        _checkBounds(7, "mostOwners", 20, 254);
        _checkBounds(11, "updateBits", 2, 29);
        _checkBounds(12, "clipNano", 1, 10 ** 12);
        _checkBounds(13, "normBound", 1, 2 ** 100);
        _checkBounds(14, "roundsPerEpoch", 1, 10_000);
        _checkBounds(15, "commitSeconds", 60, 30 days);
        _checkBounds(16, "accuseSeconds", 60 + 25, 30 days);
        _checkBounds(17, "answerSeconds", 60 + 12 * 25, 30 days);
        _checkBounds(18, "proveSeconds", 120 + 25 * 3, 30 days);
        _checkBounds(19, "drawDelayBlocks", 2, 4096);
    }

    function test_check_groupSize_hasBounds() external {
        Terms memory terms = _terms();
        (terms.stakeWei, terms.mostOwners, terms.answerSeconds) = (1e18, 100, 1260);
        for (uint8 size = 3; size <= 16; ++size) {
            terms.groupSize = size;
            _harness.checkTerms(terms);
        }
        terms.groupSize = 2;
        _expectRefusal(terms, "groupSize", 2, 3, 16);
        terms.groupSize = 17;
        _expectRefusal(terms, "groupSize", 17, 3, 16);
    }

    function test_check_faultyGroups_hasBounds() external {
        Terms memory terms = _terms();
        (terms.mostOwners, terms.weights) = (108, 1);
        (terms.accuseSeconds, terms.answerSeconds, terms.proveSeconds) = (10_000, 10_000, 10_000);
        terms.faultyGroups = 12; // the most that scoringSteps leaves
        _harness.checkTerms(terms);
        terms.faultyGroups = 0;
        _expectRefusal(terms, "faultyGroups", 0, 1, 20);
        terms.faultyGroups = 21;
        _expectRefusal(terms, "faultyGroups", 21, 1, 20);
    }

    function test_check_weights_haveBounds() external {
        Terms memory terms = _terms();
        terms.weights = 0;
        _expectRefusal(terms, "weights", 0, 1, 2 ** 22);
        terms.weights = 2 ** 22 + 1;
        _expectRefusal(terms, "weights", 2 ** 22 + 1, 1, 2 ** 22);
        // 512 polynomials: far too many commitments for one transaction.
        terms.weights = 2 ** 22;
        _expectRefusal(terms, "settlementBytes", 1_739_509, 0, 131_072);
    }

    function test_check_settlement_fitsATransaction() external {
        // n = 26: 128 n B = 119,808; G = 6: 16 G (G + 1) = 672, 32 G B = 6,912; 85 + 2048. One more data owner is 4,608 bytes more.
        Terms memory terms = _terms();
        (terms.weights, terms.proveSeconds, terms.answerSeconds) = (8192 * 36, 2000, 3000);
        terms.mostOwners = 26;
        _harness.checkTerms(terms);
        terms.mostOwners = 27;
        _expectRefusal(terms, "settlementBytes", 134_133, 0, 131_072);
    }

    function test_check_updateBits_keepDistancesApart() external {
        Terms memory terms = _terms();
        (terms.groupSize, terms.mostOwners, terms.weights, terms.stakeWei) = (16, 80, 8192 * 12, 1e18);
        (terms.accuseSeconds, terms.answerSeconds, terms.proveSeconds) = (10_000, 10_000, 10_000);
        uint256 most = 0;
        while (4096 * 12 * (17 * 16 * 2 ** (most + 1)) ** 2 < 2 ** 82) ++most;
        terms.updateBits = uint8(most);
        _harness.checkTerms(terms);
        terms.updateBits = uint8(most + 1);
        _expectRefusal(terms, "updateBits", most + 1, 2, most);
    }

    function test_check_stake_coversAVoidGroup() external {
        Terms memory terms = _terms();
        terms.stakeWei = 5 * terms.rewardWei;
        _harness.checkTerms(terms);
        terms.stakeWei -= 1;
        _expectRefusal(terms, "stakeWei", 5e15 - 1, 5e15, 2 ** 104);
    }

    function test_check_metrics_haveABound() external {
        Terms memory terms = _terms();
        terms.metrics = string(new bytes(256));
        _harness.checkTerms(terms);
        terms.metrics = string(new bytes(257));
        _expectRefusal(terms, "metrics", 257, 0, 256);
    }

    function test_check_severalBad_reportsTheFirstOfTheOrder() external {
        Terms memory terms = _terms();
        (terms.rewardWei, terms.weights, terms.drawDelayBlocks) = (0, 0, 0);
        _expectRefusal(terms, "weights", 0, 1, 2 ** 22);
        terms.weights = 1;
        _expectRefusal(terms, "rewardWei", 0, 1, 2 ** 96);
        terms.rewardWei = 1;
        _expectRefusal(terms, "drawDelayBlocks", 0, 2, 4096);
    }

    function _checkBounds(uint256 place, string memory field, uint256 least, uint256 most) private view {
        // Windows that grow with the owners are long enough for all of them.
        _harness.checkTerms(_with(place, least));
        _harness.checkTerms(_with(place, most));
        if (least > 0) _expectRefusal(_with(place, least - 1), field, least - 1);
        if (place != 3) _expectRefusal(_with(place, most + 1), field, most + 1);
    }

    function _with(uint256 place, uint256 value) private pure returns (Terms memory terms) {
        terms = _terms();
        if (place == 7) terms.weights = 1;
        if (place == 7) (terms.accuseSeconds, terms.answerSeconds, terms.proveSeconds) = (10_000, 10_000, 10_000);
        // A struct of values in memory has one word a field.
        assembly ("memory-safe") {
            mstore(add(terms, mul(place, 0x20)), value)
        }
    }

    function _terms() private pure returns (Terms memory) {
        return Builders.terms(address(0), address(1));
    }

    function _expectRefusal(Terms memory terms, string memory field, uint256 actual) private view {
        try _harness.checkTerms(terms) {
            revert("accepted");
        } catch (bytes memory answer) {
            (string memory name, uint256 value, , ) = abi.decode(_arguments(answer), (string, uint256, uint256, uint256));
            assertEq(keccak256(bytes(name)), keccak256(bytes(field)), field);
            assertEq(value, actual, field);
        }
    }

    function _expectRefusal(Terms memory terms, string memory field, uint256 actual, uint256 least, uint256 most) private {
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadTerms.selector, field, actual, least, most));
        _harness.checkTerms(terms);
    }

    function _arguments(bytes memory answer) private pure returns (bytes memory arguments) {
        assertEq(bytes32(bytes4(answer)), bytes32(IMarket.MarketBadTerms.selector), "which error");
        arguments = new bytes(answer.length - 4);
        for (uint256 i = 0; i < arguments.length; ++i) arguments[i] = answer[i + 4];
    }
}
