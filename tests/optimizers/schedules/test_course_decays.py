"""The decays of the course texts are Keras's own classes, with converted parameters: no classes of ours.

Texts 001 (section 1.6) and 003 ("Learning rate decay over time!"). The worked step decay of 000 is in
test_step_decay.py.
"""

import math

import keras
import numpy as np
import pytest

from kerastrain.optimizers.schedules import PerEpoch

KERAS = keras.optimizers.schedules
STEPS = range(0, 200, 3)


@pytest.mark.parametrize("k", [0.0, 0.01, 0.1])
def test_exponential_decay(rates, k):
    # a_t = a_0 e^(-k t). Keras's power is a float32 one, right to some 1e-7 times t.
    schedule = KERAS.ExponentialDecay(0.5, decay_steps=1, decay_rate=math.exp(-k))
    np.testing.assert_allclose(rates(schedule, STEPS), [0.5 * math.exp(-k * t) for t in STEPS], rtol=1e-5)


@pytest.mark.parametrize("k", [0.0, 0.01, 1.0])
def test_inverse_decay(rates, k):
    # a_t = a_0 / (1 + k t)
    schedule = KERAS.InverseTimeDecay(0.5, decay_steps=1, decay_rate=k)
    np.testing.assert_allclose(rates(schedule, STEPS), [0.5 / (1 + k * t) for t in STEPS], rtol=1e-6)


def test_the_decay_argument_of_the_old_sgd(rates):
    # 003: SGD(lr=0.01, decay=1e-6, momentum=0.9, nesterov=True); Keras 2's get_updates has
    # lr * (1. / (1. + self.decay * iterations)), counted in updates.
    schedule = KERAS.InverseTimeDecay(0.01, decay_steps=1, decay_rate=1e-6)
    steps = [0, 1, 1000, 10**6]
    np.testing.assert_allclose(rates(schedule, steps), [0.01 / (1 + 1e-6 * step) for step in steps], rtol=1e-6)
    assert float(schedule(10**6)) == pytest.approx(0.005, rel=1e-6)


@pytest.mark.backend
def test_in_a_fit(trained_weight):
    optimizer_rates = [0.5 / (1 + 0.1 * t) for t in range(5)]
    assert trained_weight(KERAS.InverseTimeDecay(0.5, 1, 0.1), 5) == pytest.approx(-sum(optimizer_rates), rel=1e-5)


def test_with_t_in_epochs(rates):
    # Continuous: decay_steps is the number of steps in an epoch. Constant within an epoch: PerEpoch, or staircase.
    k, steps = 0.3, range(40)
    by_step = [0.5 * math.exp(-k * step / 8) for step in steps]
    by_epoch = [0.5 * math.exp(-k * (step // 8)) for step in steps]
    decay = KERAS.ExponentialDecay
    np.testing.assert_allclose(rates(decay(0.5, 8, math.exp(-k)), steps), by_step, rtol=1e-6)
    np.testing.assert_allclose(rates(decay(0.5, 8, math.exp(-k), staircase=True), steps), by_epoch, rtol=1e-6)
    np.testing.assert_allclose(rates(PerEpoch(decay(0.5, 1, math.exp(-k)), 8), steps), by_epoch, rtol=1e-6)
