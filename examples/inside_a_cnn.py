"""What happens inside a CNN, seen through its kernels, its feature maps and its gradients.

    pip install -e '.[examples]'
    python examples/inside_a_cnn.py

A small network learns the handwritten digits that come with minigrad; then it is opened. A gradient with respect to
the weights trains a network; the same backward pass with respect to anything else explains it. Written into OUT:

    kernels.png     the kernels of the first layer
    features.png    one digit after each layer
    shifts.png      what pooling is for: how much the features change when the digit moves, and how many digits are
                    still recognised, beside a network without pooling and one without convolutions
    saliency.png    which pixels matter: the gradient of the answer with respect to the image
    grad_cam.png    where in the image the evidence was (Grad-CAM, Selvaraju et al., 2017)
    dreams.png      images that each answer likes best, found by gradient ascent on the pixels
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

try:
    import minigrad.nn.functional as F
    from matplotlib.figure import Figure
    from tqdm import tqdm, trange

    import minigrad
    from minigrad import Tensor, nn, optim
    from minigrad.data import DataLoader, TensorDataset, mnist5k
    from minigrad.viz import save_figures, show_images, show_kernels
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None


def pooled() -> nn.Sequential:
    """Two convolutions with pooling after each."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, kernel_size=5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip


def strided() -> nn.Sequential:
    """The same without pooling: the second convolution of each pair takes every other pixel."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=5, stride=2, padding=2), nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=5, stride=2, padding=2), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 7 * 7, 10),
    )  # fmt: skip


def dense() -> nn.Sequential:
    """No convolution at all."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10))


def train(model: nn.Sequential, images: Tensor, labels: Tensor, epochs: int, name: str) -> None:
    """Fit ``model`` to digits."""
    loader = DataLoader(TensorDataset(images, labels), batch_size=50, shuffle=True)
    optimizer = optim.AdamW(model.parameters(), lr=3e-3)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=epochs * len(loader))
    model.train()
    for _ in trange(epochs, desc=f"training, {name}", leave=False, disable=None):
        for x, y in loader:
            loss = F.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def accuracy(model: nn.Sequential, images: Tensor, labels: Tensor) -> float:
    with minigrad.no_grad():
        return (model(images).argmax(1) == labels).float().mean().item()


# ----------------------------------------------------------------------------- forward: kernels, features


def draw_features(model: nn.Sequential, image: Tensor) -> Figure:
    """One digit after each convolution, ReLU and pooling: eight channels of each."""
    maps, names = [image[0]], ["digit"]
    x = image
    with minigrad.no_grad():
        for layer in model[:6]:
            x = layer(x)
            maps.append(x[0, :8])
            names.append(f"{type(layer).__name__}: {x.shape[1]} maps of {x.shape[2]}x{x.shape[3]}")
    figure = Figure(figsize=(9, 8.4), layout="constrained")
    for part, channels, name in zip(figure.subfigures(len(maps), 1), maps, names, strict=True):
        part.suptitle(name, x=0.01, ha="left", fontsize=9)
        for axis, channel in zip(part.subplots(1, 8), [*channels, *[None] * (8 - len(channels))], strict=True):
            axis.axis("off")
            if channel is not None:
                axis.imshow(channel.numpy(), cmap="magma")
    return figure


# -------------------------------------------------------------------------------- moving the digit about


def shifted(images: Tensor, pixels: int) -> Tensor:
    """The images moved right by so many pixels, with empty ones from the left."""
    return F.pad(images, (pixels, 0, 0, 0))[..., : images.shape[-1]]


def change(model: nn.Sequential, images: Tensor, pixels: int) -> float:
    """How much the features (all before Flatten) change when the images move, relative to their size."""
    depth = next(i for i, layer in enumerate(model) if isinstance(layer, nn.Flatten))
    with minigrad.no_grad():
        before, after = model[:depth](images), model[:depth](shifted(images, pixels))
        return ((after - before).norm() / before.norm()).item()


def draw_shifts(models: dict[str, nn.Sequential], images: Tensor, labels: Tensor) -> Figure:
    """By how many pixels the digits moved: the change of the features, and how many are still recognised."""
    steps = range(7)
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, model in models.items():
        left.plot(steps, [change(model, images[:200], s) for s in steps], ".-", label=name)
        right.plot(steps, [100 * accuracy(model, shifted(images, s), labels) for s in steps], ".-", label=name)
    left.set(xlabel="digits moved by so many pixels", title="relative change of the features")
    right.set(xlabel="digits moved by so many pixels", title="% of the test digits recognised")
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend()
    return figure


# ------------------------------------------------------------------------- backward: what the answer hangs on


def saliency(model: nn.Sequential, images: Tensor, classes: Tensor) -> Tensor:
    """How strongly each pixel moves the score of the class, (N, H, W): the size of the gradient."""
    images = images.detach().clone().requires_grad_()
    scores = model(images).gather(1, classes.reshape(-1, 1))
    scores.sum().backward()  # each score depends on its own image alone, so the sum mixes nothing
    return images.grad.abs().squeeze(1)


