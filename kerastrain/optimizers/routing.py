"""Each variable's gradient on its way: group options, then the instance of the rule that updates it."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from kerastrain._core import keras_optimizer
from kerastrain._core.names import free_name
from kerastrain.optimizers.group_assignment import Assignment, assign_groups
from kerastrain.optimizers.hyperparameters import SWITCH
from kerastrain.optimizers.lookahead_optimizer import LookaheadOptimizer
from kerastrain.optimizers.member import Member
from kerastrain.optimizers.parameter_group import ParameterGroup
from kerastrain.optimizers.paths import path_of, slot_prefix
from kerastrain.optimizers.transforms.gradient_transform import transformed
from kerastrain.optimizers.tunable_optimizer import BOUNDS, TunableOptimizer


class Routing:
    """The wrapped rule in as many instances as there are distinct rates, decays and switches among the variables.

    A plain object, so that Keras does not save the rule a second time.

    Args:
        rule: the wrapped optimizer; the first instance. The others are made from its config.
        groups: the parameter groups.
        owner: the composed optimizer, in which the groups' scalars are made.
    """

    def __init__(
        self, rule: keras.optimizers.Optimizer, groups: Sequence[ParameterGroup], owner: keras.optimizers.Optimizer
    ) -> None:
        self._owner = owner
        self._groups = groups
        self.rule = rule
        # Before the rule's rate and decay are taken over, and its config would tell of variables.
        self._serialized = keras_optimizer.serialized_rule(rule)
        self._decay = self._decay_variable(rule)
        self.hyperparameters: dict[str, Any] = {}
        self.bounds: dict[str, Mapping[str, Any]] = dict(BOUNDS)
        if isinstance(rule, TunableOptimizer):
            self.hyperparameters.update(rule.hyperparameters)
        if self._decay is not None:
            self.hyperparameters["weight_decay"] = self._decay
        self._scalars: dict[tuple[int, str], keras.Variable] = {}
        for group in groups:
            self._add_scalars(group)
        # By what Keras knows a variable by, or what stands for some of them.
        self._assignments: dict[Any, Assignment] = {}
        self._members: list[Member] = []
        self._member_of: dict[Any, int] = {}
        self._units: list[Any] = []

    @property
    def rule_name(self) -> str:
        """The class name of the wrapped rule."""
        return str(self._serialized["class_name"])

    def fixed_hyperparameters(self) -> dict[str, str]:
        """Name -> why it is not among the hyperparameters, or cannot be set."""
        if isinstance(self.rule, TunableOptimizer):
            return self.rule.fixed_hyperparameters()
        return {} if self._decay is not None else {"weight_decay": "It is off: give the rule weight_decay=0.0."}

    @property
    def has_theta(self) -> bool:
        """Whether the rule tells its parameters from what the model holds."""
        return isinstance(self.rule, LookaheadOptimizer) and self.rule.looks_ahead

    def _decay_variable(self, rule: keras.optimizers.Optimizer) -> Any:
        if rule.weight_decay is None or isinstance(rule.weight_decay, keras.Variable):
            return rule.weight_decay
        return self._scalar("weight_decay", rule.weight_decay)

    def _scalar(self, name: str, value: float) -> keras.Variable:
        return self._owner.add_variable(
            (), keras.initializers.Constant(value), aggregation="only_first_replica", name=name
        )

    def _add_scalars(self, group: ParameterGroup) -> None:
        values = {
            "weight_decay": group.weight_decay,
            "l2": group.l2,
            "trainable": float(group.trainable) if group.switchable else None,
        }
        for option, value in values.items():
            if value is not None:
                variable = self._scalar(f"group_{self._groups.index(group)}_{option}", value)
                self._scalars[id(group), option] = variable
                label = free_name(f"{group.name}.{option}", self.hyperparameters)
                self.hyperparameters[label] = variable
                self.bounds[label] = SWITCH if option == "trainable" else {"minimum": 0}

    def assign(self, variables: Sequence[keras.Variable]) -> list[Assignment]:
        """What each variable takes from the groups.

        Raises:
            InputError: a pattern matches nothing, or an option is set two times for one variable.
        """
        assignments = self.check([path_of(variable) for variable in variables])
        for variable, assignment in zip(variables, assignments, strict=True):
            self._assignments[self._key(variable)] = assignment
        return assignments

    def check(self, paths: Sequence[str]) -> list[Assignment]:
        """What each path takes from the groups; for errors `assign`."""
        if isinstance(self.rule, TunableOptimizer):
            self.rule.check_paths(paths)
        return assign_groups(self._groups, paths)

    def build(self, units: Sequence[Any], assignments: Sequence[Assignment], iterations: keras.Variable) -> None:
        """Make the members, for the variables or what stands for several of one assignment."""
        self._units = list(units)
        by_key: dict[tuple[Any, ...], list[Any]] = {}
        for assignment, unit in zip(assignments, units, strict=True):
            self._assignments[self._key(unit)] = assignment
            if assignment.multiplier != 0:
                by_key.setdefault(assignment.rule_key, []).append((assignment, unit))
        rules = [self.rule, *(self._another_rule() for _ in list(by_key)[1:])]
        for place, (rule, pairs) in enumerate(zip(rules, by_key.values(), strict=False)):
            self._member_of |= {self._key(unit): place for _, unit in pairs}
            member = self._member(rule, pairs[0][0])
            member.build([unit for _, unit in pairs], iterations)
            self._members.append(member)

    def _key(self, variable: Any) -> Any:
        return keras_optimizer.key_of(self._owner, variable)

    def _another_rule(self) -> keras.optimizers.Optimizer:
        rule = type(self.rule).from_config({**self._config(), "learning_rate": 0.0})
        if isinstance(rule, TunableOptimizer):
            rule.adopt_hyperparameters(self.rule)
        return rule

    def _config(self) -> dict[str, Any]:
        # A copy all through: from_config of Keras's classes deserializes in place.
        return {
            key: dict(value) if isinstance(value, dict) else value for key, value in self._serialized["config"].items()
        }

    def _member(self, rule: keras.optimizers.Optimizer, assignment: Assignment) -> Member:
        group = assignment.weight_decay
        return Member(
            rule,
            assignment.multiplier,
            self._decay if group is None else self._scalars[id(group), "weight_decay"],
            group is not None,
            self._switch(assignment),
        )

    def _switch(self, assignment: Assignment) -> Any:
        return None if assignment.trainable is None else self._scalars[id(assignment.trainable), "trainable"]

    def _of(self, variable: Any) -> Assignment:
        return self._assignments[self._key(variable)]

    def without_frozen(self, gradients: Sequence[Any], variables: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        """The pairs whose variable is not frozen for good."""
        kept = [
            (gradient, variable)
            for gradient, variable in zip(gradients, variables, strict=True)
            if self._of(variable).multiplier != 0
        ]
        return [gradient for gradient, _ in kept], [variable for _, variable in kept]

    def masked(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        """The gradients, 0 where the variable's switch is off."""
        masked = []
        for gradient, variable in zip(gradients, variables, strict=True):
            switch = self._switch(self._of(variable))
            # Not a product: 0 times infinity is NaN.
            masked.append(
                gradient if switch is None else keras.ops.where(switch > 0, gradient, keras.ops.zeros_like(gradient))
            )
        return masked

    def update(self, gradients: Sequence[Any], variables: Sequence[Any], learning_rate: Any) -> None:
        """Group transforms, l2, and each member's update."""
        gradients = self._with_l2(self._transformed(gradients, variables), variables)
        if isinstance(self.rule, TunableOptimizer):
            self.rule.update_hyperparameters()
        everything = [*keras_optimizer.built_with(self._owner), *self._units, *self._owner.variables]
        for place, member in enumerate(self._members):
            pairs = [
                (gradient, variable)
                for gradient, variable in zip(gradients, variables, strict=True)
                if self._member_of[self._key(variable)] == place
            ]
            if pairs:
                theirs, some = [gradient for gradient, _ in pairs], [variable for _, variable in pairs]
                member.update(theirs, some, learning_rate, everything)

    def _transformed(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        found = list(gradients)
        for group in self._groups:
            if not group.gradient_transforms:
                continue
            places = [p for p, variable in enumerate(variables) if self._of(variable).gradient_transforms is group]
            some, theirs = [found[place] for place in places], [variables[place] for place in places]
            some = transformed(group.gradient_transforms, some, theirs)
            for place, gradient in zip(places, some, strict=True):
                found[place] = gradient
        return found

    def _with_l2(self, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
        found = []
        for gradient, variable in zip(gradients, variables, strict=True):
            group = self._of(variable).l2
            if group is not None:
                l2 = keras.ops.cast(self._scalars[id(group), "l2"], gradient.dtype)
                gradient = gradient + l2 * keras.ops.cast(variable, gradient.dtype)
            found.append(gradient)
        return found

    def sections(self) -> list[tuple[list[Any], list[keras.Variable]]]:
        """The units and the state of each instance of the rule."""
        if not self._members:
            return [([], list(self.hyperparameters.values()))]
        return [(keras_optimizer.built_with(member.rule), member.rule.variables) for member in self._members]

    def slots(self, unit: Any) -> list[keras.Variable]:
        """What the rule keeps for `unit`, in its shape."""
        rule = self._members[self._member_of[self._key(unit)]].rule
        prefix = slot_prefix(unit)
        return [v for v in rule.variables if v.name.startswith(prefix) and tuple(v.shape) == tuple(unit.shape)]

    def theta(self) -> list[Any] | None:
        """What the rule's `theta` says, in the order of the units; None for a rule without it."""
        if not self.has_theta or not self._members:
            return None
        parts = [iter(member.rule.theta()) for member in self._members]
        places = [self._member_of.get(self._key(unit)) for unit in self._units]
        return [
            keras.ops.convert_to_numpy(unit) if place is None else next(parts[place])
            for unit, place in zip(self._units, places, strict=True)
        ]

    def rule_config(self, learning_rate: Any) -> dict[str, Any]:
        """The wrapped rule, serialized, with the present learning rate."""
        return {**self._serialized, "config": {**self._config(), "learning_rate": learning_rate}}
