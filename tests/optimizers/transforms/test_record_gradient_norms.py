import keras
import numpy as np
import pytest
from optimizer_probes import (
    BACKEND,
    AfterEachBatch,
    assert_near,
    batches_of,
    global_norm,
    linear_gradients,
    linear_model,
    numpy_sgd,
    regression,
    tensors,
)

from kerastrain.optimizers import (
    ClipByGlobalNorm,
    ComposedOptimizer,
    ParameterGroup,
    RecordGradientNorms,
    SkipNonFinite,
)

RATE = 0.2


def expected_norms(start, data, max_norm=np.inf):
    """For each update: the norms of kernel, bias and both, before and after the clipping that the run is under."""
    found = []

    def clip(step, gradients, weights):
        norm = global_norm(gradients)
        factor = min(1.0, max_norm / norm)
        norms = np.array([*(global_norm([gradient]) for gradient in gradients), norm])
        found.append((norms, norms * factor))
        return [gradient * factor for gradient in gradients]

    numpy_sgd(start, data, RATE, clip)
    return [np.array(side) for side in zip(*found, strict=True)]


def values(record):
    read = record.read()
    return [*read["norms"].values(), read["global_norm"]]


class AtEpochs(keras.callbacks.Callback):
    """Resets at the start of an epoch and reads at its end."""

    def __init__(self, *records, reset=True):
        super().__init__()
        self.records = records
        self.reset = reset
        self.found = []

    def on_epoch_begin(self, epoch, logs=None):
        for record in self.records if self.reset else ():
            record.reset()

    def on_epoch_end(self, epoch, logs=None):
        self.found.append([record.read() for record in self.records])


def fitted(model, transforms, data, callbacks, epochs=2, **compiling):
    model.compile(ComposedOptimizer(keras.optimizers.SGD(RATE), transforms), loss="mse", **compiling)
    model.fit(*data, batch_size=4, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks)


@pytest.mark.backend
def test_a_callback_reads_them_at_the_end_of_an_epoch_before_and_after_clipping():
    data = regression(batches=3, scale=3.0)
    model = linear_model()
    start = model.get_weights()
    before, after = RecordGradientNorms(), RecordGradientNorms()
    at_epochs = AtEpochs(before, after)
    fitted(model, [before, ClipByGlobalNorm(1.5), after], data, [at_epochs])
    raw, clipped = expected_norms(start, batches_of(*data) * 2, max_norm=1.5)
    assert raw[:, -1].max() > 1.5
    for epoch, (first, last) in enumerate(at_epochs.found):
        final, steps = 3 * epoch + 2, slice(3 * epoch, 3 * epoch + 3)
        assert list(first["norms"]) == [variable.path for variable in model.trainable_variables]
        for read, norms in ((first, raw), (last, clipped)):
            assert_near([*read["norms"].values(), read["global_norm"]], norms[final], rtol=1e-5)
            np.testing.assert_allclose(read["largest_global_norm"], norms[steps, -1].max(), rtol=1e-5)


@pytest.mark.backend
def test_without_a_reset_the_largest_is_that_of_the_whole_run():
    data = regression(batches=3, scale=3.0)
    model, record = linear_model(), RecordGradientNorms()
    start = model.get_weights()
    at_epochs = AtEpochs(record, reset=False)
    fitted(model, [record], data, [at_epochs])
    raw, _ = expected_norms(start, batches_of(*data) * 2)
    assert raw[:3, -1].max() > raw[3:, -1].max()  # The second epoch's own would be less.
    np.testing.assert_allclose(at_epochs.found[1][0]["largest_global_norm"], raw[:, -1].max(), rtol=1e-5)


@pytest.mark.backend
def test_a_callback_reads_them_after_each_batch():
    data = regression(batches=3)
    model, record = linear_model(), RecordGradientNorms()
    start = model.get_weights()
    after_each = AfterEachBatch(lambda: values(record))
    fitted(model, [record], data, [after_each], epochs=1)
    raw, _ = expected_norms(start, batches_of(*data))
    assert len(after_each.found) == 3
    for found, expected in zip(after_each.found, raw, strict=True):
        assert_near(found, expected)


