"""Rules with movable hyperparameters, and a linear problem to train with them."""

import keras
import numpy as np

from kerastrain.optimizers.lookahead_nesterov import LookaheadNesterov
from kerastrain.optimizers.momentum_sgd import MomentumSGD
from kerastrain.optimizers.orthogonalized_momentum import OrthogonalizedMomentum
from kerastrain.optimizers.textbook_adam import TextbookAdam
from kerastrain.optimizers.textbook_rmsprop import TextbookRMSProp

# name -> (class, arguments, the hyperparameters that those make)
RULES = {
    "momentum": (MomentumSGD, {"form": "pytorch", "nesterov": True, "l2": 0.01}, {"momentum", "l2"}),
    "nesterov": (LookaheadNesterov, {"momentum": 0.8, "weight_decay": 0.01}, {"momentum", "weight_decay"}),
    "orthogonalized": (OrthogonalizedMomentum, {}, {"momentum", "other_momentum"}),
    "rmsprop": (TextbookRMSProp, {"epsilon": 0.01}, {"rho"}),
    "rmsprop_nesterov": (TextbookRMSProp, {"momentum": 0.7, "nesterov": True, "epsilon": 0.01}, {"rho", "momentum"}),
    "adam": (TextbookAdam, {"beta_1": 0.8, "weight_decay": 0.1}, {"beta_1", "beta_2", "weight_decay"}),
}
BACKEND = keras.backend.backend()
INPUTS = np.random.default_rng(0).normal(size=(32, 3)).astype(np.float32)
TARGETS = (INPUTS @ np.array([[1.0], [-2.0], [0.5]]) + 0.3).astype(np.float32)


def rule(name, /, learning_rate=0.01, **arguments):
    kind, usual, _ = RULES[name]
    return kind(learning_rate, **{**usual, **arguments})


def linear_model(optimizer, **compiled):
    # So called, its kernel of one column is not orthogonalized.
    line = keras.layers.Dense(1, kernel_initializer="ones", name="line_without_embedding")
    model = keras.Sequential([keras.Input((3,)), line])
    # Compiled as it usually is: a graph on TensorFlow, XLA on JAX, where nothing else compiles.
    model.compile(optimizer=optimizer, **{"loss": "mse", "jit_compile": BACKEND == "jax", **compiled})
    return model


def fit(model, epochs, **options):
    return model.fit(INPUTS, TARGETS, batch_size=32, epochs=epochs, shuffle=False, verbose=0, **options)
