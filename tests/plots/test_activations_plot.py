"""What is drawn is the function and its derivative."""

import keras
import numpy as np
import pytest

from kerastrain import layers, plots
from kerastrain._core.errors import InputError


def lines(figure, panel):
    return {line.get_label(): line for line in figure.axes[panel].lines if not line.get_label().startswith("_")}


def test_functions_and_derivatives_are_those_of_calculus():
    figure = plots.activations(
        {"tanh": "tanh", "mine": lambda x: x * x, "gelu": layers.GELU("sigmoid")}, low=-2, high=3
    )
    values, slopes = lines(figure, 0), lines(figure, 1)
    assert list(values) == list(slopes) == ["tanh", "mine", "gelu"]
    x = values["tanh"].get_xdata()
    assert (x[0], x[-1]) == (-2, 3) and len(x) > 300
    sigmoid = 1 / (1 + np.exp(-1.702 * x))
    expected = {
        "tanh": (np.tanh(x), 1 - np.tanh(x) ** 2),
        "mine": (x * x, 2 * x),
        "gelu": (x * sigmoid, sigmoid + 1.702 * x * sigmoid * (1 - sigmoid)),
    }
    for name, (value, slope) in expected.items():
        np.testing.assert_allclose(values[name].get_ydata(), value, atol=1e-5)
        np.testing.assert_allclose(slopes[name].get_ydata(), slope, atol=1e-5)


def test_names_come_from_the_functions_and_colors_repeat_with_another_style():
    figure = plots.activations(["relu", keras.activations.elu, layers.PReLU(name="slopes")])
    assert list(lines(figure, 0)) == ["relu", "elu", "slopes"]
    assert figure.axes[0].get_title() == "activation" and figure.axes[1].get_title() == "derivative"
    many = plots.activations({f"f{number}": "relu" for number in range(12)}, title="Many")
    drawn = list(lines(many, 0).values())
    assert drawn[0].get_color() == drawn[10].get_color() and drawn[0].get_linestyle() != drawn[10].get_linestyle()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"functions": []}, "not empty"),
        ({"functions": "relu"}, "must be a list of activations"),
        ({"functions": ["rleu"]}, "activations that Keras knows. Received: 'rleu'"),
        ({"functions": ["relu", "relu"]}, "two of the name 'relu'"),
        ({"functions": ["relu"], "low": 1.0, "high": 1.0}, "`high` must be above `low`"),
        ({"functions": {"sum": keras.ops.sum}}, r"`functions\['sum'\]` must act on each number alone"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        plots.activations(**arguments)
