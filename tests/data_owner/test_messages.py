"""Messages of the agent's socket: what is sent arrives, everything else is a named error."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import omnilytics_flwr.evm.endpoint
from omnilytics_flwr import errors
from omnilytics_flwr.data_owner.failures import error_fields, error_of
from omnilytics_flwr.data_owner.messages import (
    MOST_HEADER_BYTES,
    MOST_REQUEST_BYTES,
    CommitRequest,
    DeliverRequest,
    Reply,
    Request,
    TaskRequest,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    frame_lengths,
)
from omnilytics_flwr.data_owner.owner_agent import Admission, Delivery, SignedCommitment
from omnilytics_flwr.errors import LedgerError, Malformed, OmnilyticsError, OutOfTurn, ProtocolError, Refused, UpdateError, WireError
from omnilytics_flwr.market.refusals import NotAccused, WrongBlob
from omnilytics_flwr.market.task import TaskId
from tests.support.builders import MARKET, address_of

TASK = TaskId(31337, MARKET, 1, 2, b"\5" * 32)
COMMITMENT = SignedCommitment(address_of(0), b"\1" * 32, b"\2" * 64)
REQUESTS: list[Request] = [
    TaskRequest("admit", TASK),
    TaskRequest("evaluate", TASK),
    DeliverRequest(31337, MARKET, 1, 2, (b"\1" * 32, b"\2" * 32)),
    DeliverRequest(31337, MARKET, 1, 2, ()),
]
REPLIES: list[Reply] = [
    Admission(("loss", "num-examples"), None),
    Admission((), COMMITMENT),
    (),
    ("accuracy",),
    COMMITMENT,
    Delivery(address_of(1), bytes(range(256)) * 512, b"\7" * 128, ("loss",)),
]


def split(frame: bytes) -> tuple[bytes, bytes]:
    header, body = struct.unpack(">II", frame[:8])
    assert len(frame) == 8 + header + body
    return frame[8 : 8 + header], frame[8 + header :]


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda one: type(one).__name__)
def test_request_arrives_as_it_was_sent(request_: Request) -> None:
    assert decode_request(*split(encode_request(request_))) == request_


@pytest.mark.parametrize("update", [np.zeros(0), np.array([1.5, -2.25, np.nan, np.inf]), np.arange(5, dtype=">f8"), np.arange(10.0)[::2]])
def test_update_arrives_as_it_was_sent(update: np.ndarray) -> None:
    sent = decode_request(*split(encode_request(CommitRequest(TASK, update))))
    assert isinstance(sent, CommitRequest)
    assert sent.task == TASK
    assert sent.update.dtype == np.float64
    np.testing.assert_array_equal(sent.update, update)


@pytest.mark.parametrize("reply", REPLIES, ids=lambda one: type(one).__name__)
def test_reply_arrives_as_it_was_sent(reply: Reply) -> None:
    assert decode_reply(*split(encode_reply(reply))) == reply


ERRORS: list[OmnilyticsError] = [
    Refused("no"),
    UpdateError("weight 3 is nan"),
    OutOfTurn("idle", "train", ("join", "leave")),
    errors.BadTerms(("a is 1", "b is 2")),
    errors.WrongLength("digests", 3, 32),
    errors.BadPoint(7),
    errors.WeakMaskKey(b"\1" * 32, "of low order"),
    errors.TransactionLost("0xab", 2.5),
    errors.TooFewGroups(1, 5),
    NotAccused(3),
    WrongBlob(1, b"\1" * 32, b"\2" * 32),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda one: type(one).__name__)
def test_error_comes_back_as_the_same_class_with_its_facts(error: OmnilyticsError) -> None:
    back = decode_reply(*split(encode_reply(error)))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_error_that_is_not_known_here_comes_back_as_its_nearest_kin() -> None:
    error = omnilytics_flwr.evm.endpoint.NodeError("eth_call", 3, "reverted", None)
    code = (
        "import sys, json; from omnilytics_flwr.data_owner.messages import decode_reply\n"
        "error = decode_reply(sys.stdin.buffer.read(), b'')\n"
        "print(json.dumps([type(error).__name__, str(error), sorted(m for m in sys.modules if m.startswith('omnilytics_flwr.chain'))]))"
    )
    header, _ = split(encode_reply(error))
    done = subprocess.run([sys.executable, "-c", code], input=header, capture_output=True, check=True, cwd=Path(__file__).parents[2])
    assert json.loads(done.stdout) == ["OmnilyticsError", f"NodeError: {error}", []]


def test_error_whose_facts_do_not_tell_the_same_keeps_its_text() -> None:
    named = error_fields(OutOfTurn("idle", "train", ()))
    assert str(error_of("OutOfTurn", ["open", "train", []], str(named["text"]))) == f"OutOfTurn: {named['text']}"
    assert type(error_of("OutOfTurn", [], "text")) is ProtocolError
    assert type(error_of("NotAccused", [], "text")) is LedgerError
    assert type(error_of("WrongLength", [1], "text")) is WireError
    assert type(error_of("Exception", [], "text")) is OmnilyticsError
    assert (type(error_of("Refused", [1, 2], "text")), str(error_of("Refused", [1, 2], "text"))) == (Refused, "text")


def test_error_of_any_length_fits_a_header() -> None:
    for text in ("x" * 10**6, "\U0001f600" * 10**5, "\ud800" * 10**5):
        header, body = split(encode_reply(Refused(text)))
        assert not body
        assert len(header) <= MOST_HEADER_BYTES
        back = decode_reply(header, b"")
        assert type(back) is Refused
        assert text.startswith(str(back))
        assert len(str(back)) >= 1000


def test_lengths_out_of_bounds_are_refused_before_anything_is_read() -> None:
    assert frame_lengths(struct.pack(">II", MOST_HEADER_BYTES, MOST_REQUEST_BYTES), MOST_REQUEST_BYTES)
    for header, body in ((MOST_HEADER_BYTES + 1, 0), (0, MOST_REQUEST_BYTES + 1), (2**32 - 1, 2**32 - 1)):
        with pytest.raises(Malformed, match="expected at most"):
            frame_lengths(struct.pack(">II", header, body), MOST_REQUEST_BYTES)


def changed(message: Request | Reply, body: bytes | None = None, **fields: object) -> tuple[bytes, bytes]:
    """A message's header and body with some of its fields changed, or taken out where they are None."""
    frame = encode_request(message) if isinstance(message, (TaskRequest, DeliverRequest, CommitRequest)) else encode_reply(message)
    header, was = split(frame)
    named = {key: value for key, value in {**json.loads(header), **fields}.items() if value is not None}
    return json.dumps(named).encode(), was if body is None else body


