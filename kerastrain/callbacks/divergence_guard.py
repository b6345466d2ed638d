"""Back to the last good state when training diverges."""

import json
import math
import pathlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

import keras

from kerastrain._core import atomic_files, keras_training, processes
from kerastrain._core.checks import number, place_for_file, whole_number
from kerastrain._core.errors import InputError, WorkFailedError
from kerastrain._core.training_state import optimizer_of
from kerastrain.callbacks import fit_state, keras_states, movable_rate, order
from kerastrain.callbacks.divergence_faults import Fault, added_loss, exploded, loss_sums, recorder_of
from kerastrain.callbacks.stateful_callback import StatefulCallback


class DivergenceGuard(StatefulCallback, order.Surrounding):
    """Take a training that diverges back to its last good state, and go on with the next batches.

    A step is bad when its loss is NaN or infinite, or the norm of its gradients where the optimizer records it
    (`RecordGradientNorms`), or when one of them is many times what it usually is:

        loss > loss_factor * median(loss of the last window_steps steps)         with `loss_factor`
        norm > gradient_factor * median(norm of the last window_steps steps)     with `gradient_factor`

    Every `every_steps` steps, at the end of an epoch's steps and so before its validation, weights, statistics, slots
    and averages are looked through for NaN and infinity. If there is none, that is the last good state, and a copy is
    kept in memory. After a bad step, or if there is one, everything goes back to the copy: weights, slots, averages,
    counters, seeds, the metrics of the epoch, and what the other callbacks remember. The batches since then count as
    not seen, and training goes on with the next: those that ended badly would end so again. The learning rate is
    multiplied by `rate_factor`, if there is one. After `max_rollbacks` times the next bad step ends `fit` by an error,
    with the good state in the model. Weights that have grown beyond use and are finite yet look good: where a training
    explodes over several steps, `loss_factor` tells it in time, and rare copies come seldom into such a stretch.

    Keras's `TerminateOnNaN` ends the training as if it were over, and deletes the backup. `SkipNonFinite` leaves out
    one update: by then the statistics of batch normalization are NaN, and a loss that only explodes it does not see.

    It finds its place by itself: it looks before all other callbacks, which get empty logs for a bad step, and acts
    after them, before a `ResumableCheckpoint`, which so saves good states only, and after a kill repeats the same
    rollbacks to the same bits. Keras's own callbacks that save within an epoch have no such order.

    Args:
        max_rollbacks: how many times in a training, a whole number >= 0.
        every_steps: steps from one good copy to the next, a whole number >= 1: at most so many batches are lost. A copy
            takes about the time in which the training's state is copied; the next execution's end, under
            `steps_per_execution`.
        rate_factor: of the learning rate at each rollback, a number in (0, 1); None leaves it. It moves the
            `plateau_multiplier` of a `ComposedOptimizer`, or the rate of a plain one, which must be a number.
        loss_factor: a number > 1; None for no such test. Under `steps_per_execution` the loss is the execution's.
        gradient_factor: a number > 1, for an optimizer with `RecordGradientNorms`; None for no such test.
        window_steps: steps in the median, a whole number >= 1, rounded up to whole executions; before there are so many
            good ones nothing is compared. A median that is not above 0 is not compared either.
        path: a file for the events, a line of JSON each, replaced whole at each; None for none.
        announce: is given a line for each event. Default: print to stderr.

    Attributes: `events`, a list with a dictionary for each: `epoch` from 0, `step` (batches of it that are done),
    `action` (`rollback` or `stop`), `cause`, `value` (None where it is not finite), `good_step`, `skipped_steps`, and
    the `learning_rate` from then on. `rollbacks`, their number.

    State: the events, the medians' windows, the position in the epoch; the good copy only where a checkpoint is written
    between two of them, else that checkpoint is it.

    Raises:
        InputError: an argument out of range; at the beginning of `fit`: a second guard, a learning rate that cannot be
            cut, no norms for `gradient_factor`, a path at which there can be no file. Within `fit` WorkFailedError,
            when the rollbacks are used up, or weights are not finite before the first step.

    Example:

    >>> import keras, numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, kernel_initializer="ones")])
    >>> model.compile("sgd", loss="mse")
    >>> x = np.array([[1.0], [np.nan], [1.0]])
    >>> guard = DivergenceGuard(every_steps=1, announce=lambda line: None)
    >>> history = model.fit(x, x, batch_size=1, shuffle=False, callbacks=[guard], verbose=0)
    >>> guard.rollbacks, guard.events[0]["cause"], guard.events[0]["skipped_steps"]
    (1, 'the loss is nan', 1)

    Reference: Chowdhery et al., 2022, PaLM: Scaling language modeling with pathways, arXiv:2204.02311, section 5.1
    (back to a checkpoint before the spike, and on behind the batches that were seen around it).
    """

    list_place = 1
    state_names = ("step", "kept_steps", "losses", "norms", "loss_sums", "good", "rollbacks", "events")

    def __init__(
        self,
        max_rollbacks: int = 3,
        every_steps: int = 100,
        rate_factor: float | None = None,
        loss_factor: float | None = None,
        gradient_factor: float | None = None,
        window_steps: int = 50,
        path: str | pathlib.Path | None = None,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__()
        self.max_rollbacks = whole_number("max_rollbacks", max_rollbacks, minimum=0)
        self.every_steps = whole_number("every_steps", every_steps)
        self.rate_factor = None if rate_factor is None else number("rate_factor", rate_factor, above=0, below=1)
        self.loss_factor = None if loss_factor is None else number("loss_factor", loss_factor, above=1)
        self.gradient_factor = None if gradient_factor is None else number("gradient_factor", gradient_factor, above=1)
        self.window_steps = whole_number("window_steps", window_steps)
        self.path = None if path is None else pathlib.Path(path)
        self.announce = announce or (lambda line: print(line, file=sys.stderr))
        self._others: list[keras.callbacks.Callback] = []
        self._reset()

    def _reset(self) -> None:
        self.losses: list[float] = []
        self.norms: list[float] = []
        self.rollbacks = 0
        self.events: list[dict[str, Any]] = []
        self._epoch = 0
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.step = self.kept_steps = 0
        self.loss_sums = [0.0, 0.0]
        self.good: dict[str, Any] | None = None
        self._fault: Fault | None = None

    def state_dict(self) -> dict[str, Any]:
        good = self.good
        if good is not None and good["step"] == self.step:
            self.good = None  # Whoever asks now has all that is in it.
        try:
            return super().state_dict()
        finally:
            self.good = good

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.events:
            self._write()

    # The beginning of `fit`.

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._reset()
        # On JAX to ask `self.model` within an epoch takes the state of the training out of the compiled step.
        self._watched = self.model
        optimizer = optimizer_of(self._watched)
        if self.rate_factor is not None:
            movable_rate.checked_number(optimizer)
        self._recorder = recorder_of(optimizer)
        self._window = math.ceil(self.window_steps / self._watched.steps_per_execution)
        if self.gradient_factor is not None and self._recorder is None:
            raise InputError(
                f"`gradient_factor` needs an optimizer that records its gradients' norms. Received: "
                f"{type(optimizer).__name__}. Use ComposedOptimizer(..., gradient_transforms=[RecordGradientNorms()])."
            )
        self._tracker = None if self.loss_factor is None else keras_training.loss_tracker(self._watched)
        if self.loss_factor is not None and self._tracker is None:
            raise InputError("`loss_factor` needs a model that has its loss from `compile`.")
        self._others = self.surround()
        self._check_others()
        if self.path is not None and processes.is_first():
            # An earlier training's; a resume writes it again.
            place_for_file("path", self.path).unlink(missing_ok=True)

    def _check_others(self) -> None:
        for other in self._others:
            if isinstance(other, DivergenceGuard):
                raise InputError("`callbacks` must have one DivergenceGuard. Received: two.")
            if self.rate_factor is not None and isinstance(other, keras.callbacks.LearningRateScheduler):
                raise InputError(
                    "`rate_factor` would be undone by the LearningRateScheduler beside it, which sets the rate at each "
                    f"epoch. Received: rate_factor={self.rate_factor}. Compile with ComposedOptimizer and a schedule."
                )

    # Before all other callbacks.

    def begin_step(self) -> None:
        """The first step of an epoch finds the first good state."""
        if self.good is None:
            keras_training.build_optimizer(self._watched)
            fault = self._look()
            if fault is not None:
                raise WorkFailedError(
                    f"{fault[0]} before step {self.step + 1} of epoch {self._epoch + 1}, and there is no good state to "
                    "go back to."
                )

    def end_step(self, logs: dict[str, Any] | None) -> None:
        self._fault = self._fault_of(logs or {})
        if self._fault is not None and logs is not None:
            logs.clear()  # A step that does not count has no metrics.

    def end_epoch(self, logs: dict[str, Any] | None) -> None:
        self.on_test_begin()
        if self.step and not self.kept_steps and logs is not None:
            logs.update({name: math.nan for name in logs if not name.startswith("val_")})

    # After all other callbacks.

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        steps = self.params.get("steps") or sys.maxsize
        executed = min(self._watched.steps_per_execution, steps - self.step)
        self.step += executed
        if self._fault is None:
            self.kept_steps += executed
            if self.step - self._good_step() >= self.every_steps or self.step == steps:
                self._fault = self._look()
        self._settle()

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Of data without a known length the last step is known as such by now.
        if self.good is not None and self._good_step() < self.step:
            self._fault = self._look()
            self._settle()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._begin_epoch()

    # Looking.

    def _good_step(self) -> int:
        return 0 if self.good is None else int(self.good["step"])

    def _fault_of(self, logs: Mapping[str, Any]) -> Fault | None:
        loss = float(logs.get("loss", 0.0))
        if not math.isfinite(loss):
            return f"the loss is {loss}", None
        fault = None
        if self._recorder is not None:
            norm = float(keras_training.value_within_step(self._watched, self._recorder.global_norm))
            if not math.isfinite(norm):
                return f"the gradient's norm is {norm}", None
            if self.gradient_factor is not None:
                fault = exploded("the gradient's norm", norm, self.norms, self._window, self.gradient_factor)
        if fault is None and self._tracker is not None and self.loss_factor is not None:
            before, self.loss_sums = self.loss_sums, loss_sums(self._watched, self._tracker)
            own = added_loss(before, self.loss_sums)
            if own is not None:
                fault = exploded("the loss", own, self.losses, self._window, self.loss_factor)
        return fault

    def _look(self) -> Fault | None:
        """Keep the present state as the good one; None unless something in it is not finite."""
        state = fit_state.captured(self._watched, self._others, within_epoch=self.step > 0)
        # The generators of the process may be where the next batches come from, which must be others.
        del state["random"]
        broken = fit_state.not_finite(state)
        if broken is not None:
            return f"`{broken}` is not finite", None
        self.good = {
            "step": self.step,
            "kept_steps": self.kept_steps,
            "losses": list(self.losses),
            "norms": list(self.norms),
            "loss_sums": list(self.loss_sums),
            "training": state,
        }
        return None

    # Acting.

    def _settle(self) -> None:
        fault, self._fault = self._fault, None
        if fault is None or self.good is None:
            return
        good_step, stop = self._good_step(), self.rollbacks == self.max_rollbacks
        self._restore(self.good)
        rate = None if stop else self._cut_rate()
        place = f"epoch {self._epoch + 1}, step {self.step}: {fault[0]}"
        self.events.append(
            {
                "epoch": self._epoch,
                "step": self.step,
                "action": "stop" if stop else "rollback",
                "cause": fault[0],
                "value": fault[1],
                "good_step": good_step,
                "skipped_steps": self.step - good_step,
                "learning_rate": rate,
            }
        )
        self._write()
        if stop:
            raise WorkFailedError(
                f"diverged: {place}, and of {self.max_rollbacks} rollbacks none is left. The model holds the state "
                f"behind step {good_step}. Lower the learning rate, or clip the gradients."
            )
        self.rollbacks += 1
        # From now on it is the good state, with the lower rate: a second fault before the next copy cuts it further.
        self._look()
        skipped = self.step - good_step
        unknown = sorted({type(one).__name__ for one in self._others if not keras_states.is_known(one)})
        self.announce(
            f"{place}. Back to the state behind step {good_step}, {skipped} batch{'es' * (skipped > 1)} skipped "
            f"(rollback {self.rollbacks} of {self.max_rollbacks})."
            + (f" The learning rate goes on at {rate:.6g}." if self.rate_factor is not None else "")
            + (f" What {', '.join(unknown)} remembers stays." if unknown else "")
        )

    def _restore(self, good: dict[str, Any]) -> None:
        keras_training.synced(self._watched)
        state = good["training"]
        fit_state.restore_model(self._watched, state)
        if state["metrics"] is None:
            self._watched.reset_metrics()
        else:
            fit_state.restore_metrics(self._watched.metrics_variables, state)
        fit_state.restore_callbacks(self._others, state)
        self.kept_steps = good["kept_steps"]
        self.losses, self.norms, self.loss_sums = good["losses"], good["norms"], good["loss_sums"]

    def _cut_rate(self) -> float | None:
        optimizer = optimizer_of(self._watched)
        if self.rate_factor is not None:
            movable_rate.set_scale(optimizer, movable_rate.scale(optimizer) * self.rate_factor)
        return None if hasattr(optimizer, "optimizers") else movable_rate.rate(optimizer)

    def _write(self) -> None:
        if self.path is None or not processes.is_first():
            return
        try:
            atomic_files.write_text(self.path, "".join(f"{json.dumps(event)}\n" for event in self.events))
        except OSError as error:
            self.announce(f"{self.path}: cannot be written ({error.strerror or error}).")
