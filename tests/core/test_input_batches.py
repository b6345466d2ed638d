"""The batches of whatever holds a model's inputs."""

import itertools

import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain._core.input_batches import input_batches

X = np.arange(20.0).reshape(10, 2)


class Pairs(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    @property
    def num_batches(self):
        return self.batches

    def __getitem__(self, index):
        return X[2 * index % 10 : 2 * index % 10 + 2], np.zeros(2)


class OfLength(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return X[5 * index : 5 * index + 5]


def parts(data, batch_size=4):
    return [keras.ops.convert_to_numpy(batch).tolist() for batch in input_batches(data, batch_size)]


FOURS = [X[:4].tolist(), X[4:8].tolist(), X[8:].tolist()]


@pytest.mark.backend
def test_an_array_is_cut():
    assert parts(X) == FOURS
    assert parts(keras.ops.convert_to_tensor(X.astype("float32"))) == FOURS
    assert parts(X, batch_size=100) == [X.tolist()]
    assert parts(X[:0]) == []


def test_a_dictionary_is_cut_by_name():
    found = list(input_batches({"a": X, "b": X[:, 0]}, 4))
    assert [list(batch) for batch in found] == [["a", "b"]] * 3
    assert [batch["a"].tolist() for batch in found] == FOURS
    assert [batch["b"].tolist() for batch in found] == [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    assert list(input_batches({}, 4)) == []


@pytest.mark.parametrize("batch", [(X[:3], "labels"), [X[:3], "labels"], (X[:3],), (X[:3], "labels", "weights"), X[:3]])
def test_the_first_part_of_a_batch_is_taken_as_in_fit(batch):
    assert parts([batch, batch]) == [X[:3].tolist()] * 2
    assert parts(item for item in (batch, batch)) == [X[:3].tolist()] * 2


def test_batches_of_several_inputs_stay_whole():
    batch = {"a": X[:3], "b": X[:3]}
    assert next(input_batches([(batch, "labels")], 4)) is batch


def test_batches_are_asked_for_one_by_one():
    asked = []

    def endless():
        for index in itertools.count():
            asked.append(index)
            yield X[:1]

    assert len(list(itertools.islice(input_batches(endless(), 4), 3))) == 3
    assert asked == [0, 1, 2]


def test_a_py_dataset():
    assert parts(Pairs(3)) == [X[:2].tolist(), X[2:4].tolist(), X[4:6].tolist()]
    assert parts(OfLength()) == [X[:5].tolist(), X[5:].tolist()]
    assert parts(Pairs(0)) == []
    endless = itertools.islice(input_batches(Pairs(None), 4), 7)
    assert [batch[0, 0] for batch in endless] == [0, 4, 8, 12, 16, 0, 4]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="tf.data")
def test_a_tensorflow_dataset():
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, np.zeros(10))).batch(4)
    assert parts(dataset) == FOURS


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="torch's own loader")
@pytest.mark.backend
def test_a_torch_loader_whose_batches_are_lists():
    import torch

    dataset = torch.utils.data.TensorDataset(torch.tensor(X), torch.zeros(10))
    loader = torch.utils.data.DataLoader(dataset, batch_size=4)
    assert isinstance(next(iter(loader)), list)
    assert parts(loader) == FOURS


@pytest.mark.parametrize("data", [3, None, "text", b"text", 2.5, np.float64(1.0), np.array(1.0)], ids=repr)
def test_what_holds_no_batches_is_refused(data):
    with pytest.raises(InputError) as error:
        list(input_batches(data, 4))
    assert str(error.value) == f"`data` must be arrays, a PyDataset or an iterable of batches. Received: {data!r}."


def test_unlike_numbers_of_samples_are_refused():
    with pytest.raises(InputError) as error:
        list(input_batches({"a": X, "b": X[:9]}, 4))
    assert str(error.value) == ("`data` must have as many samples under every name. Received: {'a': 10, 'b': 9}.")
