"""Prediction with a trained network: photos in, panoptic maps out."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import overload

import numpy as np
from PIL import Image

from jsisnet.arrays import Int32, UInt8
from jsisnet.categories import UNKNOWN, Categories
from jsisnet.files.photos import check_image, to_rgb
from jsisnet.formats.records import drop_unknown
from jsisnet.inference import augmented, kirillov
from jsisnet.inference.engine import (
    AUTO,
    Engine,
    EngineOptions,
    Extras,
    Outputs,
    Prediction,
    open_engine,
    resize,
)
from jsisnet.inference.kirillov import KirillovConfig
from jsisnet.inference.merge import Instances, by_class, merge
from jsisnet.inference.model_folder import PredictionConfig, nested_settings
from jsisnet.inference.raster import Upsampled
from jsisnet.inference.result import Result
from jsisnet.inference.rules import MergeConfig
from jsisnet.panoptic import PanopticMap

OnError = Callable[[object, ValueError], object]
"""Function that is told of a photo that can't be read, and why."""


class Predictor:
    """A trained network that segments photos of any size and kind.

    It may be used by several threads at once, and can be pickled.
    """

    def __init__(
        self,
        model: str | Path | Engine = "coco",
        *,
        instances_from: str | Path | Engine | None = None,
        engine: str = AUTO,
        classes: Sequence[str] | None = None,
        tta: bool = False,
        options: EngineOptions | None = None,
        **settings: object,
    ) -> None:
        """Load a network, or one for semantic logits and another for instances.

        Args:
            model: Name of a built-in model, a model or run folder, an exported network, or a
                network that is already loaded.
            instances_from: Network that detects the instances instead, as in the paper's Table 3.
                The settings of the merge stay those of `model`.
            engine: What runs the network, such as ``onnxruntime`` or ``torch``; ``auto`` takes the
                first that can run it here.
            classes: Names of the classes to segment; everything else becomes void. All by default.
            tta: Whether each photo is segmented in six views, whose outputs are pooled, which takes
                six times as long and finds more things (test-time augmentation).
            options: How the network is to run.
            settings: Fields of `EngineOptions` (``device``, ``threads``, ``precision``), and
                settings that win over the model's own: ``size``, and the fields of `MergeConfig`
                and `DetectionConfig`, such as ``min_score=0.3``, which replaces the minimum scores
                of classes too.

        Raises:
            TypeError: If a setting is unknown, or `model` is no path and no engine.
            ValueError: If the model does not exist, a file is damaged, a setting has an invalid
                value, or two models do not fit together.
        """
        options = _options(options or EngineOptions(), settings)
        self.engine = _opened(model, engine, options)
        if instances_from is not None:
            self.engine = PairedEngine(self.engine, _opened(instances_from, engine, options))
        self.tta = tta
        if tta:
            augmented.check_engine(self.engine)
        self.classes = None if classes is None else tuple(classes)
        self._kept = None if classes is None else _kept_labels(self.categories, classes)
        self.config.merge.min_scores(self.categories)  # unknown classes are refused at once

    @classmethod
    def load(cls, model: str | Path | Engine = "coco", **settings: object) -> "Predictor":
        """Load a model; the same as calling the class."""
        return cls(model, **settings)  # type: ignore[arg-type]

    @property
    def config(self) -> PredictionConfig:
        """Settings of the prediction."""
        return self.engine.config

    @property
    def categories(self) -> Categories:
        """Classes that the labels of the maps refer to."""
        return self.engine.categories

    def __repr__(self) -> str:
        things = len(self.categories.thing_labels)
        stuff = len(self.categories) - things
        size = "any size" if self.config.size is None else "{}x{}".format(*self.config.size)
        return (
            f"Predictor({things} thing and {stuff} stuff classes, {size}, "
            f"{self.engine.name} on {self.engine.device})"
        )

    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, source: list[object] | tuple[object, ...], *, on_error: OnError | None = None
    ) -> list[Result]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self, source: Iterator[object], *, on_error: OnError | None = None
    ) -> Iterator[Result]: ...
    @overload
    def __call__(self, source: object) -> Result: ...
    def __call__(self, source: object, *, on_error: OnError | None = None) -> object:
        """Segment a photo, or several.

        Args:
            source: A photo of any kind that `to_rgb` reads: a path, the content of a file, a binary
                file object, a PIL image, an array or a torch tensor. Or a list, a tuple or an
                iterator of photos.
            on_error: Called with each of several photos that can't be read, and its error; the
                photo has no result, and the others follow. By default the first such error ends
                all. `predict_photos` and the command skip such photos too.

        Returns:
            The result of a photo; a list for a list or a tuple; an iterator for an iterator, which
            is read as the results are asked for. Results are in the order of the photos.

        Raises:
            ValueError: If a photo can't be read. The message names it, by its position from 1 on
                if it is one of several and has no name.
        """
        if isinstance(source, list | tuple):
            return list(self._results(_read_all(source, on_error)))
        if isinstance(source, Iterator) and not hasattr(source, "read"):
            return self._results(_read_all(source, on_error))
        return next(self._results([(source, to_rgb(source))]))

    def panoptic(self, image: UInt8[np.ndarray, "h w 3"]) -> PanopticMap:
        """Segment an RGB image; the map has its size."""
        return self.merge(self.outputs(image), (image.shape[0], image.shape[1]))

    def outputs(
        self, image: UInt8[np.ndarray, "h w 3"], extras: Extras | None = None
    ) -> Outputs | PanopticMap:
        """Run the network on an RGB image, resized to the network's input.

        Args:
            image: The image.
            extras: What an evaluation wants beyond the predictions.

        Raises:
            ValueError: If the image is not an array of 8-bit RGB pixels, or is empty.
        """
        return self.run([image], extras)[0]

    def outputs_from(
        self, image: UInt8[np.ndarray, "h w 3"], min_score: float
    ) -> Outputs | PanopticMap:
        """Run the network as `outputs` does, with things of lower scores than the model's own.

        Args:
            image: The image.
            min_score: Score from which on things are selected, if the model's own is not lower.
        """
        own = self.config.network.detection
        if own.min_score <= min_score:
            return self.outputs(image)
        found = self.outputs(image, Extras(detection=replace(own, min_score=min_score)))
        if isinstance(found, PanopticMap) or found.ranked is None:
            return found
        return replace(found, instances=found.ranked)

    def merge(
        self,
        outputs: Outputs | PanopticMap,
        size: tuple[int, int],
        config: MergeConfig | KirillovConfig | None = None,
    ) -> PanopticMap:
        """Merge the outputs for one image, and drop the classes that are not wanted.

        Args:
            outputs: Outputs for the image.
            size: Height and width of the image.
            config: Rules and thresholds, JSIS-Net's or Kirillov's; the model's own by default.

        Raises:
            ValueError: If the outputs have labels that are not those of the classes.
        """
        _check_labels(outputs, len(self.categories))
        if isinstance(outputs, PanopticMap):
            panoptic = outputs.resized(size)
        else:
            rules = self.config.merge if config is None else config
            panoptic = self._merge(outputs, size, rules)
        return panoptic if self._kept is None else drop_unknown(panoptic, self._kept)

    def _merge(
        self, outputs: Outputs, size: tuple[int, int], config: MergeConfig | KirillovConfig
    ) -> PanopticMap:
        instances = _no_instances() if outputs.instances is None else outputs.instances
        stuff = self.categories.stuff_labels
        frame = self.config.size or size
        if isinstance(config, KirillovConfig):
            return kirillov.merge(
                instances,
                outputs.semantic,
                frame=frame,
                size=size,
                stuff_labels=stuff,
                config=config,
            )
        things, rules = by_class(instances, config, self.categories)
        return merge(
            things, outputs.semantic, frame=frame, size=size, stuff_labels=stuff, config=rules
        )

    def _results(
        self, photos: Iterable[tuple[object, UInt8[np.ndarray, "_ _ 3"]]]
    ) -> Iterator[Result]:
        """Segment photos, each a source and its pixels, in batches that suit the engine."""
        remaining = iter(photos)
        count = 1 if self.config.size is None else self.engine.batch_size
        while batch := list(islice(remaining, count)):
            found = self.run([image for _, image in batch])
            for (source, image), outputs in zip(batch, found, strict=True):
                yield Result(
                    image=image,
                    panoptic=self.merge(outputs, (image.shape[0], image.shape[1])),
                    categories=self.categories,
                    name=_name(source),
                )

    def run(
        self, images: Sequence[UInt8[np.ndarray, "_ _ 3"]], extras: Extras | None = None
    ) -> Sequence[Outputs | PanopticMap]:
        """Run the network on several RGB images at once; see `outputs`.

        A network without a size of its own takes images of one size only.
        """
        size = self.config.size
        for image in images:
            _check_pixels(image)
        if self.tta:
            return [augmented.outputs_of_views(self.engine, image, extras) for image in images]
        resized = [image if size is None else resize(image, size) for image in images]
        found = self.engine(np.stack(resized), extras)
        if len(found) != len(images):
            raise ValueError(
                f"the engine {self.engine.name} returned {len(found)} outputs for {len(images)} "
                "images; expected one for each"
            )
        return found


