import itertools

import keras
import numpy as np
import pytest
from optimizer_probes import (
    BACKEND,
    AfterEachBatch,
    array,
    assert_near,
    batches_of,
    linear_model,
    mean,
    numbers,
    regression,
    state_bytes,
    trained_by_batches,
)

from kerastrain._core.errors import InputError
from kerastrain.optimizers import (
    ComposedOptimizer,
    ExponentialAveraging,
    Lookahead,
    PolyakAveraging,
    SkipNonFinite,
    StochasticWeightAveraging,
    averaged_weights,
    has_averaged_weights,
)

DATA = regression()


def compiled(averaging, rule=None, model=None, **composed):
    model = linear_model() if model is None else model
    rule = keras.optimizers.Adam(0.1) if rule is None else rule
    model.compile(ComposedOptimizer(rule, averaging=averaging, **composed), loss="mse")
    return model


def weights_of(model):
    return [array(weight) for weight in model.trainable_variables]


@pytest.mark.backend
def test_within_it_the_model_is_its_average():
    model = compiled(PolyakAveraging())
    path = trained_by_batches(model, batches_of(*DATA))
    kernel, bias = mean(path)
    inputs = numbers(5, 3, seed=30)
    with averaged_weights(model) as same:
        assert same is model
        assert_near(weights_of(model), [kernel, bias])
        predictions = model.predict(inputs, verbose=0)
        loss = model.evaluate(*DATA, batch_size=24, verbose=0)
    np.testing.assert_allclose(predictions, inputs @ kernel + bias, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, np.mean((DATA[0] @ kernel + bias - DATA[1]) ** 2), rtol=1e-4)
    assert np.abs(path[-1][0] - kernel).max() > 1e-2
    assert_near(weights_of(model), path[-1], rtol=0, atol=0)


AVERAGES = {
    "polyak": PolyakAveraging,
    "exponential": lambda: ExponentialAveraging(0.9, every_steps=2),
    "swa": lambda: StochasticWeightAveraging(0, 2),
    "lookahead": lambda: Lookahead(2, 0.5),
}


@pytest.mark.backend
@pytest.mark.parametrize("name", AVERAGES)
def test_no_bit_of_the_training_changes(name, tmp_path):
    data = batches_of(*DATA)
    model, undisturbed = (compiled(AVERAGES[name](), gradient_accumulation_steps=2) for _ in range(2))
    for one in (model, undisturbed):
        trained_by_batches(one, [*data, data[0]])  # Three updates, and a batch that is accumulated.
    before = state_bytes(model)
    with averaged_weights(model):
        assert state_bytes(model) != before
        model.evaluate(*DATA, verbose=0)
        model.predict(DATA[0], verbose=0)
        model.save(tmp_path / "averaged.keras")
        model.save_weights(tmp_path / "averaged.weights.h5")
    assert state_bytes(model) == before == state_bytes(undisturbed)
    for one in (model, undisturbed):
        trained_by_batches(one, data)
    assert state_bytes(model) == state_bytes(undisturbed)


@pytest.mark.backend
def test_a_model_saved_within_it_has_the_average(tmp_path):
    model = compiled(PolyakAveraging())
    path = trained_by_batches(model, batches_of(*DATA)[:3])
    with averaged_weights(model):
        model.save(tmp_path / "averaged.keras")
    loaded = keras.saving.load_model(tmp_path / "averaged.keras", compile=False)
    assert_near(loaded.get_weights(), mean(path))


@pytest.mark.backend
def test_an_error_within_it_comes_through_and_the_weights_are_back():
    model = compiled(PolyakAveraging())
    trained_by_batches(model, batches_of(*DATA)[:3])
    before = state_bytes(model)
    with pytest.raises(KeyError, match="mine"), averaged_weights(model):
        assert state_bytes(model) != before
        raise KeyError("mine")
    assert state_bytes(model) == before


@pytest.mark.backend
def test_one_within_another_changes_nothing():
    model = compiled(PolyakAveraging())
    path = trained_by_batches(model, batches_of(*DATA)[:3])
    with averaged_weights(model):
        with averaged_weights(model):
            assert_near(weights_of(model), mean(path))
        assert_near(weights_of(model), mean(path))
    assert_near(weights_of(model), path[-1], rtol=0, atol=0)


@pytest.mark.backend
@pytest.mark.parametrize(
    ("accumulation", "bad"),
    [(None, False), (3, False), (None, True)],
    ids=["an update", "one of three batches", "a batch that is skipped"],
)
def test_training_within_it_is_an_error_and_the_weights_are_back(accumulation, bad):
    model = compiled(PolyakAveraging(), gradient_transforms=[SkipNonFinite()], gradient_accumulation_steps=accumulation)
    data = batches_of(*DATA)
    path = trained_by_batches(model, data[:3])
    inputs, targets = data[3]
    with pytest.raises(RuntimeError, match="was trained within `averaged_weights`"), averaged_weights(model):
        model.train_on_batch(inputs * np.nan if bad else inputs, targets)
    assert_near(weights_of(model), path[-1], rtol=0, atol=0)


