"""The recipe: one typed file that describes a run; scripts, examples, the command line and searches go through it."""

import dataclasses
import functools
import hashlib
import itertools
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import pydantic
from pydantic import Field, PlainValidator

from kerastrain._core import dotted_path, problems, yaml_document
from kerastrain._core.errors import InputError, closest
from kerastrain._core.registry import (
    Fraction,
    NonNegativeInt,
    PositiveInt,
    problem,
)
from kerastrain.datasets import DATASETS
from kerastrain.experiments.augmentation_parts import AUGMENTATIONS, MIXING
from kerastrain.experiments.callback_parts import CALLBACKS, check_callbacks, monitors
from kerastrain.experiments.optimizer_parts import (
    AVERAGING,
    GRADIENT_TRANSFORMS,
    PartError,
    build_optimizer,
    validated_group,
)
from kerastrain.experiments.preprocess_parts import PREPROCESSORS
from kerastrain.experiments.rule_parts import RULES
from kerastrain.experiments.schedule_parts import Rate
from kerastrain.topologies import DATA_FORMS, DROPOUTS, REGULARIZERS, TASKS, TOPOLOGIES

# What Keras logs each epoch, by task; with the prefix `val_` for the validation data.
METRICS = {"multiclass": ("loss", "accuracy"), "multilabel": ("loss", "accuracy", "f1_score")}

SHIPPED = pathlib.Path(__file__).parent / "recipes"

_SHORTHANDS = {
    "model": TOPOLOGIES,
    "member": TOPOLOGIES,
    "members": TOPOLOGIES,
    "dropout": DROPOUTS,
    "regularizer": REGULARIZERS,
}


