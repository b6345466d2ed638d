import keras
import numpy as np
import pytest

from kerastrain._core.conditional import conditional

BACKEND = keras.backend.backend()


def compiled(step, variables):
    """`step(number)` in a compiled function of the backend, where it has one; as Keras's trainers call an optimizer."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(step)
    if BACKEND == "jax":
        import jax

        def pure(values, number):
            mapping = list(zip(variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping) as scope:
                step(number)
            return [scope.get_current_value(variable) for variable in variables]

        pure = jax.jit(pure)

        def run(number):
            for variable, value in zip(
                variables, pure([variable.value for variable in variables], number), strict=True
            ):
                variable.assign(value)

        return run
    return step


def runs(step, variables):
    return {"eager": step, "compiled": compiled(step, variables)}


def numbers(*variables):
    return [keras.ops.convert_to_numpy(variable).tolist() for variable in variables]


def tensor(value):
    return keras.ops.convert_to_tensor(np.float32(value))


@pytest.mark.backend
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_one_of_two_branches_assigns(mode):
    taken, other, steps = (
        keras.Variable([1.0, 2.0]),
        keras.Variable(10.0),
        keras.Variable(0, dtype="int32", trainable=False),
    )

    def step(number):
        def then():
            taken.assign(taken * 2.0)
            steps.assign_add(1)

        def otherwise():
            other.assign_add(number)

        conditional(number > 0, then, otherwise, variables=[taken, other, steps])

    run = runs(step, [taken, other, steps])[mode]
    run(tensor(1.0))
    assert numbers(taken, other, steps) == [[2.0, 4.0], 10.0, 1]
    run(tensor(-3.0))
    assert numbers(taken, other, steps) == [[2.0, 4.0], 7.0, 1]
    run(tensor(5.0))
    assert numbers(taken, other, steps) == [[4.0, 8.0], 7.0, 2]
    assert keras.backend.standardize_dtype(steps.dtype) == "int32"


@pytest.mark.backend
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_without_otherwise_nothing_happens(mode):
    variable = keras.Variable([1.0, 2.0])

    def step(number):
        def then():
            variable.assign(variable + number)

        conditional(number > 0, then, variables=[variable])

    run = runs(step, [variable])[mode]
    run(tensor(-1.0))
    assert numbers(variable) == [[1.0, 2.0]]
    run(tensor(2.0))
    assert numbers(variable) == [[3.0, 4.0]]


@pytest.mark.backend
@pytest.mark.parametrize("mode", ["eager", "compiled"])
def test_a_branch_sees_what_came_before_and_may_hold_another(mode):
    first, second = keras.Variable(0.0), keras.Variable(0.0)
    both = [first, second]

    def large():
        second.assign_add(0.5)

    def small():
        first.assign_add(100.0)

    def inner():
        second.assign(first * 10.0)
        conditional(first > 2, large, small, variables=both)
        second.assign_add(1.0)

    def step(number):
        first.assign(number)
        conditional(first > 0, inner, variables=both)
        first.assign_add(second)

    run = runs(step, both)[mode]
    run(tensor(3.0))  # second: 30, 30.5, 31.5
    assert numbers(*both) == [34.5, 31.5]
    run(tensor(1.0))  # second: 10, 11; first: 1, 101, 112
    assert numbers(*both) == [112.0, 11.0]
    run(tensor(-1.0))
    assert numbers(*both) == [10.0, 11.0]


@pytest.mark.backend
def test_a_variable_named_two_times_is_assigned_one_time():
    variable = keras.Variable(1.0)

    def then():
        variable.assign_add(1.0)

    conditional(tensor(1.0) > 0, then, variables=[variable, variable])
    assert numbers(variable) == [2.0]
