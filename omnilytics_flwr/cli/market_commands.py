"""``omnilytics market``: deploying contracts; creating, finding, reading, funding and closing markets."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ChainError, TermsError
from ..market.amount import Amount, amount_for
from .market_facts import money_facts, state_facts, terms_facts
from .session import Session, options, read_deployments
from .settings import ACCOUNT, CHAIN, DEPLOYMENTS, FILE, MARKET, SENDING, VERIFICATIONS, default_deployments, example, to_address, to_amount

if TYPE_CHECKING:
    from ..market.terms import Address, Terms


@click.group(epilog=example("omnilytics market list", "omnilytics market show --market 0x..."))
def market() -> None:
    """Create, find, read, fund and close markets."""


@market.command("terms-template", epilog=example("omnilytics market terms-template --owners 20 --weights 20314 > terms.toml"))
@click.option("--owners", type=int, default=24, show_default=True, help="Most data owners.")
@click.option("--weights", type=int, default=20_000, show_default=True, help="Weights of the model's public part.")
@click.option("--group-size", type=int, help="Members of a group; by default 4 if that leaves a group to spare, else 3.")
@click.option(
    "--verification",
    type=click.Choice(VERIFICATIONS),
    help="Whether distances are proven exactly or of projections, or computed by the contract, which shows everybody the sum of each group "
    "and takes some 3,000 weights; by default exactly if a transaction has room for it, else of projections.",
)
@click.option("--output", type=FILE, help="Write them into this file, and nothing if none fit; by default to standard output.")
@options()
def terms_template(
    session: Session, owners: int, weights: int, group_size: int | None, verification: str | None, output: Path | None
) -> None:
    """Print commented terms that fit, with the bounds of each."""
    from ..errors import BadTerms
    from .terms_file import template

    try:
        text = template(owners=owners, weights=weights, group_size=group_size, verification=verification)
    except BadTerms as error:
        raise TermsError(
            f"{error}; change --owners ({owners}), --group-size ({group_size or 'not given'}) or --weights ({weights:,})"
        ) from error
    if output is not None:
        output.write_text(text, encoding="utf-8")
        session.printer().facts({"terms": str(output)}, "wrote terms")
        return
    click.echo(json.dumps({"toml": text}, indent=2) if session.settings.as_json else text, nl=session.settings.as_json)


@market.command("deploy", epilog=example("omnilytics market deploy --dry-run", "omnilytics market deploy"))
@options(CHAIN, DEPLOYMENTS, ACCOUNT, SENDING)
def deploy(session: Session) -> None:
    """Deploy the contracts on a chain that has none.

    This is done once for a chain: all markets share factory and verifications, and nobody owns them. Their addresses go into the
    deployments file.
    """
    from ..chain.deploy import deploy as deploy_contracts
    from ..chain.known_deployments import json_of

    path = session.settings.deployments or default_deployments()
    known = read_deployments(session.settings) if path.exists() else {}
    if session.plan(lambda: _prepare_deployment(session), session.printer()):
        return
    made = deploy_contracts(session.sender)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json_of(known | {made.chain_id: made}))
    records = session.connection.transactions
    cost = {"gas": sum(record.gas_used for record in records), "fee_wei": sum(record.fee_wei for record in records)}
    session.printer().facts({**asdict(made), **cost, "noted_in": str(path)}, "deployed")


@market.command(
    "create", epilog=example("omnilytics market create --terms terms.toml --dry-run", "omnilytics market create --terms terms.toml")
)
@click.option("--terms", "terms_path", type=FILE, required=True, help="Terms; see `omnilytics market terms-template`.")
@click.option("--by-invitation", is_flag=True, help="Admit whom the model owner invites by `omnilytics market invite`.")
@options(CHAIN, DEPLOYMENTS, ACCOUNT, SENDING)
def create(session: Session, terms_path: Path, by_invitation: bool) -> None:
    """Create a market whose model owner is the account."""
    from ..chain.deploy import create_market
    from .terms_file import read_terms

    deployment = session.deployment
    terms = read_terms(terms_path, deployment.verification, deployment.computed)
    if by_invitation:
        terms = replace(terms, admission=deployment.gate)
    _tell_of_short_delay(session, terms)
    if session.plan(lambda: create_market(session.sender, deployment, terms), session.printer()):
        return
    address = create_market(session.sender, deployment, terms)
    record = session.connection.transactions[-1]
    made = {"market": address, "model_owner": session.account, "terms_hash": terms.digest()}
    sent = {"transaction": record.transaction_hash, "block": record.block, "gas": record.gas_used, "fee_wei": record.fee_wei}
    printer = session.printer()
    printer.facts(made | sent, "created")
    printer.note(f"Next: omnilytics market fund AMOUNT --market {address}")


@market.command("list", epilog=example("omnilytics market list --newest 5"))
@click.option("--newest", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--model-owner", metavar="ADDRESS", callback=to_address, help="Only markets of this model owner.")
@options(CHAIN, DEPLOYMENTS)
def list_(session: Session, newest: int, model_owner: Address | None) -> None:
    """Markets of the chain's known factory, newest first."""
    from ..chain.deploy import markets
    from ..chain.market_reader import MarketReader

    rows: list[dict[str, Any]] = []
    for address in reversed(markets(session.connection, session.deployment)):
        if len(rows) == newest:
            break
        reader = MarketReader(session.connection, address)
        if model_owner in (None, reader.model_owner):
            rows.append(_row(reader))
    session.printer().rows(rows, "There are no such markets yet; make one with `omnilytics market create`.")


