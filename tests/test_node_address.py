"""Addresses as users write them: what is one, and which are one node's."""

from __future__ import annotations

import pytest

from omnilytics_flwr.environment import open_market
from omnilytics_flwr.errors import ChainError, Malformed, Unreachable
from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.node_address import check_address, share_a_node
from tests.support.builders import MARKET


@pytest.mark.parametrize(
    "text",
    ["http://localhost:8545", "https://user:word@node.example/v3/key?a=b", "http://[::1]:8545/", "/run/geth.ipc", "~/a b, https://x_y"],
)
def test_addresses_of_every_kind(text: str) -> None:
    check_address("rpc-url", text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "secret",
        "node:8545/secret",
        "http:/x",
        "http://",
        "http://:1",
        "http://x:0",
        "http://x:y",
        "http://a b",
        "http://[x",
        "/a,",
        "/a\x00",
    ],
)
def test_what_is_no_address_is_told_without_what_may_be_a_key(text: str) -> None:
    with pytest.raises(Malformed, match=r"^rpc-url: .* is no address of a node \(.*\); expected .*; correct it$") as caught:
        check_address("rpc-url", text)
    assert "/secret" not in str(caught.value)


def test_beacon_node_is_no_socket() -> None:
    with pytest.raises(Malformed, match="expected http:// or https://; correct it"):
        check_address("OMNILYTICS_BLOBS_URL", "/run/geth.ipc", sockets=False)


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("http://localhost", "http://127.0.0.1:80/", True),
        ("https://a.example/k,/run/x", "/run/x", True),
        ("https://a.example/k", "https://b.example/k", False),
        ("http://a.example:1", "http://a.example:2", False),
        ("https://a.example/v3/one-key", "https://a.example/v3/another", True),
    ],
)
def test_addresses_of_one_node(first: str, second: str, shared: bool) -> None:
    assert share_a_node(first, second) is shared


@pytest.mark.parametrize("name", ["OMNILYTICS_RPC_URL", "OMNILYTICS_BLOBS_URL"])
def test_addresses_of_a_servers_environment_are_checked_before_any_node_is_asked(name: str, unused_address: str) -> None:
    environment = {"OMNILYTICS_RPC_URL": unused_address, "OMNILYTICS_MARKET": MARKET, "OMNILYTICS_DEV_ACCOUNT": "0"}
    with pytest.raises(ChainError, match=f"{name}: 'ftp://node' is no address of a node"):
        open_market(environment=environment | {name: "ftp://node"})
    with pytest.raises(Unreachable, match=r"the beacon node: .* expected http:// or https://; correct it"):
        connect(unused_address, blobs_url="/run/beacon")
