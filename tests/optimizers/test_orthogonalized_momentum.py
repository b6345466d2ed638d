"""Muon for kernels of any rank: by the SVD in NumPy's float64, beside Keras's and PyTorch's where they are the same."""

import keras
import numpy as np
import pytest
from rule_problem import GIVEN, START, assert_same_path, follow, moving_momentum, moving_rate, numpy_walk, torch_walk

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ComposedOptimizer, OrthogonalizedMomentum, ParameterGroup
from kerastrain.optimizers.newton_schulz import newton_schulz


def orthogonalized(matrix, steps):
    """`U p(...p(S)) V^T` with `p(s) = a s + b s^3 + c s^5`, from the singular values over their norm."""
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    values = values / (np.linalg.norm(values) + 1e-7)
    for _ in range(steps):
        values = 3.4445 * values - 4.7750 * values**3 + 2.0315 * values**5
    return left * values @ right


def expected_path(rate, momentum, other=0.9, steps=5, nesterov=True, rms_rate=None, unit_norm=False, **options):
    velocities = [np.zeros(value.shape) for value in START]

    def move(step, index, value, gradient):
        kernel = value.ndim > 1
        rho = momentum(step) if kernel else other
        velocities[index] = v = rho * velocities[index] + gradient
        u = gradient + rho * v if nesterov else v
        if not kernel:
            return value - rate(step) * u
        matrix = orthogonalized(u.reshape(-1, value.shape[-1]), steps)
        scale = 1 if rms_rate is None else rms_rate * np.sqrt(max(matrix.shape))
        if unit_norm:
            value = value * np.sqrt(value.shape[-1]) / np.linalg.norm(value)
        return value - rate(step) * scale * matrix.reshape(value.shape)

    return numpy_walk(move, given=GIVEN, rate=rate, **options)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's optimized graphs")
def test_newton_schulz_has_no_sum_whose_order_is_left_to_chance():
    """An `AddN` of three begins with the one whose buffer nobody else still needs, which is a matter of time."""
    import tensorflow as tf
    from tensorflow.core.protobuf import config_pb2
    from tensorflow.python.grappler import tf_optimizer

    def operations(function):
        graph = tf.function(function).get_concrete_function(tf.TensorSpec((48, 16), "float32")).graph
        exported = tf.compat.v1.train.export_meta_graph(graph_def=graph.as_graph_def(), graph=graph)
        exported.collection_def["train_op"].node_list.value.extend(tensor.name for tensor in graph.outputs)
        config = config_pb2.ConfigProto()
        config.graph_options.rewrite_options.min_graph_nodes = -1
        return {(node.op, len(node.input)) for node in tf_optimizer.OptimizeGraph(config, exported).node}

    def by_three(matrix):
        gram = tf.matmul(matrix, matrix, transpose_a=True)
        return tf.matmul(3.4445 * tf.eye(16) + -4.7750 * gram + 2.0315 * tf.matmul(gram, gram), gram)

    assert ("AddN", 3) in operations(by_three)
    assert not [name for name, _ in operations(lambda matrix: newton_schulz(matrix, 5)) if name == "AddN"]


@pytest.mark.backend
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 4)])
def test_newton_schulz_is_its_polynomial_of_the_singular_values(shape):
    matrix = np.random.default_rng(1).normal(size=shape)
    found = keras.ops.convert_to_numpy(newton_schulz(keras.ops.convert_to_tensor(matrix.astype(np.float32)), 5))
    np.testing.assert_allclose(found, orthogonalized(matrix, 5), rtol=2e-4, atol=2e-5)
    values = np.linalg.svd(found, compute_uv=False)
    assert (values > 0.6).all()
    assert (values < 1.3).all()


@pytest.mark.backend
@pytest.mark.parametrize("steps", [3, 4, 5, 7])
@pytest.mark.parametrize("shape", [(72, 8), (8, 72)], ids=str)
def test_several_steps_at_once_are_those_steps_where_singular_values_are_tiny(shape, steps):
    generator = np.random.default_rng(2)
    left, right = (np.linalg.qr(generator.normal(size=(side, 8)))[0] for side in shape)
    matrix = (left * np.logspace(0, -7, 8) @ right.T).astype(np.float32)
    found = keras.ops.convert_to_numpy(newton_schulz(keras.ops.convert_to_tensor(matrix), steps))
    # As far as float32's rounding of the matrix, 6e-8, goes when it is raised by 3.4445 a step.
    tolerance = 1e-7 * 3.4445**steps
    np.testing.assert_allclose(found, orthogonalized(matrix.astype(float), steps), rtol=0, atol=tolerance)


@pytest.mark.backend
def test_sixteen_bits_are_near_enough_too():
    matrix = np.random.default_rng(3).normal(size=(72, 8))
    found = newton_schulz(keras.ops.cast(matrix, "bfloat16"), 5)
    assert keras.backend.standardize_dtype(found.dtype) == "bfloat16"
    found = keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))
    np.testing.assert_allclose(found, orthogonalized(matrix, 5), rtol=0, atol=0.02)


