"""Panoptic networks of other authors with random weights, in PyTorch and exported to ONNX."""

import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import onnxruntime
import torch
from torch import Tensor, nn

from jsisnet.files.atomic import replacing

try:
    from transformers import (
        EomtConfig,
        EomtForUniversalSegmentation,
        MaskFormerConfig,
        MaskFormerDetrConfig,
        MaskFormerForInstanceSegmentation,
        ResNetConfig,
    )
except ModuleNotFoundError:
    sys.exit("this benchmark needs the package transformers: pip install -e '.[benchmarks]'")

CACHE = Path(__file__).parents[2] / "build" / "benchmarks"
"""Folder of exported networks, which git ignores. Exporting takes longer than the benchmark."""

OPSET = 20

INPUT = "pixels"
"""Name of an exported network's input."""

SQUARES = {(384, 384): 384, (512, 1024): 720}
"""Side of the square input of EoMT, which takes no other, by input size: a multiple of the patch
size with no more pixels."""


class Logits(nn.Module):
    """A network of transformers that takes pixels and returns the logits of classes and masks."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of classes and masks of all queries."""
        found = self.network(pixel_values=pixels)
        return found.class_queries_logits, found.masks_queries_logits


def eomt(size: tuple[int, int], labels: int) -> tuple[Logits, Tensor]:
    """Return EoMT-S, that is with a ViT-S/16 and 200 queries, and an input of its size.

    Reference:
        Kerssies et al., "Your ViT is secretly an image segmentation model", CVPR 2025.
    """
    side = SQUARES[size]
    network = EomtForUniversalSegmentation(
        EomtConfig(
            hidden_size=384,
            num_hidden_layers=12,
            num_attention_heads=6,
            num_blocks=3,
            num_queries=200,
            image_size=side,
            patch_size=16,
            num_labels=labels,
        )
    )
    # After training no attention is masked. A tuple, because a tensor's values can't be exported.
    del network.attn_mask_probs
    network.attn_mask_probs = (0.0,) * network.config.num_blocks
    return Logits(network).eval(), torch.rand(1, 3, side, side)


def maskformer(size: tuple[int, int], labels: int) -> tuple[Logits, Tensor]:
    """Return MaskFormer with ResNet-50 and 100 queries, and an input of its size.

    Reference:
        Cheng et al., "Per-pixel classification is not all you need for semantic segmentation",
        NeurIPS 2021.
    """
    backbone = ResNetConfig(out_features=["stage1", "stage2", "stage3", "stage4"])
    config = MaskFormerConfig(
        backbone_config=backbone, decoder_config=MaskFormerDetrConfig(), num_labels=labels
    )
    return Logits(MaskFormerForInstanceSegmentation(config)).eval(), torch.rand(1, 3, *size)


PEERS = {"EoMT-S": eomt, "MaskFormer R50": maskformer}


def exported(name: str, network: Logits, pixels: Tensor) -> Path:
    """Export a network for inputs of one size, unless an earlier run did."""
    size = "x".join(map(str, pixels.shape[2:]))
    versions = f"torch-{version('torch')}-transformers-{version('transformers')}"
    path = CACHE / f"{name.replace(' ', '-')}-{size}-{versions}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"exporting {name} to {path}, once")
        with replacing(path) as temporary:
            torch.onnx.export(
                network,
                (pixels,),
                str(temporary),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                external_data=False,
                verbose=False,
            )
    return path


def run_exported(path: Path, pixels: Tensor) -> Callable[[], object]:
    """Load an exported network with one thread and all optimisations; return what runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return partial(session.run, None, {INPUT: pixels.numpy()})
