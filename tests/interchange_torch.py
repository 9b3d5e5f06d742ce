"""Write with PyTorch and read with minigrad, and the other way round: ``python -m tests.interchange_torch``.

The suite does not run this; it needs torch.
"""

from __future__ import annotations

import copy
import io
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import minigrad

DTYPES = ["float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool"]
counts: Counter[str] = Counter()


def equal(a: Any, b: Any, place: str = "") -> None:
    """Objects of the two libraries say the same: types, values, dtypes, strides, requires_grad, metadata."""
    if hasattr(a, "requires_grad"):
        facts = [
            (str(t.dtype).removeprefix("torch."), tuple(t.shape), t.requires_grad,
             [step for step, n in zip(t.stride(), t.shape) if n > 1 and t.numel()],
             isinstance(t, (torch.nn.Parameter, minigrad.nn.Parameter)))
            for t in (a, b)
        ]  # fmt: skip
        assert facts[0] == facts[1], f"{place}: {facts}"
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy(), place, strict=True)
        counts["tensors"] += 1
        return
    if isinstance(a, dict):
        assert list(a) == list(b), place
        assert getattr(a, "_metadata", None) == getattr(b, "_metadata", None), place
        for key in a:
            equal(a[key], b[key], f"{place}[{key!r}]")
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), place
        for k, (x, y) in enumerate(zip(a, b)):
            equal(x, y, f"{place}[{k}]")
    else:
        assert str(a).removeprefix("torch.") == str(b).removeprefix("torch."), f"{place}: {a!r} and {b!r}"


def contents(library: Any) -> dict[str, Any]:
    """Everything that both libraries save, made with either."""
    base = library.arange(60).reshape(3, 4, 5)
    found: dict[str, Any] = {}
    for name in DTYPES:
        t = base.to(getattr(library, name))
        found[name] = [t, t[0, 0, 0], t[1:, ::2, 1], t.transpose(0, 2), t[:1].expand(4, 4, 5), t[:, :0], t[2, 3, 4:]]
    weight = library.nn.Parameter(base.to(library.float32))
    net = library.nn.Sequential(library.nn.Conv2d(1, 2, 3), library.nn.BatchNorm2d(2), library.nn.LSTM(2, 3))
    with library.no_grad():
        for parameter in net.parameters():
            parameter.copy_(library.arange(parameter.numel()).reshape(parameter.shape))
    found["objects"] = [
        base, base, weight, weight[0].detach(), library.ones(2, requires_grad=True), net.state_dict(),
        library.nn.Parameter(library.ones(1), requires_grad=False), None, True, -(2**70), 1.5, float("inf"),
        "text \u20ac", b"bytes\xff", (), {"a": (1, [2])}, {3}, library.float32, library.device("cpu"),
        library.Size([1, 2]),
    ]  # fmt: skip
    return found


def sharing(found: dict[str, Any]) -> list[bool]:
    """Which tensors share memory with which."""
    lists = [found[name] for name in DTYPES] + [found["objects"][:4]]
    return [np.shares_memory(a.detach().numpy(), b.detach().numpy()) for ts in lists for a in ts for b in ts]


def files(path: Path) -> None:
    """Each way of writing with each way of reading."""
    ours, theirs = contents(minigrad), contents(torch)
    writers: dict[str, Callable[[], Any]] = {
        "minigrad": lambda: minigrad.save(ours, path),
        "torch": lambda: torch.save(theirs, path),
        "torch, protocol 4": lambda: torch.save(theirs, path, pickle_protocol=4),
        "torch, before 1.6": lambda: torch.save(theirs, path, _use_new_zipfile_serialization=False),
    }
    readers: dict[str, Callable[[], Any]] = {
        "minigrad": lambda: minigrad.load(path),
        "minigrad, from a buffer": lambda: minigrad.load(io.BytesIO(path.read_bytes())),
        "minigrad, mmap": lambda: minigrad.load(path, mmap=True),
        "torch, weights_only": lambda: torch.load(path, weights_only=True),
        "torch": lambda: torch.load(path, weights_only=False),
        "torch, mmap": lambda: torch.load(path, weights_only=True, mmap=True),
    }
    for writer, write in writers.items():
        for reader, read in readers.items():
            if ("torch" in reader and "torch" in writer) or ("mmap" in reader and "1.6" in writer):
                continue
            write()
            found = read()
            equal(found, ours if "torch" in reader else theirs, f"{writer} to {reader}")
            assert sharing(found) == sharing(ours) == sharing(theirs), f"{writer} to {reader}"
            counts["ways"] += 1
    bfloat16 = torch.randn(5).to(torch.bfloat16)
    torch.save(bfloat16, path)
    np.testing.assert_array_equal(minigrad.load(path), bfloat16.float().numpy(), strict=True)


