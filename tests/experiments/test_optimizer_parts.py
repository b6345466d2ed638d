"""The optimizers that a recipe's section builds, on gradients made by hand."""

import keras
import numpy as np
import pytest

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError
from kerastrain.experiments import RULES
from kerastrain.experiments.optimizer_parts import build_optimizer


def optimizer(text, **options):
    document = yaml_document.parse(f"name: a\nmodel: convnet\noptimizer: {text}\n", "a.yaml")
    section = experiments.from_document(document).optimizer.model_dump()
    return build_optimizer(section, **{"steps": 10, "epochs": 3, **options})


def stepped(text, gradients, start=None, steps=1):
    """Weights after `steps` equal gradients, from zero unless `start` says otherwise."""
    start = start or [np.zeros(len(gradient)) for gradient in gradients]
    variables = [keras.Variable(value, name=f"v{index}") for index, value in enumerate(start)]
    made = optimizer(text)
    made.build(variables)
    for _ in range(steps):
        made.apply([keras.ops.convert_to_tensor(np.float32(gradient)) for gradient in gradients], variables)
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


SGD = "{rule: sgd, learning_rate: 1.0, gradient_transforms: [%s]}"


def clipped(transform, *gradients):
    """With SGD at rate 1 from zero, minus the weights is the gradient that was applied."""
    return [-weights for weights in stepped(SGD % transform, gradients)]


def test_clipping_by_value_is_the_courses_example():
    (found,) = clipped("{type: clip_by_value, min_value: -2, max_value: 2}", [0.5, -1.2, 3, -4.5, 2])
    np.testing.assert_allclose(found, [0.5, -1.2, 2, -2, 2], rtol=1e-6)


@pytest.mark.parametrize(
    ("max_norm", "gradient", "expected"),
    [(3, [2, -4, 1, -3], [1.096, -2.192, 0.548, -1.644]), (5, [3, 4], [3, 4]), (5, [6, 8], [3, 4])],
)
@pytest.mark.parametrize("kind", ["clip_by_norm", "clip_by_global_norm"])
def test_clipping_by_norm_is_the_courses_example(kind, max_norm, gradient, expected):
    (found,) = clipped(f"{{type: {kind}, max_norm: {max_norm}}}", gradient)
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_global_norm_is_of_all_variables_and_the_norm_of_each():
    first, second = [3.0, 4.0], [12.0, 0.0, 0.0]
    globally = clipped("{type: clip_by_global_norm, max_norm: 1.0}", first, second)
    for found, gradient in zip(globally, (first, second), strict=True):
        np.testing.assert_allclose(found, np.array(gradient) / 13.0, rtol=1e-5)
    each = clipped("{type: clip_by_norm, max_norm: 1.0}", first, second)
    np.testing.assert_allclose(each[0], [0.6, 0.8], rtol=1e-5)
    np.testing.assert_allclose(each[1], [1.0, 0.0, 0.0], rtol=1e-5)


def test_momentum_and_nesterov():
    # Constant gradient 1, rate 0.1, momentum 0.9: v = -0.1, then -0.19.
    (found,) = stepped("{rule: {type: sgd, momentum: 0.9}, learning_rate: 0.1}", [[1.0]], steps=2)
    np.testing.assert_allclose(found, [-0.1 - 0.19], rtol=1e-5)
    # Nesterov's form adds mu * v - eta * g: -0.19, then 0.9 * -0.19 - 0.1 = -0.271.
    (found,) = stepped("{rule: {type: sgd, momentum: 0.9, nesterov: true}, learning_rate: 0.1}", [[1.0]], steps=2)
    np.testing.assert_allclose(found, [-0.19 - 0.271], rtol=1e-5)


def test_groups_leave_out_weight_decay():
    rate, decay = 0.1, 0.5
    kernel, bias = keras.Variable([1.0, -2.0], name="kernel"), keras.Variable([3.0], name="bias")
    text = f"{{rule: {{type: adamw, weight_decay: {decay}}}, learning_rate: {rate}, GROUPS}}"
    text = text.replace("GROUPS", 'groups: [{pattern: "bias$", weight_decay: 0.0}]')
    made = optimizer(text)
    made.build([kernel, bias])
    gradients = [np.float32([0.3, -0.7]), np.float32([2.0])]
    made.apply([keras.ops.convert_to_tensor(gradient) for gradient in gradients], [kernel, bias])
    # AdamW's first step: w <- w - eta * lambda * w, then - eta * g / (|g| + eps), since both moments are corrected.
    expected = np.array([1.0, -2.0]) * (1 - rate * decay) - rate * np.sign(gradients[0])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(kernel), expected, rtol=1e-4)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(bias), [3.0 - rate], rtol=1e-4)


