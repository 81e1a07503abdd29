"""What the chain accepted and paid is what a second computation, which shares no code with the first, comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from itertools import combinations
from math import lcm

import numpy as np
import pytest
from Crypto.Hash import keccak

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment
from omnilytics_flwr.chain.market_reader import market_reverts
from omnilytics_flwr.crypto.address import address_bytes
from omnilytics_flwr.crypto.digest import points_digest
from omnilytics_flwr.crypto.field import FieldVector, N
from omnilytics_flwr.crypto.fixedpoint import pack, quantise
from omnilytics_flwr.crypto.hashing import keccak256, word
from omnilytics_flwr.crypto.kzg import commit
from omnilytics_flwr.crypto.masks import GroupMask, MaskKey, Peer
from omnilytics_flwr.crypto.prover import prove
from omnilytics_flwr.crypto.statement import Statement
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.market.ledger import Receipt
from omnilytics_flwr.market.roster import bits_of, positions_of, roster_hash
from tests.support.builders import make_task

from .real_market import NO_TASK, RealMarket, mask_secret

ORDER = 52435875175126190479447740508185965837690552500527637822603658699938581184513
HALF = 2**84


@dataclass(frozen=True)
class Rules:
    """The terms that a round's outcome depends on."""

    group_size: int
    faulty_groups: int
    norm_bound: int
    outlier_percent: int
    reward_wei: int


