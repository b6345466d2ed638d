"""The PyTorch side of `speedrun.py`: airbench94's training written from its published facts, channels last.

    python benchmarks/airbench_peer.py CIFAR10.npz [--seed 0] [--epochs 9.9] [--threads 2]
        [--precision bfloat16]

Jordan, 2024, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv:2404.00498. Prints one JSON line: accuracies with
and without test-time augmentation (the mean of logits, and of probabilities), and the seconds from the first import.
"""

import time

BEGIN = time.perf_counter()

import argparse  # noqa: E402
import functools  # noqa: E402
import json  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

BATCH, SMOOTHING, SCALE, MOMENTUM = 1024, 0.2, 1 / 9, 0.85
RATE, DECAY = 1.5, 1.330e-3
BIAS_RATE, BIAS_DECAY = 96.0, 2.08e-5
WHITENING_BIAS_EPOCHS = 3
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Convolution(nn.Conv2d):
    def __init__(self, channels, width):
        super().__init__(channels, width, 3, padding="same", bias=False)
        nn.init.dirac_(self.weight.data[:channels])


class Group(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.conv1, self.conv2 = Convolution(channels, width), Convolution(width, width)
        self.norm1, self.norm2 = (nn.BatchNorm2d(width, eps=1e-12, momentum=0.4) for _ in range(2))
        for norm in (self.norm1, self.norm2):
            norm.weight.requires_grad = False

    def forward(self, x):
        x = F.gelu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return F.gelu(self.norm2(self.conv2(x)))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.whiten = nn.Conv2d(3, 24, 2)
        self.whiten.weight.requires_grad = False
        nn.init.zeros_(self.whiten.bias)
        self.groups = nn.Sequential(Group(24, 64), Group(64, 256), Group(256, 256))
        self.head = nn.Linear(256, 10, bias=False)

    def adapt(self, images):
        patches = F.unfold(images, 2).transpose(1, 2).reshape(-1, 12)
        moment = (patches.T @ patches) / len(patches)
        values, vectors = torch.linalg.eigh(moment, UPLO="U")
        filters = (vectors / torch.sqrt(values + 5e-4)).T.reshape(12, 3, 2, 2).flip(0)
        self.whiten.weight.data.copy_(torch.cat([filters, -filters]))

    def forward(self, x):
        x = self.groups(F.gelu(self.whiten(x)))
        return self.head(F.max_pool2d(x, 3).flatten(1)) * SCALE


def cropped(padded, size, generator):
    out = torch.empty((len(padded), 3, size, size), dtype=padded.dtype)
    places = torch.randint(0, padded.shape[-1] - size + 1, (len(padded), 2), generator=generator)
    for row in range(padded.shape[-1] - size + 1):
        for column in range(padded.shape[-1] - size + 1):
            some = (places[:, 0] == row) & (places[:, 1] == column)
            out[some] = padded[some, :, row : row + size, column : column + size]
    return out


def train(network, images, labels, epochs, generator, precision):
    biases = [value for name, value in network.named_parameters() if "norm" in name and value.requires_grad]
    others = [value for name, value in network.named_parameters() if "norm" not in name and value.requires_grad]
    groups = [
        {"params": biases, "lr": BIAS_RATE, "weight_decay": BIAS_DECAY},
        {"params": others, "lr": RATE, "weight_decay": DECAY},
    ]
    optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, nesterov=True)
    in_an_epoch = len(images) // BATCH
    total = int(np.ceil(epochs * in_an_epoch))
    schedule = np.interp(np.arange(total + 1), [0, int(0.23 * total), total], [0.2, 1, 0.07])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule.__getitem__)
    slow = {name: value.clone() for name, value in network.state_dict().items()}
    decays = 0.95**5 * (np.arange(total + 1) / total) ** 3
    flipped = torch.where(
        (torch.rand(len(images), generator=generator) < 0.5)[:, None, None, None], images.flip(-1), images
    )
    padded = F.pad(flipped, (2,) * 4, "reflect")
    loss = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)

    def average(decay):
        for name, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                slow[name].lerp_(value, 1 - decay)
                value.copy_(slow[name])

    step = 0
    for epoch in range(int(np.ceil(epochs))):
        network.train()
        network.whiten.bias.requires_grad = epoch < WHITENING_BIAS_EPOCHS
        seen = cropped(padded, 32, generator)
        if epoch % 2:
            seen = seen.flip(-1)
        order = torch.randperm(len(seen), generator=generator)
        for batch in range(in_an_epoch):
            chosen = order[batch * BATCH : (batch + 1) * BATCH]
            x = seen[chosen].contiguous(memory_format=torch.channels_last)
            with precision():
                found = loss(network(x), labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            found.backward()
            optimizer.step()
            scheduler.step()
            step += 1
            if step % 5 == 0:
                average(decays[step])
            if step >= total:
                break
    average(1.0)


@torch.no_grad()
def accuracies(network, images, labels, precision):
    network.eval()
    right = {"plain": 0, "views_logits": 0, "views_probabilities": 0}

    def both(x):
        x = x.contiguous(memory_format=torch.channels_last)
        return [network(x).float(), network(x.flip(-1)).float()]

    for start in range(0, len(images), 2000):
        x, y = images[start : start + 2000], labels[start : start + 2000]
        padded = F.pad(x, (1,) * 4, "reflect")
        with precision():
            views = [*both(x), *both(padded[:, :, :32, :32]), *both(padded[:, :, 2:, 2:])]
        for name, outputs in (("views_logits", views), ("views_probabilities", [v.softmax(1) for v in views])):
            answer = 0.25 * (outputs[0] + outputs[1]) + 0.125 * sum(outputs[2:])
            right[name] += int((answer.argmax(1) == y).sum())
        right["plain"] += int((views[0].argmax(1) == y).sum())
    return {name: count / len(images) for name, count in right.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=9.9)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--limit", type=int, help="so many training images only, to see that it runs")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    arrays = np.load(arguments.data)

    def normalized(name):
        images = torch.tensor(arrays[name]).permute(0, 3, 1, 2).float() / 255
        return (images - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]

    x, y = normalized("x_train")[: arguments.limit], torch.tensor(arrays["y_train"]).long().flatten()[: arguments.limit]
    network = Network().to(memory_format=torch.channels_last)
    network.adapt(x[:5000])
    precision = functools.partial(torch.autocast, "cpu", torch.bfloat16, enabled=arguments.precision == "bfloat16")
    begin = time.perf_counter()
    train(network, x, y, arguments.epochs, generator, precision)
    end = time.perf_counter()
    test = normalized("x_test"), torch.tensor(arrays["y_test"]).long().flatten()
    row = {
        "side": "pytorch",
        "seed": arguments.seed,
        "epochs": arguments.epochs,
        "precision": arguments.precision,
        "training_seconds": round(end - begin, 1),
        **accuracies(network, *test, precision),
        "seconds": round(time.perf_counter() - BEGIN, 1),
        "cpu_seconds": round(time.process_time(), 1),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(row))


if __name__ == "__main__":
    main()
