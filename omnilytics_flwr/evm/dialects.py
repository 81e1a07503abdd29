"""What nodes mean by their errors: each implementation and each provider has words and codes of its own.

JSON-RPC's codes do not tell them apart: -32005 is a rate limit at some, a range of blocks that is too wide at others. So words come first,
then codes that mean one thing wherever they occur.
"""

from __future__ import annotations

import re
from enum import Enum

REVERT_CODE = 3


class Meaning(Enum):
    """What an error of a node is about."""

    BUSY = "too many requests, or trouble that passes"
    KNOWN = "the pool has this transaction"
    NONCE_TAKEN = "another transaction has this nonce"
    NOT_REPLACED = "the fees are too low to replace the pending transaction with this nonce"
    RESERVED = "the account has a pending transaction of the other kind, with or without blobs"
    POOR = "the account cannot pay"
    RANGE = "too many blocks or logs at once"
    NO_BLOCK = "the node does not have the block, perhaps not yet"
    NO_STATE = "the node has forgotten the state of the block"
    NO_METHOD = "the node does not offer the method"
    NOT_FOR_US = "the provider does not serve this key, or no longer"
    REVERT = "the contract refused"


_WORDS = {
    # First, for what follows is the contract's own words. All: "execution reverted"; hardhat: "VM Exception while processing transaction:
    # reverted with"; Nethermind: "VM execution error", with "Reverted 0x.." beside it; EthereumJS: "revert".
    Meaning.REVERT: r"\brevert|VM execution error",
    # geth: "the method eth_x does not exist/is not available"; most others: "Method not found"; Besu: "Method not enabled".
    Meaning.NO_METHOD: r"method\b.*(not (found|exist|available|supported|allowed|enabled|whitelisted)|unsupported|disabled)|(un|not )supported method",
    # geth, Erigon, reth: "insufficient funds for gas * price + value"; Nethermind: "InsufficientFunds"; Besu: "Upfront cost exceeds account
    # balance"; EthereumJS: "does not have enough balance"; hardhat: "doesn't have enough funds".
    Meaning.POOR: r"insufficient ?(funds|balance)|upfront cost exceeds|(not|n't) have enough (funds|balance)",
    # geth, Erigon, reth: "already known"; Nethermind: "AlreadyKnown"; Besu, hardhat: "Known transaction"; OpenEthereum: "already imported".
    Meaning.KNOWN: r"already ?known|known transaction|already (imported|exists|in (the )?(mem)?pool)|existing tx with same hash",
    # geth, Besu, Erigon, reth, hardhat, EthereumJS: "nonce too low"; Nethermind: "OldNonce"; OpenEthereum: "nonce is too low".
    Meaning.NONCE_TAKEN: r"nonce (is )?too (low|small)|old ?nonce",
    # geth, Besu, Erigon, reth, hardhat: "replacement transaction underpriced"; Nethermind: "ReplacementNotAllowed"; EthereumJS: "replacement
    # gas too low"; Erigon: "could not replace existing tx".
    Meaning.NOT_REPLACED: r"replacement (transaction )?underpriced|replacement ?(not ?allowed|gas too low)|could not replace existing tx",
    # geth: "address already reserved"; Nethermind: "PendingTxsOfOtherType"; reth: "address has conflicting transaction type".
    Meaning.RESERVED: r"already reserved|pending ?tx(n?s)? ?of ?(other|conflicting) ?type|conflicting (transaction )?type",
    # geth: "missing trie node", "historical state .. is not available", "hash .. is not currently canonical"; Besu: "World state
    # unavailable"; Erigon: "state .. pruned"; Nethermind: "No state available for block".
    Meaning.NO_STATE: r"missing trie node|state\b.*(not |un)available|no state available|pruned|not currently canonical",
    # geth, Nethermind, Alchemy: "header not found"; Besu, Erigon: "Block not found"; geth: "unknown block"; anvil: "BlockOutOfRange".
    Meaning.NO_BLOCK: r"(header|block)( with\b.*| for\b.*)? not found|unknown block|block ?out ?of ?range",
    # geth: "exceed maximum block range"; Besu: "Requested range exceeds maximum RPC range limit"; Nethermind, Erigon: "block range too
    # large"; Infura: "query returned more than 10000 results"; Alchemy: "Log response size exceeded"; QuickNode: "limited to a 10,000 range".
    Meaning.RANGE: (
        r"range.*(too|exceed|large|wide|limit|support)|(exceed|limited).*range|more than [\d,]+ (results|logs)|response size|too many (logs|results)"
    ),
    # Infura: "invalid project id", "project ID does not have access"; Alchemy: "Must be authenticated!"; others: "Unauthorized".
    Meaning.NOT_FOR_US: r"unauthori[sz]ed|invalid (project|api|access) ?-?(id|key|token)|must be authenticated|does not have access",
    # Infura: "request rate exceeded"; Alchemy: "exceeded its compute units per second capacity"; QuickNode: "50/second request limit
    # reached"; Chainstack: "exceeded the RPS limit"; Base: "over rate limit"; dRPC: "Temporary internal error. Please retry".
    Meaning.BUSY: (
        r"too many (concurrent )?(requests|connections)|rate.?limit|rate exceeded|request limit|(requests?|count) exceeded|RPS limit|compute units"
        r"|throttl|capacity|quota|(try|retry) (again|later)|please retry|temporar|overload|timed? ?out|deadline exceeded|server busy"
        r"|no (available|healthy) (upstream|node|backend)|no backends? (is |are )?(currently )?available|(usage|daily|concurrent requests) limit"
    ),
}
_PATTERNS = {meaning: re.compile(words, re.IGNORECASE) for meaning, words in _WORDS.items()}

_CODES = {
    REVERT_CODE: Meaning.REVERT,
    -32601: Meaning.NO_METHOD,
    -32004: Meaning.NO_METHOD,  # EIP-1474
    401: Meaning.NOT_FOR_US,  # HTTP's, as the next three
    402: Meaning.NOT_FOR_US,
    403: Meaning.NOT_FOR_US,
    404: Meaning.NOT_FOR_US,
    429: Meaning.BUSY,  # HTTP's, as Alchemy repeats it
    15: Meaning.BUSY,  # dRPC
    -32002: Meaning.BUSY,  # geth: timed out; EIP-1474: not available now
    -32005: Meaning.BUSY,  # EIP-1474: limit exceeded
    -32007: Meaning.BUSY,  # QuickNode
    -32011: Meaning.BUSY,  # proxyd, of the OP stack
    -32016: Meaning.BUSY,  # Base
    -32029: Meaning.BUSY,  # Ankr, BlockPI
    -32097: Meaning.BUSY,  # several balancers
}


def meaning_of(code: int, message: str) -> Meaning | None:
    """What an error means; None if it is none that is known."""
    if code == REVERT_CODE:
        return Meaning.REVERT
    return next((meaning for meaning, pattern in _PATTERNS.items() if pattern.search(message)), _CODES.get(code))
