// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IVerification} from "../interfaces/IVerification.sol";
import {Fr} from "../types/Fr.sol";
import {G1, G1_ADD, G1_BYTES, G1_MSM, TERM_BYTES, pointAt, setTerm, tryAdd, tryMsm} from "../types/G1.sol";
import {Openings} from "./Openings.sol";

/// @title ChainTest
/// @notice Refuses a chain whose precompiles do not do what a verification rests on.
/// @dev A call to an address without code succeeds and returns nothing, and a precompile might answer anything: each is asked a
/// question with a known answer. The polynomial X has the commitment [tau] of Ethereum's ceremony, and at 2 the value 2 with the
/// quotient 1, whose commitment is the generator.
library ChainTest {
    bytes private constant _GENERATOR =
        hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f"
        hex"c3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4"
        hex"fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";
    bytes private constant _TWICE_GENERATOR =
        hex"000000000000000000000000000000000572cbea904d67468808c8eb50a9450c"
        hex"9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e"
        hex"00000000000000000000000000000000166a9d8cabc673a322fda673779d8e38"
        hex"22ba3ecb8670e461f73bb9021d5fd76a4c56d9d4cd16bd1bba86881979749d28";
    bytes private constant _TAU =
        hex"000000000000000000000000000000000d3eb50121139aa34db1d545093ac937"
        hex"4ab7bca2c0f3bf28e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c81"
        hex"0000000000000000000000000000000017de623f59a3043952d2f637a935fae1"
        hex"4b6dee8b255e526304963d58ab6f1a827c7de623d34d394f8a3d0f57d6e972b9";
    bytes private constant _COMPRESSED_GENERATOR =
        hex"97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb";

    /// @dev Refusing an opening costs all of it. Chains charge 50,000 to 200,000 for a point evaluation.
    uint256 private constant _OPENING_GAS = 400_000;

    /// @notice One good and one bad opening, one addition, one multi-exponentiation.
    function run() internal view {
        if (!_opens(2) || _opens(3)) revert IVerification.VerificationUnsupportedChain(address(uint160(Openings.POINT_EVALUATION)));
        if (!_adds()) revert IVerification.VerificationUnsupportedChain(address(uint160(G1_ADD)));
        if (!_multiplies()) revert IVerification.VerificationUnsupportedChain(address(uint160(G1_MSM)));
    }

    /// @dev Whether the point evaluation precompile takes the polynomial X to have this value at 2.
    function _opens(uint256 value) private view returns (bool) {
        G1 tau = pointAt(_TAU, 0);
        return Openings.holdsWithin(_OPENING_GAS, tau, Fr.wrap(2), Fr.wrap(value), _COMPRESSED_GENERATOR);
    }

    /// @dev Whether the addition precompile adds.
    function _adds() private view returns (bool) {
        bytes memory pair = bytes.concat(_GENERATOR, _GENERATOR);
        bytes memory sum = new bytes(G1_BYTES);
        return tryAdd(G1.unwrap(pointAt(pair, 0)), pointAt(sum, 0)) && keccak256(sum) == keccak256(_TWICE_GENERATOR);
    }

    /// @dev Whether the multi-exponentiation precompile multiplies.
    function _multiplies() private view returns (bool) {
        bytes memory terms = new bytes(TERM_BYTES);
        setTerm(terms, 0, pointAt(_GENERATOR, 0), Fr.wrap(2));
        bytes memory sum = new bytes(G1_BYTES);
        return tryMsm(terms, pointAt(sum, 0)) && keccak256(sum) == keccak256(_TWICE_GENERATOR);
    }
}