@pytest.mark.skipif(BACKEND != "tensorflow", reason="several steps in one call are tested on TensorFlow")
def test_of_several_steps_in_one_call_the_largest_is_kept():
    data = regression(batches=6)
    data[1][:4] *= 9.0  # The first batch has the steepest gradient.
    model, record = linear_model(), RecordGradientNorms()
    start = model.get_weights()

    class ResetAtBatch(AfterEachBatch):
        def on_train_batch_begin(self, batch, logs=None):
            record.reset()

    after_each = ResetAtBatch(record.read)
    fitted(model, [record], data, [after_each], epochs=1, steps_per_execution=3)
    raw, _ = expected_norms(start, batches_of(*data))
    largest = [raw[:3, -1].max(), raw[3:, -1].max()]
    assert len(after_each.found) == 2
    assert largest[0] > raw[2, -1]
    np.testing.assert_allclose([read["largest_global_norm"] for read in after_each.found], largest, rtol=1e-5)
    np.testing.assert_allclose([read["global_norm"] for read in after_each.found], raw[[2, 5], -1], rtol=1e-5)


def three_variables():
    return [keras.Variable(np.ones(size, np.float32), name=name) for name, size in (("a", 2), ("b", 3), ("c", 1))]


@pytest.mark.backend
def test_a_variable_without_gradient_has_the_norm_0():
    a, b, c = three_variables()
    record = RecordGradientNorms()
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.1), [record])
    gradient_a, gradient_c = tensors([np.float32([3.0, 4.0]), np.float32([-12.0])])
    optimizer.apply([gradient_a, None, gradient_c], [a, b, c])
    assert record.read() == {
        "global_norm": 13.0,
        "largest_global_norm": 13.0,
        "norms": {a.path: 5.0, b.path: 0.0, c.path: 12.0},
    }


@pytest.mark.backend
def test_in_a_group_it_records_the_groups_own():
    a, b, c = three_variables()
    record = RecordGradientNorms()
    optimizer = ComposedOptimizer(
        keras.optimizers.SGD(0.1),
        groups=[
            ParameterGroup("b$", learning_rate_multiplier=0.0),
            ParameterGroup("(b|c)$", gradient_transforms=[record]),
        ],
    )
    optimizer.apply(tensors([np.float32([3.0, 4.0]), np.ones(3, np.float32), np.float32([-12.0])]), [a, b, c])
    assert record.read() == {
        "global_norm": 12.0,
        "largest_global_norm": 12.0,
        "norms": {b.path: 0.0, c.path: 12.0},  # b is frozen.
    }


@pytest.mark.backend
def test_a_nan_is_recorded_and_a_skipped_step_is_not():
    for transforms, expected in (([], [np.nan, np.nan]), ([SkipNonFinite()], [5.0, 5.0])):
        variable, record = keras.Variable([1.0, 1.0]), RecordGradientNorms()
        optimizer = ComposedOptimizer(keras.optimizers.SGD(0.1), [*transforms, record])
        for gradient in ([3.0, 4.0], [np.nan, 1.0]):
            optimizer.apply(tensors([np.float32(gradient)]), [variable])
        read = record.read()
        np.testing.assert_array_equal([read["global_norm"], read["largest_global_norm"]], expected)


@pytest.mark.backend
def test_the_gradients_stay():
    variable = keras.Variable([1.0, 1.0])
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.5), [RecordGradientNorms()])
    optimizer.apply(tensors([np.float32([3.0, 4.0])]), [variable])
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), [-0.5, -1.0])


def test_before_the_first_update_there_are_none():
    record = RecordGradientNorms()
    ComposedOptimizer(keras.optimizers.SGD(0.5), [record])
    assert record.read() == {"global_norm": 0.0, "largest_global_norm": 0.0, "norms": {}}


def test_under_accumulation_it_is_the_mean_that_is_recorded():
    data = regression(batches=2)
    model, record = linear_model(), RecordGradientNorms()
    parts = [linear_gradients(model.get_weights(), *batch) for batch in batches_of(*data)]
    model.compile(ComposedOptimizer(keras.optimizers.SGD(RATE), [record], gradient_accumulation_steps=2), loss="mse")
    model.fit(*data, batch_size=4, shuffle=False, verbose=0)
    mean = [(one + other) / 2 for one, other in zip(*parts, strict=True)]
    np.testing.assert_allclose(record.read()["global_norm"], global_norm(mean), rtol=1e-5)
