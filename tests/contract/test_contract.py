"""What holds for every public name, row by row of the table in settings.py."""

import collections.abc
import doctest
import importlib
import inspect

import keras
import numpy as np
import pytest
from settings import ROWS

from kerastrain import callbacks, optimizers
from kerastrain._core.registry import Registry
from kerastrain.topologies import TASKS, TOPOLOGIES

PACKAGES = (
    "activations",
    "callbacks",
    "datasets",
    "diagnostics",
    "experiments",
    "initializers",
    "layers",
    "losses",
    "optimizers",
    "optimizers.schedules",
    "plots",
    "preprocessing",
    "regularizers",
    "topologies",
    "tuning",
)
SAMPLES = 6


def public(name):
    package, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(f"kerastrain.{package}"), attribute)


def names(*kinds):
    return [name for name, row in ROWS.items() if row.kind in kinds]


def topology(name):
    return public(name)(**ROWS[name].arguments)


def batch(model, name):
    """Random images and labels for a model of a topology."""
    generator = np.random.default_rng(0)
    arrays = {
        tensor.name: generator.uniform(0, 1, (SAMPLES, *tensor.shape[1:])).astype(np.float32) for tensor in model.inputs
    }
    inputs = arrays if len(arrays) > 1 else next(iter(arrays.values()))
    classes = model.output_shape[-1]
    if TASKS[name.partition(".")[2]] == "multilabel":
        return inputs, generator.integers(0, 2, (SAMPLES, classes)).astype(np.float32)
    return inputs, generator.integers(0, classes, SAMPLES)


def loss(name):
    if TASKS[name.partition(".")[2]] == "multilabel":
        return keras.losses.BinaryCrossentropy()
    return keras.losses.SparseCategoricalCrossentropy()


def test_every_public_name_has_a_row_and_every_row_a_name():
    found = {
        f"{package}.{name}" for package in PACKAGES for name in importlib.import_module(f"kerastrain.{package}").__all__
    }
    assert found == set(ROWS)


def test_every_topology_is_public_and_a_row():
    assert {f"topologies.{name}" for name in TOPOLOGIES.names()} == set(names("topology"))


KINDS = {
    "topology": inspect.isfunction,
    "function": inspect.isfunction,
    "layer": lambda thing: issubclass(thing, keras.Layer),
    "initializer": lambda thing: issubclass(thing, keras.initializers.Initializer),
    "loss": lambda thing: issubclass(thing, keras.losses.Loss),
    "callback": lambda thing: issubclass(thing, callbacks.StatefulCallback),
    "model": lambda thing: issubclass(thing, keras.Model),
    "record": inspect.isclass,
    "class": inspect.isclass,
    "registry": lambda thing: isinstance(thing, Registry),
    "table": lambda thing: isinstance(thing, collections.abc.Mapping),
    "module": inspect.ismodule,
    "rule": lambda thing: issubclass(thing, optimizers.TunableOptimizer),
    "optimizer": lambda thing: issubclass(thing, keras.optimizers.Optimizer),
    "transform": lambda thing: issubclass(thing, optimizers.GradientTransform),
    "averaging": lambda thing: issubclass(thing, optimizers.WeightAveraging),
    "group": lambda thing: issubclass(thing, optimizers.ParameterGroup),
    "schedule": lambda thing: issubclass(thing, keras.optimizers.schedules.LearningRateSchedule),
    "base": inspect.isclass,
    "context": inspect.isfunction,
}
PARTS_OF_OPTIMIZERS = ("rule", "optimizer", "transform", "averaging", "group", "schedule")
DOCUMENTED = (
    "topology",
    "function",
    "layer",
    "initializer",
    "loss",
    "callback",
    "model",
    "record",
    "class",
    *PARTS_OF_OPTIMIZERS,
    "base",
    "context",
)


@pytest.mark.parametrize("name", ROWS)
def test_a_name_is_what_its_row_says(name):
    assert KINDS[ROWS[name].kind](public(name))


@pytest.mark.parametrize("name", names("registry"))
def test_every_registered_name_has_a_description(name):
    entries = list(public(name))
    assert entries
    for entry in entries:
        assert entry.name == entry.name.lower() and entry.description and "\n" not in entry.description