@dataclass(frozen=True)
class Outcome:
    """What a settlement must come to: groups; distances between the zero update and those that take part, pair by pair; pay by seat."""

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
    judged = {group: units_of(sum_of([vectors[seat] for seat in seats])) for group, seats in roster.items() if group not in waived}
    sizes = [len(roster[group]) for group in judged]
    scale = lcm(*sizes)
    rows = [[0] * len(next(iter(judged.values())))]
    rows += [[scale // size * unit for unit in units] for size, units in zip(sizes, judged.values(), strict=True)]
    table = {(i, k): sum((a - b) ** 2 for a, b in zip(rows[i], rows[k], strict=True)) for i, k in combinations(range(len(rows)), 2)}
    unpaid = multi_krum(table, sizes, rules, scale**2 * rules.norm_bound)
    accepted = {group for place, group in enumerate(judged) if place not in unpaid}
    pay_wei = {seat: rules.reward_wei * (group in accepted | waived) for group, seats in roster.items() for seat in seats}
    return Outcome(accepted, list(table.values()), pay_wei)


def sum_of(vectors: Sequence[bytes]) -> list[int]:
    """Elements of the sum of vectors of 32-byte big-endian words; masks cancel."""
    columns = zip(*(words(vector) for vector in vectors), strict=True)
    return [sum(column) % ORDER for column in columns]


def words(raw: bytes) -> list[int]:
    return [int.from_bytes(raw[at : at + 32], "big") for at in range(0, len(raw), 32)]


def units_of(sums: Sequence[int]) -> list[int]:
    """Sums of quantised weights, two from each element: as a number near 0 it is the first and 2^84 times the second."""
    units = []
    for element in sums:
        near_zero = element if element < ORDER // 2 else element - ORDER
        first = (near_zero + HALF // 2) % HALF - HALF // 2
        units += [first, (near_zero - first) // HALF]
    return units


def multi_krum(table: Mapping[tuple[int, int], int], sizes: Sequence[int], rules: Rules, longest: int) -> set[int]:
    """Places, from 0, of the groups that go unpaid; `table` counts them from 1, and 0 is the zero update."""
    groups = len(sizes)
    most = max(0, min(rules.faulty_groups, (groups - 3) // 2))
    scores = []
    for one in range(groups):
        others = [other for other in range(groups) if other != one]
        weighed = [2 * sizes[one] * sizes[k] * table[min(one, k) + 1, max(one, k) + 1] // (sizes[one] + sizes[k]) for k in others]
        scores.append(sum(sorted(weighed)[: max(1, groups - most - 2)]))
    too_long = {place for place in range(groups) if table[0, place + 1] > longest}
    assert len(too_long) <= most
    median = sorted(scores)[(groups - 1) // 2]
    far = [place for place in range(groups) if place not in too_long and 100 * scores[place] > rules.outlier_percent * median]
    far.sort(key=lambda place: (scores[place], place))
    return too_long | set(far[::-1][: most - len(too_long)])


OWNERS, CLIP = 17, 0.1
"""Groups of 4, 4, 3, 3 and 3."""


@dataclass(frozen=True)
class Plan:
    """A round: which data owners misbehave, by number, and which groups are waived."""

    seed: int
    flips: tuple[int, ...] = ()
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
    return pack(units) + GroupMask(
        MaskKey.from_private(mask_secret(number)),
        [Peer(address_bytes(members[mate].owner), members[mate].mask_key) for mate in mates],
        chain_id=market.owner.chain_id,
        market=address_bytes(market.owner.address),
        epoch_seed=state.epoch_seed,
        epoch=state.epoch,
        round_number=state.round,
        task_hash=state.task_hash,
    ).read(N * terms.polynomials)


def play(market: RealMarket, plan: Plan) -> Played:
    """One round from anchor to settlement, as the package does it."""
    market.owner.anchor(make_task(plan.seed))
    number, groups = market.owner.state().round, market.all_groups
    seat_of = {i: ledger.owner_record(ledger.account).seat for i, ledger in enumerate(market.data)}
    vectors = {seat_of[i]: vector_of(market, plan, i) for i in range(len(market.data))}
    points = {seat: commit(vector) for seat, vector in vectors.items()}
    roster = market.seats(groups)
    digests = {seat: points_digest(points[seat]) for group in roster for seat in group}
    signed = dict(zip(digests, market.commitments(groups, list(digests.values())), strict=True))
    market.owner.open(number, groups, roster_hash(groups, digests.values()))

    statement = replace(market.statement(), outside=positions_of(plan.waived, groups))
    sums = [None if statement.is_outside(i) else FieldVector.total([vectors[seat] for seat in group]) for i, group in enumerate(roster)]
    rows = [[points_digest(points[seat]) if statement.is_outside(i) else points[seat] for seat in group] for i, group in enumerate(roster)]
    settlement = prove(statement, sums, rows).settlement
    distances = distances_on_chain(market, statement, settlement)
    signatures = tuple(signed[seat] for i, group in enumerate(roster) if not statement.is_outside(i) for seat in group)
    receipt = market.owner.settle(number, settlement, signatures, plan.waived, NO_TASK)
    return Played({seat: vector.to_bytes() for seat, vector in vectors.items()}, receipt, distances)


def distances_on_chain(market: RealMarket, s: Statement, settlement: bytes) -> list[int]:
    """The distances that the verification answers the market."""
    abi = artifacts.load(artifacts.VERIFICATION).abi
    data = abi.call_data("verify", astuple(s), settlement)
    ((_, distances),) = abi.results("verify", market.owner.connection.call(market.owner.terms().verification, data, market_reverts()))
    return list(distances)


def assert_recomputed(market: RealMarket, plan: Plan, played: Played) -> Outcome:
    """Compare groups, distances, selection and pay with what the chain says."""
    terms, state, logs = market.owner.terms(), market.owner.state(), played.receipt.logs["Settled"]
    addresses = {member.seat: address_bytes(member.owner) for member in market.owner.members()}
    groups = drawn_groups(state.epoch_seed, addresses, terms.group_size)
    assert [tuple(group) for group in groups] == market.seats(market.all_groups)
    rules = Rules(terms.group_size, terms.faulty_groups, terms.norm_bound, terms.outlier_percent, terms.reward_wei)

    outcome = decide(rules, dict(enumerate(groups)), played.vectors, set(bits_of(plan.waived)))

    assert outcome.distances == played.distances
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
    # No group is too long, however many of those who flip the draw puts together: where nobody may go unpaid, none could be settled with.
    changes = {"weights": weights, "update_bits": 16, "clip_nano": round(CLIP * 1e9), "norm_bound": 10**13, "outlier_percent": 125}
    market = RealMarket.create(connect(anvil.url), deployment, OWNERS, **changes).join_and_draw()
    outcomes = [assert_recomputed(market, plan, play(market, plan)) for plan in plans]
    assert_paid(market, outcomes)
    return outcomes


def test_settled_rounds_agree_with_a_second_computation(anvil: Anvil, deployment: Deployment) -> None:
    plans = [Plan(1, flips=(3,)), Plan(2), Plan(3, flips=(0, 1, 2), waived=0b00110)]

    outcomes = play_and_recompute(anvil, deployment, plans, weights=2 * N - 1000)

    # One of five groups may go unpaid, and of three none.
    assert [len(outcome.accepted) for outcome in outcomes] == [4, 5, 3]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_many_settled_rounds_of_two_polynomials_agree_with_a_second_computation(anvil: Anvil, deployment: Deployment, seed: int) -> None:
    random = np.random.default_rng(seed)
    plans = []
    for number in range(1, 7):
        bad = tuple(int(i) for i in random.permutation(OWNERS)[: random.integers(0, 4)])
        plans.append(Plan(100 * seed + number, flips=bad, waived=int(random.integers(0, 2)) << int(random.integers(0, 5))))

    play_and_recompute(anvil, deployment, plans, weights=2 * N + 1000)
