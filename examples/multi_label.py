"""Two images side by side, and one yes or no for each class: what the network says to the first test pairs.

python examples/multi_label.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import json

import numpy as np

from kerastrain import experiments


def first_answers(recipe: experiments.Recipe, result: dict, count: int = 3) -> list[dict]:
    """The classes in the first test pairs, and those that the network finds at a threshold of one half."""
    data = experiments.prepare(recipe)
    model = experiments.load_trained(result["run"]).model
    images, labels = data.test[0][:count], data.test[1][:count]
    found = model.predict(images, verbose=0) > 0.5
    names = np.array(data.class_names)
    return [
        {"there": names[there > 0].tolist(), "found": names[seen].tolist()}
        for there, seen in zip(labels, found, strict=True)
    ]


if __name__ == "__main__":
    recipe, result = experiments.run_script("multi_label", __doc__)
    print(json.dumps({**result, "first_answers": first_answers(recipe, result)}))
