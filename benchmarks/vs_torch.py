"""minigrad against eager PyTorch on the same CPU: the same programs, from the same weights, turn by turn.

    python benchmarks/vs_torch.py                          # all workloads, 2 threads
    python benchmarks/vs_torch.py -w lenet conv -t 1 2     # those whose names contain these words, twice
    python benchmarks/vs_torch.py --list
    python benchmarks/vs_torch.py --save                   # also into benchmarks/results/

Every workload is written once, below, in PyTorch's style. Each framework runs in a process of its own, with
the same number of threads; one computes while the other waits. A round gives each a turn of about
``--seconds``; a turn's time is the median of its steps. Reported are the medians over all rounds of both
times and of the ratio within a round, and how far the ratios spread (from the first to the third quartile).
Before that, three steps from equal weights must give equal losses.

Peak memory is measured apart, in fresh processes: the most that was resident during three steps, less what
was resident once the framework was imported (Linux).

On a machine that does other things meanwhile, compare with one thread and ``--cpu-time``: it counts the time
that the thread computed, not the time that passed.

Without torch, minigrad's own times are printed. The net "mnist two-conv" is also timed in MyGrad and HIPS
autograd where these are installed; ``--python mygrad=/path/python`` runs a framework elsewhere.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.util
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Step = Callable[[], Any]
WORKLOADS: dict[str, Callable[..., Step]] = {}
TARGETS = {"tiny mlp": 0.3, "lenet-5": 0.7, "mnist two-conv": 0.6, "cifar resnet-20": 0.85, "vgg-like": 0.55,
           "depthwise-separable": 0.6, "lstm language model": 0.6, "causal transformer": 0.9}  # fmt: skip
PEERS = ("mygrad", "autograd")  # have only the net "mnist two-conv"

# ------------------------------------------------------------------------------------- workloads
# A workload is a function of the framework (`torch`, `nn`, `F`) that returns its step. What the step returns is
# compared between frameworks. Modules and functions are those both have.


def workload(name: str) -> Callable[[Callable[..., Step]], Callable[..., Step]]:
    def register(build: Callable[..., Step]) -> Callable[..., Step]:
        WORKLOADS[name] = build
        return build

    return register


class Data:
    """Random inputs and weights, the same for each framework."""

    def __init__(self, torch: Any) -> None:
        self.torch, self.rng = torch, np.random.default_rng(0)

    def normal(self, *shape: int, scale: float = 1.0) -> Any:
        return self.torch.tensor(self.rng.standard_normal(shape, np.float32) * np.float32(scale))

    def labels(self, high: int, *shape: int) -> Any:
        return self.torch.tensor(self.rng.integers(0, high, shape))

    def fill(self, model: Any) -> Any:
        """Give a model weights that keep the size of what passes through it."""
        with self.torch.no_grad():
            for name, p in model.named_parameters():
                if p.ndim > 1:
                    p.copy_(self.normal(*p.shape, scale=1 / math.sqrt(max(1, math.prod(p.shape[1:])))))
                else:
                    p.copy_(self.normal(*p.shape, scale=0.1) + (1.0 if name.endswith("weight") else 0.0))
        return model


def training(optimizer: Any, loss_of: Callable[[], Any]) -> Step:
    """A whole training step."""

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of()
        loss.backward()
        optimizer.step()
        return loss

    return step


def classifier(torch: Any, F: Any, model: Any, *shape: int, adam: bool = False) -> Step:
    """Training of a net that sorts images or vectors into 10 classes."""
    data = Data(torch)
    data.fill(model)
    x, y = data.normal(*shape), data.labels(10, shape[0])
    if adam:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    return training(optimizer, lambda: F.cross_entropy(model(x), y))


@workload("tiny mlp")
def tiny_mlp(torch: Any, nn: Any, F: Any) -> Step:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    data = Data(torch)
    data.fill(model)
    x, y = data.normal(32, 64), data.normal(32, 1)
    return training(torch.optim.SGD(model.parameters(), lr=0.01), lambda: F.mse_loss(model(x), y))


@workload("mlp 784-256-128-10, adam")
def mlp(torch: Any, nn: Any, F: Any) -> Step:
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return classifier(torch, F, model, 64, 784, adam=True)


@workload("lenet-5")
def lenet(torch: Any, nn: Any, F: Any) -> Step:
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    return classifier(torch, F, model, 64, 1, 28, 28)


@workload("mnist two-conv")
def two_conv(torch: Any, nn: Any, F: Any) -> Step:
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
    )  # fmt: skip
    return classifier(torch, F, model, 64, 1, 28, 28)


def residual_block(torch: Any, nn: Any, F: Any, c_in: int, c_out: int, stride: int) -> Any:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(c_out)
            self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(c_out)
            self.shortcut = nn.Sequential()
            if stride > 1 or c_in != c_out:
                self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

        def forward(self, x: Any) -> Any:
            y = F.relu(self.bn1(self.conv1(x)))
            return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))

    return Block()


@workload("cifar resnet-20")
def resnet20(torch: Any, nn: Any, F: Any) -> Step:
    layers = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    for c_in, c_out, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        layers.append(residual_block(torch, nn, F, c_in, c_out, stride))
        layers += [residual_block(torch, nn, F, c_out, c_out, 1) for _ in range(2)]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return classifier(torch, F, nn.Sequential(*layers), 64, 3, 32, 32)


@workload("vgg-like")
def vgg(torch: Any, nn: Any, F: Any) -> Step:
    layers: list[Any] = []
    c_in = 3
    for c_out in (64, 128, 256):
        for c in (c_in, c_out):
            layers += [nn.Conv2d(c, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
        layers.append(nn.MaxPool2d(2))
        c_in = c_out
    layers += [nn.Flatten(), nn.Linear(256 * 16, 128), nn.ReLU(), nn.Linear(128, 10)]
    return classifier(torch, F, nn.Sequential(*layers), 32, 3, 32, 32)


@workload("depthwise-separable")
def separable(torch: Any, nn: Any, F: Any) -> Step:
    layers = [nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    for c_in, c_out, stride in ((32, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)):
        layers += [
            nn.Conv2d(c_in, c_in, 3, stride, padding=1, groups=c_in, bias=False), nn.BatchNorm2d(c_in), nn.ReLU(),
            nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(),
        ]  # fmt: skip
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10)]
    return classifier(torch, F, nn.Sequential(*layers), 32, 3, 32, 32)


@workload("conv autoencoder")
def autoencoder(torch: Any, nn: Any, F: Any) -> Step:
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, padding=1), nn.ReLU(),
        nn.ConvTranspose2d(32, 16, 4, 2, padding=1), nn.ReLU(), nn.ConvTranspose2d(16, 1, 4, 2, padding=1),
        nn.Sigmoid(),
    )  # fmt: skip
    data = Data(torch)
    data.fill(model)
    x = torch.sigmoid(data.normal(64, 1, 28, 28))
    return training(torch.optim.Adam(model.parameters(), lr=1e-3), lambda: F.mse_loss(model(x), x))


@workload("lstm language model")
def lstm(torch: Any, nn: Any, F: Any) -> Step:
    """The sizes of PyTorch's example word_language_model, for a vocabulary of 1,000."""
    vocabulary, E, N, T = 1000, 200, 20, 35

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(vocabulary, E)
            self.lstm = nn.LSTM(E, E, num_layers=2)
            self.head = nn.Linear(E, vocabulary)

        def forward(self, tokens: Any) -> Any:
            return self.head(self.lstm(self.embedding(tokens))[0])

    data = Data(torch)
    model = data.fill(Model())
    tokens = data.labels(vocabulary, T + 1, N)
    x, y = tokens[:-1], tokens[1:].reshape(-1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return training(optimizer, lambda: F.cross_entropy(model(x).reshape(-1, vocabulary), y))


@workload("causal transformer")
def transformer(torch: Any, nn: Any, F: Any) -> Step:
    E, heads, T, N = 128, 4, 64, 16

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(E), nn.LayerNorm(E)
            self.qkv, self.proj = nn.Linear(E, 3 * E), nn.Linear(E, E)
            self.mlp = nn.Sequential(nn.Linear(E, 4 * E), nn.GELU(), nn.Linear(4 * E, E))

        def forward(self, x: Any) -> Any:
            q, k, v = (t.reshape(N, T, heads, -1).transpose(1, 2) for t in self.qkv(self.ln1(x)).split(E, 2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).reshape(N, T, E))
            return x + self.mlp(self.ln2(x))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(96, E), nn.Embedding(T, E)
            self.blocks = nn.Sequential(*[Block() for _ in range(4)])
            self.ln, self.head = nn.LayerNorm(E), nn.Linear(E, 96, bias=False)

        def forward(self, tokens: Any, places: Any) -> Any:
            return self.head(self.ln(self.blocks(self.tokens(tokens) + self.places(places))))

    data = Data(torch)
    model = data.fill(Model())
    tokens = data.labels(96, N, T + 1)
    x, y, places = tokens[:, :-1], tokens[:, 1:].reshape(-1), torch.arange(T)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return training(optimizer, lambda: F.cross_entropy(model(x, places).reshape(-1, 96), y))


def inference(torch: Any, model: Any, *shape: int) -> Step:
    """The outputs of a net, without recording."""
    data = Data(torch)
    data.fill(model)
    model.eval()
    x = data.normal(*shape)

    def step() -> Any:
        with torch.no_grad():
            return model(x)

    return step


def resnet18(torch: Any, nn: Any, F: Any) -> Any:
    layers = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    for c_in, c_out, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers.append(residual_block(torch, nn, F, c_in, c_out, stride))
        layers.append(residual_block(torch, nn, F, c_out, c_out, 1))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


@workload("resnet-18 inference, batch 1")
def resnet18_single(torch: Any, nn: Any, F: Any) -> Step:
    return inference(torch, resnet18(torch, nn, F), 1, 3, 224, 224)


@workload("resnet-18 inference, batch 32")
def resnet18_batch(torch: Any, nn: Any, F: Any) -> Step:
    return inference(torch, resnet18(torch, nn, F), 32, 3, 224, 224)


@workload("mlp inference, batch 1")
def mlp_inference(torch: Any, nn: Any, F: Any) -> Step:
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    return inference(torch, model, 1, 784)


def both_ways(inputs: list[Any], compute: Callable[[], Any], arriving: Any = None) -> Step:
    """Forward, and backward to ``inputs``."""
    for x in inputs:
        x.requires_grad_()

    def step() -> Any:
        for x in inputs:
            x.grad = None
        y = compute()
        y.backward(arriving)
        return y

    return step


@workload("element-wise chain, 1 M")
def chain(torch: Any, nn: Any, F: Any) -> Step:
    data = Data(torch)
    x, w, arriving = data.normal(1024, 1024), data.normal(1024, 1024), data.normal(1024, 1024)
    return both_ways([x, w], lambda: torch.sigmoid(x * w + x) * torch.tanh(x - w) + (x * 0.5).exp(), arriving)


@workload("cross entropy 64 x 10")
def cross_entropy_small(torch: Any, nn: Any, F: Any) -> Step:
    data = Data(torch)
    x, y = data.normal(64, 10), data.labels(10, 64)
    return both_ways([x], lambda: F.cross_entropy(x, y))


@workload("cross entropy 512 x 10000")
def cross_entropy_large(torch: Any, nn: Any, F: Any) -> Step:
    data = Data(torch)
    x, y = data.normal(512, 10000), data.labels(10000, 512)
    return both_ways([x], lambda: F.cross_entropy(x, y))


def layer(torch: Any, module: Any, *shape: int) -> Step:
    """One layer, forward and backward to its input and parameters."""
    data = Data(torch)
    data.fill(module)
    x = data.normal(*shape)
    with torch.no_grad():
        arriving = data.normal(*module(x).shape)
    return both_ways([x, *module.parameters()], lambda: module(x), arriving)


def layer_workloads() -> Iterator[tuple[str, Callable[..., Step]]]:
    def of(make: Callable[[Any], Any], *shape: int) -> Callable[..., Step]:
        return lambda torch, nn, F: layer(torch, make(nn), *shape)

    for c, size, n in ((16, 32, 64), (32, 32, 32), (64, 32, 32), (128, 16, 32), (256, 8, 32)):
        yield f"conv 3x3, {c} channels", of(lambda nn, c=c: nn.Conv2d(c, c, 3, padding=1), n, c, size, size)
    yield "conv 1x1, 64 to 256", of(lambda nn: nn.Conv2d(64, 256, 1), 32, 64, 16, 16)
    yield "conv 5x5 stride 2, 32 to 64", of(lambda nn: nn.Conv2d(32, 64, 5, 2, padding=2), 32, 32, 32, 32)
    yield "conv depthwise 3x3, 64", of(lambda nn: nn.Conv2d(64, 64, 3, padding=1, groups=64), 32, 64, 32, 32)
    yield "conv 3x3, 1 to 32", of(lambda nn: nn.Conv2d(1, 32, 3), 64, 1, 28, 28)
    yield "conv 7x7 stride 2, 3 to 64", of(lambda nn: nn.Conv2d(3, 64, 7, 2, padding=3), 16, 3, 64, 64)
    yield "max pool 2x2", of(lambda nn: nn.MaxPool2d(2), 64, 64, 32, 32)
    yield "avg pool 2x2", of(lambda nn: nn.AvgPool2d(2), 64, 64, 32, 32)
    yield "batch norm, 64 channels", of(lambda nn: nn.BatchNorm2d(64), 64, 64, 32, 32)
    yield "layer norm, 2048 x 512", of(lambda nn: nn.LayerNorm(512), 2048, 512)


WORKLOADS.update(layer_workloads())


@workload("causal attention")
def attention(torch: Any, nn: Any, F: Any) -> Step:
    data = Data(torch)
    q, k, v, arriving = (data.normal(8, 8, 128, 64) for _ in range(4))
    return both_ways([q, k, v], lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True), arriving)


