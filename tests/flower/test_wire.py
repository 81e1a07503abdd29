"""Messages: what is sent is what arrives, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flwr.app import ConfigRecord, Message, MessageType, MetricRecord, RecordDict

from omnilytics_flwr.errors import Malformed, WireError, WrongLength
from omnilytics_flwr.flower import wire as messages
from omnilytics_flwr.flower.wire import RECORD, VERSION, CommitReply, DeliverReply, DeliverRequest, Exchange, TaskHeader, our_record
from tests.flower.clients import wire
from tests.support.builders import address_of

MARKET = address_of(0)
MESSAGES = {
    "train": TaskHeader(Exchange.TRAIN, 31337, MARKET, 1, 2, b"\1" * 32),
    "evaluate": TaskHeader(Exchange.EVALUATE, 2**62, MARKET, 0, 0, bytes(32)),
    "commit": CommitReply(MARKET, b"\2" * 32, b"\3" * 64),
    "deliver": DeliverRequest(31337, MARKET, 1, 2, (b"\4" * 32, b"\5" * 32)),
    "deliver without a roster": DeliverRequest(31337, MARKET, 1, 2, ()),
    "vector of an exact market": DeliverReply(MARKET, b"\6" * 64, b"\7" * 96, b"", b""),
    "vector": DeliverReply(MARKET, b"\6" * 64, b"\7" * 96, b"\x08" * 96, b"\x09" * 64),
}


@pytest.mark.parametrize("case", MESSAGES)
def test_message_arrives_as_it_was_sent(case: str) -> None:
    message = MESSAGES[case]
    content = wire(Message(RecordDict({RECORD: message.to_record()}), 11, MessageType.TRAIN)).content
    assert type(message).from_record(our_record(content)) == message


def test_reply_of_an_app_that_forgot_the_mod_says_so() -> None:
    with pytest.raises(Malformed, match=r"no 'omnilytics' record; .*its client app runs with omnilytics_mod; add what is missing"):
        our_record(RecordDict({"metrics": MetricRecord({"loss": 1.0})}))


@pytest.mark.parametrize("case", MESSAGES)
def test_message_without_a_field_or_with_one_of_another_kind_is_refused(case: str) -> None:
    message = MESSAGES[case]
    entries = dict(message.to_record().items())
    for key in entries.keys() - ({"exchange"} if isinstance(message, DeliverRequest) else set()):
        with pytest.raises(Malformed):
            type(message).from_record(ConfigRecord({k: v for k, v in entries.items() if k != key}))
        for other in (1, -1, True, 1.5, "x", b"x", [1], ["x"], [b"x"]):
            if type(other) is not type(entries[key]) or other == -1:
                with pytest.raises(WireError):
                    type(message).from_record(ConfigRecord({**entries, key: other}))


@pytest.mark.parametrize("case", MESSAGES)
@pytest.mark.parametrize("version", [0, VERSION + 1, -1])
def test_message_of_another_version_is_refused(case: str, version: int) -> None:
    message = MESSAGES[case]
    record = ConfigRecord({**dict(message.to_record().items()), "version": version})
    with pytest.raises(Malformed, match=f"message version {version}, expected {VERSION}"):
        type(message).from_record(record)


@pytest.mark.parametrize(("length", "sizes"), [(0, [0]), (100, [100]), (101, [100, 1]), (400, [100] * 4), (401, [101] * 3 + [98])])
def test_vector_travels_in_a_few_short_pieces_which_are_taken_out_of_the_message(
    monkeypatch: pytest.MonkeyPatch, length: int, sizes: list[int]
) -> None:
    monkeypatch.setattr(messages, "PIECE_BYTES", 100)
    monkeypatch.setattr(messages, "MOST_PIECES", 4)
    reply = DeliverReply(MARKET, bytes(place % 251 for place in range(length)), b"\7" * 96, b"", b"")
    content = wire(Message(reply.to_content(), 11, MessageType.TRAIN)).content
    assert [len(record["vector"]) for record in content.config_records.values()] == sizes  # type: ignore[arg-type]
    content["metrics"] = metrics = MetricRecord({"loss": 1.0})
    assert DeliverReply.from_content(content) == reply
    assert dict(content.items()) == {"metrics": metrics}


@pytest.mark.parametrize("entries", [{}, {"vector": "text"}, {"vector": [b"list"]}])
def test_piece_of_a_vector_that_is_no_bytes_is_refused(entries: dict[str, str | list[bytes]]) -> None:
    content = DeliverReply(MARKET, b"\6" * 64, b"\7" * 96, b"", b"").to_content()
    content[f"{RECORD}-1"] = ConfigRecord(entries)  # type: ignore[arg-type]
    with pytest.raises(Malformed, match="'vector'"):
        DeliverReply.from_content(content)


def commit_with(key: str, value: object) -> ConfigRecord:
    return ConfigRecord({**dict(MESSAGES["commit"].to_record().items()), key: value})  # type: ignore[dict-item]


@pytest.mark.parametrize(("key", "length"), [("digest", 32), ("signature", 64)])
@pytest.mark.parametrize("by", [-1, 1])
def test_commit_of_another_length_is_refused(key: str, length: int, by: int) -> None:
    with pytest.raises(WrongLength) as refusal:
        CommitReply.from_record(commit_with(key, bytes(length + by)))
    assert (refusal.value.actual, refusal.value.expected) == (length + by, length)


@pytest.mark.parametrize("address", ["", "0x", MARKET[:-1], MARKET + "0", MARKET[:-1] + "g", "0x" + MARKET[2:].swapcase(), "é" * 42])
def test_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Malformed, match="'owner'"):
        CommitReply.from_record(commit_with("owner", address))


@pytest.mark.parametrize("write", [str.lower, lambda text: "0x" + text[2:].upper()])
def test_address_arrives_with_its_checksum_however_it_was_written(write: Callable[[str], str]) -> None:
    assert CommitReply.from_record(commit_with("owner", write(MARKET))).owner == MARKET
