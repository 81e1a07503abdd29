"""JSON-RPC over HTTP, with answers that a sane node would not give."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from omnilytics_flwr.errors import ChainError, Unreachable, WrongChain
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.endpoint import Endpoint, NodeError
from omnilytics_flwr.evm.rpc_headers import HEADERS_FILE_VARIABLE, HEADERS_VARIABLE, headers_for
from omnilytics_flwr.node_address import redacted

from ..support.nodes import Answer, answering, impatient, serving_headers

GOOD = b'{"jsonrpc":"2.0","id":0,"result":"0x1"}'
OTHER = GOOD.replace(b"0x1", b"0x2")


@pytest.mark.parametrize("answer", [(503, b""), (429, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"id":0}')])
def test_endpoint_first_answers_bad_are_repeated(answer: Answer) -> None:
    with answering(lambda n: answer if n < 2 else (200, GOOD)) as url:
        assert Endpoint(url).request("eth_chainId") == "0x1"


OTHER_NUMBER = GOOD.replace(b'"id":0', b'"id":-1')


@pytest.mark.parametrize("answer", [OTHER_NUMBER, OTHER_NUMBER.replace(b"result", b"error"), b'{"result":"0x1"}'])
def test_answer_to_another_request_is_none(answer: bytes) -> None:
    """It is asked again, or another node is; an error may come without a number, see below."""
    with answering(lambda n: (200, answer if n < 2 else GOOD)) as url:
        assert Endpoint(url).request("eth_chainId") == "0x1"
    with answering(lambda _: (200, answer)) as bad, answering(lambda _: (200, GOOD)) as good:
        with pytest.raises(Unreachable, match="AnswerToAnother"):
            impatient(Endpoint(bad)).request("eth_chainId")
        assert Endpoint(f"{bad},{good}").request_in_turn("eth_chainId") == "0x1"


def test_endpoint_that_always_fails_raises_and_forbidden_is_not_repeated() -> None:
    with pytest.raises(Unreachable, match="no address of a node"):
        Endpoint("gopher://somewhere")
    with answering(lambda _: (503, b"")) as url, pytest.raises(Unreachable, match="503"):
        impatient(Endpoint(url)).request("eth_chainId")
    with answering(lambda n: (403, b"") if n == 0 else (200, GOOD)) as url, pytest.raises(NodeError, match="403"):
        Endpoint(url).request("eth_chainId")


def test_endpoint_error_answer_raises_with_the_nodes_words() -> None:
    body = b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"no such thing","data":"0x1234"}}'
    with answering(lambda _: (200, body)) as url, pytest.raises(NodeError, match="no such thing") as caught:
        Endpoint(url).request("eth_call")
    assert (caught.value.code, caught.value.data) == (-32000, "0x1234")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:word@node.example:8545/v3/key?token=1", "https://node.example:8545"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("/run/geth.ipc", "/run/geth.ipc"),
    ],
)
def test_redacted_address_with_keys_hides_them(url: str, shown: str) -> None:
    assert redacted(url) == shown
    if url.startswith("http"):
        assert repr(Endpoint(url)) == f"Endpoint({shown!r})"


def test_endpoint_where_nobody_listens_or_answers_raises_unreachable(tmp_path: Path, unused_address: str) -> None:
    path = tmp_path / "node.ipc"
    for address in (unused_address, str(path)):
        with pytest.raises(Unreachable, match="does not answer"):
            Endpoint(address, timeout_seconds=0.3).request("eth_chainId")
    with socket.socket(socket.AF_UNIX) as node:
        node.bind(str(path))
        node.listen()
        with pytest.raises(Unreachable, match="does not answer"):
            Endpoint(str(path), timeout_seconds=0.5).request_once("eth_chainId")


def test_endpoint_socket_path_of_a_node_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.ipc"
    arguments = AnvilOptions.arguments
    monkeypatch.setattr(AnvilOptions, "arguments", lambda options: [*arguments(options), "--ipc", str(path)])
    with Anvil():
        assert Endpoint(str(path)).request("eth_chainId") == "0x7a69"
        assert Endpoint(str(path)).request("eth_getTransactionReceipt", "0x" + "11" * 32) is None


def test_socket_whose_answer_is_late_is_asked_the_next_over_another(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as node, ThreadPoolExecutor() as pool:
        node.bind(str(tmp_path / "node.ipc"))
        node.listen()
        endpoint = Endpoint(str(tmp_path / "node.ipc"), timeout_seconds=1)
        first = pool.submit(endpoint.request_once, "eth_blockNumber")
        with node.accept()[0] as late:
            late.sendall(GOOD[:-1])
            with pytest.raises(Unreachable, match="does not answer"):
                first.result()
            second = pool.submit(endpoint.request_once, "eth_chainId")
            with node.accept()[0] as client:
                client.recv(2**16)
                client.sendall(GOOD)
                assert second.result() == "0x1"


def test_endpoint_of_several_nodes_asks_the_next_while_one_does_not_answer(unused_address: str) -> None:
    asked: list[str] = []
    busy = b'{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"rate limited"}}'
    with answering(lambda n: (200, GOOD if n % 3 else busy), asked) as first, answering(lambda _: (200, GOOD)) as second:
        endpoint = Endpoint(f"{unused_address}, {first},{second}", timeout_seconds=1.0)
        assert [endpoint.request("eth_chainId") for _ in range(9)] == ["0x1"] * 9
        assert len(asked) < 6, "the second one is kept to as long as it answers"
        assert repr(endpoint).count("http://127.0.0.1") == 3


@pytest.mark.parametrize(
    "refusal", [*((status, b"") for status in (401, 402, 403, 404)), (200, b'{"error":{"code":-32002,"message":"invalid project id"}}')]
)
def test_endpoint_of_several_nodes_leaves_one_that_does_not_serve_its_key(refusal: Answer) -> None:
    """From the first request on, or in mid-run; alone, it is an error at once."""
    for good in (0, 3):
        with answering(lambda n: (200, GOOD) if n < good else refusal) as first, answering(lambda _: (200, GOOD)) as second:  # noqa: B023
            assert [Endpoint(f"{first},{second}").request("eth_chainId") for _ in range(5)] == ["0x1"] * 5
            several = Endpoint(f"{first},{second}")
            assert [several.request("eth_chainId") for _ in range(5)] == ["0x1"] * 5
    with answering(lambda _: refusal) as alone, pytest.raises(NodeError):
        Endpoint(alone).request("eth_chainId")


@pytest.mark.parametrize("before", [(200, OTHER), (503, b""), (403, b""), (200, OTHER.replace(b"0x2", b"two"))])
def test_endpoint_of_several_nodes_never_believes_one_of_another_chain(before: Answer) -> None:
    """The second one may fail first when it is asked for its chain."""
    with (
        answering(lambda n: (200, GOOD) if n < 3 else (503, b"")) as first,
        answering(lambda n: before if n == 0 else (200, OTHER)) as second,
    ):
        connection = connect(f"{first},{second}")
        assert connection.block_number() == 1
        for _ in range(2):
            with pytest.raises(WrongChain) as caught:
                connection.block_number()
            assert (caught.value.actual, caught.value.expected) == (2, 1)


def test_headers_go_to_their_host_only_and_never_in_clear(tmp_path: Path) -> None:
    lines = "node.example Authorization: Bearer a:b\n\nlocalhost X-Key: 1"
    for environment in ({HEADERS_VARIABLE: lines}, {HEADERS_FILE_VARIABLE: str(tmp_path / "headers")}):
        (tmp_path / "headers").write_text(lines)
        assert headers_for("https://node.example/v3", environment) == {"Authorization": "Bearer a:b"}
        assert headers_for("http://localhost:8545", environment) == {"X-Key": "1"}
        assert headers_for("https://other.example", environment) == headers_for("/run/geth.ipc", environment) == {}
        with pytest.raises(ChainError, match="in clear"):
            headers_for("http://node.example", environment)
    for wrong, words in (
        ({HEADERS_VARIABLE: "node.example secret"}, "is no header"),
        ({HEADERS_VARIABLE: "https://node.example Key: secret"}, "is no header"),
        ({HEADERS_VARIABLE: "node.example:443 Key: secret"}, "is no header"),
        ({HEADERS_VARIABLE: "node.example A Key: secret"}, "is no header"),
        ({HEADERS_FILE_VARIABLE: "/nowhere"}, "cannot be read"),
    ):
        with pytest.raises(ChainError, match=words) as caught:
            headers_for("https://node.example", wrong)
        assert "secret" not in str(caught.value)


def test_headers_travel_with_each_request(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []

    def answer(_: str, __: bytes, headers: Mapping[str, str]) -> Answer:
        seen.append(headers.get("X-Key"))
        return 200, GOOD

    monkeypatch.setenv(HEADERS_VARIABLE, "127.0.0.1 X-Key: 1")
    with serving_headers(answer) as url:
        assert Endpoint(url).request("eth_chainId") == "0x1"
    assert seen == ["1"]
