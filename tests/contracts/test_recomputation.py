"""What the chain accepted and paid is what a second computation, which shares no code with the first, comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from math import lcm

import numpy as np
import pytest
from Crypto.Hash import keccak

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.address import address_bytes
from omnilytics_flwr.crypto.field import FieldVector, N
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit, points_digest
from omnilytics_flwr.crypto.masks import MaskKey, Peer, group_mask
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.roster import bits_of, positions_of
from tests.crypto.conftest import sparse_vector
from tests.support.builders import make_task

from .real_market import NO_TASK, RealMarket, mask_secret

ORDER = 52435875175126190479447740508185965837690552500527637822603658699938581184513
HALF = 2**84


@dataclass(frozen=True)
class Rules:
    """The terms that a round's outcome depends on."""

    group_size: int
    faulty_groups: int
    bits: int
    norm_bound: int
    reward_wei: int


@dataclass(frozen=True)
class Outcome:
    """What a settlement must come to: groups; distances between the zero update and those that take part, pair by pair; pay by seat."""

    excluded: set[int]
    accepted: set[int]
    distances: list[int]
    pay_wei: dict[int, int]


def drawn_groups(seed: bytes, addresses: Mapping[int, bytes], group_size: int) -> list[list[int]]:
    """Seats of each group: everybody by the hash of seed and address, the first groups one larger if they do not come out even."""
    order = sorted(addresses, key=lambda seat: keccak.new(digest_bits=256, data=seed + addresses[seat]).digest())
    count, larger = divmod(len(order), group_size)
    groups = []
    for number in range(count):
        size = group_size + (number < larger)
        groups.append(sorted(order[:size]))
        order = order[size:]
    return groups


def decide(rules: Rules, roster: Mapping[int, Sequence[int]], vectors: Mapping[int, bytes], waived: set[int]) -> Outcome:
    """The outcome of a round: `roster` has the seats of each group, `vectors` what each seat delivered; `waived` groups are only paid."""
    judged = {group: sum_of([vectors[seat] for seat in seats]) for group, seats in roster.items() if group not in waived}
    excluded = {g for g, sums in judged.items() if not all(in_range(s, len(roster[g]), rules.bits) for s in sums)}
    taking = [group for group in judged if group not in excluded]
    scale = lcm(*(len(roster[group]) for group in taking))
    zero = scale * 2 ** (rules.bits - 1)
    rows = [[zero] * 2 * len(next(iter(judged.values())))]
    rows += [[scale // len(roster[group]) * unit for unit in units_of(judged[group])] for group in taking]
    table = {(i, k): sum((a - b) ** 2 for a, b in zip(rows[i], rows[k], strict=True)) for i, k in combinations(range(len(rows)), 2)}
    accepted = multi_krum(table, len(taking), rules.faulty_groups - len(excluded), scale**2 * rules.norm_bound)
    paid = {taking[place] for place in accepted} | waived
    pay_wei = {seat: rules.reward_wei * (group in paid) for group, seats in roster.items() for seat in seats}
    return Outcome(excluded, {taking[place] for place in accepted}, list(table.values()), pay_wei)


def sum_of(vectors: Sequence[bytes]) -> list[int]:
    """Elements of the sum of vectors of 32-byte big-endian words; masks cancel."""
    columns = zip(*(words(vector) for vector in vectors), strict=True)
    return [sum(column) % ORDER for column in columns]


def words(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + 32], "big") for at in range(0, len(raw), 32)]


