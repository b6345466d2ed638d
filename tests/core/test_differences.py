from kerastrain._core.differences import differences


def test_equal_trees_have_none():
    tree = {"a": [1, {"b": None}], "c": {}}
    assert differences(tree, {"c": {}, "a": [1, {"b": None}]}) == []


def test_each_field_is_told_with_old_and_new():
    old = {"optimizer": {"name": "adam", "rate": 0.1}, "layers": [{"units": 4}, {"units": 2}]}
    new = {"optimizer": {"name": "sgd", "rate": 0.1}, "layers": [{"units": 8}, {"units": 2}]}
    assert differences(old, new) == ['optimizer.name: "adam" -> "sgd"', "layers[0].units: 4 -> 8"]


def test_what_one_side_lacks_is_nothing():
    assert differences({"a": 1}, {"b": [2]}) == ["a: 1 -> nothing", "b[0]: nothing -> 2"]
    assert differences({"data": None}, {"data": {"seed": 0}}) == ["data: null -> nothing", "data.seed: nothing -> 0"]


def test_what_python_takes_for_equal_differs():
    assert differences({"a": True, "b": 1}, {"a": 1, "b": 1.0}) == ["a: true -> 1", "b: 1 -> 1.0"]


def test_empty_and_absent_are_told_apart():
    assert differences({"a": []}, {"a": {}}) == ["a: [] -> {}"]
    assert differences({"a": []}, {}) == ["a: [] -> nothing"]


def test_differences_name_every_leaf():
    old = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "e": None}
    new = {"a": 1, "b": {"c": [1, 3, 4], "d": "y"}, "f": {}}
    assert differences(old, new) == [
        "b.c[1]: 2 -> 3", 'b.d: "x" -> "y"', "e: null -> nothing", "b.c[2]: nothing -> 4", "f: nothing -> {}",
    ]  # fmt: skip
    assert differences(old, old) == []
