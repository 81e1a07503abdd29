// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IMarket} from "../../src/interfaces/IMarket.sol";
import {IMarketFactory} from "../../src/interfaces/IMarketFactory.sol";
import {Stage, Terms} from "../../src/interfaces/MarketTypes.sol";
import {Builders} from "../utils/Builders.sol";
import {MarketFixture} from "../utils/MarketFixture.sol";
import {vm} from "../utils/Vm.sol";

contract FactoryTest is MarketFixture {
    function test_create_announcesAndRemembers() external {
        Terms memory terms = baseTerms();
        vm.prank(STRANGER);
        IMarket second = IMarket(factory.create(terms));

        assertEq(factory.count(), 2, "count");
        assertEq(factory.marketAt(1), address(second), "at");
        assertTrue(factory.isMarket(address(second)) && !factory.isMarket(STRANGER), "is a market");
        assertEq(second.modelOwner(), STRANGER, "model owner");
        assertEq(second.termsHash(), keccak256(abi.encode(terms)), "hash");
    }

    function test_fuzz_terms_comeBackAsTheyWere(bytes32 appHash, string calldata metrics) external {
        Terms memory terms = baseTerms();
        (terms.appHash, terms.metrics) = (appHash, bytes(metrics).length > 256 ? "loss" : metrics);
        market = create(terms);

        assertEq(keccak256(abi.encode(market.terms())), keccak256(abi.encode(terms)), "terms");
        assertEq(market.termsHash(), keccak256(abi.encode(terms)), "hash");
    }

    function test_create_badTerms_reverts() external {
        Terms memory terms = baseTerms();
        terms.groupSize = 2;
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadTerms.selector, "groupSize", 2, 3, 16));
        factory.create(terms);
    }

    function test_create_noVerification_reverts() external {
        Terms memory terms = baseTerms();
        terms.verification = address(0xdead);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadTerms.selector, "verification", 0, 1, 1));
        factory.create(terms);
    }

    function test_implementation_isNoMarket() external {
        IMarket implementation = IMarket(factory.implementation());
        assertEq(uint256(implementation.state().stage), uint256(Stage.Closed), "closed");
        vm.deal(address(this), 1 ether);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketWrongStage.selector, Stage.Closed, 31));
        implementation.join{value: 1e16}(0, Builders.maskKey(0), EXAMPLES, "");
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketWrongStage.selector, Stage.Closed, 31));
        implementation.fund{value: 1}(1);
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketNotRegistered.selector, address(this)));
        implementation.leave();
    }

    function test_constructor_noHistory_reverts() external {
        vm.etch(HISTORY, "");
        try this.deployExternally("Market", 6) {
            revert("deployed");
        } catch (bytes memory answer) {
            bytes memory expected = abi.encodeWithSelector(IMarket.MarketUnsupportedChain.selector, HISTORY);
            assertEq(keccak256(answer), keccak256(expected), "refused");
        }
    }

    function test_runtimeSizes_areWithinTheLimit() external {
        // EIP-170's limit is 24,576.
        assertTrue(factory.implementation().code.length <= 24_576, "market");
        assertTrue(address(factory).code.length < 8_000, "factory");
        assertTrue(deploy("SumcheckVerification").code.length < 10_000, "sumcheck verification");
        assertTrue(deploy("ComputedVerification").code.length < 10_000, "computed verification");
    }

    function deployExternally(string calldata name, uint256 blobs) external returns (address) {
        return deploy(name, abi.encode(blobs));
    }

    // ------------------------------------------------------------------------------------------------------------ chains

    function refused(Terms memory terms, string memory field, uint256 actual, uint256 least, uint256 most) private {
        vm.expectRevert(abi.encodeWithSelector(IMarket.MarketBadTerms.selector, field, actual, least, most));
        factory.create(terms);
    }

    function test_create_chainWithoutBlobs_takesMarketsWithoutAccusationsOnly() external {
        factory = IMarketFactory(deploy("MarketFactory", abi.encode(131_072, 0)));
        Terms memory terms = baseTerms();
        refused(terms, "answerSeconds", 1800, 0, 0);
        terms.answerSeconds = 0;
        factory.create(terms);
    }

    function test_create_chainWithFewBlobs_needsLongerToAnswer() external {
        factory = IMarketFactory(deploy("MarketFactory", abi.encode(131_072, 2)));
        Terms memory terms = baseTerms();
        (terms.weights, terms.proveSeconds) = (30 * 8192, 1000);
        refused(terms, "answerSeconds", 1800, 60 + 12 * 25 * 15, 30 days);
    }

    function test_create_chainWithSmallTransactions_takesSmallSettlementsOnly() external {
        factory = IMarketFactory(deploy("MarketFactory", abi.encode(12_000, 6)));
        Terms memory terms = baseTerms();
        terms.verification = deploy("SumcheckVerification");
        // 25 (96 x 3 + 64) + 16 x 6 x 7 + 32 x 6 x 3 + 2048.
        refused(terms, "settlementBytes", 12_096, 0, 12_000);
        terms.projected = true;
        factory.create(terms);
    }

    function test_create_computedVerification_asksForVectorsInTransactions() external {
        factory = IMarketFactory(deploy("MarketFactory", abi.encode(131_072, 0)));
        Terms memory terms = baseTerms();
        (terms.verification, terms.answerSeconds, terms.weights) = (deploy("ComputedVerification"), 0, 1908);
        // 25 (32 x 159 + 64) + 2048; 12 weights to an element.
        factory.create(terms);
        terms.weights += 1;
        refused(terms, "settlementBytes", 25 * (32 * 160 + 64) + 2048, 0, 131_072);
        terms.projected = true;
        refused(terms, "projected", 1, 0, 0);
    }

    function test_create_manyPolynomials_takesNoAccusations() external {
        Terms memory terms = baseTerms();
        (terms.projected, terms.weights, terms.updateBits, terms.proveSeconds) = (true, 512 * 8192, 10, 1000);
        terms.answerSeconds = 30 days;
        factory.create(terms);
        terms.weights += 1;
        refused(terms, "answerSeconds", 30 days, 0, 0);
        terms.answerSeconds = 0;
        factory.create(terms);
    }
}
