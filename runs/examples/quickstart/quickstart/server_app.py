"""What the model owner runs: an ordinary Flower server, with one more line for the strategy."""

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from omnilytics_flwr import Omnilytics, open_market  # the market: this line

from .task import get_parameters, new_model

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Train for some rounds."""
    arrays = ArrayRecord(get_parameters(new_model(int(context.run_config["local-epochs"]))))
    strategy = Omnilytics(FedAvg(), ledger=open_market(), run_config=context.run_config)  # and this one
    result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=int(context.run_config["num-server-rounds"]))
    for number, metrics in sorted(result.evaluate_metrics_clientapp.items()):
        print(f"after round {number}: accuracy {float(str(metrics['accuracy'])):.1%}")