class _Section(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", strict=True, populate_by_name=True, validate_default=True)


class Resolution(_Section):
    """Training images of `size` pixels on their shorter side, until that share of the epochs."""

    size: PositiveInt
    until: Annotated[float, Field(gt=0, lt=1)]


class Augment(_Section):
    """What is done to each training image, drawn from (seed, epoch, position): crop, flip, then Keras's `layers`.

    resolutions: smaller images for the first part of the training, stage after stage; the last part sees them whole.
    """

    crop: NonNegativeInt = 0
    flip: Literal["none", "random", "alternating"] = "none"
    layers: list[Annotated[dict[str, Any], PlainValidator(AUGMENTATIONS.validate)]] = []
    resolutions: list[Resolution] = []

    @pydantic.field_validator("resolutions")
    @classmethod
    def _one_after_the_other(cls, stages: list[Resolution]) -> list[Resolution]:
        if any(after.until <= before.until for before, after in itertools.pairwise(stages)):
            raise ValueError("expected `until` to rise from stage to stage")
        return stages


class Data(_Section):
    """Which images, how many of them, and what happens to them before the first layer."""

    name: Annotated[str, Field(min_length=1)] = "cifar10"
    validation: Annotated[float, Field(gt=0, lt=1)] | NonNegativeInt = 5000
    train_limit: PositiveInt | None = None
    augment: Augment = Augment()
    preprocess: Annotated[dict[str, Any], PlainValidator(PREPROCESSORS.validate)] = {"type": "rescale"}


_Transform = Annotated[dict[str, Any], PlainValidator(GRADIENT_TRANSFORMS.validate)]


class Optimizer(_Section):
    """The update rule and its slots: rate, gradient transforms, groups, averaging.

    fused: whether small variables are updated as one; without it, where that is faster and there is a slot in use.
    """

    rule: Annotated[dict[str, Any], PlainValidator(RULES.validate)] = {"type": "sgd"}
    learning_rate: Rate = 0.01
    gradient_transforms: list[_Transform] = []
    groups: list[Annotated[dict[str, Any], PlainValidator(validated_group)]] = []
    averaging: Annotated[dict[str, Any], PlainValidator(AVERAGING.validate)] | None = None
    gradient_accumulation_steps: Annotated[int, Field(ge=2)] | None = None
    fused: bool | None = None


class Training(_Section):
    """How the weights are learned.

    strategy: `mini_batch`; `sequential`, one sample a step; `full_batch`, one update an epoch from the gradient of the
    whole training set, accumulated over batches of at most `batch_size`, since a whole data set does not fit in memory.
    pipeline: where batches are made: on the `host`, or out of images on the `device` in the compiled step, on JAX.
    label_smoothing: the share of each label that is spread over all classes; the logged losses have it in them.
    """

    strategy: Literal["mini_batch", "sequential", "full_batch"] = "mini_batch"
    batch_size: PositiveInt = 128
    epochs: PositiveInt = 10
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    steps_per_execution: Literal["auto"] | PositiveInt = "auto"
    jit: Literal["auto"] | bool = "auto"
    pipeline: Literal["auto", "host", "device"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    label_smoothing: Fraction = 0.0


class TestTimeViews(_Section):
    """The views of `kerastrain.layers.TestTimeAugmentation`."""

    __test__ = False

    mirror: bool = True
    shift: NonNegativeInt = 1


class Evaluation(_Section):
    """How the trained model is asked.

    roles: on which of the training, validation and test sets.
    test_time_augmentation: the validation and test sets are evaluated a second time, by the mean of several views.
    """

    roles: Annotated[list[Literal["train", "val", "test"]], Field(min_length=1)] = ["train", "val", "test"]
    test_time_augmentation: TestTimeViews | None = None


class Recipe(_Section):
    """A whole run. `Recipe.model_validate` takes plain data; `load` takes a name or a file, and reports file:line."""

    schema_: Literal[1] = Field(1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    task: Literal["multiclass", "multilabel"] = "multiclass"
    data: Data = Data()
    model: Annotated[dict[str, Any], PlainValidator(TOPOLOGIES.validate)]
    optimizer: Optimizer = Optimizer()
    training: Training = Training()
    evaluation: Evaluation = Evaluation()
    callbacks: list[Annotated[dict[str, Any], PlainValidator(CALLBACKS.validate)]] = []

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> Self:
        topology = self.model["topology"]
        if TASKS[topology] != self.task:
            message = f"the topology `{topology}` is for `task: {TASKS[topology]}`"
            raise problem(("task",), message, self.task)
        watchable = monitors(self.callbacks, METRICS[self.task])
        for index, (callback, names) in enumerate(zip(self.callbacks, watchable, strict=True)):
            known = [name for name in names if self.data.validation != 0 or not name.startswith("val_")]
            monitor = callback.get("monitor", [])
            for name in monitor if isinstance(monitor, list) else [monitor]:
                if name not in known:
                    message = f'expected one of {", ".join(known)}. Received: "{name}".{closest(name, known)}'
                    raise problem(("callbacks", index, "monitor"), message.rstrip("."))
        check_callbacks(self.callbacks, self.training.epochs)
        kinds = [callback["type"] for callback in self.callbacks]
        if "reduce_lr_on_plateau" in kinds and isinstance(self.optimizer.learning_rate, dict):
            message = "`reduce_lr_on_plateau` sets a constant; it cannot work on a schedule. Use `reduce_on_plateau`"
            raise problem(("callbacks", kinds.index("reduce_lr_on_plateau")), message)
        self._check_mixing()
        if self.evaluation.test_time_augmentation is not None and DATA_FORMS[topology] != "image":
            message = f"views are made of images alone, and the topology `{topology}` reads more"
            raise problem(("evaluation", "test_time_augmentation"), message)
        if self.data.augment.resolutions and DATA_FORMS[topology] != "image":
            message = f"images are resized where they are read alone, and the topology `{topology}` reads more"
            raise problem(("data", "augment", "resolutions"), message)
        if self.training.strategy == "full_batch" and self.optimizer.gradient_accumulation_steps is not None:
            message = "`strategy: full_batch` accumulates all batches of an epoch; leave it out"
            raise problem(("optimizer", "gradient_accumulation_steps"), message)
        try:
            _try_optimizer(json.dumps(self.optimizer.model_dump()), self.training.epochs)
        except PartError as error:
            raise problem(("optimizer", *error.place), error.explanation.rstrip(".")) from None
        return self

    def _check_mixing(self) -> None:
        for index, layer in enumerate(self.data.augment.layers):
            if layer["type"] not in MIXING:
                continue
            place = ("data", "augment", "layers", index, "type")
            if DATA_FORMS[self.model["topology"]] != "image":
                raise problem(place, "labels are mixed for topologies that read one image and give it one class")
            if self.training.strategy == "sequential" or self.training.batch_size == 1:
                raise problem(place, "mixes the images of a batch, and a batch here is one image")

    def plain(self) -> dict[str, Any]:
        """The recipe with every default filled in, as plain data in the order of the schema."""
        return self.model_dump(by_alias=True)

    def to_yaml(self) -> str:
        """The resolved recipe as YAML, which `load` reads back to an equal recipe."""
        return yaml_document.dump(self.plain())

    def hash(self) -> str:
        """12 hexadecimal digits that two recipes share when every key of theirs is equal."""
        return hashlib.sha256(json.dumps(self.plain(), sort_keys=True).encode()).hexdigest()[:12]


@functools.lru_cache(maxsize=256)
def _try_optimizer(section: str, epochs: int) -> None:
    """Build an optimizer to see that it can be; a search asks for the same ones again and again."""
    build_optimizer(json.loads(section), steps=1, epochs=epochs)


def shipped() -> dict[str, pathlib.Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.yaml"))}


def find(name_or_path: str | pathlib.Path) -> pathlib.Path:
    """The file of a shipped recipe's name, or of a path. Raises InputError with the closest name."""
    text = str(name_or_path)
    known = shipped()
    if text in known:
        return known[text]
    path = pathlib.Path(text)
    if path.suffix in {".yaml", ".yml"} or os.path.exists(path):
        if not os.path.isfile(path):
            raise InputError(f"{text}: there is no such recipe file.{closest(path.stem, known)}")
        return path
    raise InputError(f"unknown recipe `{text}`.{closest(text, known)} Known: {', '.join(known)}; or give a .yaml file.")


def load(
    name_or_path: str | pathlib.Path, overrides: dict[str, Any] | None = None, labels: Mapping[str, str] | None = None
) -> Recipe:
    """Read a shipped recipe or a file, set `overrides` (dotted path -> value) and validate the whole.

    Args:
        name_or_path: a shipped recipe's name, or a file.
        overrides: values to set over the file's, by dotted path.
        labels: by dotted path, what messages call the place an override came from, such as `--epochs`.

    Raises:
        InputError: one line a problem: file:line, key, expected, received, closest match.
    """
    return from_document(yaml_document.read(find(name_or_path)), overrides, labels)


def from_document(
    document: yaml_document.Document,
    overrides: dict[str, Any] | None = None,
    labels: Mapping[str, str] | None = None,
) -> Recipe:
    """A recipe from parsed YAML.

    Args:
        document: what was read.
        overrides: as in `load`.
        labels: as in `load`.

    Raises:
        InputError: as in `load`.
    """
    if isinstance(document.data, dict) and "space" in document.data and "model" not in document.data:
        raise InputError(
            f"{document.source}: is a search file, not a recipe. Run it with `kerastrain search {document.source}`."
        )
    for path, value in (overrides or {}).items() if isinstance(document.data, dict) else ():
        data = dotted_path.replaced(document.data, path, value, expand=_expanded)
        label = (labels or {}).get(path, "override")
        places = {**document.overrides, dotted_path.parse(path): label}
        document = dataclasses.replace(document, data=data, overrides=places)
    recipe: Recipe = problems.validated(Recipe, document)
    _check_dataset(recipe, document)
    return recipe


def _expanded(location: dotted_path.Location, scalar: Any) -> dict[str, Any]:
    """What the shorthand `scalar` at `location` stands for, so that `--set` and a search reach the keys inside it."""
    if scalar is None:
        return {}
    place = next(part for part in reversed(location) if isinstance(part, str))
    if place == "layers":
        return {"units": scalar}
    expanded = _SHORTHANDS.get(place, RULES).expand(scalar)
    return expanded if isinstance(expanded, dict) else {}


def _check_dataset(recipe: Recipe, document: yaml_document.Document) -> None:
    name = recipe.data.name
    if name not in DATASETS and not os.path.exists(os.path.expanduser(name)):
        known = ", ".join(DATASETS.names())
        raise InputError(
            f"{document.where(('data', 'name'))}: `data.name`: expected {known}, or the path of an .npz file or an "
            f'image folder. Received: "{name}".{closest(name, DATASETS.names())}'
        )


__all__ = ["Recipe", "find", "from_document", "load", "shipped"]
