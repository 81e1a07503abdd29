"""The page with a document in it: one file that loads nothing."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .market_document import Document

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The page loads nothing but what its own server says of the market."""


def page(document: Document) -> str:
    """HTML that shows a document."""
    parts = {
        "policy": escape(POLICY),
        "title": escape(_title(document)),
        "style": _part("page.css"),
        # Nothing that a stranger wrote on the chain may end the script.
        "data": json.dumps(document, separators=(",", ":")).replace("<", "\\u003c"),
        "script": _part("page.js"),
    }
    pieces = _part("page.html").split("{{")
    return pieces[0] + "".join(parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces[1:]))


def write_page(file: Path, document: Document) -> None:
    """Write a market as one file, which loads nothing and follows nothing."""
    file.write_text(page(document | {"saved": True}), encoding="utf-8")


def _title(document: Document) -> str:
    """What a browser's tab says."""
    return "Markets - OmniLytics" if "markets" in document else f"Market {str(document['market'])[:10]} - OmniLytics"


def _part(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")
