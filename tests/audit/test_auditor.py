"""An audit confirms a market that did what was asked of it, finds whatever was changed, and says what it cannot see."""

from __future__ import annotations

from dataclasses import replace

import pytest

from omnilytics_flwr.audit.auditor import Auditor, AuditReport
from omnilytics_flwr.audit.chronicle import Outcome
from omnilytics_flwr.audit.history import MarketHistory
from omnilytics_flwr.audit.verifications import SumcheckVerification
from omnilytics_flwr.chain.history_reader import read_history, verification_of

from .conftest import Lived
from .life import ODD, OWNERS
from .manipulations import MANIPULATIONS, at

pytestmark = pytest.mark.first


def audit(history: MarketHistory) -> AuditReport:
    return Auditor(history, SumcheckVerification()).run()


@pytest.fixture(params=["exact", "projected"])
def lived(request: pytest.FixtureRequest) -> Lived:
    found: Lived = request.getfixturevalue(request.param)
    return found


def test_market_that_did_what_was_asked_is_confirmed_round_by_round(lived: Lived) -> None:
    report = audit(lived.history)

    assert (report.finding, report.unseen, report.surplus_wei) == (None, (), 0)
    assert report.transactions == report.of_transactions == len(lived.history.transactions)
    assert [story.outcome for story in report.rounds] == [
        Outcome.SETTLED,
        Outcome.SETTLED,
        Outcome.NEVER_OPENED,
        Outcome.SETTLED,
        Outcome.TIMED_OUT,
        Outcome.SETTLED,
    ]
    dropped, waived, _, disputed, timed_out, quiet = report.rounds
    assert (dropped.dropped, dropped.accepted) == ((ODD,), (0, 1, 3, 4))
    assert waived.waived == (0,)
    assert (disputed.void, len(disputed.slashed_seats), len(disputed.incidents)) == ((4,), 1, 4)
    assert timed_out.paid_each_wei == 1_000 + 10_007 // 12
    assert len(quiet.paid_seats) == OWNERS
    assert report.settlements == 4
    # Round by round: everybody, all but a waived and a void group of three, everybody; two accused; a projected answer brings one more.
    assert report.signatures == 15 + 12 + 12 + 15 + 2 + lived.life.projected


@pytest.mark.parametrize("name", MANIPULATIONS)
def test_manipulated_history_is_found(exact: Lived, name: str) -> None:
    change, sentence = MANIPULATIONS[name]

    report = audit(change(exact.history))

    assert report.finding is not None
    assert sentence in str(report.finding)


@pytest.mark.parametrize("name", ["one bit of a settlement's proof", "one bit of a commitment's signature", "an answer with another blob"])
def test_manipulated_history_of_a_projected_market_is_found(projected: Lived, name: str) -> None:
    change, sentence = MANIPULATIONS[name]

    assert sentence in str(audit(change(projected.history)).finding)


def test_market_whose_contract_computes_distances_is_confirmed_and_its_manipulation_found(computed: Lived) -> None:
    verification = verification_of(computed.reader)

    report = Auditor(computed.history, verification).run()

    assert (report.finding, report.unseen) == (None, ())
    assert [(story.dropped, story.waived) for story in report.rounds if story.accepted] == [((ODD,), ()), ((), (0,)), ((), ()), ((), ())]
    change, _ = MANIPULATIONS["one bit of a settlement's proof"]
    assert "did settle, which it had to refuse" in str(Auditor(change(computed.history), verification).run().finding)


def test_audit_names_the_transaction_that_does_not_follow(exact: Lived) -> None:
    place = at(exact.history, "settle", 1)

    report = audit(_with(exact.history, place, logs=()))

    assert report.finding is not None
    assert report.finding.transaction_hash == exact.history.transactions[place].transaction_hash
    assert report.transactions == place
    assert [story.number for story in report.rounds] == [1]


def test_audit_goes_as_far_as_it_can_see(exact: Lived) -> None:
    place = at(exact.history, "settle", 1)

    report = audit(_with(exact.history, place, calls=None))

    assert report.finding is None
    assert report.transactions == place < report.of_transactions
    assert "the node does not show what it asked for" in report.unseen[0]


def test_audit_without_the_verification_stops_at_the_first_settlement(exact: Lived) -> None:
    report = Auditor(exact.history, None).run()

    assert report.finding is None
    assert report.transactions == at(exact.history, "settle")
    assert "which this version does not know" in report.unseen[0]


def test_audit_says_that_it_does_not_know_an_old_price_of_blobs(exact: Lived) -> None:
    report = audit(_with(exact.history, at(exact.history, "accuse"), blob_base_fee_wei=None))

    assert report.finding is None
    assert report.transactions == report.of_transactions
    assert len(report.unseen) == 1
    assert "were enough for blobs" in report.unseen[0]


def test_audit_goes_no_further_than_an_answer_without_a_price_of_blobs(exact: Lived) -> None:
    place = at(exact.history, "answer")

    report = audit(_with(exact.history, place, blob_base_fee_wei=None))

    assert report.finding is None
    assert report.transactions == place < report.of_transactions
    assert "on which what an answer is refunded depends" in report.unseen[0]


def test_ether_that_was_forced_in_is_told(exact: Lived) -> None:
    forced = replace(exact.history, end=replace(exact.history.end, balance_wei=exact.history.end.balance_wei + 5))

    assert (audit(forced).finding, audit(forced).surplus_wei) == (None, 5)


def test_history_is_the_same_read_again(exact: Lived) -> None:
    assert read_history(exact.reader).transactions == exact.history.transactions


def _with(history: MarketHistory, place: int, **fields: object) -> MarketHistory:
    """The history with one transaction changed."""
    transactions = list(history.transactions)
    transactions[place] = replace(transactions[place], **fields)  # type: ignore[arg-type]
    return replace(history, transactions=tuple(transactions))
