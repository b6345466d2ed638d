"""What all transforms have in common."""

import keras
import pytest
from optimizer_probes import numbers, transformed

from kerastrain import optimizers
from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer, GradientTransform, ParameterGroup

ARGUMENTS = {
    "AdaptiveClip": {"factor": 0.02, "epsilon": 0.5},
    "AddGradientNoise": {"stddev": 0.25, "decay": 1.5, "seed": 3},
    "CentralizeGradients": {},
    "ClipByGlobalNorm": {"max_norm": 0.5},
    "ClipByNorm": {"max_norm": 0.25},
    "ClipByValue": {"min_value": -0.5, "max_value": 0.25},
    "NormalizeGradients": {"scope": "variable", "epsilon": 0.01},
    "RecordGradientNorms": {},
    "SkipNonFinite": {},
}


def made(name):
    return getattr(optimizers, name)(**ARGUMENTS[name])


def test_every_transform_is_here():
    classes = {
        name
        for name in optimizers.__all__
        if isinstance(getattr(optimizers, name), type) and issubclass(getattr(optimizers, name), GradientTransform)
    }
    assert classes - {"GradientTransform"} == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_it_is_saved_with_its_arguments(name):
    saved = keras.saving.serialize_keras_object(made(name))
    assert (saved["registered_name"], saved["config"]) == (f"kerastrain>{name}", ARGUMENTS[name])
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is getattr(optimizers, name)
    gradients, weights = [numbers(3, 2), numbers(4, seed=1)], [numbers(3, 2, seed=2), numbers(4, seed=3)]
    for one, other in zip(
        transformed(made(name), gradients, weights), transformed(again, gradients, weights), strict=True
    ):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_it_belongs_to_one_optimizer(name):
    transform = made(name)
    ComposedOptimizer(keras.optimizers.SGD(0.1), [transform])
    with pytest.raises(InputError) as error:
        ComposedOptimizer(keras.optimizers.SGD(0.1), [transform])
    assert str(error.value) == (
        f"This {name} belongs to another optimizer already, and has its state there. Make a new one: {name}(...)."
    )


def test_it_belongs_to_the_optimizer_or_to_one_group():
    transform = made("ClipByNorm")
    with pytest.raises(InputError, match="belongs to another optimizer already"):
        ComposedOptimizer(
            keras.optimizers.SGD(0.1),
            [transform],
            groups=[ParameterGroup("kernel", gradient_transforms=[transform])],
        )


def test_without_an_optimizer_it_says_so():
    with pytest.raises(InputError) as error:
        _ = made("ClipByNorm").optimizer
    assert str(error.value) == "ClipByNorm belongs to no optimizer yet. Give it to a ComposedOptimizer."


@pytest.mark.parametrize("given", [None, "clip_by_norm", made("ClipByNorm")], ids=["None", "a name", "no list"])
def test_something_else_than_a_list_is_refused(given):
    with pytest.raises(InputError, match="`gradient_transforms` must be a list of gradient transforms"):
        ComposedOptimizer(keras.optimizers.SGD(0.1), given)


def test_something_else_in_the_list_is_refused():
    with pytest.raises(InputError, match=r"`gradient_transforms\[1\]` must be a gradient transform of"):
        ComposedOptimizer(keras.optimizers.SGD(0.1), [made("ClipByNorm"), "clip_by_norm"])