def units_of(sums: Sequence[int]) -> list[int]:
    """Sums of quantised weights, two from each element."""
    return [unit for element in sums for unit in (element % HALF, element // HALF)]


def in_range(element: int, members: int, bits: int) -> bool:
    """Whether honest members can add up to an element."""
    return all(members <= unit <= members * (2**bits - 1) for unit in units_of([element]))


def multi_krum(table: Mapping[tuple[int, int], int], groups: int, faulty: int, longest: int) -> set[int]:
    """Places, from 0, of the groups that are accepted; `table` counts them from 1, and 0 is the zero update."""
    scores = []
    for one in range(1, groups + 1):
        nearest = sorted(table[min(one, other), max(one, other)] for other in range(1, groups + 1) if other != one)
        scores.append((sum(nearest[: max(1, groups - faulty - 2)]), one - 1))
    eligible = sorted(score for score in scores if table[0, score[1] + 1] <= longest)
    return {place for _, place in eligible[: groups - faulty]}


OWNERS, CLIP = 17, 0.1
"""Groups of 4, 4, 3, 3 and 3."""


@dataclass(frozen=True)
class Plan:
    """A round: which data owners misbehave, by number, and which groups are waived."""

    seed: int
    flips: tuple[int, ...] = ()
    out_of_range: tuple[int, ...] = ()
    waived: int = 0


@dataclass(frozen=True)
class Played:
    """A settled round: what was delivered, by seat, and what the chain said."""

    vectors: dict[int, bytes]
    receipt: Receipt
    distances: list[int]


def update_of(plan: Plan, number: int, weights: int) -> np.ndarray:
    """A common direction and noise of one's own; those who flip send the opposite of everything, enlarged."""
    common = np.random.default_rng(plan.seed).normal(0.0, 0.02, weights)
    own = common + np.random.default_rng([plan.seed, number]).normal(0.0, 0.01, weights)
    return -5.0 * own if number in plan.flips else own


def vector_of(market: RealMarket, plan: Plan, number: int) -> FieldVector:
    """What a data owner delivers: quantised, packed, masked."""
    terms, state, ledger = market.owner.terms(), market.owner.state(), market.data[number]
    seat = ledger.owner_record(ledger.account).seat
    mates = next(group for group in market.seats(market.all_groups) if seat in group)
    members = {member.seat: member for member in market.owner.members()}
    update = update_of(plan, number, terms.weights)
    units = quantise(update, weights=terms.weights, bits=terms.update_bits, clip=CLIP, key=keccak256(word(number)))
    vector = pack(units) + group_mask(
        MaskKey.from_private(mask_secret(number)),
        [Peer(address_bytes(members[mate].owner), members[mate].mask_key) for mate in mates],
        chain_id=market.owner.chain_id,
        market=address_bytes(market.owner.address),
        epoch_seed=state.epoch_seed,
        epoch=state.epoch,
        round_number=state.round,
        task_hash=state.task_hash,
        polynomials=terms.polynomials,
    )
    return vector + sparse_vector(len(vector), {len(vector) - 5: 1 << 150}) if number in plan.out_of_range else vector


def play(market: RealMarket, plan: Plan) -> Played:
    """One round from anchor to settlement, as the package does it."""
    market.owner.anchor(make_task(plan.seed))
    number, groups = market.owner.state().round, market.all_groups
    seat_of = {i: ledger.owner_record(ledger.account).seat for i, ledger in enumerate(market.data)}
    vectors = {seat_of[i]: vector_of(market, plan, i) for i in range(len(market.data))}
    points = {seat: commit(vector) for seat, vector in vectors.items()}
    roster = market.seats(groups)
    digests = [points_digest(points[seat]) for group in roster for seat in group]
    market.owner.open(number, groups, tuple(digests), market.commitments(groups, digests))

    statement = replace(market.statement(), outside=positions_of(plan.waived, groups))
    sums = [None if statement.is_outside(i) else FieldVector.total([vectors[seat] for seat in group]) for i, group in enumerate(roster)]
    rows = [[points_digest(points[seat]) if statement.is_outside(i) else points[seat] for seat in group] for i, group in enumerate(roster)]
    settlement = prove(statement, sums, rows).settlement
    distances = distances_on_chain(market, statement, settlement)
    receipt = market.owner.settle(number, settlement, plan.waived, NO_TASK)
    return Played({seat: vector.to_bytes() for seat, vector in vectors.items()}, receipt, distances)


def distances_on_chain(market: RealMarket, s: Statement, settlement: bytes) -> list[int]:
    """The distances that the verification answers the market."""
    abi = artifacts.load(artifacts.VERIFICATION).abi
    data = abi.call_data("verify", (s.context, s.roster_hash, s.sizes, s.outside, s.polynomials, s.update_bits), settlement)
    ((_, distances),) = abi.results("verify", market.owner.connection.call(market.owner.terms().verification, data, market_reverts()))
    return list(distances)


def assert_recomputed(market: RealMarket, plan: Plan, played: Played) -> Outcome:
    """Compare groups, distances, selection and pay with what the chain says."""
    terms, state, logs = market.owner.terms(), market.owner.state(), played.receipt.logs["Settled"]
    addresses = {member.seat: address_bytes(member.owner) for member in market.owner.members()}
    groups = drawn_groups(state.epoch_seed, addresses, terms.group_size)
    assert [tuple(group) for group in groups] == market.seats(market.all_groups)
    rules = Rules(terms.group_size, terms.faulty_groups, terms.update_bits, terms.norm_bound, terms.reward_wei)

    outcome = decide(rules, dict(enumerate(groups)), played.vectors, set(bits_of(plan.waived)))

    assert outcome.distances == played.distances
    assert outcome.excluded == set(bits_of(int(str(logs["excluded"]))))
    assert outcome.accepted == set(bits_of(int(str(logs["accepted"]))))
    paid = {seat for seat, pay_wei in outcome.pay_wei.items() if pay_wei}
    assert paid == set(bits_of(int(str(logs["paidSeats"])))) == set(bits_of(market.owner.paid_seats(market.owner.state().round)))
    return outcome


def assert_paid(market: RealMarket, outcomes: list[Outcome]) -> None:
    """Compare what everybody can claim, and then what everybody gets, with the sum over all rounds."""
    owner = market.owner
    due_wei = {m.seat: sum(o.pay_wei[m.seat] for o in outcomes) for m in owner.members()}
    assert owner.state().owed_wei == sum(due_wei.values())
    for member in owner.members():
        assert owner.claimable_wei(member.owner) == due_wei[member.seat]
        before = owner.connection.balance_wei(member.owner)
        owner.claim(member.owner, 2**32 - 1)
        assert owner.connection.balance_wei(member.owner) - before == due_wei[member.seat]
    assert owner.state().owed_wei == 0


def play_and_recompute(anvil: Anvil, deployment: Deployment, plans: list[Plan], *, weights: int) -> list[Outcome]:
    changes = {"weights": weights, "update_bits": 16, "clip_nano": round(CLIP * 1e9), "norm_bound": 10**12}
    market = RealMarket.create(connect(anvil.url), deployment, OWNERS, **changes).join_and_draw()
    outcomes = [assert_recomputed(market, plan, play(market, plan)) for plan in plans]
    assert_paid(market, outcomes)
    return outcomes


def test_settled_rounds_agree_with_a_second_computation(anvil: Anvil, deployment: Deployment) -> None:
    plans = [Plan(1, flips=(3,)), Plan(2, out_of_range=(8,)), Plan(3, flips=(0, 1, 2), waived=0b00110)]

    outcomes = play_and_recompute(anvil, deployment, plans, weights=2 * N - 1000)

    assert [len(outcome.accepted) for outcome in outcomes] == [4, 4, 2]
    assert [len(outcome.excluded) for outcome in outcomes] == [0, 1, 0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_settled_rounds_of_two_polynomials_agree_with_a_second_computation(anvil: Anvil, deployment: Deployment, seed: int) -> None:
    random = np.random.default_rng(seed)
    plans = []
    for number in range(1, 7):
        bad = tuple(int(i) for i in random.permutation(OWNERS)[: random.integers(0, 4)])
        wild = (int(random.integers(0, OWNERS)),) if random.random() < 0.4 else ()
        plans.append(
            Plan(100 * seed + number, flips=bad, out_of_range=wild, waived=int(random.integers(0, 2)) << int(random.integers(0, 5)))
        )

    play_and_recompute(anvil, deployment, plans, weights=2 * N + 1000)
