"""``omnilytics explore``: markets as pages on loopback, or one market as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .session import Session, options
from .settings import CHAIN, DEPLOYMENTS, FILE, HOME, MARKET, example, to_address

if TYPE_CHECKING:
    from ..chain.market_reader import MarketReader
    from ..market.terms import Address


@click.command(
    "explore", epilog=example("omnilytics explore", "omnilytics explore 0x... --home alice", "omnilytics explore 0x... --html market.html")
)
@click.argument("address", metavar="[MARKET]", required=False, callback=to_address)
@click.option(
    "--html", "file", type=FILE, help="Write the market as one file that needs no server and loads nothing, instead of serving it."
)
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port on loopback; by default a free one.")
@click.option("--wallet", metavar="ADDRESS", callback=to_address, help="Account whose seat is marked; by default that of the home.")
@options(HOME, CHAIN, DEPLOYMENTS, MARKET)
def explore(session: Session, address: Address | None, file: Path | None, port: int, wallet: Address | None) -> None:
    """Look at markets in a browser.

    Shows the known factory's markets, or one, as the chain has them: stage and deadline, terms in words, groups, what became of every
    round, what everybody earned, accusations and answers. Pages follow the chain live. Only this machine can open them.
    """
    from ..chain.deploy import markets
    from ..chain.market_reader import MarketReader
    from ..explore.market_document import WatchedMarket
    from ..explore.page_file import write_page
    from ..explore.server import Explorer, serve

    only = address or session.named_market()
    own = wallet or (session.address() if session.home is not None else None)

    def open_market(wanted: Address) -> tuple[MarketReader, int]:
        reader = MarketReader(session.connection, wanted)
        return reader, session.first_block_of(reader)

    if file is not None:
        if only is None:
            raise click.UsageError("no market is given; --html writes one; name it as in `omnilytics explore 0x... --html market.html`")
        write_page(file, WatchedMarket(*open_market(only)).document(own))
        session.printer().facts({"file": str(file), "bytes": file.stat().st_size}, f"wrote the market {only}")
        return
    if only is None:
        session.deployment  # noqa: B018 - refused now, and not only when the page is opened
    explorer = Explorer(
        open_market, lambda: (session.deployment.factory, markets(session.connection, session.deployment)), only=only, own=own
    )
    printer = session.printer()
    serve(explorer.app(), port, lambda url: printer.facts({"url": url}, "Open this in a browser of this machine; Ctrl-C ends it."))
