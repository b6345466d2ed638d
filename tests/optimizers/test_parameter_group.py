"""Parameter groups: what they match, and how they are made for layers."""

import contextlib
import json

import keras
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    ClipByNorm,
    ParameterGroup,
    SkipNonFinite,
    layerwise_decay,
    no_decay_on_bias_and_norm,
)
from kerastrain.optimizers.group_assignment import assign_groups


def nested():
    inner = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="a"), keras.layers.BatchNormalization(name="norm")],
        name="inner",
    )
    inputs = keras.Input((4,))
    hidden = keras.layers.TimeDistributed(keras.layers.Dense(4, name="step"), name="steps")(
        keras.layers.Reshape((1, 3), name="shape")(inner(inputs))
    )
    outputs = keras.layers.Dense(2, name="head")(keras.layers.Flatten(name="flat")(hidden))
    return keras.Model(inputs, outputs)


def matched(group, model):
    return [variable.path for variable in model.trainable_variables if group.matches(variable.path)]


def test_groups_of_layers_reach_nested_and_wrapped_ones():
    model = nested()
    dense = ParameterGroup.of_layers(model, keras.layers.Dense, l2=0.1)
    expected = [path.path for path in model.trainable_variables if "norm" not in path.path]
    assert len(expected) == 6 and matched(dense, model) == expected and dense.name == "Dense"
    norm = ParameterGroup.of_layers(model, keras.layers.BatchNormalization, l2=0.1)
    assert [path.rpartition("/")[2] for path in matched(norm, model)] == ["gamma", "beta"]
    both = ParameterGroup.of_layers(model, (keras.layers.BatchNormalization, keras.layers.Dense), l2=0.1)
    assert matched(both, model) == [variable.path for variable in model.trainable_variables]


def test_a_group_of_layers_matches_with_and_without_the_name_of_a_sequential_model():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="a")], name="network")
    group = ParameterGroup.of_layers(model, keras.layers.Dense, l2=0.1)
    assert group.matches("network/a/kernel") and group.matches("a/kernel")
    assert not group.matches("other/a/kernel") and not group.matches("a/kernel2")


def twins(scoped):
    inputs, parts = keras.Input((4,)), []
    for name in ("one", "two"):
        with keras.name_scope(name) if scoped else contextlib.nullcontext():
            inner = keras.Input((4,))
            outputs = keras.layers.Dense(1, name="head")(inner)
        parts.append(keras.Model(inner, outputs, name=name))
    return keras.Model(inputs, keras.layers.Concatenate()([part(inputs) for part in parts])), parts


def test_a_group_of_layers_takes_layers_of_the_model():
    model = nested()
    group = ParameterGroup.of_layers(model, [model.get_layer("inner"), model.get_layer("head")], l2=0.1)
    expected = [v.path for part in ("inner", "head") for v in model.get_layer(part).trainable_variables]
    assert sorted(matched(group, model)) == sorted(expected) and len(expected) == 6 and group.name == "inner, head"


def test_variables_of_one_path_cannot_be_told_apart():
    model, parts = twins(scoped=False)
    with pytest.raises(InputError, match=r"path 'head/kernel' too.*keras.name_scope"):
        ParameterGroup.of_layers(model, parts[0], l2=0.1)
    assert len(matched(ParameterGroup.of_layers(model, parts, l2=0.1), model)) == 4
    model, parts = twins(scoped=True)
    assert matched(ParameterGroup.of_layers(model, parts[0], l2=0.1), model) == ["one/head/kernel", "one/head/bias"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("dense/bias", True),
        ("norm/gamma", True),
        ("norm/beta", True),
        ("block/rms/scale", True),
        ("bias", True),
        ("lstm/lstm_cell/bias", True),
        ("dense/kernel", False),
        ("bias_layer/kernel", False),
        ("dense/kernel_scale", False),
        ("embedding/embeddings", False),
    ],
)
def test_no_decay_on_bias_and_norm(path, expected):
    assert no_decay_on_bias_and_norm().matches(path) == expected


