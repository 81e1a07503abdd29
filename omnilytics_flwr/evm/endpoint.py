"""JSON-RPC to one endpoint, over HTTP or a socket, with typed errors."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from ..errors import ChainError, Malformed, Unreachable, WrongChain
from ..node_address import check_address, is_on_this_machine, redacted
from .dialects import Meaning, meaning_of
from .rpc_headers import headers_for
from .rpc_values import BadAnswer, quantity

T = TypeVar("T")

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 4.0
_TOO_MANY_REQUESTS = 429
TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class NodeError(ChainError):
    """The node understood the request and answered with an error.

    Parameters
    ----------
    method : str
    code : int
        JSON-RPC error code; 3 is a revert.
    message : str
        In the node's words.
    data : object
        What the node sent along; the revert data, if there is any.
    """

    def __init__(self, method: str, code: int, message: str, data: object) -> None:
        super().__init__(method, code, message, data)
        self.method, self.code, self.message, self.data = method, code, message, data

    @property
    def meaning(self) -> Meaning | None:
        """What it is about, in whatever words; None if that is not known."""
        return meaning_of(self.code, self.message)

    def __str__(self) -> str:
        return f"the node refused {self.method}: {self.message} (code {self.code}); expected a result; check request and node"


class Overloaded(Unreachable):
    """The node is there, but refuses for now what it will answer later: too many requests, or trouble that passes."""


class Transport(Protocol):
    """Asks one node; fails in its own ways."""

    def make_request(self, method: Any, params: Any) -> Any:
        """What the node answers: a mapping with a ``result`` or an ``error``."""


class Endpoint:
    """A JSON-RPC endpoint: one node, or several of one chain, of which the next is asked when one does not answer.

    Parameters
    ----------
    url : str
        ``http://``, ``https://``, or the path of an IPC socket; of several nodes, with commas between them. Headers: see `headers_for`.
    timeout_seconds : float, > 0 (default: 30)
        Time limit of one request, and for how long a failed one is repeated.
    """

    def __init__(self, url: str, timeout_seconds: float = 30.0) -> None:
        checked("the endpoint", url)
        self.url = url
        self.timeout_seconds = timeout_seconds
        self.chain_id: int | None = None
        """The chain that each of several nodes must serve; none is checked if None."""
        self._urls = [part.strip() for part in url.split(",")]
        self._transports = [_transport(part, timeout_seconds) for part in self._urls]
        self._at = 0
        self._checked: set[int] = set()

    def __repr__(self) -> str:
        return f"Endpoint({redacted(self.url)!r})"

    @property
    def is_on_this_machine(self) -> bool:
        """Whether it is reached by the path of a socket, or at a loopback address."""
        return all(is_on_this_machine(part.strip()) for part in self.url.split(","))

    def request(self, method: str, *params: object) -> Any:
        """Result of a request that may be repeated.

        Raises
        ------
        Unreachable
            No answer within the time limit.
        NodeError
            The node answered with an error.
        WrongChain
            The node, one of several, serves another chain than the others.
        """
        return repeated(lambda: self.request_in_turn(method, *params), self.timeout_seconds)

    def request_in_turn(self, method: str, *params: object) -> Any:
        """Result from the node that answered last, or from the next one that answers; each is asked once. Raises as `request` does."""
        for _ in self._urls[1:]:
            at = self._at
            try:
                return self._asked(at, method, *params)
            except Unreachable:
                self._move_on(at)
            except NodeError as error:
                if error.meaning is not Meaning.NOT_FOR_US:
                    raise
                self._move_on(at)
        return self.request_once(method, *params)

    def request_once(self, method: str, *params: object) -> Any:
        """Result of a request that is made once; raises as `request` does."""
        return self._asked(self._at, method, *params)

    def _move_on(self, at: int) -> None:
        """Ask the node after this one from now on, unless another thread has moved on from it already."""
        if self._at == at:
            self._at = (at + 1) % len(self._urls)

    def _asked(self, at: int, method: str, *params: object) -> Any:
        """Result from one of the nodes, which is believed only once it has said that it serves the chain."""
        self._check_chain(at)
        return self._answer(at, method, *params)

    def _check_chain(self, at: int) -> None:
        if self.chain_id is None or len(self._urls) == 1 or at in self._checked:
            return
        try:
            found = quantity("eth_chainId", self._answer(at, "eth_chainId"))
        except (NodeError, BadAnswer):  # whoever asked must not take it for an answer to what was asked
            raise self._unreachable(at, "it does not tell its chain id") from None  # its text may have the key of the address
        if found != self.chain_id:
            self._move_on(at)
            raise WrongChain(found, self.chain_id)
        self._checked.add(at)

    def _answer(self, at: int, method: str, *params: object) -> Any:
        import requests

        try:
            response = self._transports[at].make_request(method, list(params))
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status == _TOO_MANY_REQUESTS:
                raise self._overloaded(at, "too many requests (HTTP status 429)") from None
            if status in TRANSIENT_STATUS:
                raise self._unreachable(at, f"HTTP status {status}") from None
            raise NodeError(method, status, f"HTTP status {status}", None) from None
        except Exception as error:  # each transport fails in its own ways
            raise self._unreachable(at, type(error).__name__) from None
        if not isinstance(response, dict) or ("result" not in response and "error" not in response):
            raise self._unreachable(at, "an answer that is not JSON-RPC")
        if response.get("error") is not None:
            refusal = _node_error(method, response["error"])
            # Many providers say it in an HTTP 200. Whoever asked must not take it for an answer to what was asked.
            raise self._overloaded(at, f"{refusal.message} (code {refusal.code})") if refusal.meaning is Meaning.BUSY else refusal
        return response.get("result")

    def _overloaded(self, at: int, reason: str) -> Overloaded:
        return Overloaded(
            f"{redacted(self._urls[at])} does not answer for now: {reason}; expected fewer requests, or a plan that allows more; try again later"
        )

    def _unreachable(self, at: int, reason: str) -> Unreachable:
        return Unreachable(
            f"{redacted(self._urls[at])} does not answer ({reason}); expected a JSON-RPC endpoint; check its address and the network"
        )


def repeated(request: Callable[[], T], limit_seconds: float) -> T:
    """Result of a request that is made again, after longer and longer pauses, while it raises `Unreachable`."""
    deadline = time.monotonic() + limit_seconds
    pause_seconds = FIRST_PAUSE_SECONDS
    while True:
        try:
            return request()
        except Unreachable:
            if time.monotonic() + pause_seconds > deadline:
                raise
        # Clients that lost the same node at once must not all come back at once.
        time.sleep(pause_seconds * random.uniform(0.5, 1.0))  # noqa: S311 - hides nothing
        pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)


def checked(what: str, url: str, *, sockets: bool = True) -> str:
    """An address that is one by its form; raises `Unreachable` as `check_address` raises `Malformed`."""
    try:
        check_address(what, url, sockets=sockets)
    except Malformed as error:
        raise Unreachable(str(error)) from error
    return url


def _transport(url: str, timeout_seconds: float) -> Transport:
    if url.startswith(("http://", "https://")):
        headers = {"Content-Type": "application/json"} | headers_for(url)
        from .http_transport import HttpTransport

        return HttpTransport(url, timeout_seconds, headers)
    from web3 import IPCProvider  # takes a second to load, which only a socket needs; a late answer finds its socket closed

    return IPCProvider(url, timeout=max(1, round(timeout_seconds)))


def _node_error(method: str, error: object) -> NodeError:
    if not isinstance(error, dict):
        return NodeError(method, 0, str(error), None)
    code = error.get("code")
    return NodeError(method, code if isinstance(code, int) else 0, str(error.get("message", "")), error.get("data"))
