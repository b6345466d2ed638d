"""A convolutional network with batch normalization, weight decay on its kernels only, clipping and cosine decay.

python examples/convnet.py [--data cifar10|synthetic|PATH] [--smoke]
"""

import json

from kerastrain import experiments

if __name__ == "__main__":
    _, result = experiments.run_script("convnet", __doc__)
    print(json.dumps(result))
