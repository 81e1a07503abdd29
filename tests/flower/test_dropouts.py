"""A data owner that drops out, at whatever stage and however: the round is settled for the others, and the books balance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flwr.app import ConfigRecord, Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp.strategy import FedAvg, Result

from omnilytics_flwr.data_owner.remote_agent import NO_REPLY
from omnilytics_flwr.errors import OutOfTurn
from omnilytics_flwr.flower import wire
from omnilytics_flwr.flower.compat import REFUSED_BY_MOD
from omnilytics_flwr.flower.wire import CHAIN_FAILED, RECORD
from omnilytics_flwr.market.stage import Stage
from omnilytics_flwr.model_owner.round_keeper import Missing
from omnilytics_flwr.model_owner.round_report import RoundReport
from tests.flower.clients import Tamper, exchange_in, lose, make_model, shifted
from tests.flower.markets import FIRST_NODE, MemoryRun, accepted_owners, assert_close, memory_run
from tests.support.builders import address_of

CULPRIT = 6
NODE = FIRST_NODE + CULPRIT
MODES: tuple[Missing, ...] = ("waive", "accuse")


def dropout_run(folder: Path, missing: Missing, **options: object) -> MemoryRun:
    """A market whose model owner waives or accuses."""
    return memory_run(folder, num_owners=18, accuse_fee_wei=77, options={"missing": missing, **options})


def settled(run: MemoryRun) -> tuple[RoundReport, Result]:
    """Run a round, which must settle with all books balanced."""
    result = run.strategy.start(run.grid, make_model(), 1)
    (report,) = run.reports
    assert report.settled
    assert len(report.accepted) >= 4
    state = run.scene.state
    assert state.stage is Stage.ANCHORED
    assert run.scene.surplus_wei() == 0
    assert state.owed_wei == sum(run.scene.market.claimable_wei(address_of(number)) for number in run.owners)
    return report, result


def check_fate(run: MemoryRun, missing: Missing) -> None:
    """The culprit's group is waived, or void if it was accused in vain; others of a void group are paid."""
    report, result = settled(run)
    place, culprit = run.position_of(CULPRIT), address_of(CULPRIT)
    assert set(report.roster[place]) - {culprit} <= set(report.paid)
    assert (culprit in report.paid) == (missing == "waive")
    if missing == "waive":
        assert (report.waived, report.void, report.accused) == ((place,), (), ())
    else:
        assert (report.waived, report.void, report.accused) == ((), (place,), (culprit,))
    losses = [number for number in run.owners if number != CULPRIT]
    assert dict(result.train_metrics_clientapp[1]) == {"loss": pytest.approx(sum(losses) / 17)}, "only who delivered is heard"


def asked_to_deliver(run: MemoryRun) -> list[int]:
    return [node for node, message in run.grid.requests if exchange_in(message) == "deliver"]


@pytest.mark.parametrize("missing", MODES)
def test_never_commits(tmp_path: Path, missing: Missing) -> None:
    run = dropout_run(tmp_path, missing)
    run.grid.on_request = lambda node, message: None if node == NODE else message
    report, _ = settled(run)
    assert (len(report.committed), len(report.roster)) == (17, 5)
    assert report.accused == report.waived == report.void == ()
    for number in next(group for group in run.groups() if CULPRIT in group):
        assert address_of(number) not in {owner for group in report.roster for owner in group}
        assert run.scene.market.claimable_wei(address_of(number)) == 0
        assert FIRST_NODE + number not in asked_to_deliver(run), "who is not on the roster is not asked for its vector"


@pytest.mark.parametrize("exchange", ["train", "deliver"])
@pytest.mark.parametrize("loud", [0, 1], ids=["two silent", "one silent and one loud"])
def test_as_many_silent_or_loud_groups_as_are_tolerated_change_neither_the_others_pay_nor_the_model(
    tmp_path: Path, exchange: str, loud: int
) -> None:
    """Of 2f + 3 = 7 groups f = 2 have a bad member. The silent do not spoil the market's defence against the loud."""
    large = {"most_owners": 21, "faulty_groups": 2, "accuse_seconds": 90, "prove_seconds": 200}
    run = memory_run(tmp_path, num_owners=21, outlier_percent=150, **large)
    bad = [group[0] for group in run.groups()[:2]]
    for number in bad[:loud]:
        run.trainers[number].target = shifted(make_model(), 100.0)
    run.grid.on_request = lose(exchange, *(FIRST_NODE + number for number in bad[loud:]))
    report, result = settled(run)
    others = {address_of(number) for group in run.groups()[2:] for number in group}
    assert (len(report.dropped), report.tolerated) == (loud, 1)
    assert set(accepted_owners(report)) == others <= set(report.paid)
    assert not {address_of(number) for number in bad[:loud]} & set(report.paid)
    assert report.learnt == report.accepted
    assert_close(result.arrays, run.expected(make_model(), tuple(others)))


