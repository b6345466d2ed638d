import json

import keras
import numpy as np
import pytest
from training_probes import batches, network

from kerastrain._core.differences import differences
from kerastrain.callbacks.training_identity import training_identity


def identity(model, data=None):
    return training_identity(model, data, 6)


def test_it_is_plain_data_and_equal_for_equal_trainings():
    one, other = identity(network(), batches()), identity(network(), batches())
    assert json.loads(json.dumps(one)) == one == other


def test_it_does_not_move_with_the_training():
    model = network()
    before = identity(model)
    model.fit(batches(), shuffle=False, verbose=0)
    model.optimizer.build(model.trainable_variables)
    assert identity(model) == before


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_lambda_is_one_wherever_it_stands_in_its_file():
    # The compiled code that Keras would put there differs by line and by who else refers to it.
    first = network(loss=lambda y_true, y_pred: keras.ops.mean(y_true[:, :2] - y_pred))
    second = network(loss=lambda y_true, y_pred: keras.ops.mean(y_true[:, :2] - y_pred))
    assert identity(first) == identity(second)
    assert differences(identity(first), identity(network())) != []


@pytest.mark.filterwarnings("ignore:The object being serialized includes a `lambda`")
def test_a_lambda_layer_too():
    def made():
        keras.utils.set_random_seed(0)
        double = keras.layers.Lambda(lambda x: 2 * x, name="double")
        model = keras.Sequential([keras.Input((3,), name="input"), double], name="network")
        model.compile(keras.optimizers.SGD(0.1, name="sgd"), "mse")
        return model

    def made_elsewhere():
        double = keras.layers.Lambda(lambda x: 2 * x, name="double")
        model = keras.Sequential([keras.Input((3,), name="input"), double], name="network")
        model.compile(keras.optimizers.SGD(0.1, name="sgd"), "mse")
        return model

    assert identity(made()) == identity(made_elsewhere())


def test_a_subclassed_model_is_told_by_class_and_variables():
    class Own(keras.Model):
        def __init__(self, units):
            super().__init__(name="own")
            self.dense = keras.layers.Dense(units, name="dense")

        def call(self, x):
            return self.dense(x)

    def made(units):
        model = Own(units)
        model.compile(keras.optimizers.SGD(0.1, name="sgd"), "mse")
        model(np.zeros((1, 3), np.float32))
        return identity(model)

    assert made(2) == made(2)
    assert "variables[0][1][1]: 2 -> 4" in differences(made(2), made(4))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: network(keras.optimizers.Adam(0.05, beta_1=0.8, name="adam")), "optimizer.config.beta_1"),
        (lambda: network(keras.optimizers.Adam(0.05, clipnorm=1.0, name="adam")), "optimizer.config.clipnorm"),
        (lambda: network(units=6), "model.layers[2].config.units"),
        (lambda: network(loss="mse"), "loss"),
        (lambda: network(steps_per_execution=3), "steps_per_execution"),
        (lambda: network(weighted_metrics=["mae"]), "weighted_metrics"),
        (lambda: network(loss_weights=0.5), "loss_weights"),
    ],
    ids=["beta_1", "clipnorm", "units", "loss", "steps_per_execution", "weighted metrics", "loss weights"],
)
def test_a_change_is_found_in_its_field(make, field):
    rows = differences(identity(network()), identity(make()))
    assert any(row.startswith(field) for row in rows), rows
