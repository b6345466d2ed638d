"""Which variables of an optimizer are updated as one, and the step on them."""

import collections
import contextlib
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import keras

from kerastrain._core import keras_optimizer
from kerastrain.optimizers.elementwise import is_elementwise
from kerastrain.optimizers.group_assignment import Assignment
from kerastrain.optimizers.paths import slot_prefix
from kerastrain.optimizers.stack import Stack

# Above this many elements the arithmetic is the cost of a variable's update, not the number of kernels; joined, it
# would only be copied to and fro, and an embedding's whole table with it.
LARGEST = 16_384
# Variables of one shape but for the first axis are joined without a reshape of each; fewer of them go with the vectors.
_ALIKE = 4


# The least number of variables in a stack that pays, where `fused` is None. On JAX the step is faster with fewer too,
# but XLA compiles a kernel for each part that is written back, which takes longer than compiling the updates.
FEWEST = {"tensorflow": 4, "torch": 4, "jax": 256}


def fusion_keys(
    optimizer: Any, rule: keras.optimizers.Optimizer, variables: Sequence[Any], assignments: Sequence[Assignment]
) -> tuple[list[Hashable | None], int]:
    """What `Fusion` takes beside the optimizer: for each variable what those it is updated with must share, and the
    least number of them."""
    fewest = 2 if optimizer.fused else FEWEST[keras.backend.backend()]
    sharded = isinstance(keras.distribution.distribution(), keras.distribution.ModelParallel)
    if optimizer.fused is False or sharded or not is_elementwise(rule):
        return [None] * len(variables), fewest
    # State is saved by path; of two variables with one path nobody could tell which is which.
    prefixes = collections.Counter(map(slot_prefix, variables))
    return [
        _key(variable, assignment) if prefixes[slot_prefix(variable)] == 1 else None
        for variable, assignment in zip(variables, assignments, strict=True)
    ], fewest


def _key(variable: Any, assignment: Assignment) -> Hashable | None:
    group = assignment.gradient_transforms
    alone = (
        not isinstance(variable, keras.Variable)
        or getattr(variable, "constraint", None) is not None
        or getattr(variable, "overwrite_with_gradient", False)
        or assignment.multiplier == 0
        or (group is not None and any(transform.by_variable for transform in group.gradient_transforms))
    )
    return None if alone else (assignment.rule_key, id(assignment.l2), id(group))


class Fusion:
    """The stacks of an optimizer's variables, and its units: what stands for each stack, and each other variable.

    A plain object, so that Keras does not look for state in it.

    Args:
        optimizer: built with the variables.
        keys: for each trainable variable what it must share with others to be updated together with them; None for one
            that must stay by itself.
        fewest: the least number of variables in a stack.
    """

    def __init__(self, optimizer: keras.optimizers.Optimizer, keys: Sequence[Hashable | None], fewest: int) -> None:
        self._optimizer = optimizer
        variables = keras_optimizer.built_with(optimizer)
        self.stacks = [
            Stack(number, places, [variables[place] for place in places])
            for number, places in enumerate(_gathered(variables, keys, fewest))
        ]
        self._stack_of = {place: stack for stack in self.stacks for place in stack.places}
        firsts = {stack.places[0] for stack in self.stacks}
        # The place of a unit is that of its first variable.
        self.places = [place for place in range(len(variables)) if place not in self._stack_of or place in firsts]
        self.units = [
            self._stack_of[place].whole if place in self._stack_of else variables[place] for place in self.places
        ]

    def joined(
        self, gradients: Sequence[Any], variables: Sequence[Any]
    ) -> tuple[list[Any], list[Any], dict[int, list[bool]]]:
        """Gradients and variables by unit; and by number of a stack, which of its variables have a gradient, where
        some have none."""
        given = {
            keras_optimizer.index_of(self._optimizer, variable): (gradient, variable)
            for gradient, variable in zip(gradients, variables, strict=True)
        }
        found, units, partial = [], [], {}
        for place, unit in zip(self.places, self.units, strict=True):
            stack = self._stack_of.get(place)
            if stack is None:
                if place in given:
                    found.append(given[place][0])
                    units.append(given[place][1])
                continue
            present = [member in given for member in stack.places]
            if any(present):
                found.append(stack.join([given.get(member, (None,))[0] for member in stack.places]))
                units.append(unit)
            if not all(present):
                partial[self.stacks.index(stack)] = present
        return found, units, partial

    def read(self) -> None:
        """What stands for each stack takes the values of its variables."""
        for stack in self.stacks:
            stack.read()

    @contextlib.contextmanager
    def kept(self, partial: dict[int, list[bool]], slots: Callable[[Any], list[Any]]) -> Iterator[None]:
        """Within it the units are updated; afterwards what had no gradient has the weights and slots of before.

        Args:
            partial: as `joined` returned it.
            slots: what the rule keeps for a unit, in the unit's shape.
        """
        held = []
        for number, present in partial.items():
            stack = self.stacks[number]
            if any(present):
                mask = stack.mask(present)
                held += [(v, mask, keras.ops.copy(v.value)) for v in [stack.whole, *slots(stack.whole)]]
        yield
        for variable, mask, before in held:
            variable.assign(keras.ops.where(mask, variable.value, before))

    def write(self) -> None:
        """The variables of each stack take their new values."""
        for stack in self.stacks:
            stack.write()

    def apart(self, arrays: Sequence[Any]) -> list[Any]:
        """For each trainable variable its part of `arrays`, which are one a unit."""
        found: dict[int, Any] = {}
        for place, array in zip(self.places, arrays, strict=True):
            stack = self._stack_of.get(place)
            if stack is None:
                found[place] = array
            else:
                found |= dict(zip(stack.places, stack.parts(array), strict=True))
        return [found[place] for place in sorted(found)]


def _gathered(variables: Sequence[Any], keys: Sequence[Hashable | None], fewest: int) -> list[list[int]]:
    """The places of the variables of each stack, in order of its first one."""
    alike: dict[tuple[Hashable, str, tuple[int, ...]], list[int]] = {}
    for place, (variable, key) in enumerate(zip(variables, keys, strict=True)):
        if key is not None and math.prod(variable.shape) <= LARGEST:
            alike.setdefault((key, variable.dtype, tuple(variable.shape[1:])), []).append(place)
    found: list[list[int]] = []
    rest: dict[Hashable, list[int]] = {}
    for (key, dtype, trailing), places in alike.items():
        if trailing and len(places) >= max(_ALIKE, fewest):
            found.append(places)
        else:
            rest.setdefault((key, dtype), []).extend(places)
    found += [sorted(places) for places in rest.values() if len(places) >= max(2, fewest)]
    return sorted(found)
