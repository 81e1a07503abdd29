"""Whatever data owners, nodes and the inner strategy do: a round that was opened is settled, and one that was not costs nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr.errors import NothingLearnt, Refused
from omnilytics_flwr.flower.wire import RECORD
from tests.flower.clients import exchange_in, lose, make_model
from tests.flower.markets import FIRST_NODE, MemoryRun, exact_grid, memory_run
from tests.support.builders import STRANGER, address_of


def test_no_whole_group_opens_nothing_and_the_next_round_goes_on(tmp_path: Path) -> None:
    run = memory_run(tmp_path)
    run.grid.on_request = lose("train", *(FIRST_NODE + group[0] for group in run.groups()))
    bond_before = run.scene.state.escrow_wei

    def recover(number: int, arrays: ArrayRecord) -> None:
        if number == 1:
            assert run.scene.state.escrow_wei == bond_before
            run.grid.on_request = lose("train")

    result = run.strategy.start(run.grid, make_model(), 2, evaluate_fn=recover)
    assert [report.settled for report in run.reports] == [False, True]
    assert len(run.reports[0].committed) == 10
    assert [run.events(0), run.events(1)] == [["anchor"], ["anchor", "open", "settle"]]
    assert list(result.train_metrics_clientapp) == [2]
    assert list(result.evaluate_metrics_clientapp) == [2], "a model that is not anchored is not evaluated"


def test_run_that_begins_before_its_nodes_are_there_waits_for_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    arriving: list[int] = []

    def wait(seconds: float) -> None:
        run.scene.world.wait(math.ceil(seconds))
        if arriving:
            node = arriving.pop()
            run.grid.apps[node] = apps[node]

    run = memory_run(tmp_path, options={"wait": wait})
    apps = dict(run.grid.apps)
    arriving += list(apps)[9:]
    for node in arriving:
        del run.grid.apps[node]
    run.strategy.start(run.grid, make_model(), 1)
    assert len(run.reports[0].committed) == len(apps) == 15
    assert run.events(0)[0] == "anchor"
    assert "9 nodes are there, of 15 data owners; waiting for the others, 600 s at most" in caplog.text


def test_node_that_runs_the_app_without_the_mod_is_named_and_teaches_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = memory_run(tmp_path)
    node = FIRST_NODE + 4
    run.grid.apps[node] = run.trainers[4].app(None)
    result = run.strategy.start(run.grid, make_model(), 1)
    owner = run.owners[4].address
    assert f"node {node} sent no valid commitment: it runs the app without omnilytics_mod, and has sent its update in clear" in caplog.text
    assert re.search(rf"node {node} evaluates without omnilytics_mod: it sent .*secret.*, which the terms keep back", caplog.text)
    assert [owner in report.committed for report in run.strategy.reports] == [False]
    assert "secret" not in result.evaluate_metrics_clientapp[1]


def test_nodes_that_report_other_metrics_are_counted_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = memory_run(tmp_path, metrics=("loss", "num-examples"))
    for number in (4, 5):
        run.trainers[number].metrics = {"num-examples": 3}
    run.strategy.start(run.grid, make_model(), 2)
    told = [record.getMessage() for record in caplog.records if "Metrics of training" in record.getMessage()]
    assert len(told) == 1
    assert "13 of 15 data owners send loss, num-examples; 2 of 15 data owners send num-examples. The terms let leave" in told[0]
    assert "whose logs name them; a market with them in its terms' `metrics` lets them leave. Averages are over what most send" in told[0]


@pytest.mark.parametrize(("allowed", "level"), [(("num-examples",), "WARNING"), (("loss", "num-examples"), "INFO")])
def test_terms_that_let_nothing_but_the_weight_leave_are_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, allowed: tuple[str, ...], level: str
) -> None:
    caplog.set_level("INFO")
    run = memory_run(tmp_path, metrics=allowed)
    run.strategy.start(run.grid, make_model(), 1)
    told = [record for record in caplog.records if "Metrics of training" in record.getMessage()]
    assert [record.levelname for record in told] == [level]
    assert told[0].getMessage().endswith("The terms let leave: loss, num-examples") == (level == "INFO")


def test_app_that_cannot_take_part_is_asked_once_a_round(tmp_path: Path) -> None:
    """Without the mod, each time its update would leave in clear; the others are asked as long as there is time."""
    run = memory_run(tmp_path, commit_seconds=1200)
    for number in (4, 5):
        run.grid.apps[FIRST_NODE + number] = run.trainers[number].app(None)
    run.strategy.start(run.grid, make_model(), 1)
    asked = [node for node, message in run.grid.requests if exchange_in(message) == "train"]
    assert [asked.count(FIRST_NODE + number) for number in (4, 5)] == [1, 1]
    assert run.reports[0].settled


def test_run_in_which_no_app_can_take_part_ends_at_once(tmp_path: Path) -> None:
    run = memory_run(tmp_path, commit_seconds=1200)
    for number, trainer in run.trainers.items():
        run.grid.apps[FIRST_NODE + number] = trainer.app(None)
    began = run.scene.world.timestamp
    with pytest.raises(NothingLearnt, match="before all nodes had refused"):
        run.strategy.start(run.grid, make_model(), 1)
    assert run.scene.world.timestamp - began < 600


def test_too_few_nodes_for_a_group_cost_no_transaction(tmp_path: Path) -> None:
    run = memory_run(tmp_path)
    for node in list(run.grid.apps)[2:]:
        del run.grid.apps[node]
    with pytest.raises(NothingLearnt, match="2 nodes are there, and no group is smaller than 3; nothing was anchored"):
        run.strategy.start(run.grid, make_model(), 2)
    assert run.scene.state.round == 0


def test_reply_that_the_grid_cannot_fetch_costs_only_its_sender(tmp_path: Path) -> None:
    """In both exchanges one node's reply makes every call that fetches it fail."""
    run = memory_run(tmp_path, num_owners=18)
    grid, pull = run.grid, run.grid.pull_messages

    def pull_messages(names: Iterable[str]) -> Iterable[Message]:
        names = list(names)
        if FIRST_NODE + 4 in {grid.requests[int(name)][0] for name in names}:
            raise ValueError("cannot decode")
        return pull(names)

    grid.pull_messages = pull_messages  # type: ignore[method-assign]
    run.strategy.start(grid, make_model(), 1)
    (report,) = run.reports
    assert (report.settled, len(report.committed), len(report.roster), report.waived) == (True, 17, 5, ())


