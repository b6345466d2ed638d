"""Paths of seven rules: gradient descent jitters in the ravine, scaled coordinates leave the saddle at once, and much
momentum rolls through a spurious minimum. Batch learning goes straight, sequential learning zigzags.

python examples/optimizer_paths.py [--smoke] [--out DIR] [--seed N]
"""

import argparse
import json
import pathlib

import keras
import numpy as np

from kerastrain import optimizers, plots

RULES = {  # Keras's defaults for AdaGrad and AdaDelta are not the papers'
    "gradient descent": lambda: keras.optimizers.SGD(0.065),
    "momentum": lambda: keras.optimizers.SGD(0.03, momentum=0.9),
    "Nesterov": lambda: optimizers.LookaheadNesterov(0.03, momentum=0.9),
    "AdaGrad": lambda: keras.optimizers.Adagrad(0.4, initial_accumulator_value=0.0),
    "RMSProp": lambda: keras.optimizers.RMSprop(0.05),
    "AdaDelta": lambda: keras.optimizers.Adadelta(1.0),
    "Adam": lambda: keras.optimizers.Adam(0.1),
}
SURFACES = {
    "ravine": lambda x, y: x**2 / 2 + 14 * y**2,
    "saddle": lambda x, y: x**2 / 2 - y**2 / 2 + y**4 / 4,
    "spurious minimum": lambda x, y: x**4 / 4 - x**2 / 2 + x / 5 + y**2,
}
GRADIENTS = [lambda x, y: (x, 28 * y), lambda x, y: (x, y**3 - y), lambda x, y: (x**3 - x + 1 / 5, 2 * y)]
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--smoke", dest="steps", action="store_const", const=8, default=80, help="8 steps instead of 80")
parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/optimizer_paths"), help="a folder")
parser.add_argument("--seed", type=int, default=0, help="of the samples that batch and sequential learning see")


def walk(rule, gradients, start):  # the parameters at the start and after each step
    point, points = keras.Variable(start, dtype="float32"), [start]
    for gradient in gradients:
        rule.apply([keras.ops.convert_to_tensor(gradient(*keras.ops.convert_to_numpy(point)), "float32")], [point])
        points.append(rule.theta()[0] if hasattr(rule, "theta") else keras.ops.convert_to_numpy(point))
    return np.array(points, float)


if __name__ == "__main__":
    given, walks, both = parser.parse_args(), {}, "batch and sequential"
    for name, gradient, start in zip(SURFACES, GRADIENTS, [(-4, 1), (-1.6, 0.02), (1.9, 0.9)], strict=True):
        walks[name] = {rule: walk(make(), [gradient] * given.steps, start) for rule, make in RULES.items()}
    generator = np.random.default_rng(given.seed)
    inputs = 2 * np.linalg.qr(generator.normal(size=(8, 2)))[0]  # eight samples, which as a whole make a round bowl
    samples = [(u, u @ (1, -0.5) + generator.normal(0, 0.4)) for u in inputs]
    SURFACES[both] = lambda x, y: sum((u[0] * x + u[1] * y - t) ** 2 for u, t in samples) / 16
    single = [lambda x, y, u=u, t=t: (u @ (x, y) - t) * u for u, t in samples]
    kinds = {"batch": [lambda x, y: np.mean([one(x, y) for one in single], axis=0)] * 24, "sequential": single * 3}
    walks[both] = {kind: walk(keras.optimizers.SGD(0.4), steps, (-2, 1.8)) for kind, steps in kinds.items()}
    ends = {key: {rule: float(SURFACES[key](*path[-1])) for rule, path in walks[key].items()} for key in walks}
    given.out.mkdir(parents=True, exist_ok=True)
    plots.paths(SURFACES, walks).savefig(given.out / "optimizer_paths.png", dpi=100)
    (given.out / "result.json").write_text(json.dumps(ends))
    print(json.dumps(ends))
