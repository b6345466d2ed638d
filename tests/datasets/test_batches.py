import keras
import numpy as np
import pytest

from kerastrain._core.errors import InputError
from kerastrain.datasets import Batches


def data(samples=103, height=6, width=6):
    images = np.random.default_rng(0).integers(0, 256, (samples, height, width, 3), dtype=np.uint8)
    return images, np.arange(samples)


def labels_of(batches):
    """The labels of the present epoch, batch by batch; labels are the positions of the samples."""
    return [batches[index][1] for index in range(len(batches))]


def started(batches, epoch):
    batches.start(epoch)
    return batches


@pytest.mark.parametrize(("batch_size", "sizes"), [(25, [25] * 4 + [3]), (1, [1] * 103), (103, [103]), (500, [103])])
@pytest.mark.parametrize("even", [False, True])
def test_every_sample_comes_exactly_once_an_epoch(batch_size, sizes, even):
    batches = Batches(*data(), batch_size, seed=0, even=even)
    for number in range(3):
        batches.start(number)
        labels = labels_of(batches)
        assert sorted(np.concatenate(labels)) == list(range(103))
        found = [len(batch) for batch in labels]
        if even:
            assert max(found) - min(found) <= 1 and max(found) <= batch_size
        else:
            assert found == sizes


def test_epochs_and_seeds_have_orders_of_their_own():
    orders = [
        tuple(np.concatenate(labels_of(started(Batches(*data(), 10, seed=seed), number))))
        for seed in (0, 1)
        for number in (0, 1, 2)
    ]
    assert len(set(orders)) == len(orders)


def test_an_epoch_is_a_function_of_seed_and_epoch_alone():
    first = started(Batches(*data(), 10, seed=3, crop=2, flip="random"), 2)
    np.random.seed(1)
    keras.utils.set_random_seed(5)
    second = started(Batches(*data(), 25, seed=3, crop=2, flip="random"), 2)
    for index in reversed(range(len(second))):
        second[index]
    joined = [[np.concatenate([b[i][part] for i in range(len(b))]) for part in (0, 1)] for b in (first, second)]
    np.testing.assert_array_equal(joined[0][1], joined[1][1])
    np.testing.assert_array_equal(joined[0][0], joined[1][0])


def test_images_go_with_their_labels():
    images, labels = data()
    batches = started(Batches(images, labels, 10, seed=0), 1)
    for index in range(len(batches)):
        found, positions = batches[index]
        np.testing.assert_array_equal(found, images[positions])
        assert found.dtype == np.uint8


def test_alternating_flips_show_each_image_both_ways_in_turn():
    images, labels = data()
    batches = Batches(images, labels, 10, seed=0, flip="alternating")
    seen = []
    for number in range(2):
        batches.start(number)
        found = np.empty_like(images)
        for index in range(len(batches)):
            part, positions = batches[index]
            found[positions] = part
        seen.append(found)
    np.testing.assert_array_equal(seen[0], seen[1][:, :, ::-1])
    straight = (seen[0] == images).all(axis=(1, 2, 3))
    assert 0.3 < straight.mean() < 0.7


def test_crops_are_windows_of_the_reflected_image():
    images, labels = data(40)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="reflect")
    found, positions = Batches(images, labels, 40, seed=0, crop=2)[0]
    offsets = set()
    for image, position in zip(found, positions, strict=True):
        places = [(y, x) for y in range(5) for x in range(5) if (padded[position, y : y + 6, x : x + 6] == image).all()]
        assert places
        offsets.update(places)
    assert len(offsets) > 10


