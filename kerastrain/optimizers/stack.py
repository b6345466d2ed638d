"""Variables that are updated as one."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerastrain._core import joined_tensors


class Stack:
    """Some trainable variables, and one variable that stands for all of them while they are updated.

    They share their dtype and their shape but for the first axis, along which they are joined; or they are joined as
    vectors. A plain object: what it holds is no state, since it is read from the variables at each update.

    Args:
        number: of the stack in its optimizer.
        places: of the variables in the list that the optimizer is built with.
        variables: at least two.
    """

    def __init__(self, number: int, places: Sequence[int], variables: Sequence[keras.Variable]) -> None:
        self.places = list(places)
        self.variables = list(variables)
        self.shapes = [tuple(variable.shape) for variable in variables]
        self.as_vectors = len({shape[1:] for shape in self.shapes}) > 1 or () in self.shapes
        rows = sum(int(np.prod(shape)) if self.as_vectors else shape[0] for shape in self.shapes)
        self.whole = keras.Variable(
            keras.initializers.Zeros(),
            shape=(rows,) if self.as_vectors else (rows, *self.shapes[0][1:]),
            dtype=variables[0].dtype,
            trainable=False,
            name=f"kerastrain_stack_{number}",
        )

    def join(self, tensors: Sequence[Any]) -> Any:
        """One tensor in the shape of `whole`, of one tensor for each variable; None stands for zeros."""
        given = zip(tensors, self.shapes, strict=True)
        dtype = next(tensor.dtype for tensor in tensors if tensor is not None)
        tensors = [keras.ops.zeros(shape, dtype) if tensor is None else tensor for tensor, shape in given]
        return joined_tensors.joined(tensors, self.as_vectors)

    def read(self) -> None:
        """`whole` takes the values of the variables."""
        joined_tensors.read_into(self.whole, self.variables, self.as_vectors)

    def write(self) -> None:
        """The variables take their parts of `whole`."""
        parts = joined_tensors.parts_of(self.whole.value, self.shapes, self.as_vectors)
        joined_tensors.write_parts(self.variables, parts)

    def mask(self, present: Sequence[bool]) -> Any:
        """In a shape that broadcasts to `whole`: True where an element belongs to a variable that is `present`."""
        lengths = [int(np.prod(shape)) if self.as_vectors else shape[0] for shape in self.shapes]
        rows = np.repeat(np.array(present), lengths)
        return keras.ops.convert_to_tensor(rows.reshape(-1, *[1] * (len(self.whole.shape) - 1)))

    def parts(self, array: np.ndarray) -> list[np.ndarray]:
        """What each variable has in an array of the shape of `whole`."""
        lengths = [int(np.prod(shape)) if self.as_vectors else shape[0] for shape in self.shapes]
        parts = np.split(array, np.cumsum(lengths)[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def whole_of(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """The inverse of `parts`."""
        return np.concatenate([np.reshape(part, -1) if self.as_vectors else part for part in parts])
