"""The settlement proof (docs/protocol.md section 7): what it states, how it is made, how it is checked."""

from __future__ import annotations

from .prover import Proof as Proof
from .prover import prove as prove
from .settlement import roster_hash_of as roster_hash_of
from .statement import Statement as Statement
from .statement import Verdict as Verdict
from .verifier import verify as verify