def test_a_pattern_that_matches_nothing_is_refused():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="head")])
    with pytest.raises(
        InputError, match=r"The pattern 'gamma' .* matches no trainable variable. The paths are: .*head/k"
    ):
        optimizer("{groups: [{pattern: gamma, weight_decay: 0}]}", model=model)


def test_accumulation_applies_the_mean_gradient_once():
    variable = keras.Variable([0.0], name="v")
    made = optimizer("{rule: sgd, learning_rate: 1.0}", accumulation=4)
    made.build([variable])
    for gradient in (1.0, 2.0, 3.0):
        made.apply([keras.ops.convert_to_tensor([gradient])], [variable])
        assert float(variable[0]) == 0.0
    made.apply([keras.ops.convert_to_tensor([6.0])], [variable])
    np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), [-3.0], rtol=1e-6)


def test_small_variables_are_updated_as_one_where_a_recipe_says_so():
    variables = [keras.Variable(np.zeros(2), name=name) for name in ("v0", "v1")]
    made = optimizer("{rule: sgd, learning_rate: 1.0, fused: true}")
    made.apply([keras.ops.convert_to_tensor(np.float32([1.0, 2.0]))] * 2, variables)
    assert made.fused_paths == [["v0", "v1"]]
    assert [keras.ops.convert_to_numpy(variable).tolist() for variable in variables] == [[-1.0, -2.0]] * 2
    assert type(optimizer("{rule: sgd, fused: false}")) is type(keras.optimizers.SGD())


@pytest.mark.parametrize(
    ("averaging", "expected"),
    [
        # Weights -1, -2, -3, -4; an epoch is two updates.
        ("{type: exponential, decay: 0.5, bias_correction: false}", -3.125),  # -1, -1.5, -2.25, -3.125
        ("{type: exponential, decay: 0.5}", -(1 + 2 * 2 + 4 * 3 + 8 * 4) / 15),
        ("polyak", -2.5),
        ("{type: polyak, start_epoch: 1}", -3.5),
        ("{type: polyak, power: 1}", -(1 * 1 + 2 * 2 + 3 * 3 + 4 * 4) / 10),
        ("{type: stochastic_weight_averaging, start_epoch: 0}", -3.0),  # of -2 and -4
        ("{type: stochastic_weight_averaging, start_epoch: 1}", -4.0),
    ],
)
def test_averages_count_epochs_where_they_say_so(averaging, expected):
    variable = keras.Variable([0.0], name="v")
    made = optimizer(f"{{rule: sgd, learning_rate: 1.0, averaging: {averaging}}}", steps=2)
    made.build([variable])
    for _ in range(4):
        made.apply([keras.ops.convert_to_tensor([1.0])], [variable])
    np.testing.assert_allclose(made.theta()[0], [expected], rtol=1e-6)


def test_accumulated_batches_of_a_recipe_make_one_update(tiny, tiny_recipe):
    # 61 samples in batches of 16: 4 batches, 2 updates an epoch; the schedule halves the rate each epoch.
    rate = {"type": "step_decay", "initial": 0.1, "factor": 0.5, "every_epochs": 1}
    recipe = tiny_recipe(optimizer__gradient_accumulation_steps=2, optimizer__learning_rate=rate)
    model = experiments.build(recipe, tiny)
    experiments.fit(recipe, model, tiny)
    assert int(keras.ops.convert_to_numpy(model.optimizer.iterations)) == 4
    assert float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)) == pytest.approx(0.025)
    with pytest.raises(InputError, match="accumulates all batches of an epoch"):
        tiny_recipe(optimizer__gradient_accumulation_steps=2, training__strategy="full_batch")


def test_lookahead_with_a_schedule():
    # d rises from 0 to 1 over the run of 3 epochs of 2 updates, and is taken at updates 2, 4 and 6.
    variable = keras.Variable([0.0], name="v")
    schedule = "{type: triangle, learning_rate: 1.0, end: 1.0, peak_fraction: 1.0}"
    averaging = f"{{type: lookahead, every_steps: 2, decay_schedule: {schedule}}}"
    made = optimizer(f"{{rule: sgd, learning_rate: 1.0, averaging: {averaging}}}", steps=2)
    made.build([variable])
    slow = 0.0
    for update in range(1, 7):
        made.apply([keras.ops.convert_to_tensor([1.0])], [variable])
        if update % 2 == 0:
            slow = (update / 6) * slow + (1 - update / 6) * (slow - 2.0)
            np.testing.assert_allclose(keras.ops.convert_to_numpy(variable), [slow], rtol=1e-5)


