"""NumPy transcriptions of TensorFlow Addons 0.23, under the names of the old lines of docs/migration.md."""

import re
import types

import numpy as np


class Rule:
    """A rule of TensorFlow 2: the new weights of one variable. Its state is kept by variable."""

    def __init__(self, learning_rate=0.001):
        self.learning_rate = learning_rate
        self.state = {}

    def step(self, iterations, weights, gradients):
        rate = self.learning_rate(iterations) if callable(self.learning_rate) else self.learning_rate
        return {
            name: self.updated(name, iterations, rate, weight, gradients[name]) if name in gradients else weight
            for name, weight in weights.items()
        }


class SGD(Rule):
    def __init__(self, learning_rate=0.01, momentum=0.0):
        super().__init__(learning_rate)
        self.momentum = momentum

    def updated(self, name, iterations, rate, weight, gradient):
        self.state[name] = self.momentum * self.state.get(name, 0.0) - rate * gradient
        return weight + self.state[name]


class Adam(Rule):
    def updated(self, name, iterations, rate, weight, gradient):
        m, v = self.state.get(name, (0.0, 0.0))
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        self.state[name] = m, v
        t = iterations + 1
        return weight - rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m / (np.sqrt(v) + 1e-7)


class RMSprop(Rule):
    def updated(self, name, iterations, rate, weight, gradient):
        self.state[name] = 0.9 * self.state.get(name, 0.0) + 0.1 * gradient**2
        return weight - rate * gradient / np.sqrt(self.state[name] + 1e-7)


class Averaged:
    """`AveragedOptimizerWrapper`: averages after the update, at the iteration before it is counted."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.averages = None

    def step(self, iterations, weights, gradients):
        if self.averages is None:
            self.averages = self.initial(weights)
        weights = self.optimizer.step(iterations, weights, gradients)
        self.averages = {name: self.average(iterations, self.averages[name], weights[name]) for name in weights}
        return weights

    def initial(self, weights):
        return {name: np.zeros_like(weight) for name, weight in weights.items()}


class SWA(Averaged):
    def __init__(self, optimizer, start_averaging=0, average_period=10):
        super().__init__(optimizer)
        self.start, self.period = start_averaging, average_period

    def average(self, iterations, average, weight):
        snapshots = max(0, (iterations - self.start) // self.period)
        if iterations >= self.start and iterations == self.start + snapshots * self.period:
            return (average * snapshots + weight) / (snapshots + 1)
        return average


class MovingAverage(Averaged):
    def __init__(self, optimizer, average_decay=0.99, start_step=0, dynamic_decay=False):
        super().__init__(optimizer)
        self.decay, self.start, self.dynamic = average_decay, start_step, dynamic_decay

    def initial(self, weights):
        return dict(weights)

    def average(self, iterations, average, weight):
        count = iterations - self.start
        if count < 0:
            return weight
        decay = min(self.decay, (1 + count) / (10 + count)) if self.dynamic else self.decay
        return decay * average + (1 - decay) * weight


class Lookahead:
    def __init__(self, optimizer, sync_period=6, slow_step_size=0.5):
        self.optimizer, self.period, self.size = optimizer, sync_period, slow_step_size
        self.averages = None

    def step(self, iterations, weights, gradients):
        slow = dict(weights) if self.averages is None else self.averages
        weights = self.optimizer.step(iterations, weights, gradients)
        if (iterations + 1) % self.period == 0:
            weights = slow = {name: slow[name] + self.size * (weights[name] - slow[name]) for name in weights}
        self.averages = slow
        return weights


class Decoupled:
    """`DecoupledWeightDecayExtension`: the decay is not multiplied by the rate, and comes first."""

    def __init__(self, rule, weight_decay, exclude_from_weight_decay=()):
        self.rule, self.decay, self.excluded = rule, weight_decay, exclude_from_weight_decay
        self.decay_var_list = None

    def step(self, iterations, weights, gradients):
        decay = self.decay(iterations) if callable(self.decay) else self.decay
        decayed = {
            name: weight - decay * weight if self.decays(f"{name}:0") else weight for name, weight in weights.items()
        }
        return self.rule.step(iterations, decayed, gradients)

    def decays(self, name):
        if self.decay_var_list is not None:
            return name.removesuffix(":0") in self.decay_var_list
        return not any(re.search(pattern, name) for pattern in self.excluded)


class MultiOptimizer:
    def __init__(self, optimizers_and_layers):
        self.pairs = optimizers_and_layers

    def step(self, iterations, weights, gradients):
        for optimizer, layer in self.pairs:
            own = {name: gradient for name, gradient in gradients.items() if name.startswith(f"{layer}/")}
            weights = optimizer.step(iterations, weights, own)
        return weights


def cyclical(initial, maximal, step_size, scale_fn, scale_mode="cycle"):
    def rate(step):
        cycle = np.floor(1 + step / (2 * step_size))
        x = np.abs(step / step_size - 2 * cycle + 1)
        scale = scale_fn(cycle if scale_mode == "cycle" else float(step))
        return initial + (maximal - initial) * max(0, 1 - x) * scale

    return rate


def extend(rule):
    return lambda weight_decay, learning_rate: Decoupled(rule(learning_rate), weight_decay)


def adamw(weight_decay, learning_rate=0.001, **options):
    return Decoupled(Adam(learning_rate), weight_decay, **options)


def sgdw(weight_decay, learning_rate=0.001, momentum=0.0):
    return Decoupled(SGD(learning_rate, momentum), weight_decay)


def exponential_decay(initial, steps, rate):
    return lambda step: initial * rate ** (step / steps)


TENSORFLOW = types.SimpleNamespace(
    keras=types.SimpleNamespace(optimizers=types.SimpleNamespace(SGD=SGD, Adam=Adam, RMSprop=RMSprop))
)
ADDONS = types.SimpleNamespace(
    optimizers=types.SimpleNamespace(
        SWA=SWA,
        MovingAverage=MovingAverage,
        Lookahead=Lookahead,
        AdamW=adamw,
        SGDW=sgdw,
        MultiOptimizer=MultiOptimizer,
        extend_with_decoupled_weight_decay=extend,
        CyclicalLearningRate=cyclical,
        TriangularCyclicalLearningRate=lambda *a, **k: cyclical(*a, **k, scale_fn=lambda x: 1.0),
        Triangular2CyclicalLearningRate=lambda *a, **k: cyclical(*a, **k, scale_fn=lambda x: 1 / 2 ** (x - 1)),
        ExponentialCyclicalLearningRate=lambda *a, gamma=1.0, **k: cyclical(
            *a, **{"scale_mode": "iterations", **k}, scale_fn=lambda x: gamma**x
        ),
    )
)
OLD_NAMES = {"tfa": ADDONS, "tf": TENSORFLOW, "ExponentialDecay": exponential_decay, "trunk": "trunk", "head": "head"}
