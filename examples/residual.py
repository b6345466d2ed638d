"""ResNet-20 of He et al. 2015. For a deeper one, say depth 32, change the one key below.

python examples/residual.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import json

from kerastrain import experiments

if __name__ == "__main__":
    _, result = experiments.run_script("residual", __doc__, {"model.depth": 20})
    print(json.dumps(result))
