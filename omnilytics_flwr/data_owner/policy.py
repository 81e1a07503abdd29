"""The operator's policy: which tasks a data owner accepts. The model owner sees the reason of every refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from ..crypto.address import Address, parse_address
from ..decoding import Count, Hash, Positive, Share, Some, convert
from ..errors import Malformed, Refused, TermsError
from ..market.terms import ZERO_ADDRESS

if TYPE_CHECKING:
    from ..market.terms import Terms

FINAL_BLOCKS = 64
"""Two epochs of Ethereum: what lies that deep is final, and nobody can tell a block's randomness from so far before it."""
ROLLUP_DRAW_BLOCKS = 1300
"""The same on a rollup of the OP kind, at 2 s a block: its sequencer also has 1,800 s in which to choose of which Ethereum block the number is."""
STRESS_PRICE_WEI = 20 * 10**9
BLOCK_SECONDS = 12
LOCAL_POLL_SECONDS = 4
CLAIM_GAS = 70_000
"""Of a claim of some rounds."""
CLAIM_WORTH = 10
"""How many times its fee a claim brings at least; of a token, how many rewards, or those of an epoch if it is shorter."""
SHORTEST_ACCUSE_SECONDS = 60
"""For the delivery itself; the contract allows no shorter window."""


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="kebab"):
    """What the operator of a data owner allows; docs/reference/policy.md says what each entry means.

    Where None does not stand for anything at all, it stands for a value that depends on the terms (`most_peer_sets`) or on the chain
    (`for_chain`).
    """

    markets: tuple[Address, ...] | None = None
    chain_ids: tuple[Count, ...] | None = None
    tokens: tuple[Address, ...] | None = (ZERO_ADDRESS,)
    most_stake_wei: Count | None = None
    least_group_size: Count = 3
    most_clip: Positive = 10.0
    most_rounds: Count = 1000
    # Each redraw lets a patient model owner solve for more (So et al., "Securing Secure Aggregation", arXiv 2106.03328).
    most_peer_sets: Count | None = None
    # Whoever decides who may join can put its own people around one data owner, and see its update as their sum's rest.
    known_peers: tuple[Address, ...] = ()
    least_known_peers: Count = 0
    enrol_again: bool = True
    least_reward_wei: Count = 0
    most_unpaid_share: Share = 0.4
    most_unpaid_rounds: Some = 10
    least_bond_wei: Count = 0
    least_accuse_fee_wei: Count = 0
    least_accuse_seconds: Count = SHORTEST_ACCUSE_SECONDS
    least_answer_seconds: Count = 1800
    most_leave_seconds: Count = 14 * 24 * 3600
    least_draw_delay_blocks: Count | None = None
    metrics: tuple[str, ...] | None = None
    app_hashes: tuple[Hash, ...] | None = None
    known_verification: bool | None = None
    public_sums: bool | None = None
    confirmations: Count | None = None
    keep_blocks: Count | None = None
    # The agent's process only: a commitment needs somebody who would see its accusation.
    fresh_seconds: Positive = 60.0
    poll_seconds: Positive | None = None
    claim_after_wei: Count | None = None
    stress_price_wei: Count | None = None

    @classmethod
    def from_mapping(cls, entries: Mapping[str, object]) -> Policy:
        """Policy from entries as ``owner.toml`` has them, hashes in hexadecimal.

        Raises
        ------
        TermsError
            An entry is unknown, or its value is not what it must be.
        """
        parsed = dict(entries)
        try:
            for name, parse in _PARSERS.items():
                if isinstance(items := parsed.get(name), (list, tuple)):
                    parsed[name] = [parse(item) for item in items]
            return convert(parsed, cls)
        except Malformed as error:
            raise TermsError(f"policy: {error}") from error

    def for_chain(self, *, is_local: bool, is_rollup: bool = False) -> Policy:
        """The same policy with a value wherever None stands for one that depends on the chain; `is_rollup`: of the OP kind."""
        usual = {
            "known_verification": not is_local,
            "public_sums": is_local,
            "confirmations": int(not is_local),
            "keep_blocks": 0 if is_local else FINAL_BLOCKS,
            "least_draw_delay_blocks": 0 if is_local else ROLLUP_DRAW_BLOCKS if is_rollup else FINAL_BLOCKS,
            "poll_seconds": LOCAL_POLL_SECONDS if is_local else BLOCK_SECONDS,
            "stress_price_wei": 0 if is_local else STRESS_PRICE_WEI,
            "claim_after_wei": 1 if is_local else None,
        }
        return structs.replace(self, **{name: value for name, value in usual.items() if getattr(self, name) is None})

    def peer_sets_for(self, terms: Terms) -> int:
        """Most different groups that may see one data set under these terms."""
        return max(1, terms.group_size - 2) if self.most_peer_sets is None else self.most_peer_sets

    def claim_after(self, terms: Terms, *, gas_price_wei: int) -> int:
        """Least that is claimed, in wei: what the entry says, or what makes the fee of a claim, paid in ether, a small part of it.

        What a token is worth in ether nobody can say here: the rewards of some rounds are claimed at once.
        """
        if self.claim_after_wei is not None:
            return max(self.claim_after_wei, 1)
        if terms.token != ZERO_ADDRESS:
            return min(terms.rounds_per_epoch, CLAIM_WORTH) * terms.reward_wei
        return CLAIM_WORTH * CLAIM_GAS * gas_price_wei

    def check_market(self, chain_id: int, market: Address) -> None:
        """Raise `Refused` unless the market is one to work for."""
        if self.chain_ids is not None and chain_id not in self.chain_ids:
            raise Refused(f"policy refuses chain {chain_id}; allowed are {list(self.chain_ids)}; ask the operator of this data owner")
        if not _is_among(market, self.markets):
            raise Refused(f"policy refuses market {market}: it is not among those allowed; ask the operator of this data owner")

    def check_terms(self, market: Address, terms: Terms) -> None:
        """Raise `Refused` unless the terms are acceptable."""
        unpaid = terms.faulty_groups / terms.least_groups
        # A vector leaves once the opening has so many blocks on top, and must have arrived before anybody is accused.
        accuse_seconds = max(self.least_accuse_seconds, SHORTEST_ACCUSE_SECONDS + BLOCK_SECONDS * (self.confirmations or 0))
        demands = {
            f"pay in token {terms.token}, which is not among those allowed": _is_among(terms.token, self.tokens),
            f"stake {terms.stake_wei} wei, at most {self.most_stake_wei} allowed": self.most_stake_wei is None
            or terms.stake_wei <= self.most_stake_wei,
            f"groups of {terms.group_size}, at least {self.least_group_size} wanted": terms.group_size >= self.least_group_size,
            f"clip {terms.clip}, at most {self.most_clip} allowed": terms.clip <= self.most_clip,
            f"reward {terms.reward_wei} wei, at least {self.least_reward_wei} wanted": terms.reward_wei >= self.least_reward_wei,
            f"a bond of {terms.bond_wei} wei, at least {self.least_bond_wei} wanted": terms.bond_wei >= self.least_bond_wei,
            f"fee of an accusation {terms.accuse_fee_wei} wei, at least {self.least_accuse_fee_wei} wanted": (
                terms.accuse_fee_wei >= self.least_accuse_fee_wei or terms.answer_seconds == 0
            ),
            f"{terms.faulty_groups} of {terms.least_groups} groups may go unpaid, at most a share of {self.most_unpaid_share} allowed": (
                unpaid <= self.most_unpaid_share
            ),
            f"{terms.accuse_seconds} s to deliver, at least {accuse_seconds} wanted": terms.accuse_seconds >= accuse_seconds,
            f"{terms.answer_seconds} s to answer an accusation, at least {self.least_answer_seconds} wanted": (
                terms.answer_seconds == 0 or terms.answer_seconds >= self.least_answer_seconds
            ),
            f"a stake is back after {terms.leave_seconds} s, at most {self.most_leave_seconds} allowed": (
                terms.leave_seconds <= self.most_leave_seconds
            ),
            f"groups drawn {terms.draw_delay_blocks} blocks after the freeze, at least {self.least_draw_delay_blocks} wanted": (
                terms.draw_delay_blocks >= (self.least_draw_delay_blocks or 0)
            ),
            "another client app than those allowed": self.app_hashes is None or terms.app_hash in self.app_hashes,
            "metrics that may not leave": self.metrics is None or set(terms.metrics) <= set(self.metrics),
        }
        broken = [reason for reason, holds in demands.items() if not holds]
        if broken:
            raise Refused(f"policy refuses market {market}: {'; '.join(broken)}")

    def check_sums(self, market: Address, *, public: bool) -> None:
        """Raise `Refused` if the sums of groups are `public` and must not be."""
        if public and not self.public_sums:
            raise Refused(
                f"policy refuses market {market}: its verification shows everybody the sum of each group; set public-sums = true to allow it"
            )

    def check_peers(self, peers: Iterable[Address]) -> None:
        """Raise `Refused` unless enough of a group's other members are known."""
        known = sum(_is_among(peer, self.known_peers) for peer in peers)
        if known < self.least_known_peers:
            raise Refused(f"policy: {known} known data owners in this group, at least {self.least_known_peers} wanted; join the next epoch")


def _is_among(address: Address, allowed: tuple[Address, ...] | None) -> bool:
    return allowed is None or address.lower() in {one.lower() for one in allowed}


def _parse_hash(item: object) -> bytes:
    try:
        return bytes.fromhex(str(item).removeprefix("0x"))
    except ValueError as error:
        raise Malformed(f"{item!r} is no hash; expected 64 hexadecimal digits") from error


_PARSERS: dict[str, Callable[..., object]] = {
    "markets": parse_address,
    "tokens": parse_address,
    "known-peers": parse_address,
    "app-hashes": _parse_hash,
}
