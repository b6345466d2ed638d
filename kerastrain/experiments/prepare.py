"""A recipe's data, ready for `fit`: loaded, split and in the form that the topology reads."""

import dataclasses
import functools
from typing import Any

import numpy as np

from kerastrain import datasets
from kerastrain._core import small_data
from kerastrain._core.errors import InputError
from kerastrain.experiments.augmentation_parts import mixes_labels
from kerastrain.experiments.callback_parts import EVALUATION_BATCH
from kerastrain.experiments.recipe import Recipe
from kerastrain.topologies import DATA_FORMS


@dataclasses.dataclass(frozen=True)
class PreparedData:
    """The three roles of the data, and what is known about them.

    train, validation, test: `(inputs, labels)`; inputs are uint8 images `(samples, height, width, channels)`, or a
    dictionary of arrays. Labels are one-hot where the recipe mixes them. The validation samples are held out of the
    training set, and None where the recipe holds out none; nothing is chosen by the test set.
    """

    train: tuple[Any, np.ndarray]
    validation: tuple[Any, np.ndarray] | None
    test: tuple[Any, np.ndarray]
    class_names: tuple[str, ...]
    description: str
    fingerprint: str

    @property
    def images(self) -> np.ndarray:
        """The training images."""
        inputs = self.train[0]
        images: np.ndarray = inputs["image"] if isinstance(inputs, dict) else inputs
        return images

    @property
    def input_shape(self) -> tuple[int, ...]:
        return tuple(self.images.shape[1:])

    @functools.cached_property
    def validation_batches(self) -> Any:
        """The validation data as `fit` takes it fastest, again and again; None where there is none."""
        return None if self.validation is None else small_data.batched(self.validation, EVALUATION_BATCH)

    def facts(self) -> dict[str, Any]:
        return {
            "description": self.description,
            "fingerprint": self.fingerprint,
            "class_names": list(self.class_names),
            "samples": {role: self.samples(role) for role in ("train", "validation", "test")},
        }

    def samples(self, role: str) -> int:
        """How many samples a role has."""
        held = getattr(self, role)
        return 0 if held is None else len(held[1])


def prepare(recipe: Recipe, loaded: dict[str, datasets.ImageData] | None = None) -> PreparedData:
    """Load and split the recipe's data. It can serve every recipe with the same `data`, topology form and seed.

    Args:
        recipe: what to prepare for.
        loaded: where loaded data is kept by its name, for recipes of other seeds; None keeps nothing.

    Raises:
        InputError: whatever is wrong with the data, naming file and field.
    """
    seed = recipe.training.seed
    data = (loaded or {}).get(recipe.data.name) or datasets.load(recipe.data.name)
    if loaded is not None:
        loaded[recipe.data.name] = data
    if recipe.data.validation == 0:
        train, validation = datasets.Split(data.x_train, data.y_train), None
        test = datasets.Split(data.x_test, data.y_test)
    else:
        splits = datasets.split(data, recipe.data.validation, seed=seed)
        train, validation, test = splits.train, splits.validation, splits.test
    if recipe.data.train_limit is not None:
        train = _limited(train, recipe.data.train_limit, seed)
    form = DATA_FORMS[recipe.model["topology"]]
    classes = len(data.class_names)
    one_hot = mixes_labels(recipe.data.augment.layers)

    def formed(split: datasets.Split) -> tuple[Any, np.ndarray]:
        inputs, labels = datasets.apply_form(form, split, classes, seed=seed)
        return inputs, np.eye(classes, dtype=np.float32)[labels] if one_hot else labels

    return PreparedData(
        train=formed(train),
        validation=None if validation is None else formed(validation),
        test=formed(test),
        class_names=data.class_names,
        description=data.description,
        fingerprint=data.fingerprint(),
    )


def _limited(split: datasets.Split, limit: int, seed: int) -> datasets.Split:
    samples = len(split.labels)
    if limit > samples:
        raise InputError(f"`data.train_limit` must be at most {samples}, the training samples. Received: {limit}.")
    chosen = np.sort(np.random.default_rng([seed, 4]).permutation(samples)[:limit])
    return datasets.Split(split.images[chosen], split.labels[chosen])
