"""One member of a voting ensemble."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="kerastrain")
class EnsembleMember(keras.Model):
    """A functional model whose variables' paths begin with its name, also after loading.

    Keras leaves the name of a nested functional model out of its variables' paths, so that `head/kernel` would name a
    weight of every member, and a parameter group could not tell members apart. Whoever makes one builds the layers in
    `keras.name_scope(name)`; the class does that when it is loaded.

    Args:
        inputs: as in `keras.Model`.
        outputs: as in `keras.Model`.
        name: the member's name.

    Example:

    >>> with keras.name_scope("member1"):
    ...     inputs = keras.Input((2,))
    ...     outputs = keras.layers.Dense(1, name="head")(inputs)
    >>> [weight.path for weight in EnsembleMember(inputs, outputs, name="member1").weights]
    ['member1/head/kernel', 'member1/head/bias']
    """

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> "EnsembleMember":
        with keras.name_scope(config["name"]):
            return super().from_config(config, custom_objects)
