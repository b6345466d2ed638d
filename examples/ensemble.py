"""Three networks side by side, and what their vote adds: each member's accuracy on the test set beside the vote's.

python examples/ensemble.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import json

import keras
import numpy as np

from kerastrain import experiments, topologies


def member_accuracies(recipe: experiments.Recipe, result: dict) -> dict[str, float]:
    """The accuracy that each member has alone on the test set of a finished run."""
    model = experiments.load_trained(result["run"]).model
    images, labels = experiments.prepare(recipe).test
    voters = topologies.members(model)
    outputs = keras.Model(model.input, model.get_layer("vote").input).predict(images, verbose=0)
    return {
        voter.name: round(float(np.mean(output.argmax(axis=-1) == labels)), 4)
        for voter, output in zip(voters, outputs, strict=True)
    }


if __name__ == "__main__":
    recipe, result = experiments.run_script("ensemble", __doc__)
    print(json.dumps({**result, "member_accuracies": member_accuracies(recipe, result)}))
