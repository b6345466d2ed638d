"""Batches that several devices or processes share."""

from collections.abc import Iterable
from typing import Any

from keras import tree

from kerastrain._core import keras_training, processes
from kerastrain._core.errors import InputError

WHOLE = (0, 1)


def checked_share(share: Any) -> tuple[int, int] | None:
    """`share`, when it is None or names one of so many parts. Raises InputError otherwise."""
    if share is None:
        return None
    pair = share if isinstance(share, tuple | list) and len(share) == 2 else ()
    if not pair or any(isinstance(value, bool) or not isinstance(value, int) for value in pair):
        raise InputError(f"`share` must be (number, count), such as (0, 2). Received: share={share!r}.")
    if not 0 <= pair[0] < pair[1]:
        raise InputError(f"`share` must be (number, count) with 0 <= number < count. Received: share={share!r}.")
    return pair[0], pair[1]


def part_of(batch: Any, share: tuple[int, int]) -> Any:
    """The rows of a batch, an array or a structure of arrays, that a share has."""
    if share == WHOLE:
        return batch
    number, count = share

    def rows(array: Any) -> Any:
        check_equal([len(array)], count)
        size = len(array) // count
        return array[number * size : (number + 1) * size]

    return tree.map_structure(lambda array: None if array is None else rows(array), batch, none_is_leaf=False)


def devices(share: tuple[int, int]) -> int:
    """Among how many devices each batch is divided now: by its shares, and further by JAX or TensorFlow."""
    return share[1] * processes.devices_of_a_share() * keras_training.replicas_of_fit()


def check_equal(sizes: Iterable[int], devices: int) -> None:
    """Raise InputError where a batch cannot be divided equally among the devices.

    JAX refuses such a batch in the middle of the training. TensorFlow gives the devices unlike numbers of samples and
    takes the mean of their means, in which the samples of the smaller part count more.
    """
    unequal = sorted({int(size) for size in sizes if size % devices})
    if unequal:
        found = ", ".join(str(size) for size in unequal[:3])
        raise InputError(
            f"Every batch must be divisible by the {devices} devices that share it, the last of an epoch too. "
            f"Received: batches of {found} samples. Use another `batch_size`, or leave out samples that are left over."
        )
