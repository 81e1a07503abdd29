"""The page with a document in it: one file that loads nothing."""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import Any

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""The page loads nothing but what its own server says of the market."""


def page(document: dict[str, Any], title: str) -> str:
    """HTML that shows a document."""
    parts = {
        "policy": escape(POLICY),
        "title": escape(title),
        "style": _part("page.css"),
        # Nothing that a stranger wrote on the chain may end the script.
        "data": json.dumps(document, separators=(",", ":")).replace("<", "\\u003c"),
        "script": _part("page.js"),
    }
    pieces = _part("page.html").split("{{")
    return pieces[0] + "".join(parts[name] + rest for name, _, rest in (piece.partition("}}") for piece in pieces[1:]))


def _part(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")
