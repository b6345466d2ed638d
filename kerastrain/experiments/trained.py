"""A trained model from a run folder or a .keras file, to evaluate it and to predict with it."""

import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain import datasets, layers
from kerastrain._core import yaml_document
from kerastrain._core.checks import whole_number
from kerastrain._core.errors import InputError
from kerastrain.experiments.build import loss_of, metrics_of
from kerastrain.experiments.prepare import PreparedData, prepare
from kerastrain.experiments.recipe import Recipe, from_document
from kerastrain.experiments.run import ROLES, evaluate, evaluate_views
from kerastrain.experiments.run_folder import BEST_MODEL, MODEL, RECIPE, RESULT


@dataclasses.dataclass(frozen=True)
class Trained:
    """A model, and the recipe and class names of the run that trained it, where it comes from a run folder."""

    model: keras.Model
    source: str
    recipe: Recipe | None
    class_names: tuple[str, ...] | None

    @property
    def form(self) -> str:
        """The data form that the model reads, told from its inputs."""
        if len(self.model.inputs) > 1:
            return "image_and_histogram"
        height, width = self._image_shape[:2]
        return "pairs" if width == 2 * height else "image"

    @property
    def _image_shape(self) -> tuple[int, ...]:
        return _image_shape(self.model)

    @property
    def classes(self) -> int:
        """How many classes the model tells apart."""
        return int(self.model.outputs[0].shape[-1])

    def evaluate(self, data: str | None = None) -> dict[str, Any]:
        """Loss and metrics by role. A bare model does not say what it was trained on, so it has only the test set.

        Args:
            data: name or path of the data; the recipe's own when None, CIFAR-10 for a bare model.

        Raises:
            InputError: the data is bad, or has another shape or number of classes than the model.
        """
        prepared = self._prepare(data)
        roles = tuple(ROLES) if self.recipe is not None else ("test",)
        found = {"data": prepared.description, **evaluate(self.model, prepared, roles)}
        return found | (evaluate_views(self.recipe, self.model, prepared) if self.recipe is not None else {})

    def _prepare(self, data: str | None) -> PreparedData:
        if self.recipe is not None:
            recipe = self.recipe
            if data is not None:
                plain = recipe.plain()
                plain["data"].update(name=data, train_limit=None)
                recipe = from_document(yaml_document.Document("--data", plain, {}))
        else:
            topology = {"image": "convnet", "image_and_histogram": "multi_input", "pairs": "multi_label"}[self.form]
            plain = {"name": "evaluation", "model": topology, "data": {"name": data or "cifar10", "validation": 0.1}}
            plain["task"] = "multilabel" if self.form == "pairs" else "multiclass"
            recipe = from_document(yaml_document.Document("--data", plain, {}))
            if not self.model.compiled:
                self.model.compile(loss=loss_of(recipe), metrics=metrics_of(recipe))
        prepared = prepare(recipe)
        if prepared.input_shape != self._image_shape or len(prepared.class_names) != self.classes:
            raise InputError(
                f"`--data`: expected images {self._image_shape} of {self.classes} classes, as {self.source} has them. "
                f"Received: images {prepared.input_shape} of {len(prepared.class_names)} classes."
            )
        return prepared

    def predict(self, paths: Sequence[pathlib.Path], *, dropout_samples: int | None = None) -> list[dict[str, Any]]:
        """For each image file its class probabilities, the likeliest first. Images are resized to the model's input.

        Args:
            paths: image files.
            dropout_samples: predict so many times with dropout on, and give the mean, and with it the standard
                deviation of each probability (`kerastrain.layers.mc_predict`); None for the plain prediction.

        Raises:
            InputError: a file has no image, or there is no dropout to sample.
        """
        if dropout_samples is not None:
            whole_number("dropout_samples", dropout_samples, minimum=2)
        images = np.stack([_read_image(path, self._image_shape) for path in paths])
        inputs: Any = images
        if self.form == "image_and_histogram":
            inputs = {"image": images, "histogram": datasets.color_histogram(images)}
        spread = None
        if dropout_samples is None:
            probabilities = np.asarray(self.model.predict(inputs, verbose=0))
        else:
            probabilities, spread = layers.mc_predict(self.model, inputs, dropout_samples)
        names = self.class_names or tuple(str(index) for index in range(self.classes))
        rows = []
        for index, (path, row) in enumerate(zip(paths, probabilities, strict=True)):
            order = np.argsort(-row, kind="stable")
            ranked = {names[place]: round(float(row[place]), 6) for place in order}
            found: dict[str, Any] = {"image": str(path), "class": names[order[0]], "probabilities": ranked}
            if spread is not None:
                found["standard_deviations"] = {names[place]: round(float(spread[index][place]), 6) for place in order}
            if self.form == "pairs":
                found["labels"] = [name for name, probability in ranked.items() if probability > 0.5]
            rows.append(found)
        return rows


def load_trained(path: str | pathlib.Path) -> Trained:
    """Load a run folder, or a `.keras` file; safe_mode stays on, so no code in the file is run.

    Raises:
        InputError: there is no model, or it cannot be loaded.
    """
    path = pathlib.Path(path)
    recipe, class_names = None, None
    folder, file = (path, path / MODEL) if path.is_dir() else (path.parent, path)
    # A model that still lies in its run folder knows what it was trained on, however it is named here.
    if (folder / RECIPE).exists() and file.name in (MODEL, BEST_MODEL):
        recipe = from_document(yaml_document.read(folder / RECIPE))
        class_names = _class_names(folder / RESULT)
    if not file.is_file():
        raise InputError(f"{path}: expected a run folder with a {MODEL}, or a .keras file. Received: nothing there.")
    try:
        model = keras.saving.load_model(file)
    except Exception as error:  # Keras raises many kinds for a damaged file; each means the same to the user.
        text = " ".join(str(error).split())[:300]
        raise InputError(f"{file}: is not a model that Keras can load ({type(error).__name__}: {text}).") from None
    if not _image_shape(model):
        raise InputError(f"{file}: expected a model of images (height, width, channels) of fixed size.")
    return Trained(model, str(path), recipe, class_names)


def _class_names(path: pathlib.Path) -> tuple[str, ...] | None:
    if not path.exists():
        return None
    try:
        return tuple(json.loads(path.read_text(encoding="utf-8"))["data"]["class_names"])
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error!r}).") from None


def _image_shape(model: keras.Model) -> tuple[int, ...]:
    """Height, width and channels of the model's image input; empty where it has none of fixed size."""
    shapes = [tuple(tensor.shape[1:]) for tensor in model.inputs or ()]
    return next((shape for shape in shapes if len(shape) == 3 and None not in shape), ())


def _read_image(path: pathlib.Path, shape: tuple[int, ...]) -> np.ndarray:
    from PIL import Image

    height, width, channels = shape
    try:
        with Image.open(path) as image:
            converted = image.convert("RGB" if channels == 3 else "L")
            if converted.size != (width, height):
                converted = converted.resize((width, height), Image.Resampling.BILINEAR)
            return np.asarray(converted, np.uint8).reshape(shape)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or "no image in it can be read"
        raise InputError(f"{path}: expected an image file. Received: {reason}.") from None
