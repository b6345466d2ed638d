import keras
import numpy as np
import pytest
from optimizer_probes import (
    COMPILED,
    AfterEachBatch,
    array,
    assert_near,
    batches_of,
    linear_model,
    numpy_sgd,
    regression,
    state_bytes,
    tensors,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    AddGradientNoise,
    ClipByGlobalNorm,
    ComposedOptimizer,
    ExponentialAveraging,
    Lookahead,
    ParameterGroup,
    PolyakAveraging,
    RecordGradientNorms,
    SkipNonFinite,
)

COUNTED = ("skip_non_finite_skipped",)


def with_everything(accumulation, averaging):
    """An optimizer with every kind of state, and its counter."""
    skip = SkipNonFinite()
    optimizer = ComposedOptimizer(
        keras.optimizers.AdamW(0.05, weight_decay=0.01),
        [skip, RecordGradientNorms(), ClipByGlobalNorm(1.0), AddGradientNoise(0.1)],
        groups=[ParameterGroup("bias$", weight_decay=0.0)],
        averaging=averaging,
        gradient_accumulation_steps=accumulation,
    )
    return optimizer, skip


def fitted(model, skip, start, inputs, targets):
    """The state after each batch of a fit from `start`, and how many batches it skipped."""
    for variable, value in zip([*model.weights, *model.optimizer.variables], start, strict=True):
        variable.assign(value)
    after_each = AfterEachBatch(lambda: state_bytes(model, without=COUNTED))
    model.fit(inputs, targets, batch_size=4, shuffle=False, verbose=0, callbacks=[after_each])
    return after_each.found, skip.read()


CASES = [
    pytest.param(None, PolyakAveraging, False, id="every batch"),
    pytest.param(None, lambda: Lookahead(2), False, id="lookahead"),
    *(pytest.param(3, ExponentialAveraging, jit, id=f"accumulated, jit_compile={jit}") for jit in COMPILED),
]


@pytest.mark.backend
@pytest.mark.parametrize(("accumulation", "averaging", "jit_compile"), CASES)
def test_a_nan_batch_in_a_fit_leaves_every_bit(accumulation, averaging, jit_compile):
    inputs, targets = regression(batches=7)
    bad = inputs.copy()
    bad[4 * 4 + 1, 2] = np.nan  # One number of the fifth batch: the second of three that are accumulated.
    model = linear_model()
    optimizer, skip = with_everything(accumulation, averaging())
    model.compile(optimizer, loss="mse", jit_compile=jit_compile)
    optimizer.build(model.trainable_variables)
    start = [array(variable) for variable in [*model.weights, *optimizer.variables]]
    states, skipped = fitted(model, skip, start, bad, targets)
    assert skipped == 1
    assert len(states) == 7
    assert states[4] == states[3]
    assert states[3] != states[2]
    assert states[5] != states[4]
    kept = np.r_[0:16, 20:28]
    without, none = fitted(model, skip, start, inputs[kept], targets[kept])
    assert none == 0
    assert without == states[:4] + states[5:]


@pytest.mark.backend
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", [0, 1])
def test_one_bad_element_in_any_variable_is_enough(place, bad):
    variables = [keras.Variable([1.0, 2.0]), keras.Variable(3.0)]
    skip = SkipNonFinite()
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0), [skip])
    gradients = [np.float32([1.0, 1.0]), np.float32(1.0)]
    optimizer.apply(tensors(gradients), variables)
    gradients[place] = np.where(np.arange(gradients[place].size).reshape(gradients[place].shape) == 0, bad, 1.0)
    optimizer.apply(tensors([np.float32(gradient) for gradient in gradients]), variables)
    found = [keras.ops.convert_to_numpy(variable).tolist() for variable in variables]
    assert found == [[0.0, 1.0], 2.0]
    assert (skip.read(), int(optimizer.iterations)) == (1, 1)


@pytest.mark.backend
def test_large_finite_gradients_are_no_reason():
    # The sum of squares is infinite and no element is; clipping by the norm makes it a step of no length.
    variable, skip = keras.Variable([1.0, 2.0]), SkipNonFinite()
    optimizer = ComposedOptimizer(keras.optimizers.SGD(1.0), [skip, ClipByGlobalNorm(1.0)])
    optimizer.apply(tensors([np.float32([3e38, -3e38])]), [variable])
    assert keras.ops.convert_to_numpy(variable).tolist() == [1.0, 2.0]
    assert (skip.read(), int(optimizer.iterations)) == (0, 1)


def test_a_frozen_variable_is_not_asked():
    variables = [keras.Variable([1.0], name="kernel"), keras.Variable([2.0], name="frozen")]
    skip = SkipNonFinite()
    optimizer = ComposedOptimizer(
        keras.optimizers.SGD(1.0), [skip], groups=[ParameterGroup("frozen", learning_rate_multiplier=0.0)]
    )
    optimizer.apply(tensors([np.float32([0.5]), np.float32([np.nan])]), variables)
    assert [keras.ops.convert_to_numpy(variable).item() for variable in variables] == [0.5, 2.0]
    assert skip.read() == 0


def test_good_steps_are_those_of_the_rule():
    data = regression()
    model, skip = linear_model(), SkipNonFinite()
    start = model.get_weights()
    model.compile(ComposedOptimizer(keras.optimizers.SGD(0.2), [skip]), loss="mse")
    model.fit(*data, batch_size=4, shuffle=False, verbose=0)
    assert_near(model.get_weights(), numpy_sgd(start, batches_of(*data), 0.2)[-1])
    assert skip.read() == 0


@pytest.mark.parametrize(
    "transforms",
    [lambda: [ClipByGlobalNorm(1.0), SkipNonFinite()], lambda: [SkipNonFinite(), SkipNonFinite()]],
    ids=["not the first", "two"],
)
def test_it_is_refused_at_another_place(transforms):
    with pytest.raises(InputError) as error:
        ComposedOptimizer(keras.optimizers.SGD(0.1), transforms())
    assert str(error.value) == (
        "SkipNonFinite must be the first of `gradient_transforms`, and only the first: it judges the gradients as the "
        "loss gave them. Received: one at index 1."
    )


def test_it_is_refused_in_a_group():
    with pytest.raises(InputError) as error:
        ParameterGroup("kernel", gradient_transforms=[SkipNonFinite()])
    assert str(error.value) == "SkipNonFinite skips a whole step, not a group's part of it. Give it to the optimizer."
