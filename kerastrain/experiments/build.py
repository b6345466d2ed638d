"""Recipe and data -> compiled model."""

import dataclasses
import itertools
import pathlib
from typing import Any

import keras
import numpy as np

from kerastrain import layers, losses
from kerastrain._core import processes, replicas, scanned_steps
from kerastrain._core.errors import InputError
from kerastrain._core.keras_layers import all_layers
from kerastrain.callbacks import StatefulCallback
from kerastrain.datasets import Batches
from kerastrain.datasets.resolutions import checked_resolutions
from kerastrain.experiments.augmentation_parts import AugmentationLayers, mixes_labels
from kerastrain.experiments.callback_context import CallbackContext
from kerastrain.experiments.callback_parts import MOVES_THE_OPTIMIZER, build_callbacks
from kerastrain.experiments.exact_biases import exact_biases
from kerastrain.experiments.execution import Execution, choose_execution, choose_precision, policy_name
from kerastrain.experiments.movable import movable_optimizer
from kerastrain.experiments.optimizer_parts import build_optimizer
from kerastrain.experiments.prepare import PreparedData
from kerastrain.experiments.preprocess_parts import PREPROCESSORS
from kerastrain.experiments.recipe import Recipe, Resolution
from kerastrain.initializers import LSUV
from kerastrain.topologies import TOPOLOGIES
from kerastrain.topologies import rates_in_variables as rates_module

_ADAPTED_ON = 512


def build(
    recipe: Recipe, data: PreparedData, *, movable: bool = False, rates_in_variables: bool | None = None
) -> keras.Model:
    """A fresh compiled model; every weight and every random stream in it follows from `training.seed`.

    Args:
        recipe: what to do.
        data: as `prepare` gives it.
        movable: whether its numbers are in variables, where `movable.has_movable_form` says that this changes nothing.
        rates_in_variables: whether its dropout rates are; None for as `movable` says.

    Raises:
        InputError: the topology or the optimizer cannot be made from the recipe's arguments.
    """
    rates = movable if rates_in_variables is None else rates_in_variables
    model, _ = build_for_execution(recipe, data, movable=movable, rates=rates)
    return model


def build_for_execution(
    recipe: Recipe, data: PreparedData, *, movable: bool = False, rates: bool = False
) -> tuple[keras.Model, Execution]:
    """The compiled model of `build`, and how it will be executed."""
    _refuse_distribution()
    training = recipe.training
    keras.utils.set_random_seed(training.seed)
    precision = choose_precision(training.precision)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy_name(precision[0]))
    try:
        with rates_module.rates_in_variables(rates):
            model = TOPOLOGIES.create(
                recipe.model,
                input_shape=data.input_shape,
                classes=len(data.class_names),
                preprocessing=PREPROCESSORS.create(recipe.data.preprocess, images=data.images),
                seed=training.seed,
                **_extra_inputs(data),
            )
    finally:
        keras.config.set_dtype_policy(before)
    exact = exact_biases(model)
    batches = training_batches(recipe, data)
    if recipe.data.augment.resolutions:
        _take_any_size(model, batches)
    _adapt_initializers(model, data)
    accumulated = _accumulated(recipe, batches)
    section = recipe.optimizer.model_dump()
    optimizer = build_optimizer(
        movable_optimizer(section) if movable else section,
        steps=updates_in_an_epoch(recipe, batches),
        epochs=training.epochs,
        accumulation=accumulated if accumulated > 1 else None,
        batches=len(batches),
        model=model,
        composed=movable or any(item["type"] in MOVES_THE_OPTIMIZER for item in recipe.callbacks),
    )
    execution = choose_execution(
        model,
        precision=precision,
        steps=len(batches),
        batch_size=step_samples(recipe),
        asked_steps=training.steps_per_execution,
        asked_jit=training.jit,
        asked_pipeline=training.pipeline,
    )
    execution = dataclasses.replace(execution, reasons=(*execution.reasons, *exact))
    model.compile(
        optimizer=optimizer,
        loss=loss_of(recipe),
        metrics=metrics_of(recipe),
        steps_per_execution=execution.steps_per_execution,
        jit_compile=execution.jit,
    )
    scanned_steps.scan_steps(model, execution.pipeline == "device")
    _check_callbacks(recipe, model, data)
    views_of(recipe, model)  # Refuses a shift that the images have no room for, before anything is trained.
    return model, execution


def _take_any_size(model: keras.Model, batches: Batches) -> None:
    """Let the model train on images smaller than its own. Raises InputError where it cannot."""
    *_, channels = model.input_shape
    model.input_spec = keras.layers.InputSpec(shape=(None, None, None, channels))
    for size in batches.sizes_of_images():
        try:
            model(np.zeros((1, *size, channels), np.float32), training=False)
        except Exception:  # By backend and layer, where there is no room or it wants another size.
            raise InputError(
                f"`data.augment.resolutions`: this network does not take images of {size[0]}x{size[1]}. It must end "
                "its convolutions in a global pooling, and have room for all of its own. Use a larger size, or "
                "`airbench`, `convnet` or `residual`."
            ) from None


def _refuse_distribution() -> None:
    if processes.distribution() is None and replicas.strategy_of() is None:
        return
    raise InputError(
        "A recipe is trained on one device. Received: a distribution over several. Train a Keras script of your own "
        "under it, with the parts of kerastrain (docs/distribution.md)."
    )


