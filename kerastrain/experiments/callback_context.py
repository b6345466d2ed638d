"""What the callbacks of a recipe need to know of their run."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

from kerastrain import datasets

# Where a run's snapshots are.
SNAPSHOTS = "snapshots"
# Where what a divergence guard has done is kept, a line of JSON each.
EVENTS = "events.jsonl"
# Samples of an evaluation's batch.
EVALUATION_BATCH = 512
# Training samples that batch normalization's statistics are taken from for averaged weights.
RECALIBRATION_SAMPLES = 4096


@dataclasses.dataclass(frozen=True)
class CallbackContext:
    """What callbacks need to know of their run.

    folder: where their files go; None in a search's trial, which has none.
    steps: updates in an epoch.
    epochs: of the run.
    validation: the validation data, `(inputs, labels)`; None while a recipe is only checked.
    recalibration: training batches for the statistics of averaged weights.
    batch_size: samples in one of them.
    batches: what `fit` trains on.
    announce: is given one line for each thing worth telling.
    """

    folder: pathlib.Path | None
    steps: int
    epochs: int
    validation: tuple[Any, Any] | None = None
    recalibration: Any = None
    batch_size: int = 1
    batches: datasets.Batches | None = None
    announce: Callable[[str], None] | None = None
