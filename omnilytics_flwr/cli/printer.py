"""Shows facts to a person or as JSON, and every refusal as a sentence with an exit code.

Facts are a dictionary whose keys end in their units. ``_wei`` amounts are strings in JSON, because many readers round large integers.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import click

from ..errors import OmnilyticsError
from ..interruption import INTERRUPTED, Interrupted, interruptible
from ..market.amount import ETHER, UNITS_OF_TOKEN, Currency, format_amount
from ..system import NO_POSIX, POSIX_MODULE

_WIDEST = 10_000
_LONGEST_LINE, _NARROWEST = 100, 40
_LONG = 20
_NOTHING = "-"
"""What a table shows of an empty value; among facts it is left out."""
_ZERO_ADDRESS_MEANS = {"token": "ether", "admission": "open to all"}

_MANY_WEI, _MOMENT = re.compile(r"\b([0-9]{13,}) wei\b"), re.compile(r"\b[0-9]{10}\b")
_UNIX_SECONDS = re.compile(r" \(Unix seconds\b[^)]*\)")

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))

REFUSED = 1
"""Exit code when market, chain or machine said no; 2 is click's, for a wrong command line."""

_ALWAYS_ETHER = frozenset(
    {"fee_wei", "most_fee_wei", "value_wei", "balance_wei", "disputes_wei", "refund_wei", "accuse_fee_wei", "total_fee_wei"}
)


@dataclass(frozen=True, slots=True)
class Printer:
    """Shows facts.

    Parameters
    ----------
    as_json : bool
    currency : Currency (default: ether)
        What the market pays in.
    now : int, optional
        Unix seconds, to tell how far deadlines are.
    """

    as_json: bool
    currency: Currency = ETHER
    now: int | None = None

    def facts(self, facts: Mapping[str, Any], title: str = "") -> None:
        """Show facts below each other, but for empty ones."""
        if self.as_json:
            click.echo(json.dumps(plain(facts), indent=2))
            return
        if title:
            click.echo(title)
        self._lines(facts, indent=2 if title else 0)

    def rows(self, rows: Sequence[Mapping[str, Any]], empty: str = "") -> None:
        """Show rows that have the same keys as a table, below each other in a terminal that is too narrow for it.

        `empty` says what to do if there are none.
        """
        if self.as_json:
            click.echo(json.dumps([plain(row) for row in rows], indent=2))
        elif not rows:
            click.echo(empty)
        else:
            self._table(rows)

    def note(self, text: str) -> None:
        """Tell a person something more; nothing in JSON."""
        if not self.as_json:
            click.echo(text)

    def lead(self, sentence: str, next_step: str, deadline: int = 0) -> None:
        """Begin with where things stand, what comes next, and until when that is possible (Unix seconds, 0 for no limit)."""
        until = f", until {format_time(deadline, self.now)}" if deadline else ""
        self.note(f"{sentence[:1].upper()}{sentence[1:]}.")
        if next_step:
            self.note(f"Next: {next_step.replace('`', '')}{until}.")
        self.note("")

    def paragraph(self, name: str, sentence: str) -> None:
        """Show a name and a sentence, in lines that fit."""
        width = max(_NARROWEST, min(shutil.get_terminal_size().columns, _LONGEST_LINE))
        start = f"  {name:<13} "
        self.note(textwrap.fill(sentence, width, initial_indent=start, subsequent_indent=" " * len(start), break_long_words=False))

    def _lines(self, facts: Mapping[str, Any], indent: int, mark: str = "") -> None:
        printer = self._for_token(facts)
        facts = {key: value for key, value in facts.items() if _nested(value) or printer._text(key, value) != _NOTHING}
        width = max((len(label(key)) for key, value in facts.items() if not _nested(value)), default=0)
        for key, value in facts.items():
            start = f"{mark:>{indent}}"
            mark = ""
            if isinstance(value, Mapping):
                click.echo(f"{start}{label(key)}:")
                printer._lines(value, indent + 2)
            elif _nested(value):
                click.echo(f"{start}{label(key)}:")
                for entry in value:
                    printer._lines(entry, indent + 4, "- ")
            else:
                # An address each: none is found again in the middle of a long line.
                several = isinstance(value, (tuple, list)) and any(len(str(one)) > _LONG for one in value)
                lines = list(map(str, value)) if several else [printer._text(key, value)]
                click.echo(f"{start}{label(key):<{width}}  {lines[0]}")
                for line in lines[1:]:
                    click.echo(f"{'':<{indent + width}}  {line}")

    def _table(self, rows: Sequence[Mapping[str, Any]]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for key in rows[0]:
            table.add_column(Text(label(key)), no_wrap=True)
        for row in rows:
            table.add_row(*(Text(self._for_token(row)._text(key, value)) for key, value in row.items()))
        # Never narrower than its cells: an address that is cut or folded cannot be copied.
        console = Console(file=sys.stdout, width=_WIDEST)
        width = console.measure(table).maximum
        if sys.stdout.isatty() and width > shutil.get_terminal_size().columns:
            for row in rows:
                self._lines(row, 2, "- ")
        else:
            console.print(table, width=width, soft_wrap=True)

    def _for_token(self, facts: Mapping[str, Any]) -> Printer:
        """Printer for facts that name the token that their amounts are in."""
        if "token" not in facts:
            return self
        in_ether = not int(facts["token"], 16)
        return replace(self, currency=ETHER if in_ether else UNITS_OF_TOKEN if self.currency == ETHER else self.currency)

    def _text(self, key: str, value: Any) -> str:
        if value is None or (key.endswith(("_by", "_at", "_block")) and not value) or value in ((), []):
            return _NOTHING
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, bytes):
            return "0x" + value.hex() if any(value) else _NOTHING
        if key in _ZERO_ADDRESS_MEANS and not int(value, 16):
            return _ZERO_ADDRESS_MEANS[key]
        if isinstance(value, (tuple, list)):
            return ", ".join(map(str, value))
        return self._number(key, value) if isinstance(value, int) else str(value)

    def _number(self, key: str, value: int) -> str:
        if key.endswith("_wei"):
            return format_amount(value, ETHER if key in _ALWAYS_ETHER else self.currency)
        if key.endswith(("_by", "_at")):
            return format_time(value, self.now)
        if key.endswith("_seconds"):
            return f"{value:,} s ({format_span(value)})" if value >= 60 else f"{value} s"
        return str(value) if key == "chain_id" else f"{value:,}"