@market.command("show", epilog=example("omnilytics market show --market 0x...", "omnilytics market show --market 0x... --all"))
@click.option("--all", "everything", is_flag=True, help="Show every field of state and terms.")
@options(CHAIN, DEPLOYMENTS, MARKET)
def show(session: Session, everything: bool) -> None:
    """Where a market stands, its money and its terms.

    Also says whether the known factory created it and its verification is of this version: any other market may be a forgery.
    `public_sums` says that its verification shows everybody the sum of each group.
    """
    from ..explore.terms_in_words import terms_in_words
    from ..market.terms import ZERO_ADDRESS

    reader = session.reader
    state, terms = reader.state(), reader.terms()
    facts = {
        "market": reader.address,
        "chain_id": reader.chain_id,
        "model_owner": reader.model_owner,
        "of_known_factory": _is_of_known_factory(session),
        "known_verification": reader.has_known_verification(),
        "public_sums": reader.scheme().public_sums,
    }
    printer = session.printer(market=reader)
    if everything or session.settings.as_json:
        printer.facts({**facts, "state": state_facts(state), "terms": terms_facts(terms)})
        return
    session.lead(printer, state)
    token = {} if terms.token == ZERO_ADDRESS else {"token": terms.token}
    printer.facts(facts | token | money_facts(state, terms))
    printer.note("\nTerms (all fields of state and terms: --all)")
    for name, sentence in terms_in_words(terms, reader.currency, public_sums=reader.scheme().public_sums):
        printer.paragraph(name, sentence)


@market.command("invite", epilog=example("omnilytics market invite 0x... --market 0x... --through-epoch 12"))
@click.argument("owner", metavar="ADDRESS", callback=to_address)
@click.option("--through-epoch", type=click.IntRange(1, 2**32 - 1), help="Last epoch that it is good for; by default the next.")
@options(CHAIN, MARKET, ACCOUNT)
def invite(session: Session, owner: Address, through_epoch: int | None) -> None:
    """Sign a voucher for a data owner.

    It admits the address ADDRESS to a market by invitation. Model owner only; nothing is sent.
    """
    from ..market.messages import Voucher, sign_voucher
    from ..market.refusals import NotModelOwner

    reader = session.reader
    if not reader.has_voucher_gate():
        raise TermsError(
            f"the market {reader.address} is not joined by voucher; expected one of `omnilytics market create --by-invitation`"
        )
    if session.account != reader.model_owner:
        raise NotModelOwner(session.account)
    voucher = Voucher(reader.address, owner, through_epoch or reader.state().epoch + 1)
    data = sign_voucher(session.sender, voucher, chain_id=reader.chain_id, gate=reader.terms().admission)
    printer = session.printer()
    printer.facts({**asdict(voucher), "admission_data": data}, "invited")
    printer.note(f"Next, the data owner: omnilytics join --home HOME --admission-data 0x{data.hex()}")