def changed(**fields: object) -> Callable[[Message], Message]:
    def change(message: Message) -> Message:
        record = message.content.config_records[RECORD]
        message.content[RECORD] = ConfigRecord({**dict(record.items()), **fields})  # type: ignore[arg-type]
        return message

    return change


def refuse(node: int, message: Message) -> Message:
    """The culprit's mod refuses what it is asked."""
    return changed(digests=b"")(message) if node == NODE and exchange_in(message) == "deliver" else message


@pytest.mark.parametrize("tamper", [lose("deliver", NODE), refuse])
@pytest.mark.parametrize("missing", MODES)
def test_commits_and_never_delivers(tmp_path: Path, missing: Missing, tamper: Tamper) -> None:
    run = dropout_run(tmp_path, missing)
    run.grid.on_request = tamper
    check_fate(run, missing)
    assert len([node for node in asked_to_deliver(run) if node != NODE]) == 17, "who has delivered is not asked again"


def emptied(message: Message) -> Message:
    message.content = RecordDict()
    return message


GARBAGE: dict[str, Callable[[Message], Message]] = {
    "nothing": emptied,
    "zeros": changed(vector=bytes(131_072)),
    "text": changed(vector="vector"),
    "another's name": changed(owner=address_of(0)),
}


@pytest.mark.parametrize(("case", "missing"), [(case, MODES[place % 2]) for place, case in enumerate(GARBAGE)])
def test_delivers_garbage(tmp_path: Path, case: str, missing: Missing) -> None:
    def spoil(node: int, message: Message) -> Message:
        delivers = node == NODE and not message.has_error() and "vector" in message.content.config_records[RECORD]
        return GARBAGE[case](message) if delivers else message

    run = dropout_run(tmp_path, missing)
    run.grid.on_reply = spoil
    check_fate(run, missing)


def test_delivers_in_pieces_of_which_one_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(node: int, message: Message) -> Message:
        if node == NODE and not message.has_error():
            message.content.pop(f"{RECORD}-1", None)
        return message

    monkeypatch.setattr(wire, "PIECE_BYTES", 50_000)
    run = dropout_run(tmp_path, "waive")
    run.grid.on_reply = cut
    check_fate(run, "waive")


@pytest.mark.parametrize("missing", MODES)
def test_delivers_too_late(tmp_path: Path, missing: Missing) -> None:
    stages: list[str] = []
    run = dropout_run(tmp_path, missing, on_stage=lambda number, name: stages.append(name))
    run.grid.on_reply = lambda node, message: None if node == NODE and stages[-1] == "deliver" else message
    check_fate(run, missing)


def refusing(run: MemoryRun, exchange: str, reason: str, most: int, *nodes: int) -> dict[int, int]:
    """Nodes answer so many requests of an exchange by a refusal; how often each node was asked."""
    asked = dict.fromkeys(run.grid.apps, 0)

    def first(app: ClientApp) -> ClientApp:
        def answer(message: Message, context: Context) -> Message:
            node = message.metadata.dst_node_id
            if exchange_in(message) == exchange:
                asked[node] += 1
                if asked[node] <= most and (not nodes or node in nodes):
                    return Message(Error(REFUSED_BY_MOD, reason), reply_to=message)
            return app(message, context)

        return answer  # type: ignore[return-value]

    run.grid.apps = {node: first(app) for node, app in run.grid.apps.items()}
    return asked


