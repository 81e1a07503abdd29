"""A user's own script: a market in Flower's simulation, whose clients train for longer than anybody waits."""

from __future__ import annotations

import time

import numpy as np
from flwr.app import Array, ArrayRecord, Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr import LocalMarket, Omnilytics, omnilytics_mod, open_market

server, client = ServerApp(), ClientApp(mods=[omnilytics_mod])
model = ArrayRecord({"weights": Array(np.zeros(4))})


@server.main()
def serve(grid: Grid, context: Context) -> None:
    print("training", flush=True)
    Omnilytics(FedAvg(), ledger=open_market()).start(grid, model, 1, timeout=3600)


@client.train()
def train(message: Message, context: Context) -> Message:
    time.sleep(3600)
    return message


if __name__ == "__main__":
    with LocalMarket.for_model(model, num_owners=15, group_size=3, rounds=1) as market:
        market.run(server, client)
