"""What a convolution does: to two arrays, to functions, to a photo; and how a kernel can be learned.

    pip install -e '.[examples]'
    python examples/kernel_convolutions.py

A kernel is a small array that slides over a larger one; at each place the two are multiplied and summed. All
of it is one function here, conv1d for curves and conv2d for pictures. Written into OUT:

    functions.png   a sharp and a smooth curve, each smoothed by a Gaussian kernel
    photo.png       a photo after each of fifteen kernels, under the kernel
    learned.png     a kernel found by gradient descent from one photo and its filtered version: it becomes Sobel's

Any other photo does as well: --image FILE.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    import minigrad.nn.functional as F
    from matplotlib.figure import Figure
    from PIL import Image
    from tqdm import trange

    import minigrad
    from minigrad import Tensor, nn, optim
    from minigrad.viz import save_figures, show_images
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None

PHOTO = Path(__file__).with_name("data") / "astronaut.png"
SOBEL = minigrad.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])


# ----------------------------------------------------------------------- one dimension: arrays, curves


def convolve(a: Tensor, kernel: Tensor) -> Tensor:
    """The convolution of two arrays, (N,) and (K,), in full: (N + K - 1,).

    Deep learning's conv1d slides the kernel as it is; mathematics' convolution turns it round first.
    """
    turned = kernel.flip(0)
    return F.conv1d(a.reshape(1, 1, -1), turned.reshape(1, 1, -1), padding=len(kernel) - 1).flatten()


def gaussian(radius: int, sigma: float) -> Tensor:
    """The bell curve at the whole numbers from -radius to radius, with the sum 1."""
    x = minigrad.arange(-radius, radius + 1.0)
    bell = (-(x**2) / (2 * sigma**2)).exp()
    return bell / bell.sum()


def draw_functions() -> Figure:
    """A step that is sharp and a wave that is smooth but noisy, before and after smoothing."""
    x = minigrad.linspace(-3, 3, 301)
    sharp = (x.abs() < 1).float()
    smooth = (2 * x).sin() + 0.2 * minigrad.randn(301)
    figure = Figure(figsize=(10, 3.4), layout="constrained")
    for axis, curve, name in zip(figure.subplots(1, 2), (sharp, smooth), ("a sharp step", "a noisy wave"), strict=True):
        axis.plot(x.numpy(), curve.numpy(), color="0.75", label=name)
        for sigma in (5, 15):  # in samples, of which there are 50 to the unit
            kernel = gaussian(3 * sigma, sigma)
            middle = slice(len(kernel) // 2, len(kernel) // 2 + len(x))
            axis.plot(x.numpy(), convolve(curve, kernel)[middle].numpy(), label=f"smoothed, σ = {sigma / 50:.1f}")
        axis.set_ylim(top=1.4 * axis.get_ylim()[1])  # room for the legend
        axis.legend(loc="upper center", ncols=2)
        axis.grid(alpha=0.3)
    return figure


# ------------------------------------------------------------------------------ two dimensions: a photo


def kernels() -> dict[str, Tensor]:
    """The classic kernels by name, each (k, k)."""
    bell = gaussian(3, 1.5)
    return {
        "identity": minigrad.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]),
        "brighten": minigrad.tensor([[0.0, 0, 0], [0, 1.5, 0], [0, 0, 0]]),
        "darken": minigrad.tensor([[0.0, 0, 0], [0, 0.5, 0], [0, 0, 0]]),
        "box blur": minigrad.ones(7, 7) / 49,
        "Gaussian blur": minigrad.outer(bell, bell),
        "sharpen": minigrad.tensor([[0.0, -1, 0], [-1, 5, -1], [0, -1, 0]]),
        "horizontal edges": minigrad.tensor([[-1.0, -1, -1], [2, 2, 2], [-1, -1, -1]]),
        "vertical edges": minigrad.tensor([[-1.0, 2, -1], [-1, 2, -1], [-1, 2, -1]]),
        "diagonal edges": minigrad.tensor([[-1.0, -1, 2], [-1, 2, -1], [2, -1, -1]]),
        "other diagonal": minigrad.tensor([[2.0, -1, -1], [-1, 2, -1], [-1, -1, 2]]),
        "all edges": minigrad.tensor([[-1.0, -1, -1], [-1, 8, -1], [-1, -1, -1]]),
        "Sobel, x": SOBEL,
        "Sobel, y": SOBEL.T,
        "Laplacian": minigrad.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]),
        "emboss": minigrad.tensor([[-2.0, -1, 0], [-1, 1, 1], [0, 1, 2]]),
    }


def apply(kernel: Tensor, photo: Tensor) -> Tensor:
    """The photo (C, H, W) under the kernel (k, k), each channel by itself; the border is repeated outwards."""
    margin = len(kernel) // 2
    padded = F.pad(photo.unsqueeze(1), (margin,) * 4, mode="replicate")  # channels as a batch: (C, 1, H + 2m, W + 2m)
    return F.conv2d(padded, kernel.reshape(1, 1, *kernel.shape)).squeeze(1)


def draw_photo(photo: Tensor) -> Figure:
    """Each kernel above its result."""
    pictures, titles = [], []
    results = {name: (kernel, apply(kernel, photo)) for name, kernel in kernels().items()}
    gradient = results["Sobel, x"][1].square() + results["Sobel, y"][1].square()
    for name, (kernel, result) in results.items():
        edges = abs(kernel.sum()) < 1e-6  # such a kernel gives 0 where the photo is even: show 0 as grey
        pictures.append(result.mean(0) / 2 + 0.5 if edges else result)
        numbers = "\n".join(" ".join(f"{value:g}" for value in row) for row in kernel.tolist())
        titles.append(f"{numbers}\n{name}" if len(kernel) == 3 else f"{len(kernel)}x{len(kernel)}\n{name}")
    pictures.append(gradient.mean(0).sqrt())
    titles.append("the length of both\nSobel, x and y")
    colours = [picture.clamp(0, 1).expand(3, *photo.shape[1:]) for picture in pictures]
    return show_images(colours, titles, columns=6, size=1.9)


# ------------------------------------------------------------------------------------- learning a kernel


def learn(photo: Tensor, steps: int) -> tuple[Tensor, list[Tensor], list[float]]:
    """Find the kernel that turns the grey photo (1, H, W) into its Sobel-filtered version.

    The network is a single convolution with nine weights; nobody tells it what the kernel is.

    Returns:
        the learned kernel (3, 3), the kernel before each step, and the loss of each step.
    """
    x = ((photo - photo.mean()) / photo.std()).unsqueeze(0)
    target = F.conv2d(x, SOBEL.reshape(1, 1, 3, 3))
    model = nn.Conv2d(1, 1, kernel_size=3, bias=False)
    optimizer = optim.SGD(model.parameters(), lr=0.15, momentum=0.9)
    history, losses = [], []
    with trange(steps, desc="learning a kernel", leave=False, disable=None) as bar:
        for _ in bar:
            history.append(model.weight.detach().clone().reshape(3, 3))
            loss = F.mse_loss(model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            bar.set_postfix(loss=f"{losses[-1]:.2e}")
    return model.weight.detach().reshape(3, 3), history, losses


def draw_learned(learned: Tensor, history: list[Tensor], losses: list[float]) -> Figure:
    """The kernel on its way, with its numbers, and how far each was from Sobel's."""
    shown = [0, *(step for step in (5, 20, 60, 150) if step < len(history))]
    stages = [(f"step {step}", history[step]) for step in shown]
    stages += [(f"step {len(history)}", learned), ("Sobel", SOBEL)]
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.3))
    for axis, (name, kernel) in zip(top.subplots(1, len(stages)), stages, strict=True):
        axis.imshow(kernel.numpy(), cmap="RdBu_r", vmin=-2.2, vmax=2.2)
        axis.set(title=name, xticks=[], yticks=[])
        for i in range(3):
            for j in range(3):
                value = kernel[i, j].item()
                axis.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=8,
                          color="white" if abs(value) > 1.4 else "black")  # fmt: skip
    axis = bottom.subplots()
    axis.semilogy(losses, label="loss: mean squared difference of the pictures")
    axis.semilogy([(kernel - SOBEL).abs().max().item() for kernel in history], label="largest error of a weight")
    axis.set(xlabel="step of gradient descent")
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


