"""The plain side of `time_to_accuracy.py`: ResNet-20 in Keras alone, as well as Keras does it on a processor.

    python benchmarks/resnet20_peer.py CIFAR10.npz --rate 0.1 --epochs 15 [--seed 0] [--validation 5000]

He et al., 2015, arXiv:1512.03385: 0.27M weights, batches of 128, Nesterov momentum, L2 of 1e-4, shifts and flips by
Keras's layers in a tf.data pipeline. At its best on a processor: bfloat16 where it has that (else `--precision
float32`), several steps to an execution, a cosine from the rate to 0 behind half an epoch of warmup. Prints one JSON
line: accuracy on the test set, or on the validation set where there is one, and the seconds from the first import.
"""

import time

BEGIN = time.perf_counter()

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402

os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras import layers  # noqa: E402

BATCH = 128


def convolution(x, width, strides=1, size=3):
    x = layers.Conv2D(
        width,
        size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        kernel_regularizer=keras.regularizers.L2(1e-4),
    )(x)
    return layers.BatchNormalization(momentum=0.9)(x)


def network(mean, variance):
    inputs = keras.Input((32, 32, 3))
    x = layers.Normalization(mean=mean, variance=variance)(inputs)
    x = layers.ReLU()(convolution(x, 16))
    for stage, width in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if stage and not block else 1
            shortcut = convolution(x, width, strides, 1) if strides == 2 else x
            x = layers.ReLU()(convolution(x, width, strides))
            x = layers.ReLU()(layers.Add()([convolution(x, width), shortcut]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, "softmax", dtype="float32")(x))


def pipeline(images, labels, seed):
    augmentation = keras.Sequential(
        [
            layers.RandomFlip("horizontal", seed=seed),
            layers.RandomTranslation(0.125, 0.125, fill_mode="reflect", seed=seed + 1),
        ]
    )
    data = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(labels), seed=seed)
    data = data.batch(BATCH, drop_remainder=True)
    data = data.map(lambda x, y: (augmentation(tf.cast(x, tf.float32), training=True), y), tf.data.AUTOTUNE)
    return data.prefetch(tf.data.AUTOTUNE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--validation", type=int, default=0, help="so many training images are held out and asked")
    parser.add_argument("--precision", default="mixed_bfloat16")
    parser.add_argument("--limit", type=int, help="so many training images only, to see that it runs")
    arguments = parser.parse_args()
    arrays = np.load(arguments.data)
    keras.utils.set_random_seed(arguments.seed)
    order = np.random.default_rng(arguments.seed).permutation(len(arrays["x_train"]))
    held, kept = order[: arguments.validation], order[arguments.validation :][: arguments.limit]
    x, y = arrays["x_train"][kept], arrays["y_train"][kept].ravel()
    keras.config.set_dtype_policy(arguments.precision)
    model = network((x / 255.0).mean((0, 1, 2)) * 255, (x / 255.0).var((0, 1, 2)) * 255**2)
    keras.config.set_dtype_policy("float32")
    steps = arguments.epochs * (len(y) // BATCH)
    warmup = min(len(y) // BATCH // 2, steps // 4)
    rate = keras.optimizers.schedules.CosineDecay(
        arguments.rate / 10, steps - warmup, warmup_target=arguments.rate, warmup_steps=warmup
    )
    model.compile(
        keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=16,
        jit_compile=False,
    )
    begin = time.perf_counter()
    history = model.fit(pipeline(x, y, arguments.seed), epochs=arguments.epochs, verbose=0).history
    end = time.perf_counter()
    if arguments.validation:
        asked = arrays["x_train"][held], arrays["y_train"][held].ravel()
    else:
        asked = arrays["x_test"], arrays["y_test"].ravel()
    _, accuracy = model.evaluate(*asked, batch_size=1000, verbose=0)
    row = {
        "side": "plain ResNet-20",
        "seed": arguments.seed,
        "rate": arguments.rate,
        "epochs": arguments.epochs,
        "precision": arguments.precision,
        "asked": "validation" if arguments.validation else "test",
        "accuracy": round(accuracy, 4),
        "loss": round(history["loss"][-1], 4),
        "training_seconds": round(end - begin, 1),
        "seconds": round(time.perf_counter() - BEGIN, 1),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
