"""A data owner that drops out, at whatever stage and however: the round is settled for the others, and the books balance."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.crypto.field import R
from omnilytics_flwr.errors import OutOfTurn
from omnilytics_flwr.flower.compat import REFUSED_BY_MOD
from omnilytics_flwr.flower.strategy import Omnilytics
from omnilytics_flwr.flower.wire import RECORD
from omnilytics_flwr.market.dispute import BLOB_BYTES
from omnilytics_flwr.market.refusals import TooLate
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.model_owner.round_keeper import Missing
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.flower.clients import make_model
from tests.flower.markets import FIRST_NODE, MemoryRun, memory_run
from tests.support.builders import address_of

CULPRIT = 6
NODE = FIRST_NODE + CULPRIT
MODES: tuple[Missing, ...] = ("waive", "accuse")


def answer(run: MemoryRun, number: int) -> None:
    """A data owner answers the accusation of the open round from its journal."""
    state, market = run.scene.state, run.scene.market
    entry = run.owners[number].journal.find(run.scene.world.chain_id, market.address, state.round)
    assert entry is not None
    blobs = tuple(entry.vector[start : start + BLOB_BYTES] for start in range(0, len(entry.vector), BLOB_BYTES))
    run.scene.ledger(number).answer(state.round, market.owner_record(address_of(number)).seat, entry.points, 0, blobs)


def dropout_run(folder: Path, missing: Missing, answers: Callable[[MemoryRun], bool] = lambda run: False, **options: object) -> MemoryRun:
    """A market whose model owner waives or accuses; the culprit answers an accusation when it likes."""
    run = memory_run(folder, num_owners=18, accuse_fee_wei=77)

    def wait(seconds: float) -> None:
        run.scene.world.wait(math.ceil(seconds))
        state = run.scene.state
        seat = run.scene.market.owner_record(address_of(CULPRIT)).seat
        if state.accused & ~state.answered & 1 << seat and answers(run):
            answer(run, CULPRIT)

    run.strategy = Omnilytics(FedAvg(), ledger=run.scene.ledger(), missing=missing, wait=wait, **options)  # type: ignore[arg-type]
    return run


def settled(run: MemoryRun) -> RoundReport:
    """Run a round, which must settle with all books balanced."""
    run.strategy.start(run.grid, make_model(), 1)
    (report,) = run.reports
    assert report.settled
    assert len(report.accepted) >= 4
    state = run.scene.state
    assert state.stage is Stage.ANCHORED
    assert run.scene.surplus_wei() == 0
    assert state.owed_wei == sum(run.scene.market.claimable_wei(address_of(number)) for number in run.owners)
    return report


def position(report: RoundReport) -> int:
    return next(place for place, group in enumerate(report.roster) if address_of(CULPRIT) in group)


def check_fate(report: RoundReport, missing: Missing) -> None:
    """The culprit's group is waived, or void if it was accused in vain; others of a void group are paid."""
    place = position(report)
    mates = set(report.roster[place]) - {address_of(CULPRIT)}
    assert mates <= set(report.paid)
    if missing == "waive":
        assert (report.waived, report.void, report.accused) == ((place,), (), ())
        assert address_of(CULPRIT) in report.paid
    else:
        assert (report.waived, report.void, report.accused) == ((), (place,), (address_of(CULPRIT),))
        assert address_of(CULPRIT) not in report.paid


def is_deliver(message: Message) -> bool:
    return message.content.config_records[RECORD]["exchange"] == "deliver"


@pytest.mark.parametrize("missing", MODES)
def test_never_commits(tmp_path: Path, missing: Missing) -> None:
    run = dropout_run(tmp_path, missing)
    run.grid.on_request = lambda node, message: None if node == NODE else message
    report = settled(run)
    assert (len(report.committed), len(report.roster)) == (17, 5)
    assert report.accused == report.waived == report.void == ()
    for number in next(group for group in run.groups() if CULPRIT in group):
        assert address_of(number) not in {owner for group in report.roster for owner in group}
        assert run.scene.market.claimable_wei(address_of(number)) == 0
        asked = [message for node, message in run.grid.requests if node == FIRST_NODE + number and is_deliver(message)]
        assert not asked, "who is not on the roster is not asked for its vector"


@pytest.mark.parametrize("missing", MODES)
def test_commits_and_never_delivers(tmp_path: Path, missing: Missing) -> None:
    run = dropout_run(tmp_path, missing)
    run.grid.on_request = lambda node, message: None if node == NODE and is_deliver(message) else message
    check_fate(settled(run), missing)
    asked = [message for node, message in run.grid.requests if node != NODE and is_deliver(message)]
    assert len(asked) == 17, "who has delivered is not asked again"