def test_no_decay_reaches_the_scales_of_keras_normalization_layers():
    layers = [
        keras.layers.BatchNormalization(),
        keras.layers.LayerNormalization(),
        keras.layers.GroupNormalization(2),
        keras.layers.RMSNormalization(),
    ]
    for layer in layers:
        layer.build((None, 4))
        assert layer.trainable_variables
        for variable in layer.trainable_variables:
            assert no_decay_on_bias_and_norm().matches(variable.path), variable.path


def test_layerwise_decay_is_a_power_of_the_distance_from_the_end():
    layers = [keras.layers.Dense(3, name=name) for name in "abc"]
    model = keras.Sequential([keras.Input((2,)), *layers, keras.layers.Dropout(0.5)])
    groups = layerwise_decay(model, 0.5)
    assert [(group.name, group.learning_rate_multiplier) for group in groups] == [
        ("layerwise.a", 0.25),
        ("layerwise.b", 0.5),
    ]
    for group, name in zip(groups, "ab", strict=True):
        assert matched(group, model) == [v.path for v in model.get_layer(name).trainable_variables]
    assert layerwise_decay(model, 1.0) == []


def test_options_come_from_each_matching_group():
    rate = ParameterGroup("head/", learning_rate_multiplier=10.0)
    decay = ParameterGroup("/bias$", weight_decay=0.0)
    found = assign_groups([rate, decay], ["head/kernel", "head/bias", "trunk/bias", "trunk/kernel"])
    assert [(a.learning_rate_multiplier, a.weight_decay) for a in found] == [
        (rate, None),
        (rate, decay),
        (None, decay),
        (None, None),
    ]
    assert [a.multiplier for a in found] == [10.0, 10.0, 1.0, 1.0]


def test_a_group_is_serialized_with_its_transforms():
    group = ParameterGroup("a", 2.0, 0.1, 0.2, [ClipByNorm(1.0)], trainable=False, name="first")
    serialized = json.loads(json.dumps(keras.saving.serialize_keras_object(group)))
    again = keras.saving.deserialize_keras_object(serialized)
    assert type(again) is ParameterGroup and again.get_config() == group.get_config()
    assert again.options() == ["learning_rate_multiplier", "weight_decay", "l2", "gradient_transforms", "trainable"]


UNBUILT = keras.Sequential([keras.layers.Dense(2)])
INVALID = {
    "broken pattern": (lambda: ParameterGroup("(a", l2=0.1), r"must be a regular expression.*'\(a'"),
    "no pattern": (lambda: ParameterGroup("", l2=0.1), "must be a regular expression for variable paths"),
    "a layer type": (lambda: ParameterGroup(keras.layers.Dense, l2=0.1), "ParameterGroup.of_layers"),
    "multiplier": (lambda: ParameterGroup("a", -1.0), "`learning_rate_multiplier` must be a number >= 0"),
    "weight_decay": (lambda: ParameterGroup("a", weight_decay=-0.1), "`weight_decay` must be a number >= 0"),
    "l2": (lambda: ParameterGroup("a", l2=float("nan")), "`l2` must be a number >= 0"),
    "transform": (lambda: ParameterGroup("a", gradient_transforms=[1.0]), r"`gradient_transforms\[0\]`"),
    "skip": (lambda: ParameterGroup("a", gradient_transforms=[SkipNonFinite()]), "skips a whole step"),
    "trainable": (lambda: ParameterGroup("a", trainable=0), "`trainable` must be True or False"),
    "switchable": (lambda: ParameterGroup("a", trainable=False, switchable=False), "learning_rate_multiplier=0"),
    "nothing": (lambda: ParameterGroup("a"), "sets no option"),
    "layers unbuilt": (lambda: ParameterGroup.of_layers(UNBUILT, keras.layers.Dense, l2=0.1), "must be built"),
    "layers none": (lambda: ParameterGroup.of_layers(nested(), keras.layers.LSTM, l2=0.1), "in layers LSTM"),
    "layers no class": (
        lambda: ParameterGroup.of_layers(nested(), "Dense", l2=0.1),
        "must be layer classes, or layers",
    ),
    "layerwise rate": (lambda: layerwise_decay(nested(), 0.0), "`rate` must be a number > 0"),
    "layerwise unbuilt": (lambda: layerwise_decay(UNBUILT, 0.5), "must be built"),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_are_refused(case):
    make, message = INVALID[case]
    with pytest.raises(InputError, match=message):
        make()