@pytest.mark.parametrize("name", names(*DOCUMENTED, "module"))
def test_docstring_sections(name):
    thing, kind = public(name), ROWS[name].kind
    text = inspect.getdoc(thing) or ""
    first = text.split("\n\n")[0]
    assert first.rstrip().endswith((".", ":")), f"The docstring begins with a sentence. Received: {first!r}."
    if kind in PARTS_OF_OPTIMIZERS:
        assert (">>> " in text and "Reference:" in text) or kind == "group", "has no example or no reference"
        if inspect.signature(thing).parameters:
            assert "Args:" in text and "Raises:" in text
        for parameter in inspect.signature(thing).parameters.values():
            stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
            assert f"    {stars}{parameter.name}:" in text or parameter.name == "name", parameter
    if kind in ("rule", "transform", "averaging", "optimizer", "callback"):
        assert "State:" in text, "does not say what variables it makes, or what it remembers"
    if kind in ("topology", "layer", "initializer", "loss", "callback"):
        for section in ("Args:", "Raises:", ">>> "):
            assert section in text, f"has no section {section}"
    if kind in ("layer", "initializer", "loss", "callback") and name.partition(".")[0] != "topologies":
        assert "Reference:" in text, "has no reference"
        for parameter in inspect.signature(thing).parameters.values():
            stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
            assert f"    {stars}{parameter.name}:" in text, parameter
    if kind == "layer":
        assert "Call arguments:" in text and "Output shape:" in text
    if kind == "topology":
        assert "Input shape:" in text and "Output shape:" in text
    if kind in ("topology", "function"):
        parameters = inspect.signature(thing).parameters
        assert len(parameters) <= 2 or "Args:" in text, "has no section Args:"
        if "Args:" in text:
            for parameter in parameters:
                assert f"    {parameter}" in text or f"`{parameter}`" in text, f"does not tell of `{parameter}`"
        if "raise " in inspect.getsource(thing):
            assert "Raises" in text, "raises and does not say so"


@pytest.mark.parametrize("name", names(*DOCUMENTED))
def test_the_example_does_what_it_says(name):
    thing = public(name)
    scope = dict(vars(inspect.getmodule(thing)))
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    parsed = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", scope, name, None, None)
    told = []
    runner.run(parsed, out=told.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(told)


@pytest.mark.parametrize("name", names("model"))
def test_a_model_class_is_registered(name):
    assert keras.saving.get_registered_name(public(name)) == f"kerastrain>{name.partition('.')[2]}"


@pytest.mark.parametrize("name", names("topology"))
def test_a_topology_is_uncompiled_named_and_seeded(name):
    model, again = topology(name), topology(name)
    assert not model.compiled
    layer_names = [layer.name for layer in model.layers]
    assert layer_names == [layer.name for layer in again.layers], "auto-numbered names change from model to model"
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        assert one.tobytes() == other.tobytes()
    other = public(name)(**{**ROWS[name].arguments, "seed": 1})
    assert any((a != b).any() for a, b in zip(model.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize("name", names("topology"))
def test_a_topology_is_saved_and_loaded(name, tmp_path):
    model = topology(name)
    inputs, _ = batch(model, name)
    expected = np.array(keras.ops.convert_to_numpy(model(inputs)))
    rebuilt = type(model).from_config(model.get_config())
    rebuilt.set_weights(model.get_weights())
    np.testing.assert_allclose(keras.ops.convert_to_numpy(rebuilt(inputs)), expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(loaded(inputs)), expected, rtol=1e-5, atol=1e-6)


# XLA takes its time over these; CI's slow step runs them.
SLOW = ("topologies.residual", "topologies.airbench")
NAMED = [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in names("topology")]


@pytest.mark.parametrize("name", NAMED)
def test_a_topology_trains_with_jit(name):
    # Without, tests/topologies/test_catalog.py trains each.
    model = topology(name)
    inputs, labels = batch(model, name)
    before = model.get_weights()
    model.compile(optimizer=keras.optimizers.SGD(0.05), loss=loss(name), jit_compile=True)
    assert np.isfinite(float(model.train_on_batch(inputs, labels)))
    assert np.isfinite(float(model.train_on_batch(inputs, labels)))
    assert any((one != other).any() for one, other in zip(before, model.get_weights(), strict=True))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", NAMED)
def test_a_topology_under_mixed_precision(name, policy):
    keras.config.set_dtype_policy(policy)
    try:
        model = topology(name)
    finally:
        keras.config.set_dtype_policy("float32")
    inputs, labels = batch(model, name)
    # The half-precision network is near the one in full precision, which no overflow or wrong cast would be.
    expected = keras.ops.convert_to_numpy(topology(name)(inputs))
    found = model(inputs)
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    if name != "topologies.ensemble":  # A majority may tip over at the smallest difference.
        np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=0.05)
    assert {keras.backend.standardize_dtype(v.dtype) for v in model.trainable_variables} == {"float32"}
    model.compile(
        optimizer=keras.optimizers.SGD(0.05), loss=loss(name), run_eagerly=policy == "mixed_bfloat16", jit_compile=False
    )
    assert np.isfinite(float(model.train_on_batch(inputs, labels)))
    assert all(np.isfinite(value).all() for value in model.get_weights())