def test_grid_that_fails_altogether_opens_nothing_and_ends_nothing(tmp_path: Path) -> None:
    def fail(messages: Iterable[Message]) -> Iterable[str]:
        raise ConnectionError("no grid")

    run = memory_run(tmp_path)
    push = run.grid.push_messages
    run.grid.push_messages = fail  # type: ignore[method-assign]

    def mend(number: int, arrays: ArrayRecord) -> None:
        if number == 1:
            run.grid.push_messages = push  # type: ignore[method-assign]

    run.strategy.start(run.grid, make_model(), 2, evaluate_fn=mend)
    assert [report.settled for report in run.reports] == [False, True]


def changed(**fields: object) -> Callable[[RecordDict], RecordDict]:
    """Other fields of our record."""
    return lambda content: RecordDict({RECORD: ConfigRecord({**content.config_records[RECORD], **fields})})  # type: ignore[dict-item]


SPOILT: dict[str, Callable[[RecordDict], RecordDict]] = {
    "nothing": lambda content: RecordDict(),
    "no record of ours": lambda content: RecordDict({"metrics": MetricRecord({"loss": 1.0})}),
    "short digest": changed(digest=bytes(31)),
    "other digest": changed(digest=bytes(32)),
    "other owner": changed(owner=address_of(STRANGER)),
    "zero signature": changed(signature=bytes(64)),
}


@pytest.mark.parametrize("case", SPOILT)
def test_invalid_commitment_counts_as_none(tmp_path: Path, case: str) -> None:
    def spoil(node: int, message: Message) -> Message:
        if node == FIRST_NODE + 4 and not message.has_error():
            message.content = SPOILT[case](message.content)
        return message

    run = memory_run(tmp_path, on_reply=spoil)
    run.strategy.start(run.grid, make_model(), 1)
    (report,) = run.reports
    assert (report.settled, len(report.committed)) == (True, 14)
    assert address_of(4) not in report.committed
    assert (len(report.roster), report.tolerated, report.taking_part) == (4, 0, 4), "it opens at the end of the window, and says so"


def test_round_that_waits_for_the_end_of_its_window_says_so_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run = memory_run(tmp_path, commit_seconds=1200)
    run.grid.on_request = lambda node, message: None if node == FIRST_NODE + 4 else message
    run.strategy.start(run.grid, make_model(), 1)
    assert (len(run.reports[0].roster), run.reports[0].settled) == (4, True)
    assert caplog.text.count("4 of 5 groups are whole. With fewer than 5, a round opens only when its commit window ends") == 1


