"""What all averages have in common."""

import keras
import numpy as np
import pytest
from optimizer_probes import (
    AfterEachBatch,
    array,
    assert_near,
    linear_model,
    mean,
    numbers,
    regression,
    tensors,
    walk,
)

from kerastrain import optimizers
from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer, ParameterGroup, PolyakAveraging, WeightAveraging

ARGUMENTS = {
    "ExponentialAveraging": {"decay": 0.75, "every_steps": 2, "bias_correction": False},
    "Lookahead": {"every_steps": 3, "decay_schedule": 0.25},
    "PolyakAveraging": {"start_step": 2, "power": 1.5},
    "StochasticWeightAveraging": {"start_step": 1, "every_steps": 2},
}


def made(name):
    return getattr(optimizers, name)(**ARGUMENTS[name])


def test_every_average_is_here():
    classes = {
        name
        for name in optimizers.__all__
        if isinstance(getattr(optimizers, name), type) and issubclass(getattr(optimizers, name), WeightAveraging)
    }
    assert classes - {"WeightAveraging"} == set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_it_is_saved_with_its_arguments(name):
    saved = keras.saving.serialize_keras_object(made(name))
    assert (saved["registered_name"], saved["config"]) == (f"kerastrain>{name}", ARGUMENTS[name])
    again = keras.saving.deserialize_keras_object(saved)
    assert type(again) is getattr(optimizers, name)
    for one, other in zip(walk(made(name), 7), walk(again, 7), strict=True):
        for values, others in zip(one, other, strict=True):
            assert_near(values, others, rtol=0, atol=0)


def test_lookahead_is_saved_with_its_schedule():
    schedule = keras.optimizers.schedules.PolynomialDecay(0.1, decay_steps=10, end_learning_rate=0.9)
    saved = keras.saving.serialize_keras_object(optimizers.Lookahead(4, schedule))
    again = keras.saving.deserialize_keras_object(saved)
    assert (again.every_steps, type(again.decay_schedule)) == (4, type(schedule))
    assert again.decay_schedule.get_config() == schedule.get_config()


@pytest.mark.parametrize("name", ARGUMENTS)
def test_it_belongs_to_one_optimizer(name):
    averaging = made(name)
    ComposedOptimizer(keras.optimizers.SGD(0.1), averaging=averaging)
    with pytest.raises(InputError) as error:
        ComposedOptimizer(keras.optimizers.SGD(0.1), averaging=averaging)
    assert str(error.value) == (
        f"This {name} belongs to another optimizer already, and has its state there. Make a new one: {name}(...)."
    )


def test_without_an_optimizer_it_makes_no_averages():
    with pytest.raises(InputError) as error:
        PolyakAveraging().build([keras.Variable(0.0)])
    assert str(error.value) == "PolyakAveraging belongs to no optimizer yet. Give it to a ComposedOptimizer."


def test_something_else_is_refused():
    with pytest.raises(InputError, match="`averaging` must be one of"):
        ComposedOptimizer(keras.optimizers.SGD(0.1), averaging=0.99)


@pytest.mark.backend
def test_constraints_come_before_it():
    model = linear_model(kernel_constraint="non_neg")
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.5), averaging=PolyakAveraging())
    model.compile(optimizer, loss="mse")
    after_each = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    model.fit(*regression(scale=3.0), batch_size=4, verbose=0, callbacks=[after_each])
    kernels = np.stack([weights[0] for weights in after_each.found])
    assert kernels.min() == 0.0  # The constraint was at work,
    assert ((kernels == 0.0).any(axis=0) & (kernels > 0.0).any(axis=0)).any()  # in between.
    assert_near(optimizer.theta(), mean(after_each.found))


@pytest.mark.backend
@pytest.mark.parametrize("name", ["PolyakAveraging", "StochasticWeightAveraging"])
def test_under_accumulation_updates_count(name):
    averaging = {
        "PolyakAveraging": lambda: PolyakAveraging(start_step=1),
        "StochasticWeightAveraging": lambda: optimizers.StochasticWeightAveraging(1, 1),
    }[name]()
    model = linear_model()
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.2), averaging=averaging, gradient_accumulation_steps=3)
    model.compile(optimizer, loss="mse")
    after_each = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    model.fit(*regression(batches=11), batch_size=4, verbose=0, callbacks=[after_each])
    assert int(optimizer.iterations) == 3
    assert_near(after_each.found[4], after_each.found[2], rtol=0, atol=0)
    assert_near(optimizer.theta(), mean([after_each.found[5], after_each.found[8]]))


@pytest.mark.backend
def test_variables_that_do_not_move_are_averaged_too():
    moving, frozen, alone = (keras.Variable(numbers(3, seed=seed), name=f"v{seed}") for seed in (1, 2, 3))
    optimizer = ComposedOptimizer(
        keras.optimizers.SGD(0.5),
        groups=[ParameterGroup("v2", learning_rate_multiplier=0.0)],
        averaging=PolyakAveraging(),
    )
    start = array(moving)
    gradient = np.ones(3, np.float32)
    for _ in range(2):
        one, other = tensors([gradient, gradient])
        optimizer.apply([one, other, None], [moving, frozen, alone])
    assert_near(optimizer.theta(), [start - 0.75, array(frozen), array(alone)])


@pytest.mark.backend
def test_with_all_variables_frozen_the_average_is_what_they_are():
    variable = keras.Variable(numbers(3), name="only")
    optimizer = ComposedOptimizer(
        keras.optimizers.SGD(0.5),
        groups=[ParameterGroup("only", learning_rate_multiplier=0.0)],
        averaging=PolyakAveraging(),
    )
    optimizer.apply(tensors([np.ones(3, np.float32)]), [variable])
    assert int(optimizer.iterations) == 1
    assert_near(optimizer.theta(), [numbers(3)], rtol=0, atol=0)


@pytest.mark.backend
@pytest.mark.parametrize(("dtype", "decay"), [("float16", 0.95), ("bfloat16", 0.9)])
def test_in_half_precision_weights_that_rest_have_themselves_as_average(dtype, decay):
    # In their own precision d * w + (1 - d) * w is not w: after five steps 1.9893 in float16, 1.9609 in bfloat16.
    variable = keras.Variable([1.984375, -0.498046875], dtype=dtype)
    optimizer = ComposedOptimizer(
        keras.optimizers.SGD(0.0), averaging=optimizers.ExponentialAveraging(decay, bias_correction=False)
    )
    for _ in range(5):
        optimizer.apply([keras.ops.zeros((2,), dtype)], [variable])
    (average,) = optimizer.theta()
    np.testing.assert_array_equal(np.float32(average), np.float32(array(variable)))
