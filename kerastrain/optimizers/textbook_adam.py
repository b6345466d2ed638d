"""Adam with the bias correction and the epsilon of the page at hand."""

from typing import Any, ClassVar

import keras

from kerastrain._core.checks import boolean, number
from kerastrain._core.registry import Fraction, NonNegativeFloat, PositiveFloat
from kerastrain.optimizers.tunable_optimizer import TunableOptimizer, number_or_schedule


@keras.saving.register_keras_serializable(package="kerastrain")
class TextbookAdam(TunableOptimizer):
    """Adam as its algorithm prints it, with the bias correction and the place of epsilon to choose.

    `keras.optimizers.Adam` folds both corrections into the rate, which leaves its epsilon beside the uncorrected root:
    it is the paper's "epsilon hat", and acts as `epsilon / sqrt(1 - beta_2^t)` would here, 32 times larger at the first
    step. With gradient `g`, rate `a` and the number of updates `t`, from `m = v = 0`:

        m <- beta_1 m + (1 - beta_1) g
        v <- beta_2 v + (1 - beta_2) g^2
        m^ = m / (1 - beta_1^t),  v^ = v / (1 - beta_2^t)    or m and v themselves without `bias_correction`
        w <- w - a m^ / (sqrt(v^) + epsilon)                 or / sqrt(v^ + epsilon) with `epsilon_inside_root`

    The default is `torch.optim.Adam`. Use it to repeat PyTorch's or a textbook's Adam, or to move the betas. Not where
    Keras's will do: at the usual epsilons the two hardly differ.

    Args:
        learning_rate: the rate a; a float >= 0 or a schedule. Default 0.001.
        beta_1: how much of the average gradient is kept, 0 <= beta_1 < 1, or a schedule of it. Default 0.9.
        beta_2: how much of the average squared gradient is kept, 0 <= beta_2 < 1, or a schedule. Default 0.999.
        epsilon: a float > 0. Default 1e-8.
        bias_correction: divide out the zeros that the averages began with. Default True. Without it the first steps are
            longer: `(1 - beta_1) / sqrt(1 - beta_2)` times the rate at the first, 3.16 at the default betas.
        epsilon_inside_root: add epsilon to the square rather than to the root. Default False.
        weight_decay: decoupled decay, `w -= a weight_decay w` before the update, as AdamW's. A float >= 0, a schedule,
            or None (default) for none.
        **kwargs: `keras.optimizers.Optimizer`'s.

    State: for each trainable variable `average` m and `average_square` v, of its shape and dtype; the scalars `beta_1`,
    `beta_2`, and `weight_decay` where given, in `hyperparameters`.

    Raises:
        InputError: an argument out of its range.

    Example:

    >>> weights = keras.Variable([1.0, 1.0])
    >>> optimizer = TextbookAdam(0.1)
    >>> optimizer.apply([keras.ops.array([3.0, -0.003])], [weights])  # the first step is the rate, for either
    >>> [round(float(value), 4) for value in keras.ops.convert_to_numpy(weights)]
    [0.9, 1.1]

    Reference: D. P. Kingma, J. Ba, 2015, "Adam: a method for stochastic optimization", arXiv:1412.6980, algorithm 1;
    for the decay I. Loshchilov, F. Hutter, 2019, "Decoupled weight decay regularization", arXiv:1711.05101. Deviations:
    none by default; when a beta moves, the corrections are those of its present value at t, not of its history.
    """

    elementwise: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: PositiveFloat | keras.optimizers.schedules.LearningRateSchedule = 0.001,
        beta_1: Fraction | keras.optimizers.schedules.LearningRateSchedule = 0.9,
        beta_2: Fraction | keras.optimizers.schedules.LearningRateSchedule = 0.999,
        epsilon: PositiveFloat = 1e-8,
        bias_correction: bool = True,
        epsilon_inside_root: bool = False,
        weight_decay: NonNegativeFloat | keras.optimizers.schedules.LearningRateSchedule | None = None,
        **kwargs: Any,
    ) -> None:
        hyperparameters = {
            "beta_1": number_or_schedule("beta_1", beta_1, minimum=0, below=1),
            "beta_2": number_or_schedule("beta_2", beta_2, minimum=0, below=1),
        }
        epsilon = number("epsilon", epsilon, above=0, remedy="Use a tiny one, such as 1e-30, for none.")
        bias_correction = boolean("bias_correction", bias_correction)
        epsilon_inside_root = boolean("epsilon_inside_root", epsilon_inside_root)
        super().__init__(learning_rate, hyperparameters, weight_decay=weight_decay, **kwargs)
        self.epsilon = epsilon
        self.bias_correction = bias_correction
        self.epsilon_inside_root = epsilon_inside_root

    def build(self, variables: Any) -> None:
        if self.built:
            return
        super().build(variables)
        self._averages, self._average_squares = self.add_optimizer_variables(variables, ["average", "average_square"])

    def _correction(self, beta: str, variable: Any) -> Any:
        """1 - beta^t. In float32 the power is 1 but for its last bits, so it is not subtracted: expm1(t log beta)."""
        updates = keras.ops.cast(self.iterations + 1, "float32")
        return keras.ops.cast(-keras.ops.expm1(updates * keras.ops.log(self.hyperparameters[beta])), variable.dtype)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        ops = keras.ops
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = self.gradient_of(gradient, variable)
        index = self._get_variable_index(variable)
        moments = []
        for beta, variables, new in (
            ("beta_1", self._averages, gradient),
            ("beta_2", self._average_squares, ops.square(gradient)),
        ):
            kept = ops.multiply(variables[index], self.value_of(beta, variable))
            moment = kept + new * self.complement_of(beta, variable)
            self.assign(variables[index], moment)
            moments.append(moment / self._correction(beta, variable) if self.bias_correction else moment)
        mean, square = moments
        root = ops.sqrt(square + self.epsilon) if self.epsilon_inside_root else ops.sqrt(square) + self.epsilon
        self.assign_sub(variable, rate * mean / root)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "bias_correction": self.bias_correction,
            "epsilon_inside_root": self.epsilon_inside_root,
        }
