"""The network with the methods of the Hugging Face hub: `from_pretrained` and `push_to_hub`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from huggingface_hub import PyTorchModelHubMixin

from jsisnet.formats import categories_json
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import ModelConfig, SavedModel
from jsisnet.settings import from_dict


class HubNetwork(
    JSISNet,
    PyTorchModelHubMixin,
    library_name="jsisnet",
    pipeline_tag="image-segmentation",
    tags=["panoptic-segmentation"],
):
    """The network for code that trains or runs it itself; its config.json is a description.

    `Predictor` and the commands open model folders, which `jsisnet.inference.push_to_hub` uploads.

    Raises:
        ValueError: If a setting or a class is invalid.
    """

    def __init__(
        self,
        *,
        size: Sequence[int],
        network: Mapping[str, Any],
        merge: Mapping[str, Any],
        categories: Sequence[Mapping[str, Any]],
    ) -> None:
        """Create a network from the values of a model's description, ``model.json``.

        Args:
            size: Height and width of its input.
            network: Settings of the network.
            merge: Settings of the merge, which `JSISNet` itself does not use.
            categories: Classes.
        """
        values = {"size": list(size), "network": network, "merge": merge}
        self.settings = from_dict(ModelConfig, values, source="the network")
        """Settings of the model."""
        classes = categories_json.parse([dict(each) for each in categories])
        super().__init__(self.settings.network, classes)

    @classmethod
    def of(cls, model: SavedModel) -> "HubNetwork":
        """Return a network with the weights of a saved model."""
        values = json.loads(json.dumps(asdict(model.config)))
        network = cls(**values, categories=list(categories_json.entries(model.categories)))
        network.load_state_dict(model.network.state_dict())
        return network.eval()
