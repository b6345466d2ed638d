"""Small search files for these tests."""

import pathlib

from kerastrain._core import yaml_document

RECIPE = """
schema: 1
name: tiny
data: {name: synthetic, validation: 200, train_limit: 128}
model: {topology: mlp_sequential, layers: [4]}
optimizer: {rule: sgd, learning_rate: 0.01}
training: {batch_size: 64, epochs: 2, precision: float32, seed: 3}
"""

HEAD = {
    "schema": 1,
    "name": "tiny_search",
    "recipe": "tiny.yaml",
    "objective": {"metric": "val_loss", "mode": "min"},
    "search": {"strategy": "random", "max_trials": 3, "seed": 0},
}
RATE = {"optimizer.learning_rate": {"type": "float", "min": 0.001, "max": 0.1, "scale": "log"}}


def write(folder: pathlib.Path, space: dict | None = None, **sections) -> pathlib.Path:
    """A search file beside its recipe in `folder`."""
    (folder / "tiny.yaml").write_text(RECIPE)
    path = folder / "search.yaml"
    path.write_text(yaml_document.dump({**HEAD, **sections, "space": space or RATE}))
    return path
