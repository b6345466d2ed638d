"""What can be moved while training runs, and what says that it cannot."""

import keras
import pytest

from kerastrain._core.errors import InputError
from kerastrain.optimizers import ClipByNorm, ComposedOptimizer, MomentumSGD, ParameterGroup

pytestmark = pytest.mark.backend
K = keras.optimizers
SCHEDULE = K.schedules.PolynomialDecay(0.9, 10, 0.8)


def composed(rate=0.1):
    return ComposedOptimizer(
        K.AdamW(rate, weight_decay=0.1), [ClipByNorm(1.0)], [ParameterGroup("a", l2=0.1, trainable=False)]
    )


def number(variable):
    return float(keras.ops.convert_to_numpy(variable))


def test_setting_and_updating_assign_to_the_variables():
    optimizer = composed()
    optimizer.hyperparameters["a.l2"] = 0.25
    optimizer.hyperparameters.update({"plateau_multiplier": 0.5, "clip_by_norm.max_norm": 2})
    found = {name: number(variable) for name, variable in optimizer.hyperparameters.items()}
    assert found == pytest.approx(
        {
            "learning_rate": 0.1,
            "plateau_multiplier": 0.5,
            "weight_decay": 0.1,
            "a.l2": 0.25,
            "a.trainable": 0.0,
            "clip_by_norm.max_norm": 2.0,
        }
    )
    assert len(optimizer.hyperparameters) == 6 and "momentum" not in optimizer.hyperparameters
    assert "a.l2, a.trainable" in repr(optimizer.hyperparameters)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("clip_by_norm.max_norm", 0.0, "must be a number > 0.*Leave the transform out"),
        ("learning_rate", -0.1, "must be a number >= 0"),
        ("learning_rate", float("nan"), "must be a number >= 0"),
        ("plateau_multiplier", -1, "must be a number >= 0"),
        ("weight_decay", "0.1", "must be a number >= 0"),
        ("a.l2", -0.1, "must be a number >= 0"),
        ("a.trainable", 2, "must be True or False"),
        ("a.trainable", 0.5, "must be True or False"),
    ],
)
def test_a_number_out_of_range_is_refused(name, value, message):
    optimizer = composed()
    before = number(optimizer.hyperparameters[name])
    with pytest.raises(InputError, match=message):
        optimizer.hyperparameters[name] = value
    assert number(optimizer.hyperparameters[name]) == before


def test_a_switch_takes_what_is_true_or_false():
    optimizer = composed()
    for value, expected in ((True, 1.0), (False, 0.0), (1, 1.0), (0.0, 0.0)):
        optimizer.hyperparameters["a.trainable"] = value
        assert number(optimizer.hyperparameters["a.trainable"]) == expected


def test_a_rules_own_ranges_hold():
    for optimizer in (MomentumSGD(0.1), ComposedOptimizer(MomentumSGD(0.1))):
        with pytest.raises(InputError, match="`momentum` must be a number >= 0 and <= 1"):
            optimizer.hyperparameters["momentum"] = 1.5


def test_what_follows_a_schedule_can_be_read_and_not_set():
    for optimizer in (MomentumSGD(0.1, momentum=SCHEDULE), ComposedOptimizer(MomentumSGD(0.1, momentum=SCHEDULE))):
        assert number(optimizer.hyperparameters["momentum"]) == pytest.approx(0.9)
        with pytest.raises(InputError, match=r"cannot be set. It follows a schedule"):
            optimizer.hyperparameters["momentum"] = 0.5
    with pytest.raises(InputError, match=r"`learning_rate`.*follows a schedule.*plateau_multiplier"):
        composed(SCHEDULE).hyperparameters["learning_rate"] = 0.1


def test_what_is_off_says_how_to_have_it():
    with pytest.raises(InputError, match=r"`weight_decay`.*give the rule weight_decay=0.0"):
        ComposedOptimizer(K.SGD(0.1)).hyperparameters["weight_decay"]
    with pytest.raises(InputError, match=r"`l2`.*It is off"):
        MomentumSGD(0.1).hyperparameters["l2"]
    with pytest.raises(InputError, match="cannot be removed"):
        del composed().hyperparameters["weight_decay"]
