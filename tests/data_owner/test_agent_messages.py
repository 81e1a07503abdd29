"""Messages of the agent's socket: what is sent arrives, everything else is a named error."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnilytics_flwr import errors
from omnilytics_flwr.crypto.address import Address
from omnilytics_flwr.crypto.kzg import BLOB_BYTES
from omnilytics_flwr.data_owner.agent_messages import (
    MOST_CALL_BYTES,
    MOST_ERROR_TEXT,
    MOST_REPLY_BYTES,
    MOST_WEIGHTS,
    AdmitCall,
    Call,
    CommitCall,
    DeliverCall,
    EvaluateCall,
    KeepCall,
    KeptCall,
    Result,
    decode_call,
    decode_reply,
    encode_reply,
)
from omnilytics_flwr.data_owner.owner_agent import Admission, MaskedUpdate, SignedCommitment
from omnilytics_flwr.errors import BadTerms, OmnilyticsError, OutOfTurn, ProtocolError, Refusal, Refused, UpdateError, WireError
from omnilytics_flwr.evm.endpoint import NodeError, Overloaded
from omnilytics_flwr.evm.rpc_values import BadAnswer
from omnilytics_flwr.market.refusals import NotAccused, WrongBlob
from omnilytics_flwr.market.task import TaskId
from tests.support.builders import MARKET, address_of, make_terms

encode = msgspec.msgpack.encode
TASK = TaskId(31337, MARKET, 1, 2, b"\5" * 32)
COMMITMENT = SignedCommitment(address_of(0), b"\1" * 32, b"\2" * 64)
CALLS: list[Call] = [
    AdmitCall(TASK),
    EvaluateCall(TASK),
    CommitCall.of(TASK, np.arange(3.0)),
    DeliverCall(31337, MARKET, 1, 2, (b"\1" * 32, b"\2" * 32)),
    DeliverCall(31337, MARKET, 1, 2, ()),
    KeepCall(31337, MARKET, "metrics", bytes(range(256))),
    KeptCall(31337, MARKET, "metrics"),
]
NAMES = tuple[str, ...]
RESULTS: list[tuple[Any, Result]] = [
    (Admission, Admission(("loss", "num-examples"), None)),
    (Admission, Admission((), COMMITMENT, 0.5)),
    (bytes, b""),
    (type(None), None),
    (NAMES, ()),
    (NAMES, ("accuracy",)),
    (SignedCommitment, COMMITMENT),
    (MaskedUpdate, MaskedUpdate(address_of(1), bytes(range(256)) * 512, b"\7" * 96, b"\x08" * 96, b"\x09" * 64, ("loss",))),
]


def test_bounds_have_room_for_the_largest_update_of_any_terms() -> None:
    polynomials = make_terms(weights=MOST_WEIGHTS, projected=True, answer_seconds=0, prove_seconds=20_000, update_bits=8).polynomials
    with pytest.raises(BadTerms, match=f"weights is {MOST_WEIGHTS + 1}"):
        make_terms(weights=MOST_WEIGHTS + 1)
    assert MOST_CALL_BYTES >= 8 * MOST_WEIGHTS + len(encode(CommitCall.of(TASK, np.zeros(0))))
    rest = MaskedUpdate(address_of(0), b"", b"", bytes(96), bytes(64), ("loss",) * 50)
    assert MOST_REPLY_BYTES >= polynomials * (BLOB_BYTES + 96) + len(encode_reply(rest))


@pytest.mark.parametrize("call", CALLS)
def test_call_arrives_as_it_was_sent(call: Call) -> None:
    assert decode_call(encode(call)) == call


UPDATES = [
    np.zeros(0),
    np.array([1.5, -2.25, np.nan, np.inf]),
    np.arange(5, dtype=">f8"),
    np.arange(10.0)[::2],
    np.arange(5, dtype=np.float32),
]


@pytest.mark.parametrize("update", UPDATES)
def test_update_arrives_as_it_was_sent(update: np.ndarray) -> None:
    sent = CommitCall.of(TASK, update).update
    assert sent.dtype == (np.float32 if update.dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(sent, update)


@pytest.mark.parametrize(("kind", "result"), RESULTS, ids=lambda one: getattr(one, "__name__", ""))
def test_result_arrives_as_it_was_sent(kind: type, result: Result) -> None:
    assert decode_reply(encode_reply(result), kind) == result


def arrived(reply: bytes) -> OmnilyticsError:
    with pytest.raises(OmnilyticsError) as raised:
        decode_reply(reply, Admission)
    return raised.value


@pytest.mark.parametrize(
    "error",
    [
        Refused("no"),
        UpdateError("weight 3 is nan"),
        OutOfTurn("idle", "train", ("join", "leave")),
        errors.BadTerms(("a is 1", "b is 2")),
        errors.WrongLength("digests", 3, 32),
        errors.NotCanonical(7, 2**255),
        errors.WeakMaskKey(b"\1" * 32, "of low order"),
        errors.TransactionLost("0xab", 2.5),
        NotAccused(3),
        WrongBlob(1, b"\1" * 32, b"\2" * 32),
    ],
    ids=lambda one: type(one).__name__,
)
def test_error_is_raised_as_the_same_class_with_its_facts(error: OmnilyticsError) -> None:
    back = arrived(encode_reply(error))
    assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))


def test_error_that_is_not_known_here_is_raised_as_its_nearest_kin() -> None:
    error = NodeError("eth_call", 3, "reverted", None)
    code = (
        "import sys; from omnilytics_flwr.data_owner.agent_messages import decode_reply\n"
        "try: decode_reply(sys.stdin.buffer.read(), tuple)\n"
        "except Exception as error: print(type(error).__name__, error, sep=': ')\n"
        "assert not any(name.startswith('omnilytics_flwr.evm') for name in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], input=encode_reply(error), capture_output=True, check=True)
    assert done.stdout.decode() == f"ChainError: NodeError: {error}\n", "its text must not go on to the model owner"


@pytest.mark.parametrize("error", [NodeError("eth_call", 3, "reverted", None), Overloaded("busy"), BadAnswer("nonce", "x")])
def test_error_of_the_chain_adapter_is_sent_as_the_nearest_class_that_every_client_knows(error: OmnilyticsError) -> None:
    sent = msgspec.msgpack.decode(encode_reply(error))
    assert sent["name"] == {NodeError: "ChainError", BadAnswer: "ChainError", Overloaded: "Unreachable"}[type(error)]
    assert sent["text"] == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize(
    ("name", "facts", "kind", "text"),
    [
        ("OutOfTurn", ["open", "train", []], ProtocolError, "OutOfTurn: text"),
        ("OutOfTurn", [], ProtocolError, "OutOfTurn: text"),
        ("NotAccused", [{"int": "x"}], Refusal, "NotAccused: text"),
        ("WrongLength", [1], WireError, "WrongLength: text"),
        ("Exception", [], OmnilyticsError, "Exception: text"),
        ("Refused", [1, 2], Refused, "text"),
    ],
)
def test_error_whose_facts_do_not_say_its_text_keeps_the_text(name: str, facts: list[object], kind: type, text: str) -> None:
    error = arrived(encode({"kind": "raised", "name": name, "facts": facts, "text": "text"}))
    assert (type(error), str(error)) == (kind, text)


@pytest.mark.parametrize("text", ["x" * 10**6, "\U0001f600" * 10**5, "\ud800" * 10**5])
def test_error_of_any_length_and_text_arrives_in_part(text: str) -> None:
    sent = encode_reply(Refused(text))
    assert len(sent) < 5 * MOST_ERROR_TEXT
    assert str(arrived(sent)) == text[:MOST_ERROR_TEXT].replace("\ud800", "?")


def changed(message: bytes, **entries: object) -> bytes:
    """A message with some entries changed, or taken out where they are None; `task_` leads into the task."""
    fields = msgspec.msgpack.decode(message)
    for name, value in entries.items():
        within = fields["task"] if name.startswith("task_") else fields
        within[name.removeprefix("task_")] = value
        if value is None:
            del within[name.removeprefix("task_")]
    return encode(fields)


ADMIT, COMMIT, DELIVER = encode(CALLS[0]), encode(CALLS[2]), encode(CALLS[3])
BAD_CALLS = {
    "nothing": b"",
    "no MessagePack": b"\xc1",
    "deep": b"\x91" * 60_000,
    "more after it": ADMIT + b"\0",
    "unknown kind": changed(ADMIT, kind="sign"),
    "no kind": changed(ADMIT, kind=None),
    "unknown entry": changed(ADMIT, key=1),
    "update of an admission": changed(ADMIT, update_bytes=b""),
    "no chain": changed(ADMIT, task_chain_id=None),
    "chain that is true": changed(ADMIT, task_chain_id=True),
    "negative round": changed(ADMIT, task_round=-1),
    "negative epoch": changed(DELIVER, epoch=-1),
    "no address": changed(ADMIT, task_market="0x12"),
    "address without its checksum": changed(ADMIT, task_market=MARKET.lower()),
    "hash too short": changed(ADMIT, task_task_hash=b"\1" * 31),
    "half a digest": changed(DELIVER, digests=[b"\1" * 32, b"\1"]),
    "half a weight": changed(COMMIT, update_bytes=bytes(9)),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_malformed_call_is_a_named_error(case: str) -> None:
    with pytest.raises(WireError):
        decode_call(BAD_CALLS[case])


ADMISSION, COMMITTED, DELIVERY = (encode_reply(RESULTS[place][1]) for place in (0, 4, 5))
BAD_REPLIES = {
    "unknown kind": (Admission, changed(ADMISSION, kind="admit")),
    "reply to another call": (SignedCommitment, DELIVERY),
    "metrics that are no names": (NAMES, encode({"kind": "returned", "value": ["loss", 1]})),
    "half a commitment": (SignedCommitment, encode({"kind": "returned", "value": {"owner": MARKET, "digest": bytes(32)}})),
    "signature too long": (SignedCommitment, encode_reply(SignedCommitment(MARKET, bytes(32), bytes(65)))),
    "owner that is no address": (MaskedUpdate, encode_reply(MaskedUpdate(Address(MARKET[:-1]), b"", b""))),
    "error without its name": (Admission, changed(encode_reply(Refused("no")), name=None)),
}


@pytest.mark.parametrize("case", BAD_REPLIES)
def test_malformed_reply_is_a_named_error(case: str) -> None:
    kind, raw = BAD_REPLIES[case]
    with pytest.raises(WireError):
        decode_reply(raw, kind)


KEYS = st.sampled_from(["kind", "task", "chain_id", "market", "epoch", "round", "digests", "value", "owner", "name", "facts", "text"])
KINDS = st.sampled_from(["admit", "commit", "deliver", "returned", "raised", "OutOfTurn", "NotAccused", MARKET])
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-2, 2**64 - 1), st.floats(), st.text(max_size=6), st.binary(max_size=40), KINDS),
    lambda inner: st.one_of(st.lists(inner | st.none(), max_size=3), st.dictionaries(st.text(max_size=5), inner | st.none(), max_size=2)),
)
GOOD = [*map(encode, CALLS), *(encode_reply(result) for _, result in RESULTS), encode_reply(OutOfTurn("a", "b", ()))]
CHANGED = st.builds(lambda raw, entries: changed(raw, **entries), st.sampled_from(GOOD), st.dictionaries(KEYS, VALUES, max_size=2))


@settings(max_examples=500)
@given(
    st.binary(max_size=200) | st.dictionaries(KEYS, VALUES | st.none()).map(encode) | CHANGED,
    st.sampled_from([kind for kind, _ in RESULTS]),
)
def test_any_bytes_are_a_message_or_a_named_error(raw: bytes, kind: type) -> None:
    with contextlib.suppress(WireError):
        encode(decode_call(raw))
    with contextlib.suppress(OmnilyticsError):
        encode_reply(decode_reply(raw, kind))
