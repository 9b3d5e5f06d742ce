"""Run programs of github.com/pytorch/examples, unchanged, on minigrad and on PyTorch, and compare their losses.

    python -m tests.compare_programs CHECKOUT [NAME ...]

needs torch, Pillow and six, and a checkout of those examples; the suite does not run this. Data that the
programs would download are made here: MNIST's files of the 5,000 digits that come with minigrad, pictures of waves.

So that both begin with the same weights and see the same batches, masks and noise, the random numbers of PyTorch
are minigrad's in these runs (:class:`Draws`), and the datasets of a stand-in for torchvision too. The program on
minigrad runs as ``python -m minigrad`` runs it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

import minigrad
from minigrad import torch_programs
from minigrad.nn import functional


class Program(NamedTuple):
    """A program of the checkout, and the arguments it gets."""

    path: str
    arguments: str = ""


PROGRAMS = {
    "mnist": Program("mnist/main.py", "--epochs 1"),
    "mnist_rnn": Program("mnist_rnn/main.py", "--epochs 2"),
    "mnist_forward_forward": Program("mnist_forward_forward/main.py", "--epochs 60 --train_size 2000"),
    "vae": Program("vae/main.py", "--epochs 2"),
    "dcgan": Program("dcgan/main.py", "--dataset mnist --dataroot data --imageSize 64 --ngf 16 --ndf 16 --niter 1 "
                     "--workers 0 --manualSeed 1"),
    "regression": Program("regression/main.py"),
    "super_resolution": Program("super_resolution/main.py", "--upscale_factor 2 --nEpochs 3 --threads 0 --batchSize 4"),
    "language_model_lstm": Program("word_language_model/main.py", "--data text --epochs 2 --emsize 64 --nhid 64 "
                                   "--dropout 0 --log-interval 20"),
    "language_model_transformer": Program("word_language_model/main.py", "--data text --model Transformer --epochs 2 "
                                          "--emsize 64 --nhid 64 --lr 2 --log-interval 20"),
}  # fmt: skip


# ------------------------------------------------------------------------------------------ data


def write_data(folder: Path, checkout: Path) -> None:
    """What the programs read, where they look for it."""
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    digits = minigrad.data.mnist5k()
    for part, images, labels in (("train", digits.x_train, digits.y_train), ("t10k", digits.x_test, digits.y_test)):
        pixels = (images.numpy() * 255).round().astype(np.uint8)
        write_idx(raw / f"{part}-images-idx3-ubyte", pixels[:, 0])
        write_idx(raw / f"{part}-labels-idx1-ubyte", labels.numpy().astype(np.uint8))

    from PIL import Image

    source = np.random.default_rng(0)
    y, x = np.mgrid[:256, :256] / 256
    for part, count in (("train", 24), ("test", 4)):
        pictures = folder / "dataset" / "BSDS300" / "images" / part
        pictures.mkdir(parents=True)
        for number in range(count):
            waves = sum(np.sin(2 * np.pi * (a * x + b * y + c)) for a, b, c in source.uniform(-20, 20, (12, 3)))
            Image.fromarray(np.uint8((waves * 10 + 128).clip(0, 255))).convert("RGB").save(pictures / f"{number}.png")

    (folder / "text").mkdir()
    corpus = checkout / "word_language_model" / "data" / "wikitext-2"
    for part, file, size in (("train", "valid", 60_000), ("valid", "test", 6_000), ("test", "test", 6_000)):
        text = (corpus / f"{file}.txt").read_text(encoding="utf8")[:size]
        (folder / "text" / f"{part}.txt").write_text(text, encoding="utf8")
    (folder / "results").mkdir()


def write_idx(path: Path, array: np.ndarray) -> None:
    """A file of MNIST's format."""
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">i4").tobytes() + array.tobytes())


# ----------------------------------------------------------------------------------- a run of one


