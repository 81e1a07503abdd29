"""A process that sends one transaction and may be killed meanwhile; run with the node's address, the outbox and the contract."""

from __future__ import annotations

import sys
from pathlib import Path

from omnilytics_flwr.evm.connection import connect
from omnilytics_flwr.evm.reverts import PLAIN
from omnilytics_flwr.evm.transaction import Payload
from omnilytics_flwr.evm.wallet import dev_wallet
from omnilytics_flwr.evm.wallet_sender import sender_for
from omnilytics_flwr.market.terms import Address


def main(url: str, outbox: str, contract: str) -> None:
    """Send an empty call and wait for its receipt."""
    connection = connect(url, outbox=Path(outbox))
    sender_for(connection, dev_wallet(0, connection)).send("child", Payload(Address(contract), b""), PLAIN)


if __name__ == "__main__":
    main(*sys.argv[1:])
