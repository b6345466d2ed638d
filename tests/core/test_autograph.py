import keras
import numpy as np
import pytest

from kerastrain._core.autograph import as_written
from kerastrain.optimizers import ComposedOptimizer, GradientTransform, MomentumSGD

on_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="only TensorFlow has AutoGraph")


def double(value):
    """Twice the value."""
    return 2 * value


def test_a_function_keeps_its_name_docstring_and_result():
    written = as_written(double)
    assert (written.__name__, written.__doc__, written(3)) == ("double", "Twice the value.", 6)


@on_tensorflow
def test_a_python_if_on_a_tensor_is_not_translated():
    import tensorflow as tf

    def absolute(value):
        if value > 0:
            return value
        return -value

    assert tf.function(absolute)(tf.constant(-2.0)) == 2.0
    with pytest.raises(tf.errors.OperatorNotAllowedInGraphError):
        tf.function(as_written(absolute))(tf.constant(-2.0))


class RecordTranslation(GradientTransform):
    def __init__(self):
        super().__init__()
        self.seen = []

    def transform(self, gradients, variables):
        import tensorflow as tf

        self.seen.append(tf.__internal__.autograph.control_status_ctx().status.name)
        return list(gradients)


@on_tensorflow
@pytest.mark.parametrize("rule", [lambda: keras.optimizers.SGD(0.1), lambda: MomentumSGD(0.1)])
def test_a_step_in_a_users_own_tf_function_is_not_translated(rule):
    import tensorflow as tf

    transform = RecordTranslation()
    optimizer = ComposedOptimizer(rule(), [transform])
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer.build([variable])
    tf.function(lambda: optimizer.apply([tf.ones(3)], [variable]))()
    assert transform.seen == ["DISABLED"]


@on_tensorflow
def test_a_rule_alone_is_not_translated():
    import tensorflow as tf

    seen = []

    class Watched(MomentumSGD):
        def update_step(self, gradient, variable, learning_rate):
            seen.append(tf.__internal__.autograph.control_status_ctx().status.name)
            super().update_step(gradient, variable, learning_rate)

    optimizer = Watched(0.1)
    variable = keras.Variable(np.ones(3, np.float32))
    optimizer.build([variable])
    tf.function(lambda: optimizer.apply([tf.ones(3)], [variable]))()
    assert seen == ["DISABLED"]
