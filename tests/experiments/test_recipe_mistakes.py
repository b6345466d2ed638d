"""What is wrong in a recipe, told with its place and the way out."""

import pathlib

import pytest
from recipe_probes import complaint

from kerastrain import experiments
from kerastrain._core import yaml_document
from kerastrain._core.errors import InputError

RECIPE = "name: a\nmodel:\n  topology: residual\n"

MISTAKES = {
    "misspelled section": ("optimiser: {}\n", 4, ["`optimiser`", "unknown key", "Did you mean `optimizer`?"]),
    "misspelled key": ("training:\n  epoch: 3\n", 5, ["`training.epoch`", "Did you mean `epochs`?"]),
    "misspelled topology": ("", 3, ["unknown topology `residul`", "Did you mean `residual`?"]),
    "misspelled argument": ("  dept: 20\n", 4, ["`model.dept`", "unknown key", "Did you mean `depth`?"]),
    "misspelled activation": ("  activation: rellu\n", 4, ["`model.activation", "Did you mean `relu`?"]),
    "misspelled initializer": ("  initializer: he_norm\n", 4, ["`model.initializer", "Did you mean `he_normal`?"]),
    "misspelled argument of a part": ("  activation:\n    type: relu\n    max_val: 6\n", 6, ["`max_value`?"]),
    "rate of one": ("  dropout: 1.0\n", 4, ["`model.dropout", "expected a number < 1", "Received: 1.0"]),
    "negative rate": (
        "  dropout: {type: spatial, rate: -0.1}\n",
        4,
        ["`model.dropout.rate`", "expected a number >= 0"],
    ),
    "depth that is no depth": (
        "  depth: 21\n",
        4,
        ["`model.depth`", "6n + 2", "Received: depth=21", "The nearest is 20"],
    ),
    "resolution of all epochs": (
        "data: {augment: {resolutions: [{size: 24, until: 1.0}]}}\n",
        4,
        ["`data.augment.resolutions[0].until`", "expected a number < 1"],
    ),
    "resolutions in no order": (
        "data:\n  augment:\n    resolutions: [{size: 24, until: 0.5}, {size: 28, until: 0.4}]\n",
        6,
        ["`data.augment.resolutions`", "expected `until` to rise from stage to stage"],
    ),
    "text for a number": ("training: {epochs: ten}\n", 4, ["`training.epochs`", "a whole number", 'Received: "ten"']),
    "quoted number": ('training: {epochs: "10"}\n', 4, ["`training.epochs`", "a whole number", 'Received: "10"']),
    "fraction of an epoch": ("training: {epochs: 1.5}\n", 4, ["`training.epochs`", "a whole number"]),
    "zero batch": ("training:\n  batch_size: 0\n", 5, ["`training.batch_size`", "expected a number >= 1"]),
    "negative seed": ("training: {seed: -1}\n", 4, ["`training.seed`", "expected a number >= 0"]),
    "unknown strategy": (
        "training: {strategy: minibatch}\n",
        4,
        ["`training.strategy`", "`mini_batch`", "Did you mean"],
    ),
    "unknown precision": ("training: {precision: float64}\n", 4, ["`training.precision`", "`float32`"]),
    "yes for true": ("training: {jit: yes}\n", 4, ["`training.jit`", "Received"]),
    "misspelled rule": ("optimizer: {rule: adma}\n", 4, ["unknown optimizer rule `adma`", "Did you mean `adam"]),
    "argument of another rule": (
        "optimizer:\n  rule: {type: adam, momentum: 0.9}\n",
        5,
        ["`optimizer.rule.momentum`", "unknown key", "Known here: beta_1, beta_2"],
    ),
    "a slot's key in the rule": ("optimizer: {rule: {type: sgd, clipnorm: 1.0}}\n", 4, ["`optimizer.rule.clipnorm`"]),
    "rate of zero": ("optimizer: {learning_rate: 0}\n", 4, ["`optimizer.learning_rate`", "expected a number > 0"]),
    "infinite rate": ("optimizer: {learning_rate: .inf}\n", 4, ["`optimizer.learning_rate`", "expected a number > 0"]),
    "rate that is not a number": ("optimizer: {learning_rate: .nan}\n", 4, ["`optimizer.learning_rate`"]),
    "misspelled schedule": (
        "optimizer: {learning_rate: {type: cosin_decay, initial: 0.1}}\n",
        4,
        ["unknown learning-rate schedule `cosin_decay`", "Did you mean `cosine_decay`?"],
    ),
    "schedule without its start": (
        "optimizer:\n  learning_rate: {type: cosine_decay}\n",
        5,
        ["`optimizer.learning_rate.initial`", "is missing"],
    ),
    "values that do not fit their boundaries": (
        "optimizer:\n  learning_rate: {type: piecewise_constant_decay, boundary_epochs: [3], values: [0.1]}\n",
        5,
        ["`optimizer.learning_rate.values`"],
    ),
    "warmup as long as the run": (
        "optimizer: {learning_rate: {type: cosine_decay, initial: 0.1, warmup_epochs: 5}}\ntraining: {epochs: 5}\n",
        4,
        ["`warmup_epochs` must be fewer", "Received: 5"],
    ),
    "clipping to nothing": (
        "optimizer:\n  gradient_transforms: [{type: clip_by_value, min_value: 2, max_value: 1}]\n",
        5,
        [
            "`optimizer.gradient_transforms[0]`",
            "`min_value` must be below `max_value`",
            "Received: min_value=2, max_value=1",
        ],
    ),
    "broken pattern": (
        "optimizer:\n  groups:\n    - pattern: '(bias'\n      weight_decay: 0\n",
        6,
        ["`optimizer.groups[0].pattern`", "expected a regular expression"],
    ),
    "callback without what it needs": (
        "callbacks:\n  - {type: early_stopping, patience: -1}\n",
        5,
        ["`callbacks[0].patience`", "expected a number >= 0"],
    ),
    "callback whose arguments do not go together": (
        "callbacks:\n  - {type: early_stopping, mode: max, generalization_loss: 5.0}\n",
        5,
        ["`callbacks[0]`", "of an error that is minimized"],
    ),
    "one of several monitors": (
        "callbacks:\n  - {type: early_stopping, monitor: [val_loss, val_los]}\n",
        5,
        ["`callbacks[0].monitor`", "Did you mean `val_loss`?"],
    ),
    "hyperparameter on no schedule": (
        "callbacks:\n  - type: schedule_hyperparameter\n    hyperparameter: l2\n    schedule: {type: step_decy}\n",
        7,
        ["`callbacks[0].schedule.type`", "Did you mean `step_decay`?"],
    ),
    "averages watched before they are evaluated": (
        "callbacks:\n  - {type: early_stopping, monitor: val_averaged_loss}\n  - averaged_weights\n",
        5,
        ["`callbacks[0].monitor`", "expected one of val_loss, loss, val_accuracy, accuracy."],
    ),
    "cycle longer than the run": (
        "training: {epochs: 6}\ncallbacks:\n  - {type: snapshot_ensemble, every_epochs: 7}\n",
        6,
        ["`callbacks[0]`", "must end a cycle within the 6 epochs of the training. Received: 7."],
    ),
    "misspelled callback": ("callbacks: [early_stoping]\n", 4, ["Did you mean `early_stopping`?"]),
    "plateau on a schedule": (
        "optimizer: {learning_rate: {type: cosine_decay, initial: 0.1}}\ncallbacks:\n- type: reduce_lr_on_plateau\n",
        6,
        ["`callbacks[0]`", "it cannot work on a schedule. Use `reduce_on_plateau`."],
    ),
    "task of another topology": ("task: multilabel\n", 4, ["`task`", "`residual` is for `task: multiclass`"]),
    "unknown data": ("data: {name: cifr10}\n", 4, ["`data.name`", "Did you mean `cifar10`?", "image folder"]),
    "validation of one": ("data: {validation: 1.0}\n", 4, ["`data.validation`", "Received: 1.0"]),
    "unknown flip": ("data: {augment: {flip: alternate}}\n", 4, ["`data.augment.flip`", "Did you mean `alternating`?"]),
    "negative crop": ("data: {augment: {crop: -4}}\n", 4, ["`data.augment.crop`", "expected a number >= 0"]),
    "misspelled preprocessing": ("data: {preprocess: standardise}\n", 4, ["Did you mean `standardize`?"]),
    "a list for a mapping": ("data: [cifar10]\n", 4, ["`data`", "expected a mapping"]),
    "text for a mapping": ("training: fast\n", 4, ["`training`", "expected a mapping"]),
    "a mapping for a list": ("callbacks: {type: early_stopping}\n", 4, ["`callbacks`", "expected a list"]),
    "another schema": ("schema: 2\n", 4, ["`schema`", "Received: 2"]),
    "key given twice": ("data: {name: cifar10}\ndata: {name: synthetic}\n", 5, ["`data` is given twice"]),
    "indentation": ("data:\n    name: cifar10\n   validation: 3\n", 6, ["not valid YAML"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_its_place_and_the_way_out(mistake):
    addition, line, fragments = MISTAKES[mistake]
    text = RECIPE + addition
    if mistake == "misspelled topology":
        text = text.replace("residual", "residul")
    message = complaint(text)
    assert len(message.splitlines()) == 1, message
    assert message.startswith(f"my.yaml:{line}: "), message
    for fragment in fragments:
        assert fragment in message, message


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".hidden", "a b", "x" * 81, "a\\n"])
def test_a_name_must_do_for_a_folder(name):
    message = complaint(f'name: "{name}"\nmodel: convnet\n')
    assert message.startswith("my.yaml:1: `name`: "), message
    assert "[A-Za-z0-9]" in message or "letters" in message


def test_what_is_missing_is_told_without_a_line_below_it():
    assert complaint("model: convnet\n") == "my.yaml:1: `name`: is missing."
    assert complaint("name: a\n") == "my.yaml:1: `model`: is missing."
    assert complaint("name: a\nmodel: {depth: 3}\n").startswith("my.yaml:2: `model.topology`: expected the name of a ")


def test_a_key_that_is_misspelled_and_needed_is_told_once():
    told = complaint("name: a\nmodel:\n  topology: convnet\n  dropout:\n    rat: 0.1\n    type: dropout\n")
    assert told == "my.yaml:5: `model.dropout.rat`: unknown key. Did you mean `rate`? Known here: rate."


def test_a_key_that_is_missing_beside_an_unknown_one_is_told():
    told = complaint("name: a\nmodel:\n  topology: convnet\n  dropout: {type: dropout, wheels: 4}\n").splitlines()
    assert told[0] == "my.yaml:4: `model.dropout.rate`: is missing."
    assert told[1].startswith("my.yaml:4: `model.dropout.wheels`: unknown key. Known here: rate")


@pytest.mark.parametrize("callback", ["early_stopping", "best_model", "reduce_on_plateau", "reduce_lr_on_plateau"])
def test_a_monitor_that_no_epoch_logs_is_refused(callback):
    told = complaint(f"name: a\nmodel: convnet\ncallbacks: [{{type: {callback}, monitor: val_acc}}]\n")
    assert told.startswith("my.yaml:3: `callbacks[0].monitor`: expected one of val_loss, loss, val_accuracy, accuracy.")
    assert 'Received: "val_acc". Did you mean `val_accuracy`?' in told
    multilabel = (
        f"name: a\ntask: multilabel\nmodel: multi_label\ncallbacks: [{{type: {callback}, monitor: f1_score}}]\n"
    )
    assert experiments.from_document(yaml_document.parse(multilabel, "my.yaml")).callbacks[0]["monitor"] == "f1_score"


def test_a_search_file_is_told_to_be_one():
    told = complaint("schema: 1\nname: a\nrecipe: convnet\nspace: {}\n")
    assert told == "my.yaml: is a search file, not a recipe. Run it with `kerastrain search my.yaml`."


def test_the_place_of_an_override_is_what_set_it():
    document = yaml_document.parse("name: a\nmodel: convnet\n", "my.yaml")
    with pytest.raises(InputError, match=r"^--epochs: `training.epochs`: expected a number >= 1. Received: 0.$"):
        experiments.from_document(document, {"training.epochs": 0}, {"training.epochs": "--epochs"})


def test_several_mistakes_are_told_at_once():
    lines = complaint("name: a\nmodel: convnt\ntraining: {epochs: 0, seed: x}\n").splitlines()
    assert [line.split(": ")[0] for line in lines] == ["my.yaml:2", "my.yaml:3", "my.yaml:3"]


@pytest.mark.parametrize(
    ("name", "fragment"),
    [
        ("residul", "unknown recipe `residul`. Did you mean `residual`?"),
        ("nothing.yaml", "there is no such recipe file"),
        ("convnet.yml", "Did you mean `convnet`?"),
        ("\0", "unknown recipe"),
        ("x" * 5000, "unknown recipe"),
        (str(pathlib.Path(__file__).parent), "there is no such recipe file"),
    ],
)
def test_a_recipe_that_is_not_there(name, fragment):
    with pytest.raises(InputError) as caught:
        experiments.load(name)
    assert fragment in str(caught.value)