def label(key: str) -> str:
    """Words of a key, without the unit that the value shows."""
    for unit in ("_wei", "_seconds"):
        key = key.removesuffix(unit)
    return key.replace("_", " ")


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural if it takes one."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def plain(value: Any, key: str = "") -> Any:
    """What JSON holds of a fact."""
    if isinstance(value, Mapping):
        return {name: plain(entry, name) for name, entry in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(entry) for entry in value]
    if isinstance(value, bytes):
        return "0x" + value.hex()
    return str(value) if key.endswith("_wei") and value is not None else value


@contextmanager
def refusals_as_sentences(*, as_json: bool) -> Iterator[None]:
    """End the process with `REFUSED` and a sentence, on stderr or as JSON on stdout, if something in here says no.

    Ctrl-C and SIGTERM end it with `INTERRUPTED` and a line.
    """
    try:
        with interruptible():
            yield
    except Interrupted:
        click.get_current_context().exit(INTERRUPTED)
    except OmnilyticsError as error:
        _fail(type(error).__name__, str(error), as_json)
    except ModuleNotFoundError as error:
        if error.name == POSIX_MODULE:
            _fail("UnsupportedSystem", NO_POSIX, as_json)
        _fail("ModuleNotFoundError", f"{error.name} is not installed; expected it; `omnilytics doctor` tells how to get it", as_json)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(type(error).__name__, f"{where}{error.strerror or error}; check path, permissions and free space, then try again", as_json)


def _fail(kind: str, sentence: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"error": kind, "message": sentence}, indent=2))
    else:
        click.echo(f"{click.style('refused', fg='red')}: {_for_people(kind, sentence)}", err=True)
    click.get_current_context().exit(REFUSED)


def _for_people(kind: str, sentence: str) -> str:
    """A sentence with its moments as dates and, where they are surely ether, its large amounts in ether."""
    if kind == "NotFunded":
        sentence = _MANY_WEI.sub(lambda found: format_amount(int(found[1])), sentence)
    if _UNIX_SECONDS.search(sentence):
        dated, moments = _MOMENT.subn(lambda found: format_time(int(found[0])), sentence)
        return _UNIX_SECONDS.sub("", dated) if moments else sentence
    return sentence


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, (tuple, list)) and bool(value) and isinstance(value[0], Mapping))


def format_span(seconds: int) -> str:
    """Text of a time span in its two largest units, e.g. ``1 h 30 min``."""
    parts, rest = [], abs(seconds)
    for length, name in _SPANS:
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"


def format_time(timestamp: int, now: int | None = None) -> str:
    """Text of a moment, with how far it is from `now`; both in Unix seconds."""
    text = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    if now is None:
        return text
    return f"{text} (in {format_span(timestamp - now)})" if timestamp >= now else f"{text} ({format_span(now - timestamp)} ago)"
