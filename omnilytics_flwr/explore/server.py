"""The pages of a chain's markets, served on loopback."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from ..chain.market_reader import MarketReader
from ..crypto.address import parse_address
from ..errors import OmnilyticsError
from ..market.outlook import outlook
from .market_document import Document, WatchedMarket
from .page_file import POLICY, page

if TYPE_CHECKING:
    from ..market.terms import Address

HOST = "127.0.0.1"
_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff"}


class Explorer:
    """What is served.

    Parameters
    ----------
    open_market : callable
        Reader of the market at an address, and the block that it is not older than; raises `OmnilyticsError` if there is none.
    list_markets : callable
        Factory and addresses of all markets, oldest first.
    only : Address, optional
        The one market that is shown; by default all.
    own : Address, optional
        Whose seat is marked.
    """

    def __init__(
        self,
        open_market: Callable[[Address], tuple[MarketReader, int]],
        list_markets: Callable[[], tuple[Address, tuple[Address, ...]]],
        *,
        only: Address | None = None,
        own: Address | None = None,
    ) -> None:
        self._open_market, self._list_markets = cache(open_market), list_markets
        self._watched = cache(lambda address: WatchedMarket(*self._open_market(address)))
        self._only, self._own = only, own
        self._lock = threading.Lock()

    def app(self) -> Starlette:
        """The application; it answers under loopback's names only, lest a page from elsewhere reads it."""
        routes = [
            Route("/", self._page(self._first)),
            Route("/markets.json", self._json(self._first)),
            Route("/market/{address}.json", self._json(self._one)),
            Route("/market/{address}", self._page(self._one)),
        ]
        return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])])

    def _first(self, request: Request) -> Document:
        return self._markets() if self._only is None else self._market(self._only)

    def _one(self, request: Request) -> Document:
        return self._market(parse_address(request.path_params["address"]))

    def _market(self, address: Address) -> Document:
        with self._lock:  # or two requests at once would watch it twice
            watched = self._watched(address)
        return watched.document(self._own)

    def _markets(self) -> Document:
        factory, addresses = self._list_markets()
        readers = [self._open_market(address)[0] for address in reversed(addresses)]
        return {"markets": list(map(_row, readers)), "factory": factory, "chain": readers[0].chain_id if readers else 0}

    def _json(self, make: Callable[[Request], Document]) -> Callable[[Request], Response]:
        def shown(request: Request, document: Document) -> Response:
            tag = _tag(document)
            if request.headers.get("If-None-Match") == tag:
                return Response(status_code=304, headers=_HEADERS | {"ETag": tag})
            return JSONResponse(document, headers=_HEADERS | {"ETag": tag, "Cache-Control": "no-store"})

        return _answering(make, shown)

    def _page(self, make: Callable[[Request], Document]) -> Callable[[Request], Response]:
        def shown(_: Request, document: Document) -> Response:
            return HTMLResponse(page(document | {"live": True, "etag": _tag(document)}), headers=_HEADERS)

        return _answering(make, shown)


def _answering(make: Callable[[Request], Document], shown: Callable[[Request, Document], Response]) -> Callable[[Request], Response]:
    """How a request is answered with a document, or with what is in its way."""

    def answer(request: Request) -> Response:
        try:
            document = make(request)
        except OmnilyticsError as error:
            return PlainTextResponse(str(error), 502, _HEADERS)
        return shown(request, document)

    return answer


def serve(app: Starlette, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve on loopback until it is interrupted; `on_ready` is told the address."""
    with socket.create_server((HOST, port)) as listening:
        on_ready(f"http://{HOST}:{listening.getsockname()[1]}/")
        uvicorn.Server(configured(app)).run(sockets=[listening])


def configured(app: Starlette) -> uvicorn.Config:
    """How it is served: quietly, and without waiting for browsers that keep their connections when it ends."""
    return uvicorn.Config(app, host=HOST, port=0, log_level="warning", ws="none", lifespan="off", timeout_graceful_shutdown=1)


def _tag(document: Document) -> str:
    """Tag that changes with what is shown; the chain's clock alone is no change."""
    lasting = {name: value for name, value in document.items() if name not in ("now", "block")}
    return '"' + hashlib.sha256(json.dumps(lasting, sort_keys=True).encode()).hexdigest()[:32] + '"'


def _row(reader: MarketReader) -> dict[str, Any]:
    state, terms = reader.state(), reader.terms()
    return {
        "market": reader.address,
        "sentence": outlook(state, terms, now=reader.now(), block=reader.block_number).sentence,
        "owners": (state.staked | state.slashed).bit_count(),
        "mostOwners": terms.most_owners,
        "reward": str(terms.reward_wei),
        "escrow": str(state.escrow_wei),
        "currency": reader.currency._asdict(),
    }
