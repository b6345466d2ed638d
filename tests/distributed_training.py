"""One small training, on one device and distributed, each call in a process of its own: devices cannot be divided once
a backend runs. What came of it is written to a file of arrays.

    python distributed_training.py jax-devices FOLDER            one device, and two of one process
    python distributed_training.py jax-process FOLDER RANK PORT  one of two processes: a whole one; one that is killed
    python distributed_training.py jax-resume FOLDER RANK PORT   the same: the killed one goes on
    python distributed_training.py mirrored FOLDER               one device, and two replicas of TensorFlow
"""

import contextlib
import json
import os
import pathlib
import signal
import sys

WHAT, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
os.environ["KERAS_BACKEND"] = "tensorflow" if WHAT == "mirrored" else "jax"
if WHAT == "jax-devices":
    os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import keras  # noqa: E402
import numpy as np  # noqa: E402

SAMPLES, BATCH, BOUND, KILLED_BEHIND = 36, 8, 0.1, 8  # Five batches to an epoch, the last of 4.


class KilledError(Exception):
    """The end of a training, where the process has to go on."""


def trained(folder, *, killed=None, behind=KILLED_BEHIND, synchronized=False):
    """The arrays that two trainings must share."""
    from kerastrain import callbacks, optimizers
    from kerastrain.datasets import Batches

    class Killed(callbacks.StatefulCallback):
        left = behind

        def on_train_batch_end(self, batch, logs=None):
            self.left -= 1
            if killed is not None and self.left == 0:
                killed()

    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((4,)),
        keras.layers.Dense(8, activation="tanh", name="trunk"),
        keras.layers.BatchNormalization(momentum=0.9, synchronized=synchronized, name="norm"),
        keras.layers.Dense(2, name="head"),
    ]
    model = keras.Sequential(layers, name="net")
    norms = optimizers.RecordGradientNorms()
    optimizer = optimizers.ComposedOptimizer(
        keras.optimizers.AdamW(0.01, weight_decay=0.1),
        [optimizers.SkipNonFinite(), norms, optimizers.ClipByGlobalNorm(BOUND)],
        [optimizers.no_decay_on_bias_and_norm()],
        optimizers.ExponentialAveraging(0.9),
        gradient_accumulation_steps=2,
    )
    model.compile(optimizer, "mse", metrics=["mae"])
    inputs = np.random.default_rng(0).normal(size=(SAMPLES, 4)) * np.linspace(1, 3, SAMPLES)[:, None]
    inputs = inputs.astype(np.float32)
    batches, validation = Batches(inputs, 3 * inputs[:, :2], BATCH, seed=0), (inputs[:8], 3 * inputs[:8, :2])
    beside = [
        callbacks.ResumableCheckpoint(folder, batches, every_steps=2, announce=lambda line: None),
        callbacks.AveragedWeights(validation),
        callbacks.BestModel(folder / "best.keras"),
        callbacks.DivergenceGuard(every_steps=2),
        Killed(),
    ]
    history = model.fit(batches, epochs=3, shuffle=False, validation_data=validation, callbacks=beside, verbose=0)
    arrays = {f"history {name}": np.array(values) for name, values in history.history.items()}
    arrays["largest gradient norm"] = np.array(norms.read()["largest_global_norm"])
    arrays |= {f"{place} {each.path}": np.array(each) for place, each in enumerate(model.variables)}
    with optimizers.averaged_weights(model):
        arrays |= {f"average of {each.path}": np.array(each) for each in model.trainable_variables}
    return arrays, beside[0].resumed_from


def written(name, arrays):
    np.savez(FOLDER / f"{name}.npz", **arrays)


def refused(function):
    try:
        function()
    except ValueError as error:
        return str(error)
    raise AssertionError("it was not refused")


def distribute():
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))


def jax_devices():
    written("one", trained(FOLDER / "one")[0])
    distribute()
    written("devices", trained(FOLDER / "devices")[0])


