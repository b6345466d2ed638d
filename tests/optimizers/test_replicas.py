"""Two replicas of TensorFlow's MirroredStrategy against one device. In a process of its own: devices cannot be divided
once TensorFlow runs."""

import subprocess
import sys

import keras
import pytest

CODE = """
import contextlib
import keras, numpy as np, tensorflow as tf
device = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(device, [tf.config.LogicalDeviceConfiguration()] * 2)
from kerastrain.optimizers import *

def everything():
    transforms, groups = [RecordGradientNorms(), ClipByGlobalNorm(0.1)], [no_decay_on_bias_and_norm()]
    groups.append(ParameterGroup("head/", learning_rate_multiplier=3.0, l2=0.1))
    rule = keras.optimizers.AdamW(0.01, weight_decay=0.1)
    return ComposedOptimizer(rule, transforms, groups, PolyakAveraging(2), fused=True)

def branches():
    transforms = [SkipNonFinite(), RecordGradientNorms(), ClipByGlobalNorm(0.1)]
    return ComposedOptimizer(
        keras.optimizers.SGD(0.1, momentum=0.9), transforms, averaging=Lookahead(2), gradient_accumulation_steps=2
    )

def trained(scope, made):
    with scope:
        keras.utils.set_random_seed(0)
        layers = [keras.layers.Dense(5, activation="tanh", name=name) for name in ("trunk", "middle")]
        layers.append(keras.layers.Dense(2, name="head"))
        model = keras.Sequential([keras.Input((4,)), *layers])
        optimizer = made()
        model.compile(optimizer, loss="mse")
    inputs = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    model.fit(inputs, 3 * inputs[:, :2], batch_size=8, epochs=3, shuffle=False, verbose=0)
    assert len(optimizer.fused_paths) == (2 if made is everything else 1), optimizer.fused_paths
    norm = optimizer.gradient_transforms[-2].read()["global_norm"]
    with averaged_weights(model):
        averages = model.get_weights()
    return [np.float32(norm), *model.get_weights(), *averages]

replicas = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for made in (everything, branches):  # In a branch of a replica's own Keras fails, so its accumulation does.
    one = trained(contextlib.nullcontext(), made)
    two = trained(replicas.scope(), made)
    assert one[0] > 0.1, "the bound must bind"
    for left, right in zip(one, two, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-6)
print("same")
"""


@pytest.mark.slow
def test_two_replicas_train_as_one():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("of TensorFlow")
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip().endswith("same"), done.stderr[-3000:]