def changed(**fields: object) -> Callable[[Message], Message]:
    def change(message: Message) -> Message:
        record = message.content.config_records[RECORD]
        message.content[RECORD] = ConfigRecord({**dict(record.items()), **fields})  # type: ignore[arg-type]
        return message

    return change


def emptied(message: Message) -> Message:
    message.content = RecordDict()
    return message


GARBAGE: dict[str, Callable[[Message], Message]] = {
    "nothing": emptied,
    "zeros": changed(vector=bytes(131_072)),
    "not canonical": changed(vector=R.to_bytes(32, "big") + bytes(131_040)),
    "too short": changed(vector=bytes(131_040)),
    "text": changed(vector="vector"),
    "other points": changed(points=bytes(128)),
    "no points": changed(points=b""),
    "another's name": changed(owner=address_of(0)),
}


@pytest.mark.parametrize(("case", "missing"), [(case, MODES[place % 2]) for place, case in enumerate(GARBAGE)])
def test_delivers_garbage(tmp_path: Path, case: str, missing: Missing) -> None:
    run = dropout_run(tmp_path, missing)

    run.grid.on_reply = lambda node, message: GARBAGE[case](message) if node == NODE and delivers(message) else message
    check_fate(settled(run), missing)


def delivers(message: Message) -> bool:
    return not message.has_error() and "vector" in message.content.config_records[RECORD]


@pytest.mark.parametrize("missing", MODES)
def test_refuses_to_deliver(tmp_path: Path, missing: Missing) -> None:
    run = dropout_run(tmp_path, missing)
    run.grid.on_request = lambda node, message: changed(digests=b"")(message) if node == NODE and is_deliver(message) else message
    check_fate(settled(run), missing)


@pytest.mark.parametrize("missing", MODES)
def test_delivers_too_late_and_answers_too_late(tmp_path: Path, missing: Missing) -> None:
    stages: list[str] = []
    refusals: list[TooLate] = []
    run = dropout_run(tmp_path, missing, on_stage=lambda number, name: late(name))

    def late(name: str) -> None:
        stages.append(name)
        if name == "prove" and missing == "accuse":
            with pytest.raises(TooLate) as refusal:
                answer(run, CULPRIT)
            refusals.append(refusal.value)

    def hold(node: int, message: Message) -> Message | None:
        return None if node == NODE and "deliver" in stages and "prove" not in stages else message

    run.grid.on_reply = hold
    check_fate(settled(run), missing)
    assert len(refusals) == (missing == "accuse")


def test_delivers_nothing_but_answers_on_chain(tmp_path: Path) -> None:
    run = dropout_run(tmp_path, "accuse", answers=lambda run: True)
    run.grid.on_request = lambda node, message: None if node == NODE and is_deliver(message) else message
    report = settled(run)
    assert report.accused == report.answered == (address_of(CULPRIT),)
    assert report.waived == report.void == ()
    assert position(report) in (*report.accepted, *report.dropped)


def test_delivers_when_asked_again(tmp_path: Path) -> None:
    """The first request for the vector is lost; the second is not."""
    lost: list[int] = []

    def lose_once(node: int, message: Message) -> Message | None:
        if node == NODE and is_deliver(message) and not lost:
            lost.append(node)
            return None
        return message

    run = dropout_run(tmp_path, "accuse")
    run.grid.on_request = lose_once
    report = settled(run)
    assert lost
    assert report.accused == report.waived == ()


def test_data_owners_that_wait_for_confirmations_are_asked_until_they_have_them(tmp_path: Path) -> None:
    run = dropout_run(tmp_path, "accuse")
    asked = dict.fromkeys(run.grid.apps, 0)

    def slow(app: ClientApp) -> ClientApp:
        """The node's chain does not show the opening yet when it is asked for the first four times."""

        def answer(message: Message, context: Context) -> Message:
            if is_deliver(message):
                asked[message.metadata.dst_node_id] += 1
                if asked[message.metadata.dst_node_id] <= 4:
                    refusal = OutOfTurn("anchored", "deliver in round 1 of epoch 1", ("train in round 1 of epoch 1",))
                    return Message(Error(REFUSED_BY_MOD, f"OutOfTurn: {refusal}"), reply_to=message)
            return app(message, context)

        return answer  # type: ignore[return-value]

    run.grid.apps = {node: slow(app) for node, app in run.grid.apps.items()}
    report = settled(run)
    assert set(asked.values()) == {5}
    assert report.accused == report.waived == ()