class PairedEngine:
    """Two networks used as one: semantic logits of the first, things of the second.

    Reference:
        de Geus et al., arXiv 1809.02110, section 4.1.
    """

    predicts: frozenset[Prediction] = frozenset(("semantic", "instances"))

    def __init__(self, semantic: Engine, instances: Engine) -> None:
        """Pair two networks.

        Raises:
            ValueError: If they have different classes or input sizes, or lack the branch that is
                needed.
        """
        _check_pair(semantic, instances)
        self.semantic, self.instances = semantic, instances
        self.config, self.categories = semantic.config, semantic.categories
        self.name, self.device = semantic.name, semantic.device
        self.batch_size = min(semantic.batch_size, instances.batch_size)

    def __call__(
        self, images: UInt8[np.ndarray, "b h w 3"], extras: Extras | None = None
    ) -> list[Outputs]:
        """Run both networks; see `Engine`."""
        pairs = zip(self.semantic(images), self.instances(images, extras), strict=True)
        return [
            replace(things, semantic=stuff.semantic)
            for stuff, things in pairs
            if isinstance(stuff, Outputs) and isinstance(things, Outputs)
        ]

    def fingerprint(self) -> str:
        """Return a hash of both networks; see `Engine`."""
        both = self.semantic.fingerprint() + self.instances.fingerprint()
        return sha256(both.encode()).hexdigest()


