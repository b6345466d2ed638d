"""What variables are called."""

from typing import Any


def path_of(variable: Any) -> str:
    """The path that groups look at; a plain `tf.Variable` has only a name."""
    return str(getattr(variable, "path", variable.name))


def slot_prefix(variable: Any) -> str:
    """What Keras begins the name of a variable's slots with."""
    return f"{path_of(variable).replace('/', '_')}_"
