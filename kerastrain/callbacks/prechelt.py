"""Prechelt's criteria: how far the validation error is above its minimum, and how much training still progresses."""

import math
from collections.abc import Sequence


def generalization_loss(error: float, lowest: float) -> float:
    """`GL = 100 (error / lowest - 1)`, in percent; `lowest` is the smallest error so far, this one included."""
    if error == lowest:
        return 0.0
    return math.inf if lowest == 0 else 100.0 * (error / lowest - 1.0)


def training_progress(errors: Sequence[float]) -> float:
    """`P = 1000 (mean(errors) / min(errors) - 1)` of a strip's training errors, in tenths of a percent."""
    lowest = min(errors)
    mean = sum(errors) / len(errors)
    if mean == lowest:
        return 0.0
    return math.inf if lowest == 0 else 1000.0 * (mean / lowest - 1.0)


def progress_quotient(loss: float, progress: float) -> float:
    """`PQ = GL / P`; infinite where nothing progresses and something is lost."""
    if loss == 0:
        return 0.0
    return math.inf if progress == 0 else loss / progress