@pytest.mark.backend
@pytest.mark.parametrize(
    "options",
    [{}, {"nesterov": False}, {"steps": 3}, {"rms_rate": 0.2}, {"unit_norm": True}, {"weight_decay": 0.05}],
    ids=str,
)
def test_it_is_its_formula_under_a_moving_rate_and_momentum(options):
    (schedule, rate), (moving, momentum) = moving_rate(), moving_momentum()
    found = follow(OrthogonalizedMomentum(schedule, momentum=moving, **options), given=GIVEN)
    # Singular values near 0 are raised 3.4 times a step, and float32's rounding with them.
    assert_same_path(found, expected_path(rate, momentum, **options), rtol=1e-3, atol=1e-3)


def test_a_matrix_moves_as_under_keras_muon():
    # Keras keeps `v <- rho v + (1 - rho) g`, hence another length, which orthogonalization takes away.
    kernels = [keras.Variable(START[0]) for _ in range(2)]
    rules = (
        OrthogonalizedMomentum(0.1, momentum=0.9, rms_rate=0.2, nesterov=False),
        keras.optimizers.Muon(0.1, momentum=0.9, weight_decay=None, nesterov=False),
    )
    for gradients in GIVEN[:20]:
        for rule, kernel in zip(rules, kernels, strict=True):
            rule.apply([keras.ops.convert_to_tensor(gradients[0])], [kernel])
    np.testing.assert_allclose(*(keras.ops.convert_to_numpy(kernel) for kernel in kernels), rtol=1e-3, atol=1e-3)


def test_everything_else_takes_momentum_as_pytorch_has_it():
    found = follow(OrthogonalizedMomentum(0.05, other_momentum=0.8, exclude=[""]), given=GIVEN)
    assert_same_path(
        found, torch_walk("SGD", lambda step: 0.05, given=GIVEN, momentum=0.8, nesterov=True), rtol=1e-5, atol=1e-5
    )


@pytest.mark.backend
def test_what_exclude_names_is_not_orthogonalized_and_zeros_stay_numbers():
    kernel = keras.Variable(np.zeros((3, 2), np.float32), name="kernel")
    head = keras.Variable(np.zeros((3, 2), np.float32), name="head_kernel")
    rule = OrthogonalizedMomentum(1.0, other_momentum=0.0, nesterov=False, exclude=["^head"], unit_norm=True)
    gradient = np.arange(6, dtype=np.float32).reshape(3, 2)
    rule.apply([keras.ops.convert_to_tensor(gradient)] * 2, [kernel, head])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(head), -gradient, rtol=1e-6)
    assert np.abs(keras.ops.convert_to_numpy(kernel) - -orthogonalized(gradient, 5)).max() < 1e-3
    rule.apply([keras.ops.zeros((3, 2))] * 2, [kernel, head])
    assert np.isfinite(keras.ops.convert_to_numpy(kernel)).all()


def test_a_head_that_is_not_there_is_told_and_the_default_needs_no_embedding():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3, name="trunk"), keras.layers.Dense(2, name="head")]
    )
    OrthogonalizedMomentum(0.1).build(model.trainable_variables)
    OrthogonalizedMomentum(0.1, exclude=["embedding", "head"]).build(model.trainable_variables)
    with pytest.raises(InputError, match=r"'haed', which none of its paths has. The paths are: .*trunk/kernel"):
        OrthogonalizedMomentum(0.1, exclude=["haed"]).build(model.trainable_variables)
    groups = [ParameterGroup("head", learning_rate_multiplier=0.5)]
    # Each instance of the rule sees some of the variables only.
    ComposedOptimizer(OrthogonalizedMomentum(0.1, exclude=["head"]), groups=groups).build(model.trainable_variables)
    mistaken = ComposedOptimizer(OrthogonalizedMomentum(0.1, exclude=["haed"]), groups=groups)
    for check in (lambda: mistaken.check_groups(model), lambda: mistaken.build(model.trainable_variables)):
        with pytest.raises(InputError, match="'haed', which none"):
            check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "`steps` must be"),
        ({"exclude": "head"}, r"Write \['head'\]"),
        ({"exclude": ["("]}, "must hold regular expressions"),
        ({"rms_rate": 0.0}, "`rms_rate` must be"),
        ({"momentum": 1.5}, "`momentum` must be"),
        ({"other_momentum": -0.1}, "`other_momentum` must be"),
        ({"unit_norm": 1}, "`unit_norm` must be"),
    ],
    ids=str,
)
def test_bad_arguments_are_told(options, message):
    with pytest.raises(InputError, match=message):
        OrthogonalizedMomentum(0.1, **options)
