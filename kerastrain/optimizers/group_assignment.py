"""Which options each variable takes from the parameter groups."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from kerastrain._core.errors import InputError
from kerastrain.optimizers.parameter_group import ParameterGroup


@dataclasses.dataclass(frozen=True)
class Assignment:
    """The group that each option of one variable comes from; None where no group sets it."""

    learning_rate_multiplier: ParameterGroup | None = None
    weight_decay: ParameterGroup | None = None
    l2: ParameterGroup | None = None
    gradient_transforms: ParameterGroup | None = None
    trainable: ParameterGroup | None = None

    @property
    def multiplier(self) -> float:
        """What the variable's learning rate is multiplied by."""
        return 1.0 if self.learning_rate_multiplier is None else self.learning_rate_multiplier.learning_rate_multiplier

    @property
    def rule_key(self) -> tuple[Any, ...]:
        """Variables that share it are updated by one member: same multiplier, decay and switch."""
        return (self.multiplier, _identity(self.weight_decay), _identity(self.trainable))


def _identity(group: ParameterGroup | None) -> int | None:
    return None if group is None else id(group)


def assign_groups(groups: Sequence[ParameterGroup], paths: Sequence[str]) -> list[Assignment]:
    """The assignment of each path.

    Raises:
        InputError: a group matches no path, or two groups set one option for one path.
    """
    for group in groups:
        if not any(group.matches(path) for path in paths):
            shown = ", ".join(paths[:6]) + (", ..." if len(paths) > 6 else "")
            raise InputError(
                f"The pattern {group.pattern!r} of a ParameterGroup matches no trainable variable. The paths are: "
                f"{shown}. A pattern is searched for anywhere in a path; a Sequential's paths begin with its name."
            )
    return [_assignment(groups, path) for path in paths]


def _assignment(groups: Sequence[ParameterGroup], path: str) -> Assignment:
    chosen: dict[str, ParameterGroup] = {}
    for group in groups:
        for option in group.options() if group.matches(path) else ():
            if option in chosen:
                raise InputError(
                    f"Two parameter groups set `{option}` for the variable {path!r}: the patterns "
                    f"{chosen[option].pattern!r} and {group.pattern!r}. Make one of them match less."
                )
            chosen[option] = group
    return Assignment(**chosen)