GOOD = MetricRecord({"loss": 1.0, "num-examples": 10})
STRANGE_METRICS: dict[str, dict[str, MetricRecord]] = {
    "none": {},
    "other name": {"metrics": MetricRecord({"lose": 1.0, "num-examples": 10})},
    "other record": {"numbers": GOOD},
    "one name in two records": {"metrics": GOOD, "x": MetricRecord({"loss": [1.0, 2.0], "num-examples": 10})},
    "NaN": {"metrics": MetricRecord({"loss": float("nan"), "num-examples": 10})},
    "weight that speaks for everybody": {"metrics": MetricRecord({"loss": 1.0, "num-examples": 1e308})},
    "list": {"metrics": MetricRecord({"loss": [1.0, 2.0], "num-examples": 10})},
    "weight that undoes the others": {"metrics": MetricRecord({"loss": 1.0, "num-examples": -140})},
}


@pytest.mark.parametrize("case", STRANGE_METRICS)
def test_strange_metrics_of_one_data_owner_spoil_nothing(case: str) -> None:
    def strange(node: int, message: Message) -> Message:
        ours = {RECORD: message.content[RECORD]} if RECORD in message.content else {}
        if node == max(grid.apps) and not (ours and "vector" not in ours[RECORD]):
            message.content = RecordDict({**STRANGE_METRICS[case], **ours})
        return message

    grid, strategy = exact_grid(FedAvg(), num_owners=5)
    grid.on_reply = strange
    result = strategy.start(grid, make_model(), 1)
    assert dict(result.train_metrics_clientapp[1]) == {"loss": pytest.approx(0.15)}
    assert set(result.evaluate_metrics_clientapp[1]) == {"loss"}


def test_commit_replies_carry_no_metrics_and_what_they_carry_is_ignored(tmp_path: Path) -> None:
    gossips = []

    def gossip(node: int, message: Message) -> Message:
        if not message.has_error() and "digest" in message.content.config_records.get(RECORD, ConfigRecord()):
            assert not message.content.metric_records
            message.content["metrics"] = MetricRecord({"loss": 1e9, "num-examples": 10})
            gossips.append(node)
        return message

    run = memory_run(tmp_path)
    run.grid.on_reply = gossip
    result = run.strategy.start(run.grid, make_model(), 1)
    assert len(gossips) == 15
    assert dict(result.train_metrics_clientapp[1]) == {"loss": pytest.approx(7.0)}


def test_reply_of_a_restarted_client_is_the_same_commitment(tmp_path: Path) -> None:
    """The train request comes twice, as after a lost reply; nobody trains or commits again."""
    run = memory_run(tmp_path)
    grid, strategy = run.grid, run.strategy
    messages = list(strategy.configure_train(1, make_model(), ConfigRecord(), grid))
    lost = list(grid.send_and_receive(messages))
    replies = list(grid.send_and_receive(messages))
    for first, second in zip(lost, replies, strict=True):
        assert first.content[RECORD] == second.content[RECORD]
    arrays, _ = strategy.aggregate_train(1, [*lost, *replies])
    assert arrays is not None
    assert all(len(trainer.trained) == 1 for trainer in run.trainers.values())
    assert len(run.reports[0].committed) == 15


def test_task_that_has_waited_too_long_is_anchored_again(tmp_path: Path) -> None:
    """What comes between a settlement and the next round takes most of the commit window, and a member is silent in the rest."""
    run = memory_run(tmp_path, num_owners=18)

    def dawdle(number: int, arrays: ArrayRecord) -> None:
        if number == 1:
            run.scene.world.wait(run.scene.terms.commit_seconds * 6 // 10)
            run.grid.on_request = lose("train", FIRST_NODE + 4)

    run.strategy.start(run.grid, make_model(), 2, evaluate_fn=dawdle)
    assert [report.settled for report in run.reports] == [True, True]
    assert run.events(1) == ["anchor", "open", "settle"]


def test_node_that_is_early_for_ever_holds_no_round_up(tmp_path: Path) -> None:
    """It answers the train request that its chain does not show the task yet, and is silent when asked again."""
    run = memory_run(tmp_path, num_owners=18)
    asked = 0

    def stall(node: int, message: Message) -> Message | None:
        nonlocal asked
        if node != FIRST_NODE + 4 or exchange_in(message) != "train":
            return message
        asked += 1
        return message if asked == 1 else None

    def early(node: int, message: Message) -> Message:
        if node == FIRST_NODE + 4 and asked == 1:
            return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, "OutOfTurn: not yet"), reply_to=run.grid.requests[-1][1])
        return message

    run.grid.on_request, run.grid.on_reply = stall, early
    run.strategy.start(run.grid, make_model(), 1)
    (report,) = run.reports
    assert asked > 1
    assert report.settled
    assert not any(address_of(4) in group for group in report.roster)


