"""Each pair of lines in docs/migration.md, old and new, walks the same path.

The old line is evaluated with NumPy transcriptions of TensorFlow Addons 0.23 in the place of `tfa` and `tf`, or with
Keras itself.
"""

import pathlib
import re
import types

import keras
import numpy as np
import pytest
from optimizer_probes import array, tensors
from readme_code import blocks

from kerastrain.optimizers import averaged_weights

pytestmark = pytest.mark.backend

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
SHAPES = {"trunk/kernel": (3, 4), "trunk/bias": (4,), "head/kernel": (4, 1), "head/bias": (1,)}
UPDATES = 14


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


def sections():
    """Heading -> (old line, new code)."""
    found = {}
    for part in re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]:
        old = re.search(r"^Old: `([^`]*)`", part, flags=re.MULTILINE)
        found[part.splitlines()[0]] = (old and old[1], *blocks(part, "python"))
    return found


SECTIONS = sections()
SETUP = blocks(PAGE.split("\n## ")[0], "python")[0]
# The sections whose old line is no optimizer or schedule; their code is run by test_docs_code.py.
CODE_ONLY = {"assign_average_vars", "AverageModelCheckpoint", "SwapEMAWeights"}
SCHEDULES = [name for name in SECTIONS if name.endswith(("CyclicalLearningRate", "by iterations"))]
KERAS = [name for name, section in SECTIONS.items() if section[0].startswith("keras.optimizers")]
ADDONS_OPTIMIZERS = [name for name in SECTIONS if name not in {*SCHEDULES, *KERAS, *CODE_ONLY}]


def new(name):
    """What the code of a section defines, after the page's first block."""
    space = {}
    exec(SETUP, space)  # noqa: S102 - the page's own code
    exec(SECTIONS[name][1], space)  # noqa: S102
    return space


def gradients():
    random = np.random.default_rng(5)
    return [{path: random.normal(size=shape) for path, shape in SHAPES.items()} for _ in range(UPDATES)]


def start(model):
    random = np.random.default_rng(6)
    weights = {path: random.normal(size=shape).astype("float32") for path, shape in SHAPES.items()}
    model.set_weights(list(weights.values()))
    return {path: np.float64(weight) for path, weight in weights.items()}


def walked(optimizer, model):
    """The weights after each update, and the averages at the end where there are some."""
    start(model)
    model.compile(optimizer, loss="mse")
    path = []
    for gradient in gradients():
        optimizer.apply(tensors([np.float32(one) for one in gradient.values()]), model.trainable_variables)
        path.append([array(variable) for variable in model.trainable_variables])
    return path


def walked_by_addons(optimizer, weights):
    path = []
    for iterations, gradient in enumerate(gradients()):
        weights = optimizer.step(iterations, weights, gradient)
        path.append(list(weights.values()))
    return path


def assert_same(path, expected):
    assert len(path) == len(expected) == UPDATES
    for weights, others in zip(path, expected, strict=True):
        for weight, other in zip(weights, others, strict=True):
            np.testing.assert_allclose(weight, other, rtol=1e-4, atol=2e-6)


def test_every_section_has_one_old_line_and_one_block():
    assert len(SECTIONS) == 27
    for name, section in SECTIONS.items():
        assert section[0], name
        assert len(section) == 2, name


def test_every_link_of_the_table_leads_to_a_section():
    anchors = {re.sub(r"[^\w\- ]", "", name.lower()).replace(" ", "-") for name in SECTIONS}
    linked = set(re.findall(r"\]\(#([^)]*)\)", PAGE))
    assert linked == anchors


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules(name):
    old = eval(SECTIONS[name][0], OLD_NAMES)  # noqa: S307 - the page's own code
    schedule = new(name)["schedule"]
    found = [float(array(schedule(step))) for step in range(40)]
    np.testing.assert_allclose(found, [old(step) for step in range(40)], rtol=1e-5)


@pytest.mark.parametrize("name", ADDONS_OPTIMIZERS)
def test_optimizers_of_addons(name):
    old = eval(SECTIONS[name][0], OLD_NAMES)  # noqa: S307
    if name == "Weight decay of some variables":
        old.decay_var_list = {"head/kernel", "head/bias"}
    space = new(name)
    model = space["model"]
    initial = start(model)
    path = walked(space["optimizer"], model)
    expected = walked_by_addons(old, initial)
    assert_same(path, expected)
    if getattr(old, "averages", None) is not None:
        averages = old.averages
        if name == "MovingAverage":  # What the page says of the difference.
            first = dict(zip(SHAPES, expected[0], strict=True))
            averages = {key: averages[key] - 0.9**UPDATES * (initial[key] - first[key]) for key in averages}
        with averaged_weights(model):
            found = [array(variable) for variable in model.trainable_variables]
        for one, other, weight in zip(found, averages.values(), path[-1], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6)
            assert np.abs(one - weight).max() > 1e-3


@pytest.mark.parametrize("name", KERAS)
def test_arguments_of_keras(name):
    space = new(name)
    model = space["model"]
    old = eval(SECTIONS[name][0], {"keras": keras})  # noqa: S307
    if name == "exclude_from_weight_decay":
        old.build(model.trainable_variables)
        old.exclude_from_weight_decay(var_names=["bias"])
    expected = walked(old, model)
    averages = [array(one) for one in old._model_variables_moving_average] if getattr(old, "use_ema", False) else None
    space = new(name)
    assert_same(walked(space["optimizer"], space["model"]), expected)
    if averages is not None:
        with averaged_weights(space["model"]):
            found = [array(variable) for variable in space["model"].trainable_variables]
        for one, other in zip(found, averages, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=2e-6)


def test_average_checkpoint_saves_the_averages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = new("use_ema")
    exec(SECTIONS["AverageModelCheckpoint"][1], space)  # noqa: S102
    model = space["model"]
    start(model)
    model.compile(space["optimizer"], loss="mse")
    inputs = np.random.default_rng(7).normal(size=(8, 3)).astype("float32")
    model.fit(inputs, inputs[:, :1], batch_size=2, verbose=0, callbacks=[space["callback"]])
    saved = keras.saving.load_model("best.keras").get_weights()
    training = model.get_weights()
    with averaged_weights(model):
        for one, other in zip(saved, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert not np.allclose(saved[0], training[0])


def test_pytorch_averages():
    """The table's last column: AveragedModel is Polyak's mean, or the average of `use_ema`."""
    torch = pytest.importorskip("torch")
    from torch.optim import swa_utils

    space = new("use_ema")
    path = walked(space["optimizer"], space["model"])
    module = torch.nn.ParameterList([torch.nn.Parameter(torch.tensor(weight)) for weight in path[0]])
    averaged = swa_utils.AveragedModel(module, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    for weights in path:
        for parameter, weight in zip(module, weights, strict=True):
            parameter.data = torch.tensor(weight)
        averaged.update_parameters(module)
    with averaged_weights(space["model"]):
        for variable, parameter in zip(space["model"].trainable_variables, averaged.module, strict=True):
            np.testing.assert_allclose(array(variable), parameter.detach().numpy(), rtol=1e-4, atol=2e-6)