def grad_cam(model: nn.Sequential, images: Tensor, classes: Tensor, layer: int = 4, average: bool = True) -> Tensor:
    """Where the feature maps after ``layer`` speak for the class, (N, H, W) of 0 to 1.

    Each map counts as much as the score of the class rises with it above the others, on average over the map. The
    average is at home in networks that end by averaging. Where a linear layer looks at each place by itself, as
    here, each place can count by itself too (HiResCAM, Draelos and Carin, 2020).
    """
    maps = model[: layer + 1](images)
    scores = model[layer + 1 :](maps)
    lead = scores.gather(1, classes.reshape(-1, 1)) - scores.mean(1, keepdim=True)
    (gradient,) = minigrad.autograd.grad(lead.sum(), maps)
    importance = gradient.mean((2, 3), keepdim=True) if average else gradient
    evidence = F.relu((importance * maps).sum(1, keepdim=True)).detach()
    evidence = F.interpolate(evidence, images.shape[2:], mode="bilinear").squeeze(1)
    return evidence / evidence.amax((1, 2), keepdim=True).clamp(min=1e-12)


def dream(model: nn.Sequential, classes: Tensor, steps: int) -> Tensor:
    """Images that the classes like best, (N, 1, 28, 28): gradient ascent on the pixels.

    Smooth strokes and an empty background cost less than what the network alone would ask for.
    """
    pixels = (0.1 * minigrad.randn(len(classes), 1, 28, 28) - 2).requires_grad_()
    optimizer = optim.Adam([pixels], lr=0.1)
    for _ in trange(steps, desc="dreaming", leave=False, disable=None):
        images = pixels.sigmoid()
        scores = F.log_softmax(model(images), dim=1).gather(1, classes.reshape(-1, 1))
        down, across = images[:, :, 1:] - images[:, :, :-1], images[..., 1:] - images[..., :-1]
        roughness = (down**2).sum() + (across**2).sum()
        loss = -5 * scores.sum() + 0.3 * roughness + 0.03 * images.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return pixels.detach().sigmoid()


def overlay(images: Tensor, heats: list[Tensor], title: str) -> Figure:
    """Digits above, and below the same with each heat (N, H, W) in red."""
    ink = images.squeeze(1)
    rows = [(1 - ink).unsqueeze(1).expand(-1, 3, -1, -1)]
    for heat in heats:
        heat = heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-12)
        rows.append(minigrad.stack([1 - 0.25 * ink, 1 - 0.25 * ink - heat, 1 - 0.25 * ink - heat], dim=1))
    return show_images(minigrad.cat(rows), columns=len(images), title=title, size=1.0)


# ------------------------------------------------------------------------------------------ command line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="of training each network (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=4000, metavar="N", help="digits to learn from (default: all 4000)")
    parser.add_argument("--steps", type=int, default=200, help="of dreaming (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/inside_a_cnn"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()
    if min(args.epochs, args.steps, args.limit) < 1:
        parser.error("--epochs, --steps and --limit must be at least 1")

    minigrad.manual_seed(args.seed)
    digits = mnist5k()
    models = {"convolutions and pooling": pooled(), "convolutions with stride": strided(), "no convolutions": dense()}
    for name, model in tqdm(models.items(), desc="networks", leave=False, disable=None):
        train(model, digits.x_train[: args.limit], digits.y_train[: args.limit], args.epochs, name)
    print(f"{'test digits recognised when moved by':36}" + "".join(f"{s:7} px" for s in (0, 2, 4)))
    for name, model in models.items():
        shares = [accuracy(model, shifted(digits.x_test, s), digits.y_test) for s in (0, 2, 4)]
        print(f"{name:36}" + "".join(f"{share:10.1%}" for share in shares))

    model = models["convolutions and pooling"]
    with minigrad.no_grad():
        right = model(digits.x_test).argmax(1) == digits.y_test
    chosen = [(2 * (digits.y_test == d).int() + right.int()).argmax().item() for d in range(10)]  # right if possible
    images, classes = digits.x_test[chosen], digits.y_test[chosen]
    heat = saliency(model, images, classes)
    cam, local = (grad_cam(model, images, classes, average=average) for average in (True, False))
    near = (F.max_pool2d(images, 5, stride=1, padding=2) > 0.3).squeeze(1)
    print(f"On or beside the strokes, {near.float().mean().item():.0%} of the picture, lies this share of the")
    for name, values in (("saliency", heat), ("Grad-CAM", cam), ("Grad-CAM place by place", local)):
        print(f"    {name}: {((values * near).sum() / values.sum()).item():.0%}")
    dreams = dream(model, minigrad.arange(10), args.steps)
    with minigrad.no_grad():
        sure = model(dreams).softmax(1).diagonal()
    print(f"dreams: the network takes them for what they were to be with {sure.min().item():.1%} confidence or more")

    save_figures(
        args.out,
        kernels=show_kernels(model[0].weight, columns=8, title="The kernels of the first layer"),
        features=draw_features(model, images[3:4]),
        shifts=draw_shifts(models, digits.x_test, digits.y_test),
        saliency=overlay(images, [heat], "Saliency: the gradient of the answer with respect to each pixel"),
        grad_cam=overlay(images, [cam, local], "Grad-CAM, with averaged gradients and with those of each place"),
        dreams=show_images(dreams, list(range(10)), columns=10, size=1.0, cmap="gray_r",
                           title="Dreams: the image that each answer likes best"),
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; nothing was written.")