@market.command("fund", epilog=example('omnilytics market fund "1.5 ether" --market 0x... --dry-run'))
@click.argument("amount", callback=to_amount)
@options(CHAIN, MARKET, ACCOUNT, SENDING)
def fund(session: Session, amount: Amount) -> None:
    """Pay AMOUNT into the escrow.

    Rewards and the bond come from it.

    AMOUNT has a unit: wei, gwei or ether; in a market that pays in a token, "units" (the smallest). The token's allowance is raised
    first if it is too small.
    """
    from ..market.terms import ZERO_ADDRESS

    try:
        number = amount_for(amount, in_ether=session.reader.terms().token == ZERO_ADDRESS)
    except ValueError as error:
        raise TermsError(str(error)) from None
    session.send(lambda: session.ledger.fund(number), lambda: {"escrow_wei": session.reader.state().escrow_wei})


@market.command("close", epilog=example("omnilytics market close --market 0x... --yes"))
@click.option("--yes", is_flag=True, help="Do not ask.")
@options(CHAIN, MARKET, ACCOUNT, SENDING)
def close(session: Session, yes: bool) -> None:
    """Close a market; it cannot be opened again.

    Escrow and bond are credited to its model owner; `withdraw` pays them out.
    """
    if not (yes or session.settings.dry_run):
        if not _is_interactive():
            raise ChainError("a closed market cannot be opened again; expected somebody to confirm; add --yes")
        click.confirm(f"Close the market {session.market}? It cannot be opened again.", abort=True, err=True)
    if session.send(lambda: session.ledger.close()):
        session.printer().note(f"Next: omnilytics withdraw --market {session.market}")


def _is_interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def _row(reader: Any) -> dict[str, Any]:
    state, terms = reader.state(), reader.terms()
    return {
        "market": reader.address,
        "stage": state.stage.name.lower(),
        "epoch": state.epoch,
        "round": state.round,
        "owners": f"{state.staked.bit_count()}/{terms.most_owners}",
        "weights": terms.weights,
        "token": terms.token,
        "reward_wei": terms.reward_wei,
        "stake_wei": terms.stake_wei,
        "escrow_wei": state.escrow_wei,
        "model_owner": reader.model_owner,
    }


def _is_of_known_factory(session: Session) -> bool | None:
    """Whether the known factory created the market; None if none is known on this chain."""
    from ..chain.deploy import check_created
    from ..errors import UnknownMarket, UnsupportedChain

    try:
        check_created(session.connection, session.known_deployment().factory, session.market)
    except UnknownMarket:
        return False
    except UnsupportedChain:
        return None
    return True


def _tell_of_short_delay(session: Session, terms: Terms) -> None:
    """Say if data owners would refuse the draw by their usual policy, before a market is paid for that nobody works in."""
    from ..chain.chain_support import is_rollup
    from ..data_owner.policy import Policy

    connection = session.connection
    least = Policy().for_chain(is_local=connection.is_local, is_rollup=is_rollup(connection)).least_draw_delay_blocks or 0
    if terms.draw_delay_blocks < least:
        session.printer().note(
            f"Data owners on this chain want a draw at least {least:,} blocks after the freeze, by their usual policy, and would refuse "
            f"this market's {terms.draw_delay_blocks}; raise draw-delay-blocks in the terms."
        )


def _prepare_deployment(session: Session) -> None:
    """The transactions of a deployment, as a dry run notes them."""
    from ..chain.deploy import deployments

    for transaction in deployments(session.connection).values():
        session.sender.prepare(*transaction)