def delay(run: MemoryRun, exchange: str, seconds: int) -> None:
    """Whoever is asked in an exchange takes this long to reply, by the clock of the chain; errors come at once."""
    push, pull = run.grid.push_messages, run.grid.pull_messages
    there_at: dict[str, int] = {}

    def push_messages(messages: Iterable[Message]) -> Iterable[str]:
        messages = list(messages)
        names = list(push(messages))
        replied = {node for node, reply in run.grid.replies[-len(messages) :] if not reply.has_error()}
        for name, message in zip(names, messages, strict=True):
            if exchange_in(message) == exchange and message.metadata.dst_node_id in replied:
                there_at[name] = run.scene.world.timestamp + seconds
        return names

    run.grid.push_messages = push_messages  # type: ignore[method-assign]
    run.grid.pull_messages = lambda names: pull([n for n in names if there_at.get(n, 0) <= run.scene.world.timestamp])  # type: ignore[method-assign]


def answers_at_once(run: MemoryRun, exchange: str, node: int, reason: str) -> list[int]:
    """Let a node reply with an error whenever it is asked in an exchange; each time is noted in the list."""
    times: list[int] = []

    def answer(sender: int, message: Message) -> Message:
        request = run.grid.requests[-1][1]
        if sender != node or exchange_in(request) != exchange:
            return message
        times.append(run.scene.world.timestamp)
        return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=request)

    run.grid.on_reply = answer
    return times


@pytest.mark.parametrize("exchange", ["train", "deliver"])
@pytest.mark.parametrize("seconds", [20, 1_600])
def test_node_that_is_early_for_ever_costs_slower_ones_nothing(tmp_path: Path, exchange: str, seconds: int) -> None:
    """They are asked once, and heard whenever they reply: also after the time for which nodes may be early."""
    run = memory_run(tmp_path, num_owners=18, commit_seconds=7_200, answer_seconds=7_200)
    times = answers_at_once(run, exchange, FIRST_NODE + 4, "OutOfTurn: not yet")
    delay(run, exchange, seconds)
    run.strategy.start(run.grid, make_model(), 1)
    (report,) = run.reports
    assert len(times) > 1
    assert report.settled
    absent = set(map(address_of, run.owners)) - set(report.committed)
    assert (absent, report.undelivered) == (({address_of(4)}, ()) if exchange == "train" else (set(), (address_of(4),)))
    asked = [node for node, message in run.grid.requests if exchange_in(message) == exchange and node != FIRST_NODE + 4]
    assert len(asked) == 17, "whoever is silent is working, and is not asked again"


@pytest.mark.parametrize(("num_owners", "slowest_seconds"), [(15, 0), (18, 2_100)])
def test_node_that_refuses_at_once_keeps_no_round_from_opening(tmp_path: Path, num_owners: int, slowest_seconds: int) -> None:
    """Without its group there are too few to open before the window ends; with more, patience with it is longer than the window."""
    run = memory_run(tmp_path, num_owners=num_owners, commit_seconds=3_600)
    times = answers_at_once(run, "train", FIRST_NODE + 4, "PolicyRefused: no")
    delay(run, "train", slowest_seconds)
    run.strategy.start(run.grid, make_model(), 1)
    (report,) = run.reports
    assert len(times) > 2
    assert (report.settled, len(report.committed), len(report.roster)) == (True, num_owners - 1, num_owners // 3 - 1)


def test_run_does_not_begin_while_a_round_is_open_that_it_cannot_settle(tmp_path: Path) -> None:
    run = memory_run(tmp_path)
    run.scene.open()
    before = run.scene.state
    with pytest.raises(Refused, match=r"round 1 .* was opened by another process.*run_dir.*`omnilytics round timeout`"):
        run.strategy.start(run.grid, make_model(), 1)
    assert run.scene.state == before
    assert not run.grid.requests


def test_run_beside_another_gives_up_a_round_that_the_other_has_gone_beyond(tmp_path: Path) -> None:
    def open_elsewhere(number: int, stage: str) -> None:
        if stage == "train":
            run.scene.open()

    run = memory_run(tmp_path, options={"on_stage": open_elsewhere})
    began = run.scene.world.timestamp
    with pytest.raises(NothingLearnt, match="another process had gone on with the market"):
        run.strategy.start(run.grid, make_model(), 1)
    assert run.scene.world.timestamp - began < 60
