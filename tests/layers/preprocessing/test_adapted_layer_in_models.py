"""What all layers that learn from data share inside of models: training, files, and what is said of unadapted ones."""

import keras
import numpy as np
import pytest
from adapted_rows import EVERY, ONE, ROWS, check, expected, message, model_of, samples
from layer_probes import JITS, array, reloaded

from kerastrain._core.errors import InputError

pytestmark = pytest.mark.backend


@ONE
def test_training_does_not_touch_them(row):
    layer = ROWS[row][0]().adapt(samples())
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    before, dense = [array(variable) for variable in layer.variables], array(model.layers[-1].kernel)
    model.fit(samples(), samples()[:, :1], epochs=2, verbose=0)
    for left, right in zip(before, layer.variables, strict=True):
        np.testing.assert_array_equal(left, array(right))
    assert np.abs(dense - array(model.layers[-1].kernel)).max() > 0


@ONE
def test_a_model_may_be_made_before(row):
    layer = ROWS[row][0]()
    model = model_of(layer)
    layer.adapt(samples())
    check(row, model.predict(samples(), verbose=0), samples(), samples())
    layer.adapt(3 * samples())
    check(row, model.predict(samples(), verbose=0), samples(), 3 * samples())


@ONE
@pytest.mark.parametrize("first", ["call", "predict", "evaluate", "fit", "train_on_batch", "predict_on_batch"])
def test_a_loaded_model_needs_no_data(row, first, tmp_path):
    model = keras.Sequential([keras.Input((4,)), ROWS[row][0]().adapt(samples()), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse")
    wanted = model.predict(samples(), verbose=0)
    loaded = reloaded(model, tmp_path)
    # Whatever is done first: each looks at the weights in its own way.
    targets = np.zeros((60, 1), np.float32)
    loss = float(np.mean(np.float64(wanted) ** 2))
    steps = {
        "call": lambda: np.testing.assert_allclose(array(loaded(samples())), wanted, rtol=1e-5, atol=1e-5),
        "predict": lambda: np.testing.assert_array_equal(loaded.predict(samples(), verbose=0), wanted),
        "predict_on_batch": lambda: np.testing.assert_allclose(loaded.predict_on_batch(samples()), wanted, atol=1e-4),
        "evaluate": lambda: np.testing.assert_allclose(loaded.evaluate(samples(), targets, verbose=0), loss, rtol=1e-4),
        "train_on_batch": lambda: np.testing.assert_allclose(
            loaded.train_on_batch(samples(), targets), loss, rtol=1e-4
        ),
        "fit": lambda: np.testing.assert_allclose(
            loaded.fit(samples(), targets, verbose=0).history["loss"], [loss], rtol=1e-4
        ),
    }
    steps[first]()


@EVERY
def test_a_saved_layer_keeps_its_numbers_to_the_bit(row, tmp_path):
    layer = ROWS[row][0]().adapt(samples())
    found = reloaded(model_of(layer), tmp_path).layers[-1]
    assert type(found) is type(layer)
    for left, right in zip(layer.variables, found.variables, strict=True):
        assert array(left).tobytes() == array(right).tobytes()


@EVERY
def test_a_clone_takes_the_weights(row):
    model = model_of(ROWS[row][0]().adapt(samples()))
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    check(row, clone.predict(samples(), verbose=0), samples(), samples())


@ONE
def test_weights_alone_are_enough(row, tmp_path):
    model = model_of(ROWS[row][0]().adapt(samples()))
    model.save_weights(tmp_path / "a.weights.h5")
    other = model_of(ROWS[row][0]())
    other.load_weights(tmp_path / "a.weights.h5")
    check(row, other.predict(samples(), verbose=0), samples(), samples())


@ONE
@pytest.mark.parametrize("jit_compile", JITS)
@pytest.mark.parametrize("step", ["predict", "evaluate", "fit", "train_on_batch", "predict_on_batch"])
def test_not_adapted_is_an_error_and_not_nan(row, step, jit_compile):
    layer = ROWS[row][0]()
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    arguments = (samples(), samples()[:, :1])[: 1 if step.startswith("predict") else 2]
    options = {} if step.endswith("batch") else {"verbose": 0}
    with pytest.raises(InputError, match=message(row, layer)):
        getattr(model, step)(*arguments, **options)


@ONE
def test_not_adapted_is_an_error_where_the_first_step_builds_the_model(row):
    layer = ROWS[row][0]()
    model = keras.Sequential([layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(InputError, match=message(row, layer)):
        model.fit(samples(), samples()[:, :1], verbose=0)


@EVERY
def test_not_adapted_is_an_error_when_called(row):
    layer = ROWS[row][0]()
    with pytest.raises(InputError, match=message(row, layer)):
        layer(samples())
    with pytest.raises(InputError, match=message(row, layer)):
        model_of(layer)(samples())
    clone = keras.models.clone_model(model_of(ROWS[row][0]().adapt(samples())))
    with pytest.raises(InputError, match="must be adapted to data first"):
        clone.predict(samples(), verbose=0)
    layer.adapt(samples())
    check(row, layer(samples()), samples(), samples())


@keras.saving.register_keras_serializable(package="test_adapted_layer")
class Twice(keras.layers.Layer):
    """A layer around a layer, whose output shape Keras finds by calling it."""

    def __init__(self, inner, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner

    def build(self, input_shape):
        if not self.inner.built:
            self.inner.build(input_shape)

    def call(self, inputs):
        return 2 * self.inner(inputs)

    def get_config(self):
        return {**super().get_config(), "inner": keras.saving.serialize_keras_object(self.inner)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "inner": keras.saving.deserialize_keras_object(config["inner"])})


@ONE
def test_inside_of_another_layer(row, tmp_path):
    model = model_of(Twice(ROWS[row][0]().adapt(samples())))
    for found in (model, reloaded(model, tmp_path)):
        outputs = found.predict(samples(), verbose=0)
        np.testing.assert_allclose(outputs, 2 * expected(row, samples(), samples()), rtol=2e-5, atol=5e-5)
    # Keras asks for the shape before anybody can have adapted it; that is no use of it.
    unadapted = model_of(Twice(ROWS[row][0]()))
    with pytest.raises(InputError, match="must be adapted to data first"):
        unadapted.predict(samples(), verbose=0)