@workload("adam, 10 M parameters")
def adam(torch: Any, nn: Any, F: Any) -> Step:
    data = Data(torch)
    params = [nn.Parameter(data.normal(1000, 1000)) for _ in range(10)]
    for p in params:
        p.grad = data.normal(1000, 1000)
    optimizer = torch.optim.Adam(params, lr=1e-3)

    def step() -> Any:
        optimizer.step()
        return params[0]

    return step


def two_conv_mygrad() -> Step:
    """The net "mnist two-conv" in MyGrad."""
    import mygrad as mg
    from mygrad.nnet.layers import conv_nd, max_pool
    from mygrad.nnet.losses import softmax_crossentropy

    weights, x, y = _two_conv_arrays()
    params = [mg.tensor(w) for w in weights]
    velocities = [np.zeros_like(w) for w in weights]

    def step() -> Any:
        c1, b1, c2, b2, w1, d1, w2, d2 = params
        h = mg.maximum(conv_nd(x, c1, stride=1) + b1.reshape(1, -1, 1, 1), 0)
        h = mg.maximum(conv_nd(h, c2, stride=1) + b2.reshape(1, -1, 1, 1), 0)
        h = max_pool(h, (2, 2), 2).reshape(len(x), -1)
        h = mg.maximum(h @ w1.T + d1, 0)
        loss = softmax_crossentropy(h @ w2.T + d2, y)
        loss.backward()
        for p, v in zip(params, velocities, strict=True):
            v *= 0.9
            v += p.grad
            p.data -= 0.01 * v
        return loss.data

    return step


