"""Commands of a data owner: make a home, run the owner agent, join, leave, depart, claim and withdraw."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from ..errors import Malformed, TermsError
from ..market.examples import MOST_EXAMPLES
from .account import ask_password
from .market_facts import account_facts
from .session import Session, options
from .settings import ACCOUNT, CHAIN, DEPLOYMENTS, FOLDER, HOME, MARKET, PASSWORD, SENDING, example, to_address, to_bytes, to_node

if TYPE_CHECKING:
    from ..data_owner.owner_home import OwnerHome
    from ..market.terms import Address

_PARTY = (*HOME, *CHAIN, *MARKET, *ACCOUNT)


@click.group(epilog=example("omnilytics owner init alice --market 0x... --keystore alice.json"))
def owner() -> None:
    """Owner homes: the folder of one data owner in one market."""


@owner.command(
    "init",
    epilog=example(
        "omnilytics owner init alice --market 0x... --keystore alice.json --password-file alice.password",
        "omnilytics owner init alice --market 0x... --keystore alice.json --policy confirmations=3 --policy most-clip=0.5",
    ),
)
@click.argument("folder", metavar="HOME", type=FOLDER)
@click.option("--policy", "policies", metavar="NAME=VALUE", multiple=True, help="Entry of the policy, with its value in TOML; repeatable.")
@click.option(
    "--agent",
    "agent_kind",
    type=click.Choice(["process", "local"]),
    default="process",
    show_default=True,
    help="Who holds keys and journal: `omnilytics agent`, a process of its own that also answers accusations, or the Flower client.",
)
@click.option(
    "--run-folder", type=FOLDER, help="Where the agent puts its socket, for a Flower client of another user; by default the home."
)
@click.option("--run-group", metavar="GROUP", help="Group whose members may use that socket.")
@click.option(
    "--second-rpc-url",
    metavar="URL",
    callback=to_node,
    help="Node that somebody else runs: it must show the same before anything is signed or leaves.",
)
@click.option(
    "--examples",
    type=click.IntRange(0, MOST_EXAMPLES),
    default=0,
    help="On how many examples you train: everybody sees it once you join, and updates weigh by it. Keep it for as long as the data are the "
    "same. Left out, yours weigh as usual ones do.",
)
@click.option(
    "--data-set",
    type=FOLDER,
    help="Folder that all your homes with the same data name: `most-peer-sets` of the policy counts for them together, and they must state the "
    "same number of examples, in markets with the same usual one.",
)
@options(CHAIN, DEPLOYMENTS, MARKET, ACCOUNT)
def init(
    session: Session,
    folder: Path,
    policies: tuple[str, ...],
    agent_kind: str,
    run_folder: Path | None,
    run_group: str | None,
    second_rpc_url: str | None,
    examples: int,
    data_set: Path | None,
) -> None:
    """Make an owner home, for one data owner in one market.

    The home names chain, market, account and policy, and will hold mask keys and journal. This command checks chain, market and account
    first. The account's key stays where it is.
    """
    from ..data_owner.owner_config import check_second_address
    from ..data_owner.owner_home import OwnerHome, try_node
    from ..data_owner.policy import Policy

    if session.settings.rpc_url is not None:
        try:
            check_second_address(session.settings.rpc_url, second_rpc_url)
        except Malformed as error:
            raise click.BadParameter(f"{error}.") from error
    entries = _policy(policies)
    policy = Policy.from_mapping(entries)
    policy.check_market(session.connection.chain_id, session.market)
    policy.check_terms(session.market, session.reader.terms())
    session.check_trusted(policy)
    answer_wei = try_node(session.reader)
    address = session.address()
    home = OwnerHome.create(
        folder,
        rpc_url=str(session.settings.rpc_url),
        chain_id=session.connection.chain_id,
        market=session.market,
        factory=session.trusted_factory(),
        account=_account_entry(session),
        policy=entries,
        agent=agent_kind,
        run_folder=_in_full(run_folder),
        run_group=run_group,
        second_rpc_url=second_rpc_url,
        examples=examples,
        data_set=_in_full(data_set),
    )
    printer = session.printer()
    made = {"home": str(home.path), "account": address, "market": home.config.market, "chain_id": home.config.chain_id}
    made |= {"answer_today_wei": answer_wei} if answer_wei else {}
    printer.facts(made, "made an owner home")
    printer.note(f"Next: omnilytics join --home {home.path}")


@click.command("agent", epilog=example("omnilytics agent alice", "omnilytics agent alice --log-format json --health-port 9464"))
@click.argument("folder", metavar="HOME", type=FOLDER)
@click.option(
    "--log-format",
    envvar="OMNILYTICS_LOG_FORMAT",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Log lines, on standard error, for people or for machines.",
)
@click.option(
    "--health-port",
    envvar="OMNILYTICS_HEALTH_PORT",
    type=click.IntRange(0, 65535),
    help="Port of loopback for /health and, if prometheus_client is installed, /metrics; 0 takes a free one. By default there is none.",
)
@options()
def agent(session: Session, folder: Path, log_format: str, health_port: int | None) -> None:
    """Run the owner agent of an owner home.

    The agent holds keys and journal, serves the Flower client, and answers accusations, until it is interrupted or terminated. If neither
    the home nor the environment has the keystore's password, the agent asks for it at the start.
    """
    from ..data_owner.agent_process import run_agent
    from ..data_owner.owner_home import OwnerHome
    from ..telemetry import log_to_stderr

    home = OwnerHome.open(folder)
    _unlock(home)
    log_to_stderr(log_format)
    ready = {"home": str(folder), "market": home.config.market, "ready": True}
    run_agent(folder, on_ready=lambda: session.printer().facts(ready, "owner agent"), health=health_port)


@click.command("join", epilog=example("omnilytics join --home alice --dry-run", "omnilytics join --home alice"))
@click.option("--admission-data", metavar="HEX", default="", callback=to_bytes, help="Credential for the market's admission gate.")
@options(HOME, PASSWORD, SENDING)
def join(session: Session, admission_data: bytes) -> None:
    """Enrol for the next epoch; pays the stake if new.

    This makes the mask key of that epoch in the owner home. It first tries whether the node would pass on an answer to an accusation, and
    says what that would cost today.
    """
    from ..data_owner.owner_home import try_node

    home = session.home
    if home is None:
        raise click.UsageError("no owner home is given; name it by --home or OMNILYTICS_OWNER_HOME; make it with `omnilytics owner init`")
    session.check_trusted(home.policy)
    answer_wei = try_node(session.reader)
    with TemporaryDirectory() as elsewhere:
        # A plan leaves no mask key and no note of joining in the home.
        used = replace(home, path=Path(elsewhere)) if session.settings.dry_run else home
        session.send(
            lambda: used.agent_for(session.ledger).join(admission_data),
            lambda: _account(session) | ({"answer_today_wei": answer_wei} if answer_wei else {}),
        )


@click.command("leave", epilog=example("omnilytics leave --home alice"))
@options(_PARTY, SENDING)
def leave(session: Session) -> None:
    """Give notice, to depart after a delay.

    The account leaves the next epoch at once, and may depart after the delay that the terms fix.
    """
    session.send(lambda: session.ledger.leave(), lambda: _account(session))


@click.command("depart", epilog=example("omnilytics depart --home alice"))
@click.option("--owner", "who", metavar="ADDRESS", callback=to_address, help="Data owner that departs; by default the account.")
@options(_PARTY, SENDING)
def depart(session: Session, who: Address | None) -> None:
    """Give up the seat and take the stake back.

    Possible after the delay of `leave`, or at once if the stake was lost. Stake and unclaimed rewards go to the data owner, whoever
    calls.
    """
    session.send(lambda: session.ledger.depart(who or session.account), lambda: _account(session, who))


@click.command("claim", epilog=example("omnilytics claim --home alice", "omnilytics claim --owner 0x... --through 12"))
@click.option("--owner", "who", metavar="ADDRESS", callback=to_address, help="Data owner that is paid; by default the account.")
@click.option("--through", type=click.IntRange(1), help="Last round to claim; by default the last finished one.")
@options(_PARTY, SENDING)
def claim(session: Session, who: Address | None, through: int | None) -> None:
    """Pay a data owner the rewards of its finished rounds.

    Anybody may call this; the money goes to the data owner.
    """
    last = session.reader.state().round if through is None else through
    session.send(lambda: session.ledger.claim(who or session.account, last), lambda: _account(session, who))


@click.command("withdraw", epilog=example("omnilytics withdraw --market 0x..."))
@click.option("--account", "who", metavar="ADDRESS", callback=to_address, help="Account that is paid; by default the sender.")
@options(_PARTY, SENDING)
def withdraw(session: Session, who: Address | None) -> None:
    """Pay out a credit.

    A credit is what a closed market returns to its model owner, or ether that disputes have freed. Anybody may call this; the money goes
    to the account.
    """
    session.send(lambda: session.ledger.withdraw(who or session.account), lambda: _account(session, who))


def _account(session: Session, who: Address | None = None) -> dict[str, Any]:
    account = who or session.account
    facts = account_facts(session.reader, account)
    return {"account": account, **facts, "balance_wei": session.connection.balance_wei(account)}


def _account_entry(session: Session) -> dict[str, object]:
    """How the home names the account; paths in full, for the home may be opened from anywhere."""
    source = session.source
    if source.dev_account is not None:
        return {"development": source.dev_account}
    if source.keystore is None:
        return {"environment": True}
    entry: dict[str, object] = {"keystore": str(source.keystore.resolve())}
    return entry | ({"password-file": str(source.password_file.resolve())} if source.password_file is not None else {})


def _in_full(folder: Path | None) -> str | None:
    return None if folder is None else str(folder.resolve())


def _unlock(home: OwnerHome) -> None:
    """Put a keystore's password where the agent of this process looks for it, if it is nowhere yet."""
    from ..evm.wallet import PASSWORD_VARIABLE

    account = home.config.account
    if account.keystore is not None and account.password_file is None and PASSWORD_VARIABLE not in os.environ:
        password = ask_password(f"Password of {account.keystore}")
        os.environ[PASSWORD_VARIABLE] = password.reveal().decode()


def _policy(entries: tuple[str, ...]) -> dict[str, object]:
    found: dict[str, object] = {}
    for entry in entries:
        name, separator, value = entry.partition("=")
        if not separator:
            raise click.UsageError(f"--policy {entry!r} has no value; expected NAME=VALUE, such as confirmations=3")
        try:
            found[name.strip()] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as error:
            raise TermsError(f"--policy {entry!r}: the value does not parse ({error}); write it as in TOML, text in quotes") from error
    return found
