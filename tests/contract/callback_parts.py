"""One of each public callback, made afresh on each call for a folder of its own."""

import numpy as np

from kerastrain import callbacks

DATA = np.ones((6, 4), np.float32), np.zeros((6, 2), np.float32)

MAKE = {
    "callbacks.AveragedWeights": lambda folder: callbacks.AveragedWeights(DATA, recalibrate_on=DATA[0]),
    "callbacks.BestModel": lambda folder: callbacks.BestModel(folder / "best.keras"),
    "callbacks.DivergenceGuard": lambda folder: callbacks.DivergenceGuard(
        every_steps=2, rate_factor=0.5, loss_factor=9.0, window_steps=3
    ),
    "callbacks.EarlyStopping": lambda folder: callbacks.EarlyStopping(
        ["val_loss", "loss"],
        patience=5,
        restore_best_weights=True,
        generalization_loss=50.0,
        progress_quotient=9.0,
        strip_epochs=3,
    ),
    "callbacks.GradualUnfreezing": lambda folder: callbacks.GradualUnfreezing(["trunk"]),
    "callbacks.ReduceOnPlateau": lambda folder: callbacks.ReduceOnPlateau(patience=1, min_delta=100.0),
    "callbacks.ScheduleHyperparameter": lambda folder: callbacks.ScheduleHyperparameter(
        "momentum", lambda step: 0.9 / (1 + step), by="step"
    ),
    "callbacks.SnapshotEnsemble": lambda folder: callbacks.SnapshotEnsemble(folder, every_epochs=1),
}
