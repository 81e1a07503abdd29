"""``omnilytics epoch`` and ``omnilytics round``: freezing, drawing, showing rounds, and ending overdue ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from ..market.stage import Stage
from .market_facts import group_facts, state_facts
from .session import Session, options
from .settings import ACCOUNT, CHAIN, FILE, MARKET, SENDING, example

_ROUND_STATE = (
    "stage epoch round opened_in_epoch open_by settle_by answer_by task_hash roster_hash groups accused answered slashed "
    "escrow_wei bond_wei disputes_wei"
).split()
_SECONDS_A_BLOCK = 12


@click.group(epilog=example("omnilytics epoch freeze --market 0x...", "omnilytics epoch draw --market 0x..."))
def epoch() -> None:
    """Epochs: the time between two draws."""


@epoch.command("freeze", epilog=example("omnilytics epoch freeze --market 0x... --dry-run"))
@options(CHAIN, MARKET, ACCOUNT, SENDING)
def freeze(session: Session) -> None:
    """Fix the enrolled data owners as the next epoch.

    This also fixes the block whose randomness will draw the groups. Model owner only.
    """
    if session.send(lambda: session.ledger.freeze()):
        session.printer().note(f"Next: omnilytics epoch draw --market {session.market} --wait")


@epoch.command("draw", epilog=example("omnilytics epoch draw --market 0x... --wait"))
@click.option("--wait", is_flag=True, help="Wait until the chain has reached the block of the draw.")
@click.option(
    "--header", "header_path", type=FILE, help="RLP header of that block in hex, as debug_getRawHeader answers; by default asked for."
)
@options(CHAIN, MARKET, ACCOUNT, SENDING)
def draw(session: Session, wait: bool, header_path: Path | None) -> None:
    """Draw the groups of the frozen epoch.

    The randomness of the block that the freeze has fixed decides. Anybody may call this.
    """
    header = _header(header_path) if header_path is not None else None
    _come_to_draw_block(session, wait=wait and not session.settings.dry_run)
    action = session.ledger.draw if header is None else partial(session.ledger.draw_with, header)
    session.send(action, lambda: {"groups": group_facts(session.reader)})


@epoch.command("show", epilog=example("omnilytics epoch show --market 0x..."))
@options(CHAIN, MARKET)
def show_epoch(session: Session) -> None:
    """Groups of the present epoch and their members."""
    state, now = session.reader.state(), session.connection.block_number()
    facts: dict[str, Any] = {
        "stage": state.stage.name.lower(),
        "epoch": state.epoch,
        "rounds_opened": state.opened_in_epoch,
        "rounds_per_epoch": session.reader.terms().rounds_per_epoch,
        "enrolled_for_next": state.enrolled.bit_count(),
        "block": now,
        "draw_block": state.draw_block or None,
    }
    printer = session.printer(market=session.reader)
    session.lead(printer, state)
    printer.facts(facts | {"groups": group_facts(session.reader)})


@click.group("round", epilog=example("omnilytics round show --market 0x..."))
def round_group() -> None:
    """Rounds: one task each, from anchor to settlement or timeout."""


@round_group.command("show", epilog=example("omnilytics round show --market 0x...", "omnilytics round show --round 3 --market 0x..."))
@click.option("--round", "number", type=click.IntRange(1), help="A finished round; by default the live one, or the last.")
@options(CHAIN, MARKET)
def show_round(session: Session, number: int | None) -> None:
    """Deadlines, roster and accusations of a round.

    For a finished round, who is paid.
    """
    reader, state = session.reader, session.reader.state()
    printer = session.printer(market=reader)
    if number in (None, state.round):
        session.lead(printer, state)
    if state.stage in (Stage.ANCHORED, Stage.OPEN) and number in (None, state.round):
        facts = state_facts(state)
        printer.facts({name: facts[name] for name in _ROUND_STATE if name in facts} | {"members": group_facts(reader)})
    elif number is not None or state.round or session.settings.as_json:
        printer.facts(_finished(session, state.round if number is None else number))


@round_group.command("timeout", epilog=example("omnilytics round timeout --market 0x..."))
@options(CHAIN, MARKET, ACCOUNT, SENDING)
def timeout(session: Session) -> None:
    """Pay everybody on the roster of an overdue round.

    The round was not settled in time; the roster shares its bond. Anybody may call this.
    """
    number = session.reader.state().round
    session.send(lambda: session.ledger.timeout(number), lambda: _finished(session, number))


def _finished(session: Session, number: int) -> dict[str, Any]:
    """What a round that is over pays; nothing if it never opened or pays nobody."""
    from ..market.roster import bits_of

    reader = session.reader
    seats, share_wei = reader.paid_seats(number), reader.bond_share_wei(number)
    return {
        "round": number,
        "paid_seats": list(bits_of(seats)),
        "paid_each_wei": reader.terms().reward_wei + share_wei if seats else 0,
        "of_it_bond_share_wei": share_wei,
    }


def _header(path: Path) -> bytes:
    text = path.read_text(errors="replace").strip()
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise click.UsageError(f"{path} holds no header; expected its RLP in hexadecimal digits, as debug_getRawHeader answers") from None


def _come_to_draw_block(session: Session, *, wait: bool) -> None:
    """Refuse a draw that cannot be made yet; a real chain is waited for only if that was asked for."""
    from ..evm.connection import poll
    from ..market.refusals import DrawTooEarly

    state, connection = session.reader.state(), session.connection
    block, first = connection.block_number(), state.draw_block + 1
    if block >= first or not state.draw_block or (connection.is_local and not session.settings.dry_run):
        return
    if not wait:
        raise DrawTooEarly(block, state.draw_block)
    poll(lambda: connection.block_number() >= first or None, 10.0 * _SECONDS_A_BLOCK * (first - block), f"block {first}")
