"""Headers with which a node is asked, such as a provider's key: from the environment or a file, each for one host only."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import ChainError
from ..node_address import is_host, is_on_this_machine

HEADERS_VARIABLE = "OMNILYTICS_RPC_HEADERS"
HEADERS_FILE_VARIABLE = "OMNILYTICS_RPC_HEADERS_FILE"

_NAME = re.compile("[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def headers_for(url: str, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Headers for the host of an address.

    They are the lines ``host Name: value`` of ``OMNILYTICS_RPC_HEADERS``, or of the file that ``OMNILYTICS_RPC_HEADERS_FILE`` names.

    Raises
    ------
    ChainError
        The file cannot be read, a line is none, or the host would get them without TLS.
    """
    host = (urlsplit(url).hostname or "").lower()
    found = {}
    for line in filter(None, map(str.strip, _text(environment).splitlines())):
        of_host, _, header = line.partition(" ")
        name, colon, value = header.partition(":")
        if not (colon and _NAME.fullmatch(name.strip()) and value.isprintable() and is_host(of_host)):
            raise ChainError(
                f"a line of {HEADERS_VARIABLE} is no header; expected `host Name: value`, the host without port or path; correct it"
            )
        if of_host.lower() == host:
            found[name.strip()] = value.strip()
    if found and not url.startswith("https://") and not is_on_this_machine(url):
        raise ChainError(f"the headers for {host} would travel in clear; expected https://; change its address, or remove them")
    return found


def _text(environment: Mapping[str, str]) -> str:
    path = environment.get(HEADERS_FILE_VARIABLE)
    if not path:
        return environment.get(HEADERS_VARIABLE, "")
    try:
        return Path(path).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ChainError(f"{HEADERS_FILE_VARIABLE} names {path}, which cannot be read; expected a file of headers; check it") from error
