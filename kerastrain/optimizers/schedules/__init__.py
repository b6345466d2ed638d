"""Learning-rate schedules that Keras lacks; each counts optimizer updates and can be saved with the model."""

from kerastrain.optimizers.schedules.cyclical import Cyclical
from kerastrain.optimizers.schedules.one_cycle import OneCycle
from kerastrain.optimizers.schedules.per_epoch import PerEpoch
from kerastrain.optimizers.schedules.scaled import Scaled
from kerastrain.optimizers.schedules.sequence import Sequence
from kerastrain.optimizers.schedules.step_decay import StepDecay
from kerastrain.optimizers.schedules.triangle import Triangle
from kerastrain.optimizers.schedules.warmup import Warmup

__all__ = ["Cyclical", "OneCycle", "PerEpoch", "Scaled", "Sequence", "StepDecay", "Triangle", "Warmup"]
