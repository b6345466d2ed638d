"""The course's 3072-20-15-10 by the Sequential API: 100 epochs of plain gradient descent.

python examples/mlp_sequential.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import json

from kerastrain import experiments

if __name__ == "__main__":
    _, result = experiments.run_script("mlp_sequential", __doc__)
    print(json.dumps(result))