@pytest.mark.backend
def test_within_a_fit_a_callback_evaluates_the_average():
    model, validation = compiled(PolyakAveraging()), (numbers(4, 3, seed=31), numbers(4, 2, seed=32))
    found = []

    class EvaluateAverage(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with averaged_weights(self.model):
                found.append(self.model.evaluate(*validation, verbose=0))

    after_each = AfterEachBatch(lambda: weights_of(model))
    model.fit(*DATA, batch_size=4, epochs=2, shuffle=False, verbose=0, callbacks=[after_each, EvaluateAverage()])
    for epoch in (0, 1):
        kernel, bias = mean(after_each.found[: 6 * (epoch + 1)])
        expected = np.mean((validation[0] @ kernel + bias - validation[1]) ** 2)
        np.testing.assert_allclose(found[epoch], expected, rtol=1e-4)
    plain = compiled(PolyakAveraging())
    plain.fit(*DATA, batch_size=4, epochs=2, shuffle=False, verbose=0)
    assert_near(weights_of(model), weights_of(plain), rtol=0, atol=0)


@pytest.mark.backend
def test_under_mixed_float16():
    policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        model = compiled(PolyakAveraging(), keras.optimizers.SGD(0.1), linear_model())
    finally:
        keras.mixed_precision.set_dtype_policy(policy)
    assert type(model.optimizer).__name__ == "LossScaleOptimizer"
    path = [weights_of(model), *trained_by_batches(model, batches_of(*DATA))]
    # Keras skips the first batches, until its loss scale fits float16.
    updated = [new for old, new in itertools.pairwise(path) if not np.array_equal(old[0], new[0])]
    assert len(updated) == int(model.optimizer.inner_optimizer.iterations) > 1
    before = state_bytes(model)
    with averaged_weights(model):
        assert_near(weights_of(model), mean(updated))
        model.evaluate(*DATA, verbose=0)
    assert state_bytes(model) == before
    assert np.abs(path[-1][0] - mean(updated)[0]).max() > 1e-2


def test_a_plain_optimizer_is_refused():
    model = linear_model()
    model.compile(keras.optimizers.Adam(use_ema=True), loss="mse")
    trained_by_batches(model, batches_of(*DATA)[:1])
    with pytest.raises(InputError) as error, averaged_weights(model):
        pass
    assert str(error.value) == (
        "The model `linear` must be compiled with a ComposedOptimizer that has `averaging`. Its optimizer is: Adam."
    )


def test_a_model_that_is_not_compiled_is_refused():
    with pytest.raises(InputError, match="Its optimizer is: NoneType"), averaged_weights(linear_model()):
        pass


def test_an_optimizer_that_averages_nothing_is_refused():
    model = compiled(None)
    trained_by_batches(model, batches_of(*DATA)[:1])
    with pytest.raises(InputError) as error, averaged_weights(model):
        pass
    assert str(error.value) == ("The optimizer of `linear` has no `averaging`, so there are no averaged weights.")


@pytest.mark.backend
@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("name", AVERAGES)
def test_before_the_first_update_there_is_none(name, built):
    model = compiled(AVERAGES[name]())
    if built:  # Its averages are zeros.
        model.optimizer.build(model.trainable_variables)
    before = weights_of(model)
    with pytest.raises(InputError) as error, averaged_weights(model):
        pass
    assert str(error.value) == (
        "The optimizer of `linear` has not made an update yet, so there are no averaged weights."
    )
    assert_near(weights_of(model), before, rtol=0, atol=0)


def test_after_skipped_steps_only_there_is_none():
    model = compiled(PolyakAveraging(), gradient_transforms=[SkipNonFinite()])
    model.train_on_batch(DATA[0][:4] * np.nan, DATA[1][:4])
    with pytest.raises(InputError, match="has not made an update yet"), averaged_weights(model):
        pass


@pytest.mark.skipif(BACKEND != "tensorflow", reason="one backend shows it")
def test_the_statistics_of_batch_normalization_stay():
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2)(keras.layers.BatchNormalization()(inputs))
    model = compiled(PolyakAveraging(), model=keras.Model(inputs, outputs))
    trained_by_batches(model, batches_of(*DATA)[:3])
    statistics = [array(variable) for variable in model.non_trainable_variables]
    assert np.abs(statistics[0]).max() > 0
    with averaged_weights(model):
        assert_near([array(variable) for variable in model.non_trainable_variables], statistics, rtol=0, atol=0)


@pytest.mark.backend
@pytest.mark.parametrize(
    ("averaging", "first"),
    [
        (lambda: PolyakAveraging(start_step=2), 3),
        (lambda: StochasticWeightAveraging(start_step=1, every_steps=3), 4),
        (lambda: Lookahead(every_steps=4), 4),
        (lambda: ExponentialAveraging(every_steps=4), 1),
    ],
)
def test_there_is_none_until_an_average_began(averaging, first):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.1), averaging=averaging())
    model.compile(optimizer, loss="mse")
    variable = model.trainable_variables[0]
    for update in range(1, 6):
        optimizer.apply([keras.ops.ones(variable.shape)], [variable])
        assert has_averaged_weights(model) == (update >= first)
        if update < first and isinstance(optimizer.averaging, Lookahead):
            with pytest.raises(InputError, match=f"begins to average at update {first}, and has made {update}"):
                averaged_weights(model).__enter__()
        elif update < first:  # The average follows the weights.
            trained = weights_of(model)
            with averaged_weights(model):
                assert weights_of(model)[0].tobytes() == trained[0].tobytes()
