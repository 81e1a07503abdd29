"""Addresses of nodes as users write them, checked for their form where they are read: nothing is asked for that."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from .errors import Malformed

_HTTP = ("http://", "https://")
_SOCKET = ("/", "./", "../", "~/")
_PORTS = {"http": 80, "https": 443}


def check_address(what: str, text: str, *, sockets: bool = True) -> None:
    """Check an address, or several with commas between them: http, https, or the path of a socket if `sockets` may be named.

    Raises
    ------
    Malformed
        One is none; the text names `what`, if that is given, and hides what may be a key.
    """
    kinds = "http://, https:// or the path of an IPC socket, from /, ./ or ~/ on" if sockets else "http:// or https://"
    for part in text.split(","):
        if fault := _fault(part.strip(), sockets):
            shown = redacted(part.strip() if "://" in part or part.strip().startswith(_SOCKET) else "://" + part.strip())
            raise Malformed(
                f"{what + ': ' if what else ''}{shown.removeprefix('://')!r} is no address of a node ({fault}); expected {kinds}; correct it"
            )


def share_a_node(first: str, second: str) -> bool:
    """Whether two lists of addresses name the same host and port, whatever the keys; on this machine, the same path too."""
    return bool({_node(part.strip()) for part in first.split(",")} & {_node(part.strip()) for part in second.split(",")})


def is_on_this_machine(url: str) -> bool:
    """Whether an address is the path of a socket, or loopback's."""
    if "://" not in url:
        return True
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def is_host(text: str) -> bool:
    """Whether a text is the name or number of a host, without a port."""
    try:
        return bool(ip_address(text))
    except ValueError:
        return bool(text) and all(sign.isalnum() or sign in "._-" for sign in text)


def redacted(url: str) -> str:
    """The address, or addresses, without user, password, path and query, where providers put their keys."""
    if "," in url:
        return ",".join(redacted(part.strip()) for part in url.split(","))
    scheme, found, rest = url.partition("://")
    if not found:
        return url
    host = rest.split("/", 1)[0].split("?", 1)[0].rsplit("@", 1)[-1]
    return f"{scheme}://{host}"


def _fault(address: str, sockets: bool) -> str:
    """What is wrong with an address; nothing if it is one."""
    if not all(sign.isprintable() for sign in address):
        return "it has signs that none has"
    if not address.startswith(_HTTP):
        return "" if sockets and address.startswith(_SOCKET) else "it begins like none"
    if " " in address:
        return "it has a space"
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "its host or port is none"
    if not host or not is_host(host):
        return "it names no host"
    return "its port is 0" if port == 0 else ""


def _node(address: str) -> tuple[str, ...]:
    if not address.startswith(_HTTP):
        return ("", str(Path(address).expanduser()))
    parts = urlsplit(address)
    port = str(parts.port or _PORTS[parts.scheme])
    if is_on_this_machine(address):
        return ("localhost", port, parts.path.rstrip("/"), parts.query)
    return (str(parts.hostname).removesuffix("."), port)