def two_conv_autograd() -> Step:
    """The net "mnist two-conv" in HIPS autograd."""
    import autograd
    import autograd.numpy as anp
    from autograd.scipy.signal import convolve

    weights, x, y = _two_conv_arrays()
    velocities = [np.zeros_like(w) for w in weights]

    def loss_of(params: list[Any]) -> Any:
        c1, b1, c2, b2, w1, d1, w2, d2 = params
        h = x
        for c, b in ((c1, b1), (c2, b2)):
            flipped = anp.transpose(c, (1, 0, 2, 3))[:, :, ::-1, ::-1]
            h = convolve(h, flipped, axes=([2, 3], [2, 3]), dot_axes=([1], [0]), mode="valid")
            h = anp.maximum(h + anp.reshape(b, (1, -1, 1, 1)), 0)
        n, c, height, width = h.shape
        h = anp.max(anp.max(anp.reshape(h, (n, c, height // 2, 2, width // 2, 2)), axis=5), axis=3)
        h = anp.maximum(anp.dot(anp.reshape(h, (n, -1)), w1.T) + d1, 0)
        z = anp.dot(h, w2.T) + d2
        z = z - anp.max(z, axis=1, keepdims=True)
        return -anp.mean((z - anp.log(anp.sum(anp.exp(z), axis=1, keepdims=True)))[anp.arange(n), y])

    gradient = autograd.value_and_grad(loss_of)

    def step() -> Any:
        loss, grads = gradient(weights)
        for p, v, g in zip(weights, velocities, grads, strict=True):
            v *= 0.9
            v += g
            p -= (0.01 * v).astype(p.dtype)
        return loss

    return step


def _two_conv_arrays() -> tuple[list[Any], Any, Any]:
    """The weights, images and labels that :func:`two_conv` starts from."""

    class NumPy:
        tensor = staticmethod(np.array)

    data = Data(NumPy)
    shapes = (32, 1, 3, 3), (32,), (64, 32, 3, 3), (64,), (128, 9216), (128,), (10, 128), (10,)
    weights = [data.normal(*s, scale=1 / math.sqrt(math.prod(s[1:])) if len(s) > 1 else 0.1) for s in shapes]
    return weights, data.normal(64, 1, 28, 28), data.labels(10, 64)


# ---------------------------------------------------------------------------------------- worker


def resident(peak: bool = False) -> float:
    """MiB of memory in use now, or at most since :func:`forget_peak`."""
    with open("/proc/self/status") as status:
        return next(float(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM" if peak else "VmRSS"))


def forget_peak() -> None:
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def work(framework: str, threads: int, clock: Callable[[], float]) -> None:
    """Obey the commands that come in, one line of JSON each: the process of one framework."""
    step: Step = lambda: None
    if framework in PEERS:
        importlib.import_module(framework)
        builders = {"mnist two-conv": two_conv_mygrad if framework == "mygrad" else two_conv_autograd}
    else:
        torch = importlib.import_module(framework)
        nn = importlib.import_module(f"{framework}.nn")
        if hasattr(torch, "set_num_threads"):
            torch.set_num_threads(threads)
        arguments = torch, nn, importlib.import_module(f"{framework}.nn.functional")
        builders = {name: lambda build=build: build(*arguments) for name, build in WORKLOADS.items()}  # type: ignore[misc]
    print("{}", flush=True)
    for line in sys.stdin:
        command, value = json.loads(line)
        reply: Any = None
        if command == "build":
            step = builders[value]()
        elif command == "losses":
            reply = [float(abs(np.asarray(_array(step()))).mean()) for _ in range(value)]
        elif command == "turn":
            times: list[float] = []
            end = time.perf_counter() + value
            while not times or time.perf_counter() < end:
                start = clock()
                step()
                times.append(clock() - start)
            reply = statistics.median(times)
        elif command == "memory":
            before = resident()
            step = builders[value]()
            forget_peak()
            for _ in range(3):
                step()
            reply = resident(peak=True) - before
        print(json.dumps(reply), flush=True)


def _array(value: Any) -> Any:
    return value.detach().numpy() if hasattr(value, "detach") else value


class Worker:
    """A framework in a process of its own."""

    def __init__(self, framework: str, threads: int, python: str, cpu_time: bool = False) -> None:
        counts = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
        command = [python, __file__, "--worker", framework, "--threads", str(threads), *["--cpu-time"] * cpu_time]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, **counts})  # fmt: skip
        self._reply()

    def _reply(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("a worker died; its message is above")
        return json.loads(line)

    def __call__(self, command: str, value: Any) -> Any:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, value]) + "\n")
        self.process.stdin.flush()
        return self._reply()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


# ---------------------------------------------------------------------------------------- driver


def compare(name: str, workers: dict[str, Worker], rounds: int, seconds: float, steps: int = 3) -> dict[str, Any]:
    """The times of one workload in every framework, measured in turns, after ``steps`` whose losses are compared."""
    losses = {}
    for framework, worker in workers.items():
        worker("build", name)
        losses[framework] = worker("losses", steps)
        if steps > 1:
            worker("turn", seconds / 4)  # to warm up
    times: dict[str, list[float]] = {framework: [] for framework in workers}
    for _ in range(rounds):
        for framework, worker in workers.items():
            time.sleep(0.01)  # until the other's threads have gone to sleep
            times[framework].append(worker("turn", seconds))
    row: dict[str, Any] = {"name": name, "losses": losses, "rounds": rounds}
    row["seconds"] = {framework: statistics.median(t) for framework, t in times.items()}
    for framework in times.keys() - {"minigrad"}:
        ratios = sorted(a / b for a, b in zip(times["minigrad"], times[framework], strict=True))
        quartiles = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        row.setdefault("ratio", {})[framework] = quartiles[1]
        row.setdefault("quartiles", {})[framework] = quartiles[::2]
        row.setdefault("losses agree", {})[framework] = bool(
            np.allclose(losses["minigrad"], losses[framework], rtol=1e-3)
        )
    return row


def peak_memory(name: str, frameworks: list[str], threads: int, pythons: dict[str, str]) -> dict[str, float]:
    """MiB at the peak of a training step, each in a fresh process."""
    peaks = {}
    for framework in frameworks:
        worker = Worker(framework, threads, pythons[framework])
        peaks[framework] = worker("memory", name)
        worker.close()
    return peaks


def machine(pythons: dict[str, str]) -> dict[str, Any]:
    """What the numbers depend on."""
    versions = {"minigrad": importlib.import_module("minigrad.version").__version__}
    for name in ("numpy", "torch", *PEERS):
        program = f"from importlib import metadata; print(metadata.version({name!r}))"
        asked = [pythons.get(name, sys.executable), "-c", program]
        if found := subprocess.run(asked, capture_output=True, text=True).stdout.strip():
            versions[name] = found
    model = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    return {
        "date": datetime.date.today().isoformat(), "processor": model, "cores": os.cpu_count(),
        "blas": [f"OpenBLAS for {core}" for core in importlib.import_module("minigrad.kernels.threads").blas_cores()],
        "system": f"{platform.system()} {platform.machine()}", "python": platform.python_version(),
        "versions": versions,
    }  # fmt: skip


def print_row(row: dict[str, Any]) -> None:
    seconds = row["seconds"]
    text = f"{row['name']:32}" + "".join(f"{s * 1e3:11.3f} ms" for s in seconds.values())
    for framework, ratio in row.get("ratio", {}).items():
        low, high = row["quartiles"][framework]
        target = TARGETS.get(row["name"], 1.0)
        text += f"{ratio:8.2f} ({low:.2f}-{high:.2f})" + ("  above " + str(target) if ratio > target else "")
        if not row["losses agree"][framework]:
            text += f"  LOSSES DIFFER: {row['losses']['minigrad']} {row['losses'][framework]}"
    print(text, flush=True)


def geometric_mean(values: list[float]) -> float:
    return math.exp(statistics.fmean(map(math.log, values)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-t", "--threads", type=int, nargs="+", default=[2], help="one number after another")
    parser.add_argument("-w", "--workloads", nargs="+", default=[""], help="words that the names must contain one of")
    parser.add_argument("-r", "--rounds", type=int, default=7)
    parser.add_argument("-s", "--seconds", type=float, default=0.3, help="of one framework's turn")
    parser.add_argument("--cpu-time", action="store_true", help="of the thread, for one thread on a busy machine")
    parser.add_argument("-f", "--frameworks", nargs="+", help="default: minigrad, and torch if it is installed")
    parser.add_argument("--python", nargs="+", default=[], metavar="FRAMEWORK=PATH", help="the Python to run one in")
    parser.add_argument("--memory", choices=("yes", "no", "only"), default="no", help="measure peak memory")
    parser.add_argument("--json", type=Path, help="write all numbers to this file")
    parser.add_argument("--save", action="store_true", help="write them to benchmarks/results/, memory included")
    parser.add_argument("--list", action="store_true", help="name the workloads")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.threads[0], time.thread_time if options.cpu_time else time.perf_counter)
        return
    names = [name for name in WORKLOADS if any(word in name for word in options.workloads)]
    if options.list:
        print("\n".join(names))
        return
    elsewhere = dict(pair.split("=", 1) for pair in options.python)
    pythons = {f: elsewhere.get(f, sys.executable) for f in ("minigrad", "torch", *PEERS)}
    installed = [f for f in pythons if f in elsewhere or importlib.util.find_spec(f)]
    frameworks = [f for f in options.frameworks or installed if f in installed]
    main_ones = [f for f in frameworks if f not in PEERS]
    results: dict[str, Any] = {"machine": machine(pythons), "cpu time": options.cpu_time, "times": {}, "memory": {}}
    for threads in [] if options.memory == "only" else options.threads:
        print(f"\n{threads} thread{'s' * (threads > 1)}: " + ", ".join(main_ones) + "; ratio (quartiles)")
        workers = {f: Worker(f, threads, pythons[f], options.cpu_time) for f in frameworks}
        rows = results["times"][threads] = []
        for name in names:
            chosen = {f: w for f, w in workers.items() if f in main_ones}
            rows.append(compare(name, chosen, options.rounds, options.seconds))
            print_row(rows[-1])
        for peer in set(frameworks) & set(PEERS) if "mnist two-conv" in names else ():
            pair = {"minigrad": workers["minigrad"], peer: workers[peer]}
            rows.append({**compare("mnist two-conv", pair, 1, options.seconds, steps=1), "peer": peer})  # it takes long
            print(f"mnist two-conv in {peer}: {rows[-1]['seconds'][peer] * 1e3:.0f} ms")
        for worker in workers.values():
            worker.close()
        ratios = [row["ratio"]["torch"] for row in rows if "torch" in row.get("ratio", {})]
        if ratios:
            print(f"geometric mean of {len(ratios)} ratios: {geometric_mean(ratios):.3f}; worst {max(ratios):.2f}")
    if options.memory != "no" or options.save:
        print(f"\npeak memory of three steps, MiB: {', '.join(main_ones)}")
        for name in names:
            peaks = results["memory"][name] = peak_memory(name, main_ones, options.threads[-1], pythons)
            ratio = f"{peaks['minigrad'] / peaks['torch']:8.2f}" if peaks.keys() >= {"minigrad", "torch"} else ""
            print(f"{name:32}" + "".join(f"{peak:10.1f}" for peak in peaks.values()) + ratio, flush=True)
    files = [options.json] if options.json else []
    if options.save:
        folder = Path(__file__).parent / "results"
        folder.mkdir(exist_ok=True)
        files.append(folder / f"{results['machine']['date']}.json")
    for file in files:
        file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
