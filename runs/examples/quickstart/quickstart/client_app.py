"""What a data owner runs: an ordinary Flower client, with one mod."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from omnilytics_flwr import omnilytics_mod  # the market: this line

from .task import get_parameters, load_data, new_model, set_parameters

app = ClientApp(mods=[omnilytics_mod])  # and this one; without a market it is ClientApp()


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Train on this data owner's own digits."""
    model = new_model(int(context.run_config["local-epochs"]))
    set_parameters(model, msg.content.array_records["arrays"].to_numpy_ndarrays())
    x_train, _, y_train, _ = load_data(int(context.node_config["partition-id"]), int(context.node_config["num-partitions"]))
    model.fit(x_train, y_train)
    metrics = MetricRecord({"num-examples": len(x_train)})
    content = RecordDict({"arrays": ArrayRecord(get_parameters(model)), "metrics": metrics})
    return Message(content=content, reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Say how good the model is on digits that this data owner has not trained on."""
    model = new_model(int(context.run_config["local-epochs"]))
    set_parameters(model, msg.content.array_records["arrays"].to_numpy_ndarrays())
    _, x_test, _, y_test = load_data(int(context.node_config["partition-id"]), int(context.node_config["num-partitions"]))
    metrics = MetricRecord({"accuracy": float(model.score(x_test, y_test)), "num-examples": len(x_test)})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=msg)