class Draws:
    """Functions that take the place of PyTorch's: their random numbers come from minigrad's default generator."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def tensor(self, ours: Any) -> Any:
        return self.torch.from_numpy(np.ascontiguousarray(ours.detach().numpy()))

    def install(self) -> None:
        torch, original_seed = self.torch, self.torch.manual_seed

        def manual_seed(seed: int) -> Any:
            minigrad.manual_seed(seed)
            return original_seed(seed)

        torch.manual_seed = manual_seed
        for name in ("rand", "randn", "randint", "randperm"):
            setattr(torch, name, self.creator(name))
        torch.randn_like = lambda input: self.tensor(minigrad.randn(*input.shape, dtype=ours(input.dtype)))
        torch.multinomial = lambda input, n: self.tensor(minigrad.multinomial(minigrad.from_numpy(input.numpy()), n))
        for name in ("uniform_", "normal_"):
            setattr(torch.Tensor, name, self.filler(name))
        for name in ("dropout", "dropout2d"):
            setattr(torch.nn.functional, name, self.dropout(getattr(functional, name)))
        torch.nn.init.orthogonal_ = self.orthogonal
        torch.nn.functional.scaled_dot_product_attention = self.attention
        torch.utils.data.DataLoader.__iter__ = lambda loader: self.batches(loader)

    def creator(self, name: str) -> Any:
        def create(*args: Any, dtype: Any = None, device: Any = None, generator: Any = None, **options: Any) -> Any:
            return self.tensor(getattr(minigrad, name)(*args, dtype=ours(dtype), **options))

        return create

    def filler(self, name: str) -> Any:
        def fill(tensor: Any, *args: Any, generator: Any = None, **options: Any) -> Any:
            values = getattr(minigrad.empty(*tensor.shape, dtype=ours(tensor.dtype)), name)(*args, **options)
            return tensor.copy_(self.tensor(values))

        return fill

    def orthogonal(self, tensor: Any, gain: float = 1) -> Any:
        values = minigrad.nn.init.orthogonal_(minigrad.empty(*tensor.shape, dtype=ours(tensor.dtype)), gain)
        return tensor.data.copy_(self.tensor(values))

    def dropout(self, function: Any) -> Any:
        def drop(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
            ones = minigrad.ones(*input.shape, dtype=ours(input.dtype))
            return input * self.tensor(function(ones, p, training)) if training and p else input

        return drop

    def attention(self, query: Any, key: Any, value: Any, attn_mask: Any, dropout_p: float, is_causal: bool) -> Any:
        scores = query @ key.mT / math.sqrt(query.shape[-1])
        if is_causal:
            attn_mask = self.torch.ones(scores.shape[-2:]).tril().log()
        weights = (scores if attn_mask is None else scores + attn_mask).softmax(-1)
        return self.torch.nn.functional.dropout(weights, dropout_p) @ value

    def batches(self, loader: Any) -> Any:
        """What iterates over a PyTorch DataLoader instead: in the order that minigrad's draws."""
        shuffle = isinstance(loader.sampler, self.torch.utils.data.RandomSampler)
        numbers = range(len(loader.dataset))
        for indices in minigrad.data.DataLoader(numbers, loader.batch_size, shuffle, drop_last=loader.drop_last):
            yield loader.collate_fn([loader.dataset[i] for i in indices.tolist()])


def ours(dtype: Any) -> Any:
    """minigrad's dtype for PyTorch's."""
    return None if dtype is None else getattr(minigrad, str(dtype).removeprefix("torch."))


def stand_in_torchvision(torch: Any) -> None:
    """A torchvision for PyTorch that reads and transforms images with minigrad's code."""
    from minigrad.data import transforms, vision

    class ToTensor:
        def __call__(self, image: Any) -> Any:
            return torch.from_numpy(transforms.ToTensor()(image).numpy().copy())

    class Normalize(NamedTuple):
        mean: Any
        std: Any

        def __call__(self, image: Any) -> Any:
            mean, std = (torch.tensor(v, dtype=image.dtype)[:, None, None] for v in (self.mean, self.std))
            return (image - mean) / std

    same = ("Compose", "Lambda", "Resize", "CenterCrop")
    contents = {
        "datasets": {"MNIST": vision.MNIST},
        "transforms": {"ToTensor": ToTensor, "Normalize": Normalize, **{n: getattr(transforms, n) for n in same}},
        "utils": {"save_image": lambda *args, **options: None},
    }
    sys.modules["torchvision"] = package = ModuleType("torchvision")
    package.__path__ = []
    for name, names in contents.items():
        module = sys.modules[f"torchvision.{name}"] = ModuleType(f"torchvision.{name}")
        vars(module).update(names)
        setattr(package, name, module)


