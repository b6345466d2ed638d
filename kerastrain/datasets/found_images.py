"""What a source of images holds, before it becomes a data set."""

import dataclasses

from kerastrain.datasets.array_checks import Images, Labels


@dataclasses.dataclass(frozen=True, eq=False)
class FoundImages:
    """Checked arrays as in ImageData; the test arrays are None when the source has no test set."""

    class_names: tuple[str, ...]
    x_train: Images
    y_train: Labels
    x_test: Images | None
    y_test: Labels | None
