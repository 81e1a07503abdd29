"""The command ``omnilytics``."""

from __future__ import annotations

import os

import click

from .. import __version__
from .audit_command import audit
from .doctor import doctor
from .explore_command import explore
from .local_command import local
from .market_commands import market
from .owner_commands import agent, claim, depart, join, leave, owner, withdraw
from .propose_command import terms_propose
from .round_commands import epoch, round_group
from .settings import example
from .wallet_commands import wallet


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog=example(
        "omnilytics local -- flwr run my-app",
        "omnilytics wallet new",
        "omnilytics market list --rpc-url http://127.0.0.1:8545",
        "omnilytics doctor",
    ),
)
@click.version_option(__version__, prog_name="omnilytics")
def main() -> None:
    """A market in which data owners train a model owner's model and a contract pays them.

    Every command has --json. Exit codes: 0 done, 1 refused by market, chain or machine (one sentence says why), 2 a wrong command line,
    130 interrupted.
    """
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        click.get_current_context().color = False


market.add_command(terms_propose)
for command in (wallet, market, epoch, round_group, owner, agent, join, leave, depart, claim, withdraw, audit, explore, local, doctor):
    main.add_command(command)
