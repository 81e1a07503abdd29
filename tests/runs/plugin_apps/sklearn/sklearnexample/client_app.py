"""The client: a train and an evaluate function."""

import warnings

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from sklearn.metrics import log_loss

from sklearnexample.task import create_model, get_params, load_data, set_params

# Flower ClientApp
app = ClientApp()


def _load(msg: Message, context: Context):
    model = create_model(context.run_config["strength"])
    set_params(model, msg.content["arrays"].to_numpy_ndarrays())
    return model, *load_data(context.node_config["partition-id"], context.node_config["num-partitions"])


@app.train()
def train(msg: Message, context: Context):
    """Train on the client's own flowers."""
    model, data, kinds = _load(msg, context)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(data, kinds)
    metrics = MetricRecord({"train_logloss": log_loss(kinds, model.predict_proba(data)), "num-examples": len(kinds)})
    return Message(content=RecordDict({"arrays": ArrayRecord(get_params(model)), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context):
    """Test on the client's own flowers."""
    model, data, kinds = _load(msg, context)
    metrics = MetricRecord({"accuracy": float(model.score(data, kinds)), "num-examples": len(kinds)})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=msg)
