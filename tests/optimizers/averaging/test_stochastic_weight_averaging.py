import keras
import numpy as np
import pytest
from optimizer_probes import AfterEachBatch, array, assert_near, linear_model, mean, regression, walk

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer, StochasticWeightAveraging


@pytest.mark.backend
@pytest.mark.parametrize(("start_step", "every_steps"), [(0, 1), (0, 3), (4, 3)])
def test_it_is_the_mean_of_the_snapshots(start_step, every_steps):
    weights, averages = walk(StochasticWeightAveraging(start_step, every_steps), 12)
    for update in range(1, 13):
        snapshots = [weights[t - 1] for t in range(start_step + every_steps, update + 1, every_steps)]
        if snapshots:
            assert_near(averages[update - 1], mean(snapshots))
        else:
            assert_near(averages[update - 1], weights[update - 1], rtol=0, atol=0)


def test_by_hand():
    # w is 16, then 8, 4, 2, 1, 1/2, 1/4; snapshots after updates 3 and 5 are 2 and 1/2.
    weight = keras.Variable([16.0])
    averaging = StochasticWeightAveraging(start_step=1, every_steps=2)
    optimizer = ComposedOptimizer(keras.optimizers.SGD(0.5), averaging=averaging)
    found = []
    for _ in range(6):
        optimizer.apply([keras.ops.convert_to_tensor(array(weight))], [weight])
        found.append(optimizer.theta()[0].item())
    np.testing.assert_allclose(found, [8.0, 4.0, 2.0, 2.0, 1.25, 1.25], rtol=1e-6)


def test_it_is_torch_averaged_model():
    torch = pytest.importorskip("torch")
    start_step, every_steps = 3, 2
    weights, averages = walk(StochasticWeightAveraging(start_step, every_steps), 11)
    model = torch.nn.ParameterList([torch.nn.Parameter(torch.zeros(value.shape)) for value in weights[0]])
    averaged = torch.optim.swa_utils.AveragedModel(model)
    for update, values in enumerate(weights, start=1):
        with torch.no_grad():
            for parameter, value in zip(model, values, strict=True):
                parameter.copy_(torch.tensor(value))
        if update > start_step and (update - start_step) % every_steps == 0:
            averaged.update_parameters(model)
    assert_near(averages[-1], [parameter.detach().numpy() for parameter in averaged.module])


@pytest.mark.backend
def test_in_a_compiled_fit_it_is_the_mean_of_the_weights_after_every_other_batch():
    model = linear_model()
    optimizer = ComposedOptimizer(keras.optimizers.Adam(0.1), averaging=StochasticWeightAveraging(3, 2))
    model.compile(optimizer, loss="mse")
    after_each = AfterEachBatch(lambda: [array(weight) for weight in model.trainable_variables])
    model.fit(*regression(), batch_size=4, epochs=2, verbose=0, callbacks=[after_each])
    assert_near(optimizer.theta(), mean([after_each.found[t - 1] for t in (5, 7, 9, 11)]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 1), "`start_step` must be a whole number >= 0. Received: start_step=-1."),
        ((None, 1), "`start_step` must be a whole number >= 0. Received: start_step=None."),
        ((0, 0), "`every_steps` must be a whole number >= 1. Received: every_steps=0."),
        ((0, 2.0), "`every_steps` must be a whole number >= 1. Received: every_steps=2.0."),
    ],
    ids=str,
)
def test_an_argument_that_is_refused(arguments, message):
    with pytest.raises(InputError) as error:
        StochasticWeightAveraging(*arguments)
    assert str(error.value) == message
