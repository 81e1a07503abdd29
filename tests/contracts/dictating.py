"""The twin on a chain of `tests.support.builders.DictatedVerification`, written in the machine's own words."""

from __future__ import annotations

from omnilytics_flwr.chain import artifacts
from tests.chain.assembly import creation_code

_ABI = artifacts.load(artifacts.VERIFICATION).abi
_VERIFY = _ABI.functions["verify"].selector.hex()
_WRONG_SUMCHECK = next(s.hex() for s, error in _ABI.errors.items() if error.name == "VerificationWrongSumcheck")

_BRANCH = f"5f 35 60 e0 1c 63 {_VERIFY} 14 60 1e 57"
_POLYNOMIALS = "60 04 35 61 1f ff 01 60 0d 1c 5f 52 60 20 5f f3"
"""(weights + 8191) / 8192: any call but `verify` asks for it."""
_ANSWER = "5b 60 20 5f 52 60 24 35 60 04 01 80 35 80 15 60 3d 57 80 91 60 20 01 60 20 37 60 20 01 5f f3"
"""The settlement behind a word 0x20, which is how ABI returns the struct that the settlement encodes; empty, it is refused."""
_REFUSE = f"5b 63 {_WRONG_SUMCHECK} 5f 52 60 04 60 1c fd"

DICTATING = creation_code(bytes.fromhex(_BRANCH + _POLYNOMIALS + _ANSWER + _REFUSE))
"""Deploys a verification that believes its settlement, unless it is empty."""
