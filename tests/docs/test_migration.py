"""Each pair of lines in docs/migration.md, old and new, walks the same path.

The old line is evaluated with NumPy transcriptions of TensorFlow Addons 0.23 in the place of `tfa` and `tf`, or with
Keras itself.
"""

import pathlib
import re

import keras
import numpy as np
import pytest
from addons import OLD_NAMES
from optimizer_probes import array, tensors
from readme_code import blocks

from kerastrain.optimizers import averaged_weights

pytestmark = pytest.mark.backend

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "migration.md").read_text(encoding="utf-8")
SHAPES = {"trunk/kernel": (3, 4), "trunk/bias": (4,), "head/kernel": (4, 1), "head/bias": (1,)}
UPDATES = 14


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