BAD_REQUESTS = {
    "no JSON": (b"{", b""),
    "no text": (b"\xff\xfe", b""),
    "no mapping": (b"[1]", b""),
    "deep": (b"[" * 60_000, b""),
    "empty": (b"", b""),
    "other version": changed(REQUESTS[0], version=2),
    "version that is true": changed(REQUESTS[0], version="1"),
    "unknown kind": changed(REQUESTS[0], kind="sign"),
    "kind of a reply": changed(REQUESTS[0], kind="admission"),
    "no kind": changed(REQUESTS[0], kind=None),
    "admit with a body": changed(REQUESTS[0], body=b"x"),
    "no chain": changed(REQUESTS[0], chain=None),
    "chain as text": changed(REQUESTS[0], chain="1"),
    "chain that is true": changed(REQUESTS[0], chain=True),
    "negative round": changed(REQUESTS[0], round=-1),
    "huge round": changed(REQUESTS[0], round=2**64),
    "no address": changed(REQUESTS[0], market="0x12"),
    "address without its checksum": changed(REQUESTS[0], market=MARKET.lower()),
    "task too short": changed(REQUESTS[0], task="ab" * 31),
    "task in capitals": changed(REQUESTS[0], task="AB" * 32),
    "task of blanks": changed(REQUESTS[0], task="ab " * 21 + "a"),
    "half a digest": changed(REQUESTS[2], body=bytes(33)),
    "half a weight": changed(CommitRequest(TASK, np.zeros(2)), body=bytes(9)),
}


@pytest.mark.parametrize("case", BAD_REQUESTS)
def test_malformed_request_is_a_named_error(case: str) -> None:
    with pytest.raises(WireError):
        decode_request(*BAD_REQUESTS[case])


BAD_REPLIES = {
    "unknown kind": changed(REPLIES[0], kind="admit"),
    "metrics that are no names": changed(REPLIES[0], metrics=["loss", 1]),
    "metrics that are text": changed(REPLIES[0], metrics="loss"),
    "half a commitment": changed(REPLIES[1], signature=None),
    "signature too long": changed(REPLIES[1], signature="ab" * 65),
    "commitment with a body": changed(REPLIES[4], body=b"x"),
    "delivery without its points": changed(REPLIES[5], points=10**6),
    "error without its class": changed(Refused("no"), **{"class": None}),
}


@pytest.mark.parametrize("case", BAD_REPLIES)
def test_malformed_reply_is_a_named_error(case: str) -> None:
    with pytest.raises(WireError):
        decode_reply(*BAD_REPLIES[case])


KEYS = st.sampled_from(
    ["version", "kind", "chain", "market", "epoch", "round", "task", "owner", "digest", "signature", "metrics", "points", "class", "facts"]
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 2**65),
        st.floats(),
        st.text(max_size=6),
        st.sampled_from(["admit", "commit", "deliver", "delivery", "error", "admission", "OutOfTurn", "NotAccused", MARKET, "ab" * 32]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=2)),
)
HEADERS = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(KEYS, VALUES).map(lambda named: json.dumps(named).encode()),
    st.tuples(st.sampled_from([*REQUESTS, *REPLIES]), st.dictionaries(KEYS, VALUES, max_size=2)).map(lambda p: changed(p[0], **p[1])[0]),
)


@settings(max_examples=500, deadline=None)
@given(HEADERS, st.binary(max_size=70))
def test_any_bytes_are_a_message_or_a_named_error(header: bytes, body: bytes) -> None:
    try:
        request = decode_request(header, body)
    except WireError:
        pass
    else:
        encode_request(request)
    try:
        encode_reply(decode_reply(header, body))
    except WireError:
        pass
