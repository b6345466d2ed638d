"""Options for some of a model's variables."""

import re
from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core.checks import boolean, number
from kerastrain._core.errors import InputError
from kerastrain._core.keras_layers import all_layers
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform
from kerastrain.optimizers.transforms.skip_non_finite import SkipNonFinite


@keras.saving.register_keras_serializable(package="kerastrain")
class ParameterGroup:
    r"""Options for the variables whose path a pattern is found in; slot 2 of `ComposedOptimizer`.

    Groups compose: a variable takes an option from each group that matches it. Two groups that set the same option for
    one variable are refused, and so is a pattern that matches nothing. An option left at its default is not set.

    Keras's `MultiOptimizer` gives each group an optimizer of its own, and has no learning rate, no one step counter and
    no global norm; see `ComposedOptimizer`.

    Args:
        pattern: a regular expression, searched for (`re.search`) in `variable.path`, such as `r"/(bias|gamma|beta)$"`.
            The variables of a Sequential model have its name in front (`sequential/dense/kernel`), and once it is
            loaded from a file they have not: begin a pattern with `(^|/)`, not with the model's name. Those of a nested
            functional model never have its name: see `of_layers`.
        learning_rate_multiplier: the group's learning rate is that of the optimizer times this, a number >= 0; 0
            freezes the variables exactly, for good.
        weight_decay: decoupled decay, `w <- w - learning_rate * weight_decay * w`, a number >= 0 in place of the
            optimizer's; None leaves that.
        l2: coupled decay, `g <- g + l2 * w`, a number >= 0: the gradient of the penalty `l2/2 ||w||^2`, half of that of
            `keras.regularizers.L2`. It comes after the gradient transforms, as in PyTorch.
        gradient_transforms: transforms of the group's gradients, after those of the optimizer.
        trainable: False freezes the variables exactly, weights, slots and decay, until the switch
            `hyperparameters["<name>.trainable"]` is set to 1; no recompiling. Their gradients count as 0. The forward
            pass does not know of it: a batch normalization goes on to gather statistics, unless its layer has
            `trainable = False`, which takes its scale and offset out of the optimizer for good.
        switchable: whether there is such a switch; by default only for groups that start frozen, since it costs a
            branch in the compiled step.
        name: what `hyperparameters` call the group; the pattern by default.

    Raises:
        InputError: the pattern is no regular expression, an option is out of its range, or the group sets nothing.

    Example:

    >>> head = ParameterGroup(r"head/", learning_rate_multiplier=10.0)
    >>> head.matches("head/kernel"), head.matches("trunk/kernel")
    (True, False)
    """

    def __init__(
        self,
        pattern: str,
        learning_rate_multiplier: float = 1.0,
        weight_decay: float | None = None,
        l2: float | None = None,
        gradient_transforms: Sequence[GradientTransform] = (),
        trainable: bool = True,
        switchable: bool | None = None,
        name: str | None = None,
    ) -> None:
        self.pattern = _compiled(pattern).pattern
        self.learning_rate_multiplier = number("learning_rate_multiplier", learning_rate_multiplier, minimum=0)
        self.weight_decay = None if weight_decay is None else number("weight_decay", weight_decay, minimum=0)
        self.l2 = None if l2 is None else number("l2", l2, minimum=0)
        self.gradient_transforms = _transforms(gradient_transforms)
        self.trainable = boolean("trainable", trainable)
        self.switchable = not self.trainable if switchable is None else boolean("switchable", switchable)
        if not self.trainable and not self.switchable:
            raise InputError(
                "`trainable=False, switchable=False` would freeze the group for good. Use learning_rate_multiplier=0."
            )
        self.name = pattern if name is None else name
        if not self.options():
            raise InputError(
                f"The group with the pattern {pattern!r} sets no option. Give it a learning_rate_multiplier other than "
                "1, weight_decay, l2, gradient_transforms, or trainable=False."
            )
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if getattr(self, "_made", False):
            moves = (name == "trainable" and self.switchable) or (
                name in ("weight_decay", "l2") and getattr(self, name) is not None
            )
            remedy = (
                f"During training set the optimizer's hyperparameters[{f'{self.name}.{name}'!r}]."
                if moves
                else "Make a new one, and a new optimizer with it."
            )
            raise InputError(f"A ParameterGroup cannot be changed. Received: {name}={value!r}. {remedy}")
        super().__setattr__(name, value)

    @classmethod
    def of_layers(cls, model: keras.Model, layers: Any, **options: Any) -> "ParameterGroup":
        """The group of the trainable variables of some layers, wherever they are nested.

        Args:
            model: a built model.
            layers: a layer class, a layer of the model (a nested model is one too), or a tuple or list of such.
            **options: as for the class, without `pattern`.

        Raises:
            InputError: the model is not built; the layers have no trainable variable in it; or they share a path with
                a variable of another layer, so that no pattern can tell them apart.
        """
        chosen = tuple(layers) if isinstance(layers, tuple | list) else (layers,)
        if not chosen:
            raise InputError("`layers` must be layer classes, or layers of the model. Received: none.")
        for item in chosen:
            if not isinstance(item, keras.Layer) and not (isinstance(item, type) and issubclass(item, keras.Layer)):
                raise InputError(f"`layers` must be layer classes, or layers of the model. Received: {item!r}.")
        if not model.built:
            raise InputError(f"The model `{model.name}` must be built, since variables have no paths before.")
        names = ", ".join(item.__name__ if isinstance(item, type) else item.name for item in chosen)
        variables: dict[int, keras.Variable] = {}
        for item in chosen:
            meant: list[Any] = [
                layer
                for layer in all_layers(model)
                if layer is item or (isinstance(item, type) and isinstance(layer, item))
            ]
            found = {id(variable): variable for layer in meant for variable in layer.trainable_variables}
            if not found:
                what = item.__name__ if isinstance(item, type) else item.name
                raise InputError(f"The model `{model.name}` has no trainable variables in layers {what}.")
            variables |= found
        group = cls(pattern_of(model, list(variables.values())), **{"name": names, **options})
        for variable in model.trainable_variables:
            if id(variable) not in variables and group.matches(variable.path):
                raise InputError(
                    f"Another layer has a variable with the path {variable.path!r} too, so a group cannot tell them "
                    "apart: Keras leaves the name of a nested functional model out. Build its layers within "
                    "keras.name_scope(name)."
                )
        return group

    def matches(self, path: str) -> bool:
        """Whether the pattern is found in `path`."""
        return re.search(self.pattern, path) is not None

    def options(self) -> list[str]:
        """The names of the options that this group sets."""
        set_ones = {
            "learning_rate_multiplier": self.learning_rate_multiplier != 1.0,
            "weight_decay": self.weight_decay is not None,
            "l2": self.l2 is not None,
            "gradient_transforms": bool(self.gradient_transforms),
            "trainable": self.switchable,
        }
        return [name for name, is_set in set_ones.items() if is_set]

    def __repr__(self) -> str:
        set_ones = {name: getattr(self, name) for name in self.options()}
        return f"ParameterGroup({self.pattern!r}, {', '.join(f'{name}={value!r}' for name, value in set_ones.items())})"

    def get_config(self) -> dict[str, Any]:
        return {
            "pattern": self.pattern,
            "learning_rate_multiplier": self.learning_rate_multiplier,
            "weight_decay": self.weight_decay,
            "l2": self.l2,
            "gradient_transforms": [keras.saving.serialize_keras_object(item) for item in self.gradient_transforms],
            "trainable": self.trainable,
            "switchable": self.switchable,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ParameterGroup":
        transforms = [keras.saving.deserialize_keras_object(item) for item in config["gradient_transforms"]]
        return cls(**{**config, "gradient_transforms": transforms})


def pattern_of(model: keras.Model, variables: Sequence[keras.Variable]) -> str:
    """A pattern that matches just these variables of `model`, also once it has been loaded from a file.

    The variables of a Sequential model have its name in front of their paths until it is saved; a loaded one's do not.
    """
    prefix = f"{model.name}/"
    paths = dict.fromkeys(variable.path.removeprefix(prefix) for variable in variables)
    return f"^({re.escape(prefix)})?({'|'.join(re.escape(path) for path in paths)})$"


def _compiled(pattern: Any) -> re.Pattern[str]:
    if not isinstance(pattern, str) or not pattern:
        raise InputError(
            f"`pattern` must be a regular expression for variable paths. Received: pattern={pattern!r}. "
            "For layers, or all layers of a type, use ParameterGroup.of_layers(model, keras.layers.Dense, ...)."
        )
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(f"`pattern` must be a regular expression ({error}). Received: pattern={pattern!r}.") from None


def _transforms(transforms: Any) -> tuple[GradientTransform, ...]:
    checked = transform_list("gradient_transforms", transforms)
    if any(isinstance(transform, SkipNonFinite) for transform in checked):
        raise InputError("SkipNonFinite skips a whole step, not a group's part of it. Give it to the optimizer.")
    return checked


def transform_list(name: str, transforms: Any) -> tuple[GradientTransform, ...]:
    """`transforms` as a tuple, when it is a list or tuple of gradient transforms. Raises InputError otherwise."""
    if not isinstance(transforms, list | tuple):
        raise InputError(f"`{name}` must be a list of gradient transforms. Received: {name}={transforms!r}.")
    for index, transform in enumerate(transforms):
        if not isinstance(transform, GradientTransform):
            raise InputError(
                f"`{name}[{index}]` must be a gradient transform of kerastrain.optimizers, such as "
                f"ClipByGlobalNorm(1.0). Received: {transform!r}."
            )
        transform.check_config()
    return tuple(transforms)