def lines_about(node: int, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of a node, without its name."""
    return [line.partition(f"node {node} ")[2] for line in caplog.messages if f"node {node} " in line]


BEHIND = f"OutOfTurn: {OutOfTurn('anchored', 'deliver in round 1 of epoch 1', ('train in round 1 of epoch 1',))}"
RESTARTED = f"Refused: {NO_REPLY} (Connection refused); its operator must start it"
NODE_DOWN = f"Unreachable: {CHAIN_FAILED}"
OTHER_CHAIN = f"WrongChain: {CHAIN_FAILED}"


def test_data_owners_that_wait_for_confirmations_are_asked_until_they_have_them(tmp_path: Path) -> None:
    run = dropout_run(tmp_path, "accuse")
    asked = refusing(run, "deliver", BEHIND, 4)
    report, _ = settled(run)
    assert set(asked.values()) == {5}
    assert report.accused == report.waived == ()


@pytest.mark.parametrize("reason", [RESTARTED, NODE_DOWN])
@pytest.mark.parametrize("missing", MODES)
def test_data_owner_whose_agent_or_node_is_down_for_a_while_still_delivers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: Missing, reason: str
) -> None:
    run = dropout_run(tmp_path, missing)
    asked = refusing(run, "deliver", reason, 4, NODE)
    report, _ = settled(run)
    assert report.accused == report.waived == ()
    assert asked[NODE] == 5
    began, ended = lines_about(NODE, caplog)
    assert f"does not deliver yet: {reason}; it is asked again for " in began
    assert "has delivered after all" in ended


@pytest.mark.parametrize("missing", MODES)
def test_data_owner_whose_agent_stays_down_is_waited_for_as_one_that_is_silent(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, missing: Missing
) -> None:
    run = dropout_run(tmp_path, missing)
    asked = refusing(run, "deliver", RESTARTED, 10_000, NODE)
    check_fate(run, missing)
    assert asked[NODE] > 4
    began, ended = lines_about(NODE, caplog)
    assert "does not deliver yet" in began
    assert f"did not deliver: {RESTARTED}" in ended


def test_data_owner_that_is_asked_again_to_train_is_told_of_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = dropout_run(tmp_path, "waive")
    asked = refusing(run, "train", RESTARTED, 3, NODE)
    settled(run)
    assert asked[NODE] == 4
    assert [line.partition(":")[0] for line in lines_about(NODE, caplog)] == ["does not take part", "takes part after all"]


def test_data_owner_on_another_chain_is_not_waited_for(tmp_path: Path) -> None:
    run = dropout_run(tmp_path, "waive")
    asked = refusing(run, "deliver", OTHER_CHAIN, 10_000, NODE)
    check_fate(run, "waive")
    assert asked[NODE] == 2


def test_data_owners_whose_chain_is_behind_are_asked_again_to_evaluate(tmp_path: Path) -> None:
    run = memory_run(tmp_path, inner=FedAvg(fraction_evaluate=1.0), metrics=("loss",))
    asked = refusing(run, "evaluate", BEHIND, 3)
    result = run.strategy.start(run.grid, make_model(), 1)
    assert set(asked.values()) == {4}
    assert set(result.evaluate_metrics_clientapp[1]) == {"loss"}


def test_data_owner_that_is_early_and_then_silent_holds_evaluations_up_no_longer_than_one_that_is_silent(tmp_path: Path) -> None:
    run = memory_run(tmp_path, inner=FedAvg(fraction_evaluate=1.0), metrics=("loss",), commit_seconds=1_200)
    asked = refusing(run, "evaluate", BEHIND, 1, NODE)
    run.grid.on_request = lambda node, message: None if asked[NODE] and node == NODE and exchange_in(message) == "evaluate" else message
    began = run.scene.world.timestamp
    run.strategy.start(run.grid, make_model(), 1, timeout=600)
    assert 600 <= run.scene.world.timestamp - began < 900


def test_data_owner_whose_chain_stays_behind_does_not_evaluate_and_is_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = memory_run(tmp_path, inner=FedAvg(fraction_evaluate=1.0), metrics=("loss",))
    refusing(run, "evaluate", BEHIND, 10_000, NODE)
    result = run.strategy.start(run.grid, make_model(), 1)
    assert "1 nodes do not evaluate: their chain does not show the settlement" in caplog.text
    assert all(len(trainer.evaluated) == (number != CULPRIT) for number, trainer in run.trainers.items())
    assert set(result.evaluate_metrics_clientapp[1]) == {"loss"}