def views_of(recipe: Recipe, model: keras.Model) -> keras.Model | None:
    """The model that answers by the mean of several views, compiled; None where the recipe asks for none."""
    views = recipe.evaluation.test_time_augmentation
    if views is None:
        return None
    augmented = layers.TestTimeAugmentation(model, mirror=views.mirror, shift=views.shift)
    augmented.compile(loss=loss_of(recipe), metrics=metrics_of(recipe), jit_compile=model.jit_compile)
    return augmented


def callback_context(recipe: Recipe, data: PreparedData, folder: pathlib.Path | None = None) -> CallbackContext:
    """What the recipe's callbacks need to know of the run."""
    batches = training_batches(recipe, data)
    batches.start(recipe.training.epochs)  # A sample order and augmentation that no epoch of the training has.
    return CallbackContext(
        folder,
        steps=updates_in_an_epoch(recipe, batches),
        epochs=recipe.training.epochs,
        validation=data.validation,
        recalibration=batches,
        batch_size=step_samples(recipe),
    )


def _check_callbacks(recipe: Recipe, model: keras.Model, data: PreparedData) -> None:
    """Raise what a callback would raise at the beginning of `fit`, when the run has its folder already."""
    for callback in build_callbacks(recipe.callbacks, callback_context(recipe, data)):
        if isinstance(callback, StatefulCallback):
            callback.set_model(model)
            callback.on_train_begin()


def _adapt_initializers(model: keras.Model, data: PreparedData) -> None:
    """Scale the layers that start by LSUV on some training samples."""
    found = [getattr(layer, "kernel_initializer", None) for layer in all_layers(model)]
    lsuv = next((initializer for initializer in found if isinstance(initializer, LSUV)), None)
    if lsuv is not None:
        inputs = data.train[0]
        several = isinstance(inputs, dict)
        some = {key: array[:_ADAPTED_ON] for key, array in inputs.items()} if several else inputs[:_ADAPTED_ON]
        lsuv.adapt(model, some)


def _accumulated(recipe: Recipe, batches: Batches) -> int:
    if recipe.training.strategy == "full_batch":
        return len(batches)
    return recipe.optimizer.gradient_accumulation_steps or 1


def updates_in_an_epoch(recipe: Recipe, batches: Batches) -> int:
    """How often the optimizer updates the weights in an epoch; at least 1, for schedules."""
    return max(1, len(batches) // _accumulated(recipe, batches))


def step_samples(recipe: Recipe) -> int:
    """Samples in one step: one of them when learning is sequential."""
    return 1 if recipe.training.strategy == "sequential" else recipe.training.batch_size


def training_batches(recipe: Recipe, data: PreparedData) -> Batches:
    """The training samples in the order of the recipe's strategy."""
    inputs, labels = data.train
    return Batches(
        inputs,
        labels,
        step_samples(recipe),
        seed=recipe.training.seed,
        crop=recipe.data.augment.crop,
        flip=recipe.data.augment.flip,
        augmentation=_augmentation(recipe, data),
        resolutions=_resolutions(recipe, data.images),
        even=recipe.training.strategy == "full_batch",
    )


def _resolutions(recipe: Recipe, images: Any) -> list[tuple[int, int]]:
    """The stages of smaller images as `(side, epochs)`; those that are too short for an epoch are left out."""
    stages = _stages(recipe)
    if stages:  # Those that are left out, too, are of a size that the images have.
        checked_resolutions([(stage.size, 1) for stage, _ in stages], images)
    return [(stage.size, length) for stage, length in stages if length]


def _stages(recipe: Recipe) -> list[tuple[Resolution, int]]:
    """Each stage of smaller images, and its epochs."""
    stages = recipe.data.augment.resolutions
    ends = [0, *(round(stage.until * recipe.training.epochs) for stage in stages)]
    lengths = (end - begin for begin, end in itertools.pairwise(ends))
    return list(zip(stages, lengths, strict=True))


def stages_left_out(recipe: Recipe) -> list[str]:
    """A line on each stage of smaller images that is too short for an epoch."""
    return [
        f"No epoch has images of {stage.size}: `until: {stage.until}` of {recipe.training.epochs} rounds to none."
        for stage, length in _stages(recipe)
        if not length
    ]


def _augmentation(recipe: Recipe, data: PreparedData) -> AugmentationLayers | None:
    section = recipe.data.augment.layers
    height, width, _ = data.input_shape
    return AugmentationLayers(section, (height, width), recipe.training.seed) if section else None


def _extra_inputs(data: PreparedData) -> dict[str, Any]:
    inputs = data.train[0]
    return {"histogram_size": inputs["histogram"].shape[1]} if isinstance(inputs, dict) else {}


def loss_of(recipe: Recipe) -> keras.losses.Loss:
    """The loss of a recipe, from probabilities and labels as `prepare` gives them."""
    label_smoothing = recipe.training.label_smoothing
    if recipe.task == "multilabel":
        return keras.losses.BinaryCrossentropy(label_smoothing=label_smoothing)
    if mixes_labels(recipe.data.augment.layers):
        return keras.losses.CategoricalCrossentropy(label_smoothing=label_smoothing)
    if label_smoothing:
        return losses.SparseCategoricalCrossentropy(label_smoothing)
    return keras.losses.SparseCategoricalCrossentropy()


def metrics_of(recipe: Recipe) -> list[keras.metrics.Metric]:
    """The metrics of a recipe; `accuracy` is always there, of mixed labels by the larger share."""
    if recipe.task == "multilabel":
        return [
            keras.metrics.BinaryAccuracy(name="accuracy"),
            keras.metrics.F1Score(average="macro", threshold=0.5, name="f1_score"),
        ]
    if mixes_labels(recipe.data.augment.layers):
        return [keras.metrics.CategoricalAccuracy(name="accuracy")]
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