def semantic_labels(outputs: Outputs, size: tuple[int, int]) -> Int32[np.ndarray, "h w"]:
    """Return the semantic branch's best label, things included, of each pixel of an image.

    Args:
        outputs: Outputs for the image.
        size: Height and width of the image.

    Raises:
        ValueError: If there is no semantic branch.
    """
    if outputs.semantic is None:
        raise ValueError("the network has no semantic branch, so there are no semantic labels")
    best = Upsampled.to(size, outputs.semantic).best(np.ones(size, bool))
    return best.astype(np.int32, copy=False)


def _options(options: EngineOptions, settings: dict[str, object]) -> EngineOptions:
    """Override options by settings, and nest the others as `PredictionConfig` does."""
    names = ("device", "threads", "precision", "overrides")
    running = {name: settings.pop(name) for name in names if name in settings}
    if "device" in running:
        running["device"] = str(running["device"])  # torch's devices have their name as text
    nested = nested_settings(settings)
    if nested:
        running["settings"] = nested
    return replace(options, **running)  # type: ignore[arg-type]


def _opened(model: str | Path | Engine, name: str, options: EngineOptions) -> Engine:
    if isinstance(model, str | os.PathLike):
        return open_engine(model, name, options)
    if not isinstance(model, Engine):
        raise TypeError(
            f"the model is of type {type(model).__name__}; expected the name of a built-in model, "
            "a path, or an engine"
        )
    return model


def _check_pair(semantic: Engine, instances: Engine) -> None:
    if "semantic" not in semantic.predicts:
        raise ValueError("the model has no semantic branch; expected one to add instances to")
    if "instances" not in instances.predicts:
        raise ValueError("the model to take instances from has no instance branch")
    if semantic.categories != instances.categories:
        raise ValueError(
            "the model and the one to take instances from have different classes; expected models "
            "trained on the same data"
        )
    if semantic.config.size != instances.config.size:
        first, second = (
            "any size" if size is None else "{}x{}".format(*size)
            for size in (semantic.config.size, instances.config.size)
        )
        raise ValueError(
            f"the model sees images at {first}, the one to take instances from at {second}; "
            "expected one size, for example with --size"
        )


def _kept_labels(categories: Categories, names: Sequence[str]) -> tuple[int, ...]:
    """Return, for each label, itself if its class is wanted, and `UNKNOWN` otherwise.

    Raises:
        ValueError: If there is no class of a name, and the message suggests one; or a single name
            is given.
    """
    known = [category.name for category in categories]
    if isinstance(names, str):
        raise ValueError(f"classes is {names!r}; expected a list of names, such as [{names!r}]")
    for name in names:
        if name not in known:
            near = get_close_matches(str(name), known, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ValueError(f"No class named {name!r}. {hint}Classes: {', '.join(known)}")
    return tuple(label if name in names else UNKNOWN for label, name in enumerate(known))


def _check_labels(outputs: Outputs | PanopticMap, count: int) -> None:
    if isinstance(outputs, PanopticMap):
        labels = {segment.label for segment in outputs.segments}
    else:
        labels = set() if outputs.instances is None else set(outputs.instances.labels.tolist())
    outside = sorted(label for label in labels if not 0 <= label < count)
    if outside:
        raise ValueError(
            f"the network predicts the label {outside[0]}; expected a label of its {count} "
            f"classes, 0 to {count - 1}"
        )


def _read_all(
    sources: Iterable[object], on_error: OnError | None
) -> Iterator[tuple[object, UInt8[np.ndarray, "_ _ 3"]]]:
    """Read photos as they are asked for; without `on_error` the first bad one ends this."""
    for number, source in enumerate(sources, 1):
        try:
            image = to_rgb(source)
            _check_pixels(image)
        except ValueError as error:
            if on_error is not None:
                on_error(source, error)
                continue
            if _name(source) is None:
                raise ValueError(f"photo {number}: {error}") from error
            raise
        yield source, image


def _check_pixels(image: object) -> None:
    check_image(image)
    assert isinstance(image, np.ndarray)
    if not image.size:
        found = f"{image.dtype} of shape {image.shape}"
        raise ValueError(f"the image is {found}; expected uint8 of height x width x 3")


def _name(source: object) -> str | None:
    """Return the path of a photo; that of a file object or a PIL image if it came from a file."""
    if isinstance(source, str | os.PathLike):
        return os.fsdecode(source)
    attribute = "filename" if isinstance(source, Image.Image) else "name"
    name = getattr(source, attribute, None)
    return name if isinstance(name, str) and name and not name.startswith("<") else None


def _no_instances() -> Instances:
    return Instances(
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        scores=np.zeros(0, np.float32),
        masks=np.zeros((0, 1, 1), np.float32),
    )