def test_only_the_image_of_several_inputs_is_augmented():
    images, labels = data()
    inputs = {"image": images, "histogram": np.arange(103)[:, None]}
    batches = Batches(inputs, labels, 10, seed=0, flip="alternating")
    found, positions = batches[0]
    np.testing.assert_array_equal(found["histogram"][:, 0], positions)
    same = (found["image"] == images[positions]).all(axis=(1, 2, 3))
    mirrored = (found["image"] == images[positions][:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all() and mirrored.any()
    assert inputs["image"] is images


@pytest.mark.parametrize(("samples", "batch_size"), [(103, 25), (100, 25), (7, 2), (5, 4), (3, 5)])
def test_even_batches_average_to_the_whole_set(samples, batch_size):
    values = np.random.default_rng(1).normal(size=samples)
    batches = Batches(np.zeros((samples, 2, 2, 1), np.uint8), values, batch_size, seed=0, even=True)
    means = []
    for index in range(len(batches)):
        parts = batches[index]
        weights = parts[2] if len(parts) == 3 else np.ones(len(parts[1]))
        # Keras's loss of a batch: the sum of weighted values over the number of samples.
        means.append((parts[1] * weights).sum() / len(parts[1]))
    np.testing.assert_allclose(np.mean(means), values.mean(), rtol=1e-6)


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("step", [0, 1, 4, 5])
def test_an_epoch_starts_anywhere_with_the_batches_that_are_left(step, even):
    options = {"seed": 0, "crop": 2, "flip": "random", "even": even, "augmentation": Numbers()}
    whole, rest = Batches(*data(), 25, **options), Batches(*data(), 25, **options)
    whole.start(2)
    rest.start(2, step)
    assert len(rest) == 5 - step
    for index in range(len(rest)):
        for found, expected in zip(rest[index], whole[index + step], strict=True):
            np.testing.assert_array_equal(found, expected)


class Numbers:
    """An augmentation that shows epoch and batch."""

    def apply(self, images, labels, *, epoch, batch):
        return images, labels + 1000 * epoch + 100_000 * batch

    def identity(self):
        return "numbers"


def test_the_augmentation_is_told_epoch_and_batch_and_its_labels_are_used():
    images, labels = data()
    batches = Batches(images, labels, 25, seed=0, augmentation=Numbers())
    batches.start(3, 1)
    assert (batches[1][1] // 1000 == 100 * 2 + 3).all()


def test_equal_data_have_equal_identities_and_any_change_another():
    images, labels = data()
    options = {"seed": 0, "crop": 2, "flip": "random"}
    one = Batches(images, labels, 10, **options).identity()
    assert Batches(images.copy(), np.array(labels), 10, **options).identity() == one
    assert Batches(np.asfortranarray(images), labels, 10, **options).identity() == one
    changed = images.copy()
    changed[50, 3, 3, 1] ^= 1
    others = [
        Batches(changed, labels, 10, **options),
        Batches(images[:-1], labels[:-1], 10, **options),
        Batches(images, labels[::-1], 10, **options),
        Batches(images, labels.astype(np.int32), 10, **options),
        Batches(images.reshape(103, 3, 12, 3), labels, 10, **options),
        Batches(images, labels, 11, **options),
        Batches(images, labels, 10, **options | {"seed": 1}),
        Batches(images, labels, 10, **options | {"crop": 1}),
        Batches(images, labels, 10, **options | {"flip": "none"}),
        Batches(images, labels, 10, **options, even=True),
        Batches(images, labels, 10, **options, augmentation=Numbers()),
        Batches({"image": images}, labels, 10, **options),
    ]
    identities = [str(other.identity()) for other in [*others]]
    assert str(one) not in identities and len(set(identities)) == len(identities)


def test_the_identity_of_several_inputs_tells_them_apart():
    images, labels = data()
    one, other = ({"image": images, "a": labels, "b": labels + add} for add in (0, 1))
    found, expected = (Batches(inputs, labels, 10, seed=0).identity()["sha256"] for inputs in (one, other))
    assert found["a"] == found["labels"] == expected["a"] and found["b"] != expected["b"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"batch_size": 0}, "`batch_size`"),
        ({"batch_size": 2.5}, "`batch_size`"),
        ({"seed": -1}, "`seed`"),
        ({"seed": None}, "`seed`"),
        ({"crop": -1}, "`crop`"),
        ({"flip": "sideways"}, "`flip`"),
        ({"even": 1}, "`even`"),
        ({"labels": np.arange(4)}, r"as many samples. Received: \{'inputs': 5\}, labels: 4"),
        ({"inputs": np.zeros((0, 2)), "labels": np.zeros(0)}, "labels: 0"),
        ({"inputs": {"a": np.zeros(5), "b": np.zeros(4)}}, r"\{'a': 5, 'b': 4\}, labels: 5"),
        ({"crop": 1}, r"are for images .*Received: shape \(5, 2\)"),
        (
            {"crop": 4, "inputs": np.zeros((5, 4, 6, 3))},
            "less than the height and the width of the images, 4 and 6. Rec",
        ),
        ({"flip": "random", "inputs": {"picture": np.zeros((5, 4, 4, 3))}}, "Received: nothing called 'image'"),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_are_refused(changed, message):
    given = {"inputs": np.zeros((5, 2)), "labels": np.arange(5), "batch_size": 2, "seed": 0} | changed
    with pytest.raises(InputError, match=message):
        Batches(**given)


@pytest.mark.parametrize(
    ("epoch", "step", "message"),
    [(-1, 0, "`epoch`"), (1.5, 0, "`epoch`"), (0, -1, "`step`"), (0, 6, "at most 5, the batches of an epoch.*step=6")],
)
def test_a_place_that_does_not_exist_is_refused_and_changes_nothing(epoch, step, message):
    batches = Batches(*data(), 25, seed=0)
    batches.start(2, 3)
    before = [batch.tolist() for batch in labels_of(batches)]
    with pytest.raises(InputError, match=message):
        batches.start(epoch, step)
    assert [batch.tolist() for batch in labels_of(batches)] == before
