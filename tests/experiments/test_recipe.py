import pytest
from recipe_probes import complaint, loaded

from kerastrain import experiments

# The example of the design, with the keys that Keras's own optimizers can serve.
WHOLE = """\
schema: 1
name: residual
task: multiclass
data: {name: cifar10, validation: 5000, augment: {crop: 4, flip: alternating}, preprocess: standardize}
model:
  topology: residual
  depth: 20
  activation: relu
  initializer: he_normal
  normalization: batch
  dropout: {type: spatial, rate: 0.1}
  regularizer: {type: l2, rate: 1.0e-4}
optimizer:
  rule: {type: sgd, momentum: 0.9, nesterov: true}
  learning_rate: {type: step_decay, initial: 0.1, factor: 0.5, every_epochs: 10}
  gradient_transforms: [{type: clip_by_global_norm, max_norm: 1.0}]
  groups: [{pattern: "/(bias|gamma|beta)$", weight_decay: 0.0}]
  averaging: {type: exponential, decay: 0.99}
training: {strategy: mini_batch, batch_size: 128, epochs: 30, precision: auto, seed: 0}
callbacks: [{type: early_stopping, monitor: val_loss, patience: 5}]
"""


def test_a_recipe_is_shipped_for_each_topology():
    from kerastrain.topologies import TOPOLOGIES

    recipes = {name: experiments.load(name) for name in experiments.shipped()}
    assert {recipe.model["topology"] for recipe in recipes.values()} == set(TOPOLOGIES.names())
    assert all(recipe.name == name for name, recipe in recipes.items())


def test_the_course_recipes_are_the_courses():
    for name, epochs in (("mlp_sequential", 100), ("mlp_functional", 10)):
        recipe = experiments.load(name)
        assert (recipe.training.epochs, recipe.training.batch_size, recipe.data.validation) == (epochs, 128, 0.2)
        assert recipe.optimizer.rule["type"] == "sgd"
        assert [layer["units"] for layer in recipe.model["layers"]] == [20, 15]


@pytest.mark.parametrize("name", sorted(experiments.shipped()))
def test_a_resolved_recipe_reads_back_to_the_same(name, tmp_path):
    recipe = experiments.load(name)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml(), encoding="utf-8")
    again = experiments.load(path)
    assert again == recipe
    assert again.hash() == recipe.hash()
    assert again.to_yaml() == recipe.to_yaml()
    assert experiments.Recipe.model_validate(recipe.plain()) == recipe


def test_the_whole_shape_is_accepted():
    recipe = loaded(WHOLE)
    assert recipe.model["dropout"] == {"type": "spatial", "rate": 0.1}
    assert recipe.optimizer.averaging["decay"] == 0.99
    assert recipe.callbacks[0]["patience"] == 5
    assert recipe.data.augment.crop == 4


def test_the_least_that_is_accepted():
    recipe = loaded("name: a\nmodel: convnet\n")
    assert recipe.task == "multiclass" and recipe.model["topology"] == "convnet"
    # What is left out is resolved like what is given, so that both ways of writing are one recipe.
    assert recipe == loaded("name: a\nmodel: convnet\ndata: {preprocess: rescale}\noptimizer: {rule: sgd}\n")


def test_the_hash_is_of_the_meaning_not_of_the_writing():
    short = loaded("name: a\nmodel: {topology: convnet, dropout: 0.2}\n")
    long = loaded(
        "# the same\nmodel:\n  dropout: {rate: 0.2, type: dropout}\n  topology: convnet\nname: a\nschema: 1\n"
    )
    assert short.hash() == long.hash()
    assert short.hash() != loaded("name: a\nmodel: {topology: convnet, dropout: 0.3}\n").hash()


@pytest.mark.parametrize(
    ("path", "value", "place", "expected"),
    [
        ("optimizer.rule.momentum", 0.5, "optimizer.rule", {"type": "sgd", "momentum": 0.5}),
        ("optimizer.rule", "adam", "optimizer.rule", {"type": "adam", "beta_1": 0.9}),
        ("model.depth", 32, "model", {"topology": "residual", "depth": 32}),
        ("model.dropout.rate", 0.3, "model.dropout", {"type": "dropout", "rate": 0.3}),
        ("model.dropout.type", "spatial", "model.dropout", {"type": "spatial", "rate": 0.2}),
        ("model.activation.negative_slope", 0.1, "model.activation", {"type": "relu", "negative_slope": 0.1}),
        ("optimizer.averaging.type", "exponential", "optimizer.averaging", {"type": "exponential"}),
        ("data.augment.crop", 2, "data.augment", {"crop": 2, "flip": "none"}),
        ("optimizer.learning_rate", 1, "optimizer", {"learning_rate": 1.0}),
    ],
)
def test_an_override_reaches_into_a_shorthand(path, value, place, expected):
    text = "name: a\nmodel: residual\noptimizer: {rule: sgd, learning_rate: 0.1}\n"
    if path.startswith("model.") and path != "model.depth":
        text = text.replace("residual", "{topology: residual, dropout: 0.2, activation: relu}")
    found = loaded(text, {path: value}).plain()
    for part in place.split("."):
        found = found[part]
    assert {key: found[key] for key in expected} == expected


def test_overrides_reach_into_lists():
    text = "name: a\nmodel: {topology: mlp_sequential, layers: [20, 15]}\n"
    recipe = loaded(text, {"model.layers[0].activation": "gelu", "model.layers[1].units": 9, "model.layers[2]": 8})
    assert [layer["units"] for layer in recipe.model["layers"]] == [20, 9, 8]
    assert recipe.model["layers"][0]["activation"]["type"] == "gelu"
    text = "name: a\nmodel: {topology: ensemble, members: [convnet, residual]}\n"
    members = loaded(text, {"model.members[1].depth": 32}).model["members"]
    assert members[1]["topology"] == "residual" and members[1]["depth"] == 32


def test_a_problem_of_an_override_is_not_blamed_on_a_line_of_the_file():
    message = complaint("name: a\nmodel: convnet\ntraining:\n  epochs: 3\n", {"training.epochs": 0})
    assert message == "override: `training.epochs`: expected a number >= 1. Received: 0."
