"""A data set in memory: images, labels, what their classes are called and where they came from."""

import dataclasses
import functools
import hashlib

import numpy as np

from kerastrain.datasets.array_checks import Images, Labels


@dataclasses.dataclass(frozen=True, eq=False)
class ImageData:
    """Labeled images, split in a training set and a test set; pixels stay uint8 and are scaled in the model.

    Args:
        name: short name, as a command line gives it: `cifar10`, `synthetic`, or a path.
        description: what it is and where it came from, for run records: `CIFAR-10 (JPEG copy) from /data/x.npz`.
        class_names: one name per class; label `i` is `class_names[i]`.
        x_train: uint8, `(n, height, width, channels)`, channels 1 or 3.
        y_train: int32, `(n,)`, values `0..classes - 1`.
        x_test: as `x_train`, for the test set.
        y_test: as `y_train`, for the test set.

    Example:

    >>> import numpy as np
    >>> images, labels = np.zeros((4, 8, 8, 3), np.uint8), np.array([0, 1, 0, 1], np.int32)
    >>> data = ImageData("tiny", "black squares", ("left", "right"), images, labels, images, labels)
    >>> data.image_shape, data.classes
    ((8, 8, 3), 2)
    """

    name: str
    description: str
    class_names: tuple[str, ...]
    x_train: Images
    y_train: Labels
    x_test: Images
    y_test: Labels

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)`."""
        height, width, channels = self.x_train.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> int:
        """The number of classes."""
        return len(self.class_names)

    def fingerprint(self) -> str:
        """The first 16 hexadecimal digits of a sha256 over shapes, dtypes and bytes of the four arrays."""
        return self._fingerprint

    @functools.cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]
