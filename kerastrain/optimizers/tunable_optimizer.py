"""The base of the update rules whose numbers may move during training."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras

from kerastrain._core.autograph import as_written
from kerastrain._core.checks import Bounds, number
from kerastrain._core.errors import InputError
from kerastrain._core.tensor_lists import dense
from kerastrain.optimizers.hyperparameters import Hyperparameters

# Of the hyperparameters of all rules, the range that a number must be in.
BOUNDS: Bounds = {
    "momentum": {"minimum": 0, "maximum": 1},
    "other_momentum": {"minimum": 0, "maximum": 1},
    "rho": {"minimum": 0, "below": 1},
    "beta_1": {"minimum": 0, "below": 1},
    "beta_2": {"minimum": 0, "below": 1},
    "l2": {"minimum": 0},
    "weight_decay": {"minimum": 0},
}


def number_or_schedule(name: str, value: Any, **bounds: Any) -> Any:
    """`value`, when it is a schedule or a number within `bounds`. Raises InputError otherwise."""
    if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
        return value
    remedy = bounds.pop("remedy", "A `LearningRateSchedule` of such numbers does as well.")
    return number(name, value, remedy=remedy, **bounds)


def number_schedule_or_none(name: str, value: Any, **bounds: Any) -> Any:
    """`value`, when it is None, a schedule or a number within `bounds`. Raises InputError otherwise."""
    return None if value is None else number_or_schedule(name, value, remedy="Use None to switch it off.", **bounds)


def _checked_learning_rate(learning_rate: Any) -> Any:
    # 0 is allowed: a callback may have moved the rate there, and a config holds the present rate.
    return learning_rate if callable(learning_rate) else number_or_schedule("learning_rate", learning_rate, minimum=0)


# What every Keras optimizer takes beside its rule's own arguments.
_OF_KERAS = frozenset(
    {
        "clipnorm",
        "clipvalue",
        "ema_momentum",
        "ema_overwrite_frequency",
        "global_clipnorm",
        "gradient_accumulation_steps",
        "use_ema",
        "weight_decay",
    }
)


def _fixed_arguments(kind: type) -> frozenset[str]:
    """What a built optimizer of a class has in its compiled step as a Python number."""
    return (_OF_KERAS | frozenset(inspect.signature(kind).parameters)) - {"learning_rate", "name", "kwargs"}


class TunableOptimizer(keras.optimizers.Optimizer):
    """Base of rules whose hyperparameters live in variables, so that they can be moved while a compiled fit runs.

    A Keras optimizer keeps its momentum, betas and weight decay as Python numbers: they are part of the compiled step,
    and a new value is not seen. Here `optimizer.hyperparameters["momentum"] = 0.5` takes effect at the next
    update, without a retrace; and each of them may be a `LearningRateSchedule`, which is read at every update at the
    step that the learning rate's schedule is read at.

    Use it to write a rule: make the variables of the rule in `build`, and move a variable in `update_step`. Not for a
    rule without numbers to move, for which `keras.optimizers.Optimizer` is enough. A class whose `update_step` treats
    each element by itself says `elementwise = True`, and `ComposedOptimizer(..., fused=True)` may join variables.

    Args:
        learning_rate: a float >= 0, a `LearningRateSchedule`, or a callable without arguments.
        hyperparameters: name -> float, schedule, or None for one that is off; checked already. None makes no variable.
        weight_decay: decoupled decay a step relative to the rate, `w -= learning_rate * weight_decay * w`, before the
            rule; a float >= 0, a schedule, or None for none.
        **kwargs: what `keras.optimizers.Optimizer` takes: clipping, accumulation, moving average, `name`.

    State: one scalar float32 variable a hyperparameter, and `keras.optimizers.Optimizer`'s.

    Raises:
        InputError: a learning rate or weight decay out of its range.
    """

    # Whether it updates only some of a model's variables, for a `ComposedOptimizer`.
    wrapped = False

    def __init__(
        self, learning_rate: Any, hyperparameters: Mapping[str, Any], weight_decay: Any = None, **kwargs: Any
    ) -> None:
        weight_decay = number_schedule_or_none("weight_decay", weight_decay, minimum=0)
        super().__init__(learning_rate=_checked_learning_rate(learning_rate), **kwargs)
        self._given = {**hyperparameters, "weight_decay": weight_decay}
        self._hyperparameters: dict[str, Any] = {}
        for name, value in self._given.items():
            if value is not None:
                self._hyperparameters[name] = self._add_hyperparameter(name, value)
        self._follow_weight_decay()

    def _add_hyperparameter(self, name: str, value: Any) -> Any:
        def initial(shape: Any, dtype: Any = None) -> Any:
            return keras.ops.reshape(keras.ops.cast(value(0), dtype), shape)

        is_schedule = isinstance(value, keras.optimizers.schedules.LearningRateSchedule)
        return self.add_variable(
            (),
            initial if is_schedule else keras.initializers.Constant(value),
            dtype="float32",
            aggregation="only_first_replica",  # As Keras's learning rate: assigned the same on every replica.
            name=name,
        )

    def _follow_weight_decay(self) -> None:
        # Keras decays by `self.weight_decay`, whose kind it does not ask: as a variable, it is live there too.
        self.weight_decay = self._hyperparameters.get("weight_decay")

    def __setattr__(self, name: str, value: Any) -> None:
        # Weight decay is Keras's attribute; a composed optimizer puts its own variable there, before it is built.
        given = name in self.__dict__.get("_given", ()) and name != "weight_decay"
        if given or (self.__dict__.get("built") and name in _fixed_arguments(type(self))):
            moves = name in self.__dict__.get("_hyperparameters", ())
            remedy = (
                f"Set hyperparameters[{name!r}], which takes effect at the next update."
                if moves
                else "Make a new optimizer."
            )
            raise InputError(
                f"`{name}` of {type(self).__name__} cannot be set, since nothing would come of it. Received: "
                f"{name}={value!r}. {remedy}"
            )
        super().__setattr__(name, value)

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Name -> the scalar `keras.Variable` that the rule reads at each update; assign to it to move it."""
        return Hyperparameters(self._hyperparameters, type(self).__name__, BOUNDS, self.fixed_hyperparameters())

    def fixed_hyperparameters(self) -> dict[str, str]:
        """Name -> why it is not among the hyperparameters, or cannot be set."""
        reasons = {}
        for name, value in self._given.items():
            if value is None:
                reasons[name] = f"It is off: give the rule a {name}, 0.0 will do, and it has a variable."
            elif isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
                reasons[name] = "It follows a schedule, which sets it at every update."
        return reasons

    def check_paths(self, paths: Sequence[str]) -> None:
        """Raise where an argument names variables and none of a model's is meant.

        Args:
            paths: of all trainable variables of the model.

        Raises:
            InputError: so it is; in rules that have such arguments.
        """

    def update_hyperparameters(self) -> None:
        """Give each hyperparameter that has a schedule its value for this step; `apply` begins with it."""
        for name, value in self._given.items():
            if isinstance(value, keras.optimizers.schedules.LearningRateSchedule):
                # Not `iterations`, which counts updates under gradient accumulation: Keras reads the learning rate's
                # schedule at `_iterations`, and a momentum's must keep pace with it.
                self.assign(self._hyperparameters[name], value(self._iterations))

    def adopt_hyperparameters(self, other: Self) -> None:
        """Use the variables of `other` in place of this optimizer's own, so that both follow one variable.

        Args:
            other: an optimizer of the same class with the same hyperparameters.

        Raises:
            InputError: another class, or other hyperparameters.
        """
        if type(other) is not type(self) or set(other.hyperparameters) != set(self._hyperparameters):
            has = ", ".join(self._hyperparameters) or "none"
            raise InputError(
                f"`other` must be a {type(self).__name__} with the same hyperparameters, so {has}. Received: a "
                f"{type(other).__name__} with {', '.join(getattr(other, 'hyperparameters', ())) or 'none'}."
            )
        for name, variable in other.hyperparameters.items():
            self._hyperparameters.pop(name)  # Keras's dictionaries untrack what leaves them, and track what comes.
            self._hyperparameters[name] = variable
        self._follow_weight_decay()

    @as_written
    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Update the variables by their gradients, after the hyperparameters by their schedules."""
        self.update_hyperparameters()
        super().apply(grads, trainable_variables)

    def value_of(self, hyperparameter: str, variable: Any) -> Any:
        """A hyperparameter in the dtype of `variable`, for `update_step`."""
        return keras.ops.cast(self._hyperparameters[hyperparameter], variable.dtype)

    def complement_of(self, hyperparameter: str, variable: Any) -> Any:
        """1 - the hyperparameter, in the dtype of `variable`; subtracted in float32, as bfloat16 has no 0.999."""
        return keras.ops.cast(1.0 - self._hyperparameters[hyperparameter], variable.dtype)

    def gradient_of(self, gradient: Any, variable: Any) -> Any:
        """`gradient` dense and in the dtype of `variable`, plus `l2 * variable` where the rule has `l2`."""
        # A sparse gradient may name a row twice; squared or averaged row by row, it would count wrongly.
        gradient = keras.ops.cast(dense(gradient), variable.dtype)
        if "l2" not in self._hyperparameters:
            return gradient
        return gradient + keras.ops.multiply(variable, self.value_of("l2", variable))

    def get_config(self) -> dict[str, Any]:
        """The arguments as given; a hyperparameter moved since is in its variable, which is saved with the state."""
        config = super().get_config()
        for name, value in self._given.items():
            is_schedule = isinstance(value, keras.optimizers.schedules.LearningRateSchedule)
            config[name] = keras.optimizers.schedules.serialize(value) if is_schedule else value
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """The optimizer that `get_config` told of, without its state."""
        made = {
            name: keras.optimizers.schedules.deserialize(value, custom_objects)
            if isinstance(value, dict) and name != "learning_rate"
            else value
            for name, value in config.items()
        }
        return super().from_config(made, custom_objects)
