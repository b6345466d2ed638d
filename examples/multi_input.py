"""Two inputs, the image and its color histogram, and how much the second one matters.

python examples/multi_input.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import json

import numpy as np

from kerastrain import experiments


def accuracy_with_foreign_histograms(recipe: experiments.Recipe, result: dict) -> float:
    """Test accuracy when each image comes with the histogram of another one."""
    model = experiments.load_trained(result["run"]).model
    inputs, labels = experiments.prepare(recipe).test
    foreign = {"image": inputs["image"], "histogram": np.roll(inputs["histogram"], 1, axis=0)}
    return float(np.mean(model.predict(foreign, verbose=0).argmax(axis=-1) == labels))


if __name__ == "__main__":
    recipe, result = experiments.run_script("multi_input", __doc__)
    foreign = accuracy_with_foreign_histograms(recipe, result)
    print(json.dumps({**result, "accuracy_with_foreign_histograms": foreign}))
