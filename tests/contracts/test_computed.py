"""The computed verification: contract and Python say the same to any vectors, and markets with it lead the same lives."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple, replace
from random import Random

import numpy as np
import pytest

from omnilytics_flwr.chain import artifacts
from omnilytics_flwr.chain.deploy import Deployment, create_market
from omnilytics_flwr.chain.market_reader import MarketReader, market_reverts
from omnilytics_flwr.crypto.computed import FAR, computed_settlement, verify_computed
from omnilytics_flwr.crypto.field import FieldVector
from omnilytics_flwr.crypto.hashing import keccak256
from omnilytics_flwr.crypto.lanes import Lanes
from omnilytics_flwr.crypto.statement import Statement, Verdict, VerificationWrongLength
from omnilytics_flwr.evm.anvil import Anvil
from omnilytics_flwr.evm.connection import Connection
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.market_view import MarketState
from omnilytics_flwr.market.refusals import MarketBadTerms
from omnilytics_flwr.market.roster import bits_of
from omnilytics_flwr.market.scheme import ComputedScheme, ExactScheme, HashedScheme, ProjectedScheme
from omnilytics_flwr.market.terms import Address, Terms, bounds, faults
from omnilytics_flwr.market.terms_bounds import ETHEREUM
from tests.crypto.conftest import ComputedRound, make_computed_round, random_vector
from tests.support.builders import Scene, make_terms
from tests.support.moves import View

from .test_differential import OWNERS, ProvenMover, ProvenSpoiler, ProvenWalk, walk, wind_up
from .twin import Twin


def computed_terms(deployment: Deployment, **changes: object) -> Terms:
    return make_terms(**({"verification": deployment.computed, "answer_seconds": 0} | changes))


def asked_by(connection: Connection, deployment: Deployment, market: Address, statement: Statement, settlement: bytes) -> Verdict:
    """What the verification answers to a market."""
    abi = artifacts.load(artifacts.COMPUTED).abi
    data = abi.call_data("verify", astuple(statement), settlement)
    answer = connection.call(deployment.computed, data, market_reverts(), sender=market)
    ((digests, distances),) = abi.results("verify", answer)
    return Verdict(tuple(digests), tuple(distances))


LAYOUTS = {"narrow": (3, 3, 40), "common": (16, 4, 60), "wide": (24, 8, 20), "one weight": (16, 3, 1)}
"""b, h and d."""


@pytest.mark.parametrize(("bits", "group_size", "weights"), LAYOUTS.values(), ids=LAYOUTS)
def test_contract_and_python_say_the_same_of_any_vectors(
    connection: Connection, deployment: Deployment, bits: int, group_size: int, weights: int
) -> None:
    sizes = {"weights": weights, "update_bits": bits, "group_size": group_size, "most_owners": 6 * group_size}
    terms = computed_terms(deployment, stake_wei=1000 * (group_size + 1), accuse_seconds=300, prove_seconds=300, **sizes)
    market = create_market(sender_for(connection, dev_wallet(0, connection)), deployment, terms)
    random = Random(bits)
    for seed in range(4):
        groups = tuple(random.choice((group_size, group_size + 1)) for _ in range(random.randint(1, 6)))
        honest = make_computed_round(groups, weights=weights, bits=bits, group_size=group_size, seed=seed, extreme=seed == 0)
        for played in (honest, spoilt(honest, random), honest.with_outside(random.randrange(1 << len(groups)))):
            settlement = played.settlement()
            said = asked_by(connection, deployment, market, played.statement, settlement)
            assert said == verify_computed(played.statement, settlement, played.lanes)
            with pytest.raises(VerificationWrongLength) as refused:
                asked_by(connection, deployment, market, played.statement, settlement[:-1])
            assert refused.value.args == (len(settlement) - 1, len(settlement))


def spoilt(played: ComputedRound, random: Random) -> ComputedRound:
    """Some groups with a sum that is out of range, or just within."""
    for position in range(len(played.members)):
        if random.random() < 0.5:
            bit = random.randrange(played.lanes.width * played.lanes.count + 2)
            extra = random.choice((-1, 1)) << min(bit, 253)
            played = played.with_extra(position, random.randrange(played.lanes.elements), extra)
    return played


def test_factory_takes_terms_that_can_be_computed_alone(connection: Connection, deployment: Deployment) -> None:
    sender = sender_for(connection, dev_wallet(0, connection))
    good = computed_terms(deployment)
    wrong = {
        "projected": (replace(good, projected=True), ("projected", 1, 0, 0)),
        "answered": (replace(good, answer_seconds=1800), ("answerSeconds", 1800, 0, 0)),
        "too many bits": (replace(good, update_bits=27), ("updateBits", 27, 3, 26)),
        # 24 weights to an element.
        "too large": (replace(good, weights=24 * 330), ("settlementBytes", 20 * (32 * 330 + 64) + 2048, 0, 131_072)),
    }
    for terms, expected in wrong.values():
        with pytest.raises(MarketBadTerms) as refused:
            create_market(sender, deployment, terms)
        assert refused.value.args == expected

    assert isinstance(MarketReader(connection, create_market(sender, deployment, good)).scheme(), ComputedScheme)


def test_round_of_as_many_pairs_as_terms_allow_leaves_gas_for_signatures_and_scores(connection: Connection, deployment: Deployment) -> None:
    """The worst case: 63 groups, 4 elements; 252 signatures and 7,938 steps of multi-Krum take some 4.5 million gas."""
    sizes = {"weights": 48, "update_bits": 16, "group_size": 4, "most_owners": 252, "faulty_groups": 2}
    terms = computed_terms(deployment, stake_wei=5000, accuse_seconds=400, prove_seconds=2000, **sizes)
    assert bounds(terms, computed=True)["distanceSteps"].actual == 8064
    assert faults(replace(terms, weights=60), ETHEREUM, computed=True)[0].startswith("distanceSteps is 10080, it must lie in 0 .. 10000; ")
    market = create_market(sender_for(connection, dev_wallet(0, connection)), deployment, terms)
    played = make_computed_round((4,) * 63, weights=48, bits=16, group_size=4)
    data = artifacts.load(artifacts.COMPUTED).abi.call_data("verify", astuple(played.statement), played.settlement())
    call = {"from": market, "to": deployment.computed, "data": "0x" + data.hex()}
    assert connection.quantity("eth_estimateGas", call) < 2**24 - 4_500_000


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        (ExactScheme, {"answer_seconds": 0}),
        (ProjectedScheme, {"projected": True}),
        (HashedScheme, {"projected": True, "answer_seconds": 0}),
    ],
)
def test_market_with_proofs_has_the_scheme_of_its_terms(
    connection: Connection, deployment: Deployment, kind: type, changes: dict[str, int]
) -> None:
    terms = make_terms(verification=deployment.verification, **changes)
    reader = MarketReader(connection, create_market(sender_for(connection, dev_wallet(0, connection)), deployment, terms))

    assert type(reader.scheme()) is kind
    assert reader.has_known_verification()


class ComputedMover(ProvenMover):
    """Opens with digests of real vectors, and settles with the vectors."""

    def digest(self, state: MarketState, seat: int) -> bytes:
        return keccak256(self._deliveries[seat].to_bytes()) if seat in self._deliveries else super().digest(state, seat)

    def points(self, state: MarketState, seat: int) -> bytes:
        return super(ProvenMover, self).points(state, seat)

    def blobs(self, state: MarketState, seat: int, first: int, count: int) -> tuple[bytes, ...]:
        return super(ProvenMover, self).blobs(state, seat, first, count)

    @property
    def _lanes(self) -> Lanes:
        terms = self.view.ledger.terms()
        return Lanes(terms.weights, terms.update_bits, terms.group_size)

    def _update(self, round_number: int, random: Random) -> FieldVector:
        """Everybody is honest in the first round; later, one in twenty is far out, and one in twenty out of range."""
        kind = random.choices(("near", "far", "wild"), (1, 0, 0) if round_number == 1 else (18, 1, 1))[0]
        most = 127 if kind == "far" else 6
        vector = self._lanes.pack(np.random.default_rng(random.randrange(99)).integers(-most, most + 1, self._lanes.places))
        return vector + random_vector(len(vector), seed=random.randrange(99)) if kind == "wild" else vector

    def _masked(self, updates: list[FieldVector]) -> list[FieldVector]:
        masks = [random_vector(len(updates[0]), seed=i) for i in range(len(updates))]
        return [update + masks[i] - masks[i - 1] for i, update in enumerate(updates)]

    def _prove(self, state: MarketState, outside: int) -> bytes:
        rows = []
        for position, group in enumerate(bits_of(state.groups)):
            vectors = [self._deliveries[seat].to_bytes() for seat in bits_of(self.view.ledger.group_seats(group))]
            rows.append([keccak256(vector) for vector in vectors] if outside >> position & 1 else vectors)
        return computed_settlement(rows)


class ComputedSpoiler(ProvenSpoiler):
    """Spoils settlements word by word."""

    def _forged(self, honest: bytes, outside: int) -> list[bytes]:
        place = self._random.randrange(0, len(honest), 32)
        return [honest[:place] + bytes(32) + honest[place + 32 :], honest[:place] + honest[place + 32 :], honest[32:] + honest[:32]]


class ComputedWalk(ProvenWalk):
    """A `ProvenWalk` of a computed market."""

    def __init__(self, random: Random, view: View, scene: Scene) -> None:
        super().__init__(random, view, scene)
        self._mover = ComputedMover(random, view, scene)
        self._spoiler = ComputedSpoiler(self._mover)


@pytest.mark.parametrize("seed", range(2))
def test_random_walk_of_a_computed_market_never_differs(free_anvil: Anvil, deployment: Deployment, seed: int) -> None:
    random, outcomes = Random(seed), Counter[str]()
    while outcomes.total() < 60:
        twin = Twin(free_anvil, deployment, OWNERS, computed=True, answer_seconds=0, outlier_percent=125 * seed)
        mover = ComputedMover(random, twin.view, twin.scene)
        twin.open_a_round(mover, num_owners=16, escrow_wei=200_000)
        twin.do(mover.settle(twin.scene.state))
        outcomes += walk(twin, ComputedWalk(random, twin.view, twin.scene), random, 60 - outcomes.total())
        wind_up(twin, mover)

    assert outcomes[""] > 12
    assert len(outcomes) > 3


def test_far_is_beyond_every_norm_bound() -> None:
    """The scale is at most lcm(16, 17), so that a group whose sum is out of range is never eligible."""
    assert (16 * 17) ** 2 * 2**100 < FAR
