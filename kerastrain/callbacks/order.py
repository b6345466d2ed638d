"""Callbacks that must have a part before all others and stand behind them, wherever they are in the list."""

import keras

from kerastrain._core import keras_training


def place_of(callback: keras.callbacks.Callback) -> int:
    """0, for all that stand as their user has put them; less in front of them, more behind them."""
    return int(getattr(type(callback), "list_place", 0))


def surround(callback: keras.callbacks.Callback, front: keras.callbacks.Callback) -> list[keras.callbacks.Callback]:
    """Put `front` and `callback` into their places in the list that is calling `callback` just now.

    Returns:
        The callbacks that stand within or have the same place, without the parts that others have in front; none where
        it is called by hand.
    """
    everybody = keras_training.callback_list_of(callback)
    if everybody is None:
        return []
    # A new list: Keras is going through the old one.
    everybody.callbacks = sorted([front, *everybody.callbacks], key=place_of)
    return [one for one in everybody.callbacks if 0 <= place_of(one) <= place_of(callback) and one is not callback]
