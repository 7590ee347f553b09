"""Two networks that share nothing, in the place of one: the paper's Table 3."""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor, nn

from jsisnet.model.detection import DetectionConfig
from jsisnet.model.network import JSISNet, Outputs
from jsisnet.model.rpn import ProposalConfig


class SeparateNetworks(nn.Module):
    """A network for the semantic branch's part and another one for the instance branch's.

    Reference:
        de Geus et al., arXiv 1809.02110, section 4.1.
    """

    def __init__(self, semantic: JSISNet, instance: JSISNet):
        super().__init__()
        self.semantic_network = semantic
        self.instance_network = instance

    def forward(
        self,
        images: Float[Tensor, "b 3 h w"],
        extra: DetectionConfig | None = None,
        extra_proposals: ProposalConfig | None = None,
    ) -> Outputs:
        """Predict as `JSISNet` does."""
        found: Outputs = self.instance_network(images, extra, extra_proposals)
        return replace(found, semantic=self.semantic_network(images).semantic)
