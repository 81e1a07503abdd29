"""What nodes and providers say, by what they mean: who, code, words. From their sources, documents and users' reports."""

from __future__ import annotations

from omnilytics_flwr.evm.dialects import Meaning

Saying = tuple[str, int, str]

DIALECTS: dict[Meaning, tuple[Saying, ...]] = {
    Meaning.BUSY: (
        ("Infura", -32005, "project ID request rate exceeded"),
        ("Infura, the day's", -32005, "daily request count exceeded, request rate limited"),
        ("Alchemy", 429, "Your app has exceeded its compute units per second capacity. If you have retries enabled, ignore this message."),
        ("QuickNode", -32007, "50/second request limit reached - reduce calls per second or upgrade your account"),
        ("Ankr", -32029, "Too many requests, reason: call rate limit exhausted, retry in 10s"),
        ("Chainstack", -32005, "You've exceeded the RPS limit available on the current plan."),
        ("Base", -32016, "over rate limit"),
        ("dRPC", 15, "Temporary internal error. Please retry, trace-id: 8f0c"),
        ("geth", -32002, "request timed out"),
        ("a balancer", -32000, "no available upstream"),
    ),
    Meaning.REVERT: (
        ("geth, Erigon, reth, anvil", 3, "execution reverted: insufficient funds"),
        ("Besu", -32000, "Execution reverted"),
        ("Nethermind", -32015, "VM execution error."),
        ("hardhat", -32603, "VM Exception while processing transaction: reverted with an unrecognized custom error (return data: 0x12)"),
        ("EthereumJS", 3, "revert"),
    ),
    Meaning.NONCE_TAKEN: (
        ("geth, reth", -32000, "nonce too low: next nonce 5, tx nonce 4"),
        ("Nethermind", -32010, "OldNonce, Current nonce: 5, nonce of rejected tx: 4"),
        ("Besu", -32001, "Nonce too low"),
        ("hardhat", -32000, "Nonce too low. Expected nonce to be 5 but got 4. Note that transactions can't be queued when automining."),
        ("EthereumJS", -32602, "0xf3 tries to send a tx with nonce 4, but account has nonce 5 (tx nonce too low)"),
    ),
    Meaning.KNOWN: (
        ("geth, Erigon, reth", -32000, "already known"),
        ("Nethermind", -32010, "AlreadyKnown"),
        ("Besu", -32000, "Known transaction"),
        ("hardhat", -32000, "Known transaction: 0x12"),
        ("OpenEthereum", -32010, "Transaction with the same hash was already imported."),
    ),
    Meaning.NOT_REPLACED: (
        ("geth, Erigon, reth", -32000, "replacement transaction underpriced"),
        ("Nethermind", -32010, "ReplacementNotAllowed"),
        ("Besu", -32000, "Replacement transaction underpriced"),
        ("EthereumJS", -32602, "replacement gas too low, got new tip 1, min: 2"),
    ),
    Meaning.POOR: (
        ("geth, Erigon", -32000, "insufficient funds for gas * price + value: balance 0, tx cost 5, overshot 5"),
        ("Nethermind", -32010, "InsufficientFunds, Account balance: 0, cumulative cost: 5"),
        ("Besu", -32004, "Upfront cost exceeds account balance"),
        ("anvil", -32003, "Insufficient funds for gas * price + value"),
        ("hardhat", -32000, "Sender doesn't have enough funds to send tx. The max upfront cost is: 5 and the sender's balance is: 0."),
        ("EthereumJS", -32602, "0xf3 does not have enough balance to cover transaction costs, need 5, but have 0 (insufficient balance)"),
    ),
    Meaning.RESERVED: (
        ("geth", -32000, "address already reserved"),
        ("Nethermind", -32010, "PendingTxsOfOtherType"),
        ("reth", -32000, "address has conflicting transaction type"),
    ),
    Meaning.RANGE: (
        ("geth", -32602, "exceed maximum block range: 50000"),
        ("Infura", -32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2]."),
        ("Alchemy", -32602, "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range"),
        ("QuickNode", -32614, "eth_getLogs is limited to a 10,000 range"),
        ("Besu", -32005, "Requested range exceeds maximum RPC range limit"),
        ("dRPC", 35, "ranges over 10000 blocks are not supported on freetier"),
        ("others", -32000, "block range is too wide"),
    ),
    Meaning.NO_BLOCK: (
        ("geth, Alchemy", -32000, "header not found"),
        ("geth, by hash", -32000, "header for hash not found"),
        ("Nethermind", -32001, "header not found"),
        ("Besu", -32000, "Block not found"),
        ("Erigon", -32000, "block not found: 1234"),
        ("geth", -39001, "unknown block"),
        ("anvil", -32602, "BlockOutOfRangeError: block height is 5 but requested was 10"),
    ),
    Meaning.NO_STATE: (
        ("geth, hash scheme", -32000, "missing trie node 12ab (path ) state 0x12 is not available"),
        ("geth, path scheme", -32000, "historical state 12ab is not available"),
        ("geth, reorganised", -32000, "hash 12ab is not currently canonical"),
        ("Besu", -32000, "World state unavailable"),
        ("Nethermind", -32002, "No state available for block 0x12"),
    ),
    Meaning.NOT_FOR_US: (
        ("Infura", -32002, "invalid project id"),
        ("Alchemy", -32600, "Must be authenticated!"),
        ("a provider", -32000, "Unauthorized: project ID does not have access to this network"),
        ("HTTP", 403, "HTTP status 403"),
    ),
    Meaning.NO_METHOD: (
        ("geth, Erigon, anvil", -32601, "the method eth_simulateV1 does not exist/is not available"),
        ("EthereumJS, reth", -32601, "Method not found"),
        ("Besu", -32604, "Method not enabled"),
        ("a provider", -32000, "Unsupported method: debug_getRawHeader. See available methods"),
    ),
}
