"""Paying with an ERC-20 token: what an account holds, and what it lets a market take."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..crypto.address import Address
from ..errors import NotFunded, OmnilyticsError
from .abi import Abi
from .connection import BlockName, Connection
from .reverts import PLAIN
from .sender import Sender
from .transaction import Log, Payload

APPROVE = "approve"

_SYMBOL = re.compile(r"[A-Za-z0-9.$_-]{1,16}")
_MOST_DECIMALS = 36


def _function(name: str, inputs: tuple[str, ...], output: str) -> dict[str, object]:
    return {"type": "function", "name": name, "inputs": [{"type": kind} for kind in inputs], "outputs": [{"type": output}]}


_ABI = Abi(
    [
        _function("balanceOf", ("address",), "uint256"),
        _function("symbol", (), "string"),
        _function("decimals", (), "uint8"),
        _function("allowance", ("address", "address"), "uint256"),
        _function(APPROVE, ("address", "uint256"), "bool"),
        {
            "type": "event",
            "name": "Transfer",
            "inputs": [
                {"name": "from", "type": "address", "indexed": True},
                {"name": "to", "type": "address", "indexed": True},
                {"name": "value", "type": "uint256", "indexed": False},
            ],
        },
    ]
)


def balance_wei(connection: Connection, token: Address, account: Address, block: BlockName = "latest") -> int:
    """Units of a token that an account holds; raises `Malformed` if the contract is no token."""
    return _read(connection, token, "balanceOf", account, block=block)


def described(connection: Connection, token: Address) -> tuple[str, int] | None:
    """Symbol and decimals of a token as it gives them; None if it gives none that a line can hold: both are optional, and a stranger's."""
    try:
        (symbol,) = _ABI.results("symbol", connection.call(token, _ABI.call_data("symbol"), PLAIN))
        decimals = _read(connection, token, "decimals")
    except (OmnilyticsError, UnicodeError):
        return None
    return (symbol, decimals) if _SYMBOL.fullmatch(symbol) and decimals <= _MOST_DECIMALS else None


def transfers(logs: Iterable[Log], token: Address) -> Iterator[tuple[Address, Address, int]]:
    """From whom to whom how many of a token's units went."""
    for contract, topics, data in logs:
        decoded = _ABI.log(topics, data) if contract == token else None
        if decoded is not None:
            sender, to, amount = decoded[1].values()
            yield Address(str(sender)), Address(str(to)), int(str(amount))


def allowance_wei(connection: Connection, token: Address, owner: Address, spender: Address) -> int:
    """Units of a token that `spender` may take from `owner`."""
    return _read(connection, token, "allowance", owner, spender)


def allow(sender: Sender, token: Address, *, spender: Address, amount_wei: int) -> None:
    """Let `spender` take an amount, and no more; sends nothing if it already may, or if the account does not hold it (`NotFunded`)."""
    held = balance_wei(sender.connection, token, sender.address)
    if held < amount_wei:
        raise NotFunded(
            f"{sender.address} holds {held} units of the token {token}; expected {amount_wei}; send it the other {amount_wei - held}"
        )
    allowed = allowance_wei(sender.connection, token, sender.address, spender)
    if allowed >= amount_wei:
        return
    if allowed:
        # Some tokens let an allowance be changed only from or to zero.
        _approve(sender, token, spender, 0)
    _approve(sender, token, spender, amount_wei)


def _approve(sender: Sender, token: Address, spender: Address, amount_wei: int) -> None:
    sender.prepare(APPROVE, Payload(token, _ABI.call_data(APPROVE, spender, amount_wei)))


def _read(connection: Connection, token: Address, function: str, *arguments: object, block: BlockName = "latest") -> int:
    return int(_ABI.results(function, connection.call(token, _ABI.call_data(function, *arguments), PLAIN, block=block))[0])
