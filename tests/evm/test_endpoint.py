"""JSON-RPC over HTTP, with answers that a sane node would not give."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from omnilytics_flwr.errors import Unreachable
from omnilytics_flwr.evm.anvil import Anvil, AnvilOptions
from omnilytics_flwr.evm.endpoint import Endpoint, NodeError, redacted

from ..support.nodes import Answer, answering

GOOD = b'{"jsonrpc":"2.0","id":0,"result":"0x1"}'


@pytest.mark.parametrize("answer", [(503, b""), (429, b""), (200, b"<html>"), (200, b"[]"), (200, b'{"id":0}')])
def test_endpoint_first_answers_bad_are_repeated(answer: Answer) -> None:
    with answering(lambda n: answer if n < 2 else (200, GOOD)) as url:
        assert Endpoint(url).request("eth_chainId") == "0x1"


def test_endpoint_that_always_fails_raises_and_forbidden_is_not_repeated() -> None:
    with pytest.raises(Unreachable, match="no address of an endpoint"):
        Endpoint("gopher://somewhere")
    with answering(lambda _: (503, b"")) as url, pytest.raises(Unreachable, match="503"):
        Endpoint(url, timeout_seconds=0.3).request("eth_chainId")
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