# ------------------------------------------------------------------------------------- checkpoints

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}), ("Adam", {}), ("Adam", {"amsgrad": True}),
    ("AdamW", {}), ("Adamax", {}), ("NAdam", {}), ("RAdam", {}), ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adagrad", {"lr_decay": 0.1}), ("Adadelta", {}), ("LBFGS", {"max_iter": 3}),
]  # fmt: skip
SCHEDULERS: list[Callable[[Any, Any], Any]] = [
    lambda s, o: s.StepLR(o, 3, 0.5),
    lambda s, o: s.OneCycleLR(o, 0.1, total_steps=20, cycle_momentum="betas" in o.defaults),
    lambda s, o: s.CosineAnnealingLR(o, 7), lambda s, o: s.LinearLR(o, total_iters=9),
]  # fmt: skip


class Training:
    """A small training in double precision, in either library."""

    def __init__(self, library: Any, name: str, options: dict[str, Any], schedule: Callable) -> None:
        self.framework = library
        self.model = library.nn.Sequential(library.nn.Linear(3, 4), library.nn.Tanh(), library.nn.Linear(4, 2)).double()
        with library.no_grad():
            for k, parameter in enumerate(self.model.parameters()):
                parameter.copy_(library.tensor(np.sin(k + np.arange(parameter.numel())).reshape(parameter.shape)))
        self.optimizer = getattr(library.optim, name)(self.model.parameters(), lr=0.05, **options)
        self.scheduler = schedule(library.optim.lr_scheduler, self.optimizer)
        self.x = library.tensor(np.linspace(-1, 1, 15).reshape(5, 3))

    def loss(self) -> Any:
        self.optimizer.zero_grad()
        loss = ((self.model(self.x) - 1) ** 2).mean()
        loss.backward()
        return loss

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.optimizer.step(self.loss)
            self.scheduler.step()

    def state(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimizer": self.optimizer, "scheduler": self.scheduler}
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, state: dict[str, Any]) -> None:
        for name in state:
            getattr(self, name).load_state_dict(state[name])

    def weights(self) -> np.ndarray:
        return np.concatenate([p.detach().numpy().ravel() for p in self.model.parameters()])


def checkpoints(path: Path) -> float:
    """Begin a training with one library and go on with the other."""
    worst = 0.0
    torch.set_default_dtype(torch.float64)  # or NAdam and RAdam keep scalars in single precision
    for k, (name, options) in enumerate(OPTIMIZERS):
        schedule = SCHEDULERS[k % len(SCHEDULERS)]
        for first, second in ((torch, minigrad), (minigrad, torch)):
            begun = Training(first, name, options, schedule)
            begun.steps(5)
            first.save(copy.deepcopy(begun.state()), path)
            other = Training(second, name, options, schedule)
            other.load(second.load(path))
            for training in (begun, other):
                training.steps(8)
            off = float(np.abs(begun.weights() / other.weights() - 1).max())
            assert off < 1e-12, f"{name} {options}, from {first.__name__} to {second.__name__}: off by {off}"
            worst = max(worst, off)
            counts["checkpoints"] += 1
    return worst


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.pt"
        files(path)
        worst = checkpoints(path)
    print(f"{counts['ways']} ways of writing and reading, {counts['tensors']} tensors equal with strides and sharing; "
          f"{counts['checkpoints']} trainings went on in the other library, equal within {worst:.1g}")  # fmt: skip


if __name__ == "__main__":
    main()