def test_groups_by_layer_type_layerwise_decay_and_helpers():
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Dense(3, name="a"), keras.layers.BatchNormalization(name="b")]
    )
    text = (
        "{rule: adamw, groups: [{type: layers, layer_type: BatchNormalization, l2: 0.1},"
        " {type: layerwise_decay, rate: 0.5}, no_decay_on_bias_and_norm]}"
    )
    made = optimizer(text, model=model)
    assert [group.name for group in made.groups] == ["BatchNormalization", "layerwise.a", "no_decay_on_bias_and_norm"]
    assert [group.learning_rate_multiplier for group in made.groups] == [1.0, 0.5, 1.0]
    assert made.groups[0].matches("b/gamma") and not made.groups[0].matches("a/kernel")


def test_a_rule_of_ours_takes_a_schedule_for_its_momentum():
    momentum = "{type: one_cycle_momentum, minimal: 0.8, maximal: 0.9}"
    made = optimizer(f"{{rule: {{type: momentum_sgd, momentum: {momentum}}}, learning_rate: 0.1}}")
    variable = keras.Variable([0.0], name="v")
    found = []
    for _ in range(30):
        made.apply([keras.ops.convert_to_tensor([1.0])], [variable])
        found.append(float(keras.ops.convert_to_numpy(made.hyperparameters["momentum"])))
    assert found[0] == pytest.approx(0.9) and min(found) == pytest.approx(0.8) and found[-1] == pytest.approx(0.9)
    assert 0 < found.index(min(found)) < 15


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{rule: {type: momentum_sgd, momentum: 1.5}}", "a number >= 0 and <= 1, or a schedule"),
        ("{rule: {type: momentum_sgd, momentum: {type: trianlge}}}", "Did you mean `triangle`?"),
        ("{rule: {type: momentum_sgd, form: pytroch}}", "Did you mean `pytorch`?"),
        ("{gradient_transforms: [clip_by_global_norm, skip_non_finite]}", "[0].max_norm`: is missing"),
        ("{gradient_transforms: [centralize_gradients, skip_non_finite]}", "SkipNonFinite must be the first"),
        ("{groups: [{pattern: a}]}", "sets no option"),
        ("{groups: [{pattern: '(', weight_decay: 0}]}", "`optimizer.groups[0].pattern`: expected a regular expression"),
        ("{groups: [{pattern: a, weight_deacy: 0}]}", "Did you mean `weight_decay`?"),
        ("{groups: [{type: layers, layer_type: BatchNormalisation, l2: 0.1}]}", "Did you mean `BatchNormalization`?"),
        ("{groups: [{pattern: a, gradient_transforms: [clip_by_nrom]}]}", "Did you mean `clip_by_norm`?"),
        ("{averaging: {type: lookahead, decay_schedule: 2}}", "a number >= 0 and <= 1, or a schedule"),
        (
            "{learning_rate: {type: warmup, warmup_epochs: 1, schedule: {type: step_decya}}}",
            "Did you mean `step_decay`",
        ),
        ("{learning_rate: {type: sequence, stages: [{schedule: 0.1}, {schedule: 0.2}]}}", "every stage but the last"),
        ("{learning_rate: {type: sequence, stages: [{schedule: 0.1}]}}", "at least 2 items"),
        ("{learning_rate: {type: sequence, stages: [{schedul: 0.1}, {schedule: 1}]}}", "a mapping with `schedule`"),
        ("{learning_rate: {type: one_cycle_momentum}}", "is for a rule's momentum"),
        ("{averaging: 3}", "expected the name of an averaging"),
        ("{gradient_accumulation_steps: 1}", "a number >= 2"),
        ("{rule: muon, fused: true}", "`optimizer.fused`: `fused=True` joins variables"),
        ("{learning_rate: 0}", "expected a number > 0, or a schedule. Received: 0"),
        ("{learning_rate: .nan}", "expected a number > 0, or a schedule"),
    ],
)
def test_what_makes_no_optimizer_is_told_with_its_place(text, message):
    with pytest.raises(InputError) as caught:
        optimizer(text)
    assert message in str(caught.value) and str(caught.value).startswith("a.yaml:3"), str(caught.value)


@pytest.mark.parametrize("entry", list(RULES), ids=lambda entry: entry.name)
def test_every_rule_with_its_defaults_moves_against_the_gradient(entry):
    (found,) = stepped(f"{{rule: {entry.name}, learning_rate: 0.1}}", [[1.0, -1.0]], steps=3)
    assert found[0] < 0 < found[1]


def test_a_rule_is_keras_own_with_keras_defaults():
    names = {"sgd": "SGD", "adam": "Adam", "adamw": "AdamW", "rmsprop": "RMSprop", "adagrad": "Adagrad"}
    for name, class_name in names.items():
        made = optimizer(f"{{rule: {name}, learning_rate: 0.1}}")
        plain = getattr(keras.optimizers, class_name)(learning_rate=0.1)
        assert type(made) is type(plain)
        assert made.get_config() | {"name": ""} == plain.get_config() | {"name": ""}


