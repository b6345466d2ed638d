"""Clipping, parameter groups and averaging around any Keras optimizer."""

from collections.abc import Sequence
from typing import Any

import keras

from kerastrain._core import keras_optimizer, replicas
from kerastrain._core.autograph import as_written
from kerastrain._core.checks import number
from kerastrain._core.errors import InputError
from kerastrain._core.names import free_name
from kerastrain.optimizers import composed_arguments, saved_state
from kerastrain.optimizers.accumulation import Accumulation
from kerastrain.optimizers.averaging.weight_averaging import WeightAveraging
from kerastrain.optimizers.composed_step import ComposedStep
from kerastrain.optimizers.fusion import Fusion, fusion_keys
from kerastrain.optimizers.hyperparameters import Hyperparameters
from kerastrain.optimizers.parameter_group import ParameterGroup
from kerastrain.optimizers.paths import path_of
from kerastrain.optimizers.routing import Routing
from kerastrain.optimizers.stack import Stack
from kerastrain.optimizers.transforms.gradient_transform import GradientTransform


@keras.saving.register_keras_serializable(package="kerastrain")
class ComposedOptimizer(keras.optimizers.Optimizer):
    """Any Keras optimizer with gradient transforms, parameter groups and an average of the weights.

    One update, after the gradients of `gradient_accumulation_steps` batches have been averaged:

    1. the `gradient_transforms` in order, each over all gradients that are not frozen;
    2. for each variable the options of its `groups`: transforms, `l2`, weight decay, learning rate, freezing;
    3. the wrapped rule, with the learning rate times the group's multiplier; constraints;
    4. the `averaging` of the weights; `iterations` counts one.

    It goes into `compile` like any optimizer. `learning_rate` (a number, a schedule or a callable) is taken over from
    the wrapped optimizer, and so are `iterations` and weight decay; Keras's callbacks work on them. Keras's own
    clipping arguments exclude each other, and its `MultiOptimizer` has neither a learning rate nor a global norm.

    Args:
        optimizer: a fresh `keras.optimizers` rule, ours included, with no clipping, averaging or accumulation of its
            own. It belongs to this one from then on.
        gradient_transforms: what is done to the gradients, in order; `SkipNonFinite` first.
        groups: `ParameterGroup`s; options for some of the variables.
        averaging: `PolyakAveraging`, `ExponentialAveraging`, `StochasticWeightAveraging` or `Lookahead`, or None.
        gradient_accumulation_steps: batches to an update, a whole number >= 2, or None. `iterations`, schedules and
            every `*_steps` count updates. (Keras's own accumulation hands its schedule the number of batches.)
        loss_scale_factor: as in Keras.
        name: of the optimizer.
        fused: whether small variables with the same options are updated as one, which takes a fraction of the kernels:
            True where the rule is elementwise, and refused otherwise; False never; None (default) where it is faster.
            `fused_paths` tells which. Files are the same either way, and one is loaded by the other.

    State: the rule's slots for each variable; `iteration`, `learning_rate` where it is a number, and
    `plateau_multiplier`, scalars; accumulators and averages in the shapes of the variables; what the transforms keep.

    Raises:
        InputError: what would be lost or silently wrong; the message names the replacement. Under a `tf.distribute`
            strategy other than MirroredStrategy. At build: a pattern that matches no variable, or an option set two
            times for one.

    Example:

    >>> import keras
    >>> from kerastrain.optimizers import *
    >>> optimizer = ComposedOptimizer(
    ...     keras.optimizers.AdamW(1e-3, weight_decay=1e-4),
    ...     gradient_transforms=[ClipByGlobalNorm(1.0)],
    ...     groups=[no_decay_on_bias_and_norm(), ParameterGroup(r"head/", learning_rate_multiplier=10.0)],
    ...     averaging=PolyakAveraging(start_step=2_000),
    ... )
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), keras.layers.Dense(1, name="head")])
    >>> model.compile(optimizer, loss="mse")

    Reference: the slots are those of Optax's `chain` (DeepMind, 2020), around whole optimizers.
    """

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        gradient_transforms: Sequence[GradientTransform] = (),
        groups: Sequence[ParameterGroup] = (),
        averaging: WeightAveraging | None = None,
        gradient_accumulation_steps: int | None = None,
        loss_scale_factor: float | None = None,
        name: str | None = None,
        fused: bool | None = None,
    ) -> None:
        replicas.check_strategy()
        composed_arguments.check_rule(optimizer)
        composed_arguments.check_fused(optimizer, fused)
        composed_arguments.check_averaged(optimizer, averaging)
        transforms = composed_arguments.checked_transforms(gradient_transforms)
        groups = composed_arguments.checked_groups(groups)
        averaging = composed_arguments.checked_averaging(averaging)
        accumulation = composed_arguments.checked_accumulation(gradient_accumulation_steps)
        source = keras_optimizer.learning_rate_source(optimizer)
        super().__init__(learning_rate=source, loss_scale_factor=loss_scale_factor, name=name)
        self.plateau_multiplier = self.add_variable(
            (), keras.initializers.Ones(), aggregation="only_first_replica", name="plateau_multiplier"
        )
        self.gradient_transforms = transforms
        self.groups = groups
        self.averaging = averaging
        self.fused = fused
        self._fusion = self._step = _Plain(None)
        self._routing = Routing(optimizer, self.groups, self)
        self._scalars, self._bounds = self._attach()
        self._loaded = _Plain(None)
        # Not Keras's own, which hands its schedule the number of batches, and averages at every one of them.
        self._accumulation = None if accumulation is None else Accumulation(self, accumulation)
        self._made = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_made") and name not in composed_arguments.SETTABLE and not name.startswith("_"):
            composed_arguments.refuse_change(self, name, value)
        super().__setattr__(name, value)

    def _attach(self) -> "tuple[_Plain, _Plain]":
        scalars = {"plateau_multiplier": self.plateau_multiplier, **self._routing.hyperparameters}
        bounds = {"learning_rate": {"minimum": 0}, "plateau_multiplier": {"minimum": 0}, **self._routing.bounds}
        labels = [(transform, "") for transform in self.gradient_transforms]
        labels += [(transform, f"{group.name}.") for group in self.groups for transform in group.gradient_transforms]
        for transform, prefix in labels:
            transform.attach(self)
            for name, variable in transform.hyperparameters.items():
                label = free_name(f"{prefix}{transform.name}.{name}", scalars)
                scalars[label] = variable
                bounds[label] = transform.bounds.get(name, {})
        if self.averaging is not None:
            self.averaging.attach(self)
        return _Plain(scalars), _Plain(bounds)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        """Make all state for the trainable `variables`, one time."""
        if self.built:
            return
        composed_arguments.check_decays_everything(self._routing.rule)
        variables = list(variables)
        super().build(variables)
        assignments = self._routing.assign(variables)
        fusion = Fusion(self, *fusion_keys(self, self._routing.rule, variables, assignments))
        self._fusion = _Plain(fusion)
        step = ComposedStep(self, self._routing, fusion, self._accumulation)
        self._step = _Plain(step)
        if self._accumulation is not None:
            self._accumulation.build(fusion.units if step.joins_first else variables)
        self._routing.build(fusion.units, [assignments[place] for place in fusion.places], self._iterations)
        for transform in self.gradient_transforms:
            transform.build(variables)
        for group in self.groups:
            for transform in group.gradient_transforms:
                transform.build([variable for variable in variables if group.matches(path_of(variable))])
        if self.averaging is not None:
            self.averaging.build(fusion.units)
        if self._loaded.content is not None:
            with keras_optimizer.outside_of_a_trace():
                saved_state.load(self, self._loaded.content)
            self._loaded = _Plain(None)

    def check_groups(self, model: keras.Model) -> None:
        """Raise at once what `build` would raise at the first step: groups, or what the rule excludes, that do not fit
        the model's variables.

        Raises:
            InputError: a pattern matches no trainable variable, or an option is set two times for one; or the model is
                not built.
        """
        if not model.built:
            raise InputError(f"The model `{model.name}` must be built, since variables have no paths before.")
        self._routing.check([variable.path for variable in model.trainable_variables])

    @property
    def fused_paths(self) -> list[list[str]]:
        """The paths of the variables that are updated as one, a list for each such set; none before `build`."""
        return [[path_of(variable) for variable in stack.variables] for stack in self.stacks]

    @property
    def stacks(self) -> list[Stack]:
        """What stands for variables that are updated as one."""
        return [] if self._fusion.content is None else self._fusion.content.stacks

    def state_sections(self) -> list[tuple[list[Any], list[keras.Variable]]]:
        """`variables` by whose they are: this optimizer's own, and those of each instance of the rule, with the units
        it was built with."""
        sections = [([], keras_optimizer.own_variables(self)), *self._routing.sections()]
        seen: set[int] = set()
        found = []
        for units, section in sections:
            found.append((units, [variable for variable in section if id(variable) not in seen]))
            seen |= {id(variable) for variable in section}
        return found

    @property
    def variables(self) -> list[keras.Variable]:
        """All state, each variable one time: this optimizer's own and the slots of the wrapped rule."""
        return [variable for _, section in self.state_sections() for variable in section]

    @property
    def hyperparameters(self) -> Hyperparameters:
        """Name -> scalar variable, of what can be moved while a compiled training runs.

        `learning_rate` where it is a number, `plateau_multiplier`, `weight_decay`, the bounds of transforms as
        `clip_by_global_norm.max_norm`, the options of groups as `head.weight_decay`, `head.l2` and `head.trainable`,
        and what a rule of ours has, such as `momentum`. Anything else raises, and says why.
        """
        fixed = self._routing.fixed_hyperparameters()
        variables = self._scalars.content
        if isinstance(self._learning_rate, keras.Variable):
            variables = {"learning_rate": self._learning_rate, **variables}
        else:
            fixed["learning_rate"] = "It follows a schedule. To scale that, set `plateau_multiplier`."
        owner = f"{type(self).__name__}({self._routing.rule_name}, ...)"
        return Hyperparameters(variables, owner, self._bounds.content, fixed)

    @property
    def learning_rate(self) -> Any:
        """The learning rate of the next update: number or schedule, times `plateau_multiplier`. A number can be set,
        and sets the multiplier back to 1, so that what was set is what counts."""
        return super().learning_rate * self.plateau_multiplier

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        if isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule) and not callable(
            learning_rate
        ):
            raise TypeError(
                "This optimizer's learning rate is a schedule, which a number cannot replace. To scale it, set "
                "`optimizer.hyperparameters['plateau_multiplier']`."
            )
        if self.built and callable(learning_rate):
            raise InputError(
                "The schedule of an optimizer that has been built is part of the compiled step, and another one would "
                f"not be seen. Received: learning_rate={learning_rate!r}. Compile with a new optimizer."
            )
        if isinstance(learning_rate, int | float):
            learning_rate = number("learning_rate", learning_rate, minimum=0)
        keras.optimizers.Optimizer.learning_rate.fset(self, learning_rate)
        self.plateau_multiplier.assign(1.0)

    @as_written
    def apply(self, grads: Sequence[Any], trainable_variables: Sequence[Any] | None = None) -> None:
        """Update the variables by their gradients. Called by Keras's training step.

        Args:
            grads: one gradient for each variable; None where there is none.
            trainable_variables: the variables, when they are not all that the optimizer was built with.

        Raises:
            ValueError: no gradient at all, or variables that the optimizer was not built with.
        """
        if len(grads) == 0:
            return
        variables = self._known(grads, trainable_variables)
        with keras.name_scope(self.name):
            gradients, variables = keras_optimizer.usable(self, grads, variables)
            self._step.content.run(gradients, variables)

    def _known(self, gradients: Sequence[Any], variables: Sequence[Any] | None) -> list[Any]:
        if variables is None:
            if not self.built:
                raise ValueError(
                    "`apply` without `trainable_variables` needs a built optimizer. Call "
                    "`optimizer.build(model.trainable_variables)` first."
                )
            variables = keras_optimizer.built_with(self)
            if len(gradients) != len(variables):
                raise ValueError(
                    f"`grads` must have one gradient for each of the {len(variables)} variables that the optimizer was "
                    f"built with. Received: {len(gradients)}."
                )
            return variables
        variables = list(variables)
        self.build(variables)
        keras_optimizer.check_known(self, variables)
        return variables

    def exclude_from_weight_decay(self, var_list: Any = None, var_names: Any = None) -> None:
        """Not here: Keras does not save it.

        Raises:
            InputError: always, with the replacement.
        """
        raise InputError(
            "`exclude_from_weight_decay` would be lost when the optimizer is saved. Use "
            "groups=[ParameterGroup(pattern, weight_decay=0.0)], or no_decay_on_bias_and_norm()."
        )

    def set_weights(self, weights: Sequence[Any]) -> None:
        """Set all of `variables`, in their order."""
        saved_state.set_weights(self, weights)

    def save_own_variables(self, store: Any) -> None:
        """Write all state by name, and which classes it belongs to."""
        saved_state.save(self, store)

    def load_own_variables(self, store: Any) -> None:
        """Read what `save_own_variables` wrote; before `build`, keep it for then.

        Raises:
            InputError: it belongs to other classes or other variables; they are named, and nothing is loaded.
        """
        self._loaded = _Plain(saved_state.load(self, store))

    def signature(self) -> dict[str, Any]:
        """The classes in each slot, which saved state must agree with."""
        return {
            "rule": self._routing.rule_name,
            "gradient_transforms": [transform.name for transform in self.gradient_transforms],
            "averaging": None if self.averaging is None else self.averaging.name,
        }

    def averages_weights(self) -> bool:
        """Whether `theta` will have something to tell, once there was an update."""
        return self.averaging is not None or self._routing.has_theta

    def theta(self) -> list[Any] | None:
        """The weights that stand for the model in place of the ones it trains with, one for each trainable variable:
        the averages, or what the wrapped rule exposes (`LookaheadNesterov`); None where there are none."""
        fusion = self._fusion.content
        if fusion is None:
            return None
        if self.averaging is not None:
            pairs = zip(self.averaging.averages, fusion.units, strict=True)
            values: list[Any] | None = [
                keras.ops.convert_to_numpy(unit if average is None else average) for average, unit in pairs
            ]
        else:
            fusion.read()
            values = self._routing.theta()
        return None if values is None else fusion.apart(values)

    def __repr__(self) -> str:
        parts = {
            "gradient_transforms": list(self.gradient_transforms),
            "groups": list(self.groups),
            "averaging": self.averaging,
            "gradient_accumulation_steps": None if self._accumulation is None else self._accumulation.steps,
            "fused": self.fused,
        }
        used = "".join(f", {name}={part!r}" for name, part in parts.items() if part or part is False)
        return f"{type(self).__name__}({self._routing.rule_name}(...){used})"

    def get_config(self) -> dict[str, Any]:
        """All arguments; the wrapped optimizer with the present learning rate."""
        rate = super().get_config()["learning_rate"]
        return {
            "optimizer": self._routing.rule_config(rate),
            "gradient_transforms": [keras.saving.serialize_keras_object(item) for item in self.gradient_transforms],
            "groups": [keras.saving.serialize_keras_object(group) for group in self.groups],
            "averaging": None if self.averaging is None else keras.saving.serialize_keras_object(self.averaging),
            "gradient_accumulation_steps": None if self._accumulation is None else self._accumulation.steps,
            "loss_scale_factor": self.loss_scale_factor,
            "name": self.name,
            "fused": self.fused,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "ComposedOptimizer":
        """The optimizer that `get_config` told of, without its state."""
        config = dict(config)
        for key in ("optimizer", "averaging"):
            if config[key] is not None:
                config[key] = keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
        for key in ("gradient_transforms", "groups"):
            config[key] = [
                keras.saving.deserialize_keras_object(item, custom_objects=custom_objects) for item in config[key]
            ]
        return cls(**config)


class _Plain:
    """Holds what Keras must not look into: it tracks, and saves, what it finds in an optimizer's attributes."""

    def __init__(self, content: Any) -> None:
        self.content = content
