"""Times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_SPANS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


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
