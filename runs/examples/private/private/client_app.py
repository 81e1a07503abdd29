"""What a data owner runs: its own head joins the body that travels, before its functions see the model."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from omnilytics_flwr import OmnilyticsMod

from .task import Net, accuracy, load_data, new_net
from .task import train as fit


def initial_model(context: Context) -> ArrayRecord:
    """Where this data owner's private part starts: only its head is taken."""
    return ArrayRecord(new_net(seed=int(context.node_config["partition-id"])).state_dict())


app = ClientApp(mods=[OmnilyticsMod(initial_model=initial_model)])


def _net_of(msg: Message) -> Net:
    net = Net()
    net.load_state_dict(msg.content.array_records["arrays"].to_torch_state_dict())
    return net


@app.train()
def train(msg: Message, context: Context) -> Message:
    """Train body and head on this data owner's own digits."""
    net, settings = _net_of(msg), context.run_config
    images, _, labels, _ = load_data(int(context.node_config["partition-id"]), int(context.node_config["num-partitions"]))
    fit(net, images, labels, epochs=int(settings["local-epochs"]), lr=float(settings["learning-rate"]))
    metrics = MetricRecord({"num-examples": len(images)})
    return Message(content=RecordDict({"arrays": ArrayRecord(net.state_dict()), "metrics": metrics}), reply_to=msg)


@app.evaluate()
def evaluate(msg: Message, context: Context) -> Message:
    """Say how good body and own head are on digits that this data owner has not trained on."""
    _, images, _, labels = load_data(int(context.node_config["partition-id"]), int(context.node_config["num-partitions"]))
    metrics = MetricRecord({"accuracy": accuracy(_net_of(msg), images, labels), "num-examples": len(images)})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=msg)