def joined():
    import jax

    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    rank, port = int(sys.argv[3]), sys.argv[4]
    keras.distribution.initialize(f"127.0.0.1:{port}", 2, rank)
    distribute()
    return rank


def jax_process():
    rank = joined()
    written(f"process {rank}", trained(FOLDER / "processes")[0])
    terminated = None if rank == 0 else lambda: os.kill(os.getpid(), signal.SIGTERM)
    try:
        trained(FOLDER / "killed", killed=terminated, behind=1)
    except SystemExit as stopped:  # Both, behind the second step, when they have asked one another.
        assert stopped.code == 143
    trained(FOLDER / "killed", killed=lambda: os._exit(9))


def jax_resume():
    from kerastrain._core import processes
    from kerastrain.datasets import Batches
    from kerastrain.errors import InputError

    rank = joined()
    arrays, resumed_from = trained(FOLDER / "killed")
    written(f"resumed {rank}", arrays)
    said = {"resumed from": str(resumed_from), "all": processes.exchanged(rank)}
    try:
        with processes.together():
            if rank == 1:
                raise InputError("`x` is not y.")
    except InputError as error:
        said["told"] = str(error)
    said["unequal"] = refused(lambda: Batches(np.ones((9, 1)), np.ones(9), 4, seed=0))
    (FOLDER / f"said {rank}.json").write_text(json.dumps(said))


def mirrored():
    import tensorflow

    processor = tensorflow.config.list_physical_devices("CPU")[0]
    parts = [tensorflow.config.LogicalDeviceConfiguration()] * 2
    tensorflow.config.set_logical_device_configuration(processor, parts)
    from kerastrain import fast_compile

    def killed():
        raise KilledError

    # One for all: what those of a second strategy tell one another TensorFlow takes for what those of the first do.
    replicas = tensorflow.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope

    written("one", trained(FOLDER / "one")[0])
    with replicas():
        written("replicas", trained(FOLDER / "replicas", synchronized=True)[0])
    with replicas():
        written("apart", trained(FOLDER / "apart")[0])
    with replicas(), contextlib.suppress(KilledError):
        trained(FOLDER / "killed", killed=killed)
    with replicas():
        arrays, resumed_from = trained(FOLDER / "killed")
    assert resumed_from is not None
    written("resumed", arrays)
    said = {}
    with replicas():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        execution = fast_compile(model, "sgd", "mse", batch_size=8, steps_per_epoch=4, verbose=False)
        said["execution"] = [execution.steps_per_execution, execution.jit]
        said["steps"] = refused(lambda: fast_compile(model, "sgd", "mse", steps_per_execution=4))
        said["jit"] = refused(lambda: fast_compile(model, "sgd", "mse", jit=True))
    (FOLDER / "said.json").write_text(json.dumps(said | several_machines()))


def several_machines():
    import tensorflow

    from kerastrain import experiments, fast_compile
    from kerastrain.callbacks import ResumableCheckpoint
    from kerastrain.optimizers import ComposedOptimizer

    with tensorflow.distribute.MultiWorkerMirroredStrategy().scope():
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.compile("sgd", "mse")
        ones = np.ones((4, 4))
        return {
            "ComposedOptimizer": refused(lambda: ComposedOptimizer(keras.optimizers.SGD(0.1))),
            "fast_compile": refused(lambda: fast_compile(model, "sgd", "mse")),
            "ResumableCheckpoint": refused(
                lambda: model.fit(ones, ones[:, :2], callbacks=[ResumableCheckpoint(FOLDER / "several")], verbose=0)
            ),
            "recipe": refused(lambda: experiments.build(experiments.load("mlp_sequential"), None)),
        }


if __name__ == "__main__":
    {"jax-devices": jax_devices, "jax-process": jax_process, "jax-resume": jax_resume, "mirrored": mirrored}[WHAT]()
