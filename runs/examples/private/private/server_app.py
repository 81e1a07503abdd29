"""What the model owner runs: the head of its net stays here."""

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr import Omnilytics, open_market

from .task import new_net

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds."""
    arrays = ArrayRecord(new_net(seed=100).state_dict())
    strategy = Omnilytics(FedAvg(), ledger=open_market(), private=("head.*",), run_config=context.run_config)
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=int(context.run_config["num-server-rounds"]))
    for number, metrics in sorted(result.evaluate_metrics_clientapp.items()):
        print(f"after round {number}: accuracy {float(str(metrics['accuracy'])):.1%}")