# ------------------------------------------------------------------------------------------ command line


def load(path: Path) -> Tensor:
    """A photo as a tensor (3, H, W) of 0 to 1; larger ones are scaled down to 512."""
    with Image.open(path) as image:
        image = image.convert("RGB")
        image.thumbnail((512, 512))
        return minigrad.tensor(image).permute(2, 0, 1).float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, default=PHOTO, metavar="FILE", help="the photo (default: an astronaut)")
    parser.add_argument("--steps", type=int, default=300, help="of learning the kernel (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/kernel_convolutions"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()
    if args.steps < 1:
        parser.error("--steps must be at least 1")
    try:
        photo = load(args.image)
    except (OSError, ValueError) as error:
        parser.error(f"--image: {error}")
    minigrad.manual_seed(args.seed)

    a, kernel = minigrad.tensor([1.0, 2, 3, 4]), minigrad.tensor([1.0, 0, -1])
    print(f"{a.tolist()} * {kernel.tolist()} = {convolve(a, kernel).tolist()}")
    learned, history, losses = learn(photo.mean(0, keepdim=True), args.steps)
    print(f"The kernel learned from the photo in {args.steps} steps:")
    print(learned)
    print(f"It differs from Sobel's by at most {(learned - SOBEL).abs().max().item():.1e} per weight.")

    save_figures(args.out, functions=draw_functions(), photo=draw_photo(photo),
                 learned=draw_learned(learned, history, losses))  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; nothing was written.")
