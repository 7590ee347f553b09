"""Initial weights from another network: those of a class by its name, all others by theirs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from jsisnet.categories import Categories
from jsisnet.model.folding import folded_like
from jsisnet.model.imagenet import check_finite
from jsisnet.model.network import JSISNet
from jsisnet.model.saved_model import SavedModel

STAGES = "trunk.stages."
"""Prefix of the trunk's pre-trained tensors, all of which must fit."""

COUNTERS = "num_batches_tracked"
"""End of the names of counters, which only some normalisations have."""

UPSAMPLING = "semantic.upsample"
"""Deconvolution of the logits, if there is one; its kernels have classes on both sides."""

OF_LABELS = ("semantic.classify", UPSAMPLING)
"""Layers with a row per class."""

DELTAS = "instance.roi.deltas"
"""Box offsets, which the classes may share."""

OF_THINGS = (DELTAS, "instance.roi.mask.classify")
"""Layers with rows per thing class."""

OF_THINGS_AND_BACKGROUND = ("instance.roi.classify",)
"""Layers with a row per thing class, and a last one for the background."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What a network took over from another one."""

    classes: tuple[str, ...]
    """Names of the classes whose weights were found, in the order of the labels."""

    afresh: tuple[str, ...]
    """Names of the classes whose weights stay as they were initialised."""

    tensors: int
    """Number of tensors taken over, apart from those of the classes."""

    expected: int
    """Number of tensors that the network has, apart from those of the classes."""

    unused: tuple[str, ...] = ()
    """What the other network's file contains besides."""

    def __str__(self) -> str:
        everything = len(self.classes) + len(self.afresh)
        new = f"; afresh: {', '.join(self.afresh)}" if self.afresh else ""
        unused = f"; not used: {', '.join(self.unused)}" if self.unused else ""
        return (
            f"took over {len(self.classes)} of {everything} classes by name and "
            f"{self.tensors} of {self.expected} other tensors{new}{unused}"
        )


def take_over(network: JSISNet, categories: Categories, source: SavedModel) -> TakenOver:
    """Initialise a network with the weights of another one; see `take_over_weights`.

    A branch whose method is another one there stays as it is. Where this network has no batch norm
    after a convolution, and the other one has, it is folded into the convolution.

    Args:
        network: Network to initialise, in place.
        categories: Its classes.
        source: Network to take weights from.

    Raises:
        ValueError: If the trunks differ, or a weight is not finite.
    """
    foreign = _of_other_methods(network, source.network)
    weights = folded_like(source.network, network).state_dict()
    alike = {name: value for name, value in weights.items() if not name.startswith(foreign)}
    return take_over_weights(network, categories, alike, source.categories)


def take_over_weights(
    network: JSISNet,
    categories: Categories,
    theirs: Mapping[str, Tensor],
    their_categories: Categories,
) -> TakenOver:
    """Initialise a network with weights that have its names.

    Weights of a class are taken from the class of the same name, wherever it stands there; all
    others from the tensor of the same name and shape. The rest stays as it is.

    Args:
        network: Network to initialise, in place.
        categories: Its classes.
        theirs: Weights to take.
        their_categories: Classes of these.

    Raises:
        ValueError: If the trunks differ, or a weight is not finite.
    """
    own = network.state_dict()
    check_finite(theirs)
    taken: dict[str, Tensor] = {}
    found: set[str] = set()
    for layer, rows in _class_layers(network, categories, their_categories):
        for name in (f"{layer}.weight", f"{layer}.bias"):
            if name not in own:
                continue
            taken[name] = own[name]
            axes = 2 if name == f"{UPSAMPLING}.weight" else 1
            joined = _joined(own[name], theirs.get(name), rows, axes)
            if joined is not None:
                taken[name] = joined
                found |= rows.names
    plain = [name for name in own if name not in taken]
    fitting = [name for name in plain if name in theirs and theirs[name].shape == own[name].shape]
    for name in plain:
        if name.startswith(STAGES) and name not in fitting and not name.endswith(COUNTERS):
            raise ValueError(
                f"the trunk differs: {name} does not match; choose a model with the same "
                "network.trunk, or remove start (start: null on top of a base)"
            )
    network.load_state_dict(taken | {name: theirs[name] for name in fitting}, strict=False)
    names = [category.name for category in categories]
    return TakenOver(
        classes=tuple(name for name in names if name in found),
        afresh=tuple(name for name in names if name not in found),
        tensors=len(fitting),
        expected=len(plain),
    )


def _of_other_methods(network: JSISNet, source: JSISNet) -> tuple[str, ...]:
    """Return prefixes of the tensors that mean something else in the other network."""
    own, theirs = network.config, source.config
    methods = {
        "semantic.": (own.semantic, theirs.semantic),
        "instance.roi.": (own.roi, theirs.roi),
    }
    return tuple(prefix for prefix, (one, other) in methods.items() if type(one) is not type(other))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Numbers of the classes that two networks share, and of all that each has."""

    own: tuple[int, ...]
    source: tuple[int, ...]
    counts: tuple[int, int]
    names: frozenset[str]

    @classmethod
    def of(cls, own: Sequence[str], source: Sequence[str], *, background: bool = False) -> "_Rows":
        pairs = [(own.index(name), source.index(name)) for name in own if name in source]
        if background:
            pairs.append((len(own), len(source)))
        return cls(
            own=tuple(first for first, _ in pairs),
            source=tuple(second for _, second in pairs),
            counts=(len(own) + background, len(source) + background),
            names=frozenset(own) & frozenset(source),
        )


def _class_layers(
    network: JSISNet, categories: Categories, source: Categories
) -> Iterator[tuple[str, _Rows]]:
    """Yield the layers of a network that have rows for classes."""
    own_names, names = ([category.name for category in items] for items in (categories, source))
    own_things, things = (
        [items[label].name for label in items.thing_labels] for items in (categories, source)
    )
    if network.semantic is not None:
        labels = _Rows.of(own_names, names)
        yield from ((layer, labels) for layer in OF_LABELS)
    if network.instance is not None:
        boxes_and_masks = _Rows.of(own_things, things)
        for layer in OF_THINGS:
            if not (layer == DELTAS and getattr(network.config.roi, "class_agnostic_boxes", False)):
                yield layer, boxes_and_masks
        scores = _Rows.of(own_things, things, background=True)
        yield from ((layer, scores) for layer in OF_THINGS_AND_BACKGROUND)


def _joined(own: Tensor, source: Tensor | None, rows: _Rows, axes: int) -> Tensor | None:
    """Return a tensor with the rows of common classes from another one; ``None`` if none fits.

    Args:
        own: Tensor whose other rows stay.
        source: The other network's tensor, if it has one.
        rows: Classes of both.
        axes: Number of leading axes that count classes.
    """
    own_count, count = rows.counts
    each = own.shape[0] // own_count
    if source is None or source.shape != (count * each, count)[:axes] + own.shape[axes:]:
        return None
    joined = own.clone()
    to, start = (torch.tensor(row, dtype=torch.int64) for row in (rows.own, rows.source))
    if axes > 1:
        joined[to[:, None], to] = source[start[:, None], start]
    else:
        groups = source.unflatten(0, (count, each))
        joined.unflatten(0, (own_count, each))[to] = groups[start]
    return joined