def message(optimizer, **recipe):
    lines = [f"{key}: {value}" for key, value in {"optimizer": optimizer, **recipe}.items()]
    document = yaml_document.parse("name: a\nmodel: convnet\n" + "\n".join(lines) + "\n", "a.yaml")
    with pytest.raises(InputError) as error:
        experiments.from_document(document)
    return str(error.value)


@pytest.mark.parametrize(
    ("section", "place", "explanation"),
    [
        (
            "{averaging: {type: polyak, start_epoch: 3}}",
            "averaging",
            "`start_epoch` must be below 3, the epochs of the run, or nothing would be averaged",
        ),
        (
            "{averaging: {type: stochastic_weight_averaging, start_epoch: 2, every_epochs: 2}}",
            "averaging",
            "`every_epochs` must leave time for one snapshot",
        ),
        (
            "{learning_rate: {type: warmup, schedule: 0.1, warmup_epochs: 3}}",
            "learning_rate",
            "`warmup_epochs` must be below 3",
        ),
        (
            "{learning_rate: {type: cosine_decay, initial: 0.1, warmup_epochs: 5}}",
            "learning_rate",
            "`warmup_epochs` must be fewer than the epochs of the decay. Received: 5",
        ),
        (
            "{learning_rate: {type: sequence, stages: [{schedule: 0.1, epochs: 3}, {schedule: 0.01}]}}",
            "learning_rate",
            "`stages`: the last one would never begin, as those before it take 3 of the run's 3 epochs",
        ),
        (
            "{gradient_transforms: [{type: clip_by_norm, max_norm: 1}, skip_non_finite]}",
            "gradient_transforms[1]",
            "SkipNonFinite must be the first of `gradient_transforms`",
        ),
        (
            "{groups: [{pattern: a, l2: 0.1}, {pattern: b}]}",
            "groups[1]",
            "The group with the pattern 'b' sets no option",
        ),
        (
            "{rule: lookahead_nesterov, averaging: exponential}",
            "averaging",
            "`averaging` takes what the model holds, which under LookaheadNesterov",
        ),
        (
            "{rule: {type: momentum_sgd, form: average, momentum: 1.0}}",
            "rule",
            "`momentum` must be < 1 in the form 'average'",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused_at_their_place(section, place, explanation):
    found = message(section, training="{epochs: 3}")
    assert found.startswith(f"a.yaml:3: `optimizer.{place}`: {explanation}"), found


def test_a_group_of_several_types_of_layers():
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            layers.Conv2D(2, 3, name="convolution"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(2, name="dense"),
        ]
    )
    made = optimizer("{groups: [{type: layers, layer_type: [Dense, BatchNormalization], l2: 0.1}]}", model=model)
    (group,) = made.groups
    matched = [variable.path for variable in model.trainable_variables if group.matches(variable.path)]
    assert [path.split("/", 1)[1] for path in matched] == [
        "norm/gamma",
        "norm/beta",
        "dense/kernel",
        "dense/bias",
    ]
    assert group.name == "Dense, BatchNormalization"
    assert "Received: 'Dens'. Did you mean `Dense`" in message(
        "{groups: [{type: layers, layer_type: [Dens], l2: 0.1}]}"
    )
    assert "or a list of such. Received: [3]" in message("{groups: [{type: layers, layer_type: [[3]], l2: 0.1}]}")


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"averaging": {"type": "lookahead", "every_steps": 9}},
            "`optimizer.averaging`: `every_steps` must be at most 8, the updates of the run",
        ),
        (
            {"gradient_accumulation_steps": 9},
            "`optimizer.gradient_accumulation_steps`: must be at most 8, the batches of the run",
        ),
        (
            {"groups": [{"pattern": "head", "l2": 0.1}, {"pattern": "tail", "l2": 0.1}]},
            r"`optimizer.groups\[1\]`: The pattern 'tail' of a ParameterGroup matches no trainable variable",
        ),
        (
            {"rule": {"type": "orthogonalized_momentum", "exclude": ["haed"]}},
            "`optimizer.rule`: `exclude` must name kernels of the model. Received: 'haed'",
        ),
    ],
)
def test_what_needs_the_model_and_the_data_is_refused_before_training(tiny, tiny_recipe, section, message):
    # 61 samples in batches of 16: 4 batches an epoch, for 2 epochs.
    recipe = tiny_recipe(**{f"optimizer__{key}": value for key, value in section.items()})
    with pytest.raises(InputError, match=message):
        experiments.build(recipe, tiny)