def record_losses(tensor_class: Any) -> list[float]:
    """The values on which ``backward`` is called from now on."""
    losses: list[float] = []
    backward = tensor_class.backward

    def recording(self: Any, *args: Any, **options: Any) -> None:
        losses.append(float(self.detach()))
        backward(self, *args, **options)

    tensor_class.backward = recording
    return losses


def work(framework: str, name: str, checkout: Path, precision: str) -> None:
    """Run one program with one framework in this process, in the current folder, and write down its losses."""
    program = PROGRAMS[name]
    start: Any = lambda path, argv: torch_programs.run(checkout / path, argv)
    tensor_class = minigrad.Tensor
    minigrad.manual_seed(0)
    minigrad.set_default_dtype(getattr(minigrad, precision))
    if framework == "torch":
        import runpy

        import torch

        torch.set_default_dtype(getattr(torch, precision))
        Draws(torch).install()
        stand_in_torchvision(torch)

        def start(path: str, argv: list[str]) -> Any:
            sys.argv, sys.path[:0] = [path, *argv], [str((checkout / path).parent)]
            return runpy.run_path(str(checkout / path), run_name="__main__")

        tensor_class = torch.Tensor
    losses = record_losses(tensor_class)
    begin = time.perf_counter()
    start(program.path, program.arguments.split())
    Path(f"{name}.{framework}.json").write_text(json.dumps([time.perf_counter() - begin, *losses]))


# ------------------------------------------------------------------------------------- comparison


def compare(name: str, checkout: Path, folder: Path, precision: str, verbose: bool) -> float:
    """Run a program with both; print their losses, and return the largest relative difference."""
    found = {}
    for framework in ("minigrad", "torch"):
        command = [sys.executable, "-m", "tests.compare_programs", str(checkout), name, "--precision", precision]
        path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run([*command, "--framework", framework], cwd=folder, env={**os.environ, "PYTHONPATH": path},
                              capture_output=True, text=True)  # fmt: skip
        if done.returncode or verbose:
            print(done.stdout, done.stderr, sep="\n")
        done.check_returncode()
        seconds, *found[framework] = json.loads((folder / f"{name}.{framework}.json").read_text())
        print(f"{name} in {precision}: {len(found[framework])} steps in {seconds:.1f} s with {framework}")
    pairs = list(zip(*found.values()))
    off = [abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in pairs]
    print(f"{'step':>6} {'minigrad':>14} {'torch':>14} {'difference':>12}")
    for step in sorted({round(k * (len(pairs) - 1) / 7) for k in range(8)}):
        print(f"{step:>6} {pairs[step][0]:>14.6f} {pairs[step][1]:>14.6f} {off[step]:>12.1e}")
    return max(off)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, help="of github.com/pytorch/examples")
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(PROGRAMS)}")
    parser.add_argument("--precision", choices=("float32", "float64"), help="the default dtype; both by default")
    parser.add_argument("--verbose", action="store_true", help="print what the programs print")
    parser.add_argument("--framework", choices=("minigrad", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    checkout = options.checkout.resolve()
    if options.framework:
        work(options.framework, *options.names, checkout, options.precision)
        return
    precisions = [options.precision] if options.precision else ["float32", "float64"]
    worst = {}
    for name in options.names or PROGRAMS:
        for precision in precisions:
            with tempfile.TemporaryDirectory() as folder:
                inside = Path(folder) / "program"  # some look for data beside the folder they run in
                inside.mkdir()
                write_data(inside, checkout)
                shutil.copytree(inside / "data", Path(folder) / "data")
                worst[name, precision] = compare(name, checkout, inside, precision, options.verbose)
    print("largest relative difference of a loss")
    for name in options.names or PROGRAMS:
        print(f"{name:<28}", *(f"{worst[name, precision]:>10.1e} in {precision}" for precision in precisions))
    paths = {PROGRAMS[name].path for name in options.names or PROGRAMS}
    print(f"{len(paths)} programs ran unchanged with both, in {len(worst) // len(precisions)} configurations")


if __name__ == "__main__":
    main()
