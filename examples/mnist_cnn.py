"""Train a small convolutional network on 4,000 handwritten digits, and look at what it has learned.

    pip install -e '.[examples]'
    python examples/mnist_cnn.py

The digits come with minigrad. Every epoch is printed with its loss and accuracies, and the parameters
that did best on 400 digits held back from training are kept in OUT/best.pt. At the end these are
loaded again, tested, and drawn:

    curves.png      loss and accuracy by epoch
    confusion.png   which digits are taken for which
    mistakes.png    the test digits that the network got wrong with the greatest confidence
    kernels.png     the filters of the first layer
    features.png    what both layers make of one digit

Ctrl-C stops after the current batch and leaves OUT/last.pt, from which --resume goes on.
"""

from __future__ import annotations

import argparse
import math
import signal
import sys
import time
from pathlib import Path

try:
    import minigrad.nn.functional as F
    from matplotlib.figure import Figure
    from tqdm import tqdm

    import minigrad
    from minigrad import nn, optim
    from minigrad.data import DataLoader, TensorDataset, mnist5k, random_split
    from minigrad.viz import confusion_matrix, plot_history, save_figures, show_images, show_kernels
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None


class CNN(nn.Module):
    """Two convolutions, each followed by pooling, then two linear layers.

    Args:
        size: height and width of the images.
        width: channels of the first convolution; the second has twice as many, the hidden layer four times.
    """

    def __init__(self, size: int = 28, width: int = 24) -> None:
        super().__init__()
        after = (size // 2 - 4) // 2  # what two poolings and an unpadded 5x5 kernel leave of the size
        self.features = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, kernel_size=5),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(2 * width * after * after, 4 * width),
            nn.ReLU(),
            nn.Linear(4 * width, 10),
        )

    def forward(self, images: minigrad.Tensor) -> minigrad.Tensor:
        """The logits (N, 10) of images (N, 1, size, size)."""
        return self.classifier(self.features(images))


# ------------------------------------------------------------------------------------ training


def distorted(images: minigrad.Tensor, turn: float = 0.2, zoom: float = 0.12, shift: float = 2.0) -> minigrad.Tensor:
    """Each image turned (radians), scaled and moved (pixels) at random by up to so much: new digits for free."""
    count, _, height, width = images.shape

    def up_to(limit: float) -> minigrad.Tensor:
        return limit * (2 * minigrad.rand(count, 1, 1) - 1)  # one number for each image

    angle, scale = up_to(turn), 1 + up_to(zoom)
    y = minigrad.arange(height).reshape(1, -1, 1) - (height - 1) / 2
    x = minigrad.arange(width).reshape(1, 1, -1) - (width - 1) / 2
    # Where each pixel comes from, and how far that is from the pixel above and to the left of it.
    row = scale * (angle.cos() * y - angle.sin() * x) + (height - 1) / 2 + up_to(shift)
    column = scale * (angle.sin() * y + angle.cos() * x) + (width - 1) / 2 + up_to(shift)
    row, column = row.clamp(0, height - 1.001), column.clamp(0, width - 1.001)
    top, left = row.long(), column.long()
    down, right = row - top, column - left

    n, pixels = minigrad.arange(count).reshape(-1, 1, 1), images[:, 0]
    upper = pixels[n, top, left] * (1 - right) + pixels[n, top, left + 1] * right
    lower = pixels[n, top + 1, left] * (1 - right) + pixels[n, top + 1, left + 1] * right
    return (upper * (1 - down) + lower * down).unsqueeze(1)


def schedule(progress: float) -> float:
    """The factor on the learning rate: it rises for a tenth of the training, then falls along a cosine."""
    return progress / 0.1 if progress < 0.1 else (1 + math.cos(math.pi * (progress - 0.1) / 0.9)) / 2


def predict(model: nn.Module, images: minigrad.Tensor) -> minigrad.Tensor:
    """The log-probabilities (N, 10) of images, without recording a graph."""
    model.eval()
    with minigrad.no_grad():
        logits = minigrad.cat([model(batch) for (batch,) in DataLoader(TensorDataset(images), batch_size=250)])
        return F.log_softmax(logits, dim=1)


def evaluate(model: nn.Module, images: minigrad.Tensor, labels: minigrad.Tensor) -> tuple[float, float]:
    """Mean loss and accuracy."""
    log_probabilities = predict(model, images)
    return F.nll_loss(log_probabilities, labels).item(), (log_probabilities.argmax(1) == labels).float().mean().item()


class Stop:
    """Notes the first Ctrl-C, so that training can end after a whole batch; a second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        signal.signal(signal.SIGINT, self.request)

    def request(self, *_: object) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


def train(args: argparse.Namespace) -> None:
    """Train, keep the best parameters, test them and draw."""
    minigrad.manual_seed(args.seed)
    digits = mnist5k()
    count = 512 if args.quick else len(digits.x_train)
    everything = TensorDataset(digits.x_train[:count], digits.y_train[:count])
    training, held_back = random_split(everything, [0.9, 0.1])
    x_valid, y_valid = everything[held_back.indices]
    loader = DataLoader(training, batch_size=args.batch_size, shuffle=True)

    model = CNN()
    optimizer = optim.AdamW(model.parameters(), lr=args.lr)
    history: dict[str, list[float]] = {}
    first = best = 0
    if args.resume:
        checkpoint = minigrad.load(args.resume)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        minigrad.set_rng_state(checkpoint["random"])
        history, first, best = checkpoint["history"], checkpoint["epoch"], checkpoint["best"]
        print(f"Going on from {args.resume}, epoch {first + 1} of {args.epochs}")
    print(model)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(training):,} digits to train on")

    def save(name: str, epoch: int) -> None:
        minigrad.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": epoch, "best": best,
                       "history": history, "random": minigrad.get_rng_state()}, args.out / name)

    stop, start, trained = Stop(), time.perf_counter(), 0
    for epoch in range(first, args.epochs):
        model.train()
        total = correct = seen = 0
        with tqdm(loader, f"epoch {epoch + 1}/{args.epochs}", leave=False, unit="batch", disable=None) as bar:
            for i, (images, labels) in enumerate(bar):
                for group in optimizer.param_groups:
                    group["lr"] = args.lr * schedule((epoch + (i + 1) / len(loader)) / args.epochs)
                logits = model(distorted(images))
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

                total += loss.item() * len(labels)
                correct += (logits.argmax(1) == labels).sum().item()
                seen += len(labels)
                bar.set_postfix(loss=f"{total / seen:.3f}", accuracy=f"{correct / seen:.1%}")
                if stop.requested:
                    break
        trained += seen
        if stop.requested:
            save("last.pt", epoch)
            print(f"Stopped in epoch {epoch + 1}. To go on: --resume {args.out / 'last.pt'}")
            raise SystemExit(130)

        valid_loss, valid_accuracy = evaluate(model, x_valid, y_valid)
        test_loss, test_accuracy = evaluate(model, digits.x_test, digits.y_test)
        values = {"training loss": total / seen, "held-back loss": valid_loss, "test loss": test_loss,
                  "training accuracy": correct / seen, "held-back accuracy": valid_accuracy,
                  "test accuracy": test_accuracy}
        for name, value in values.items():
            history.setdefault(name, []).append(value)
        speed = trained / (time.perf_counter() - start)
        print(f"epoch {epoch + 1:2}: loss {total / seen:.4f}  accuracy {correct / seen:6.2%}  held back "
              f"{valid_accuracy:6.2%}  test {test_accuracy:6.2%}  {speed:,.0f} digits/s")
        if valid_accuracy >= max(history["held-back accuracy"]):  # of equals the last, which took finer steps
            best = epoch + 1
            save("best.pt", epoch + 1)

    checkpoint = minigrad.load(args.out / "best.pt")
    model.load_state_dict(checkpoint["model"])
    _, accuracy = evaluate(model, digits.x_test, digits.y_test)
    print(f"Best parameters, of epoch {checkpoint['best']}: {accuracy:.2%} of {len(digits.y_test):,} test digits "
          f"right, after {time.perf_counter() - start:.0f} s of training")
    draw_all(model, history, digits.x_test, digits.y_test, args.out)


def check() -> None:
    """Compare all gradients of the network, made small, with finite differences."""
    minigrad.manual_seed(0)
    model = CNN(size=12, width=2).double().eval()
    print(model)
    names, values = zip(*model.named_parameters(), strict=True)
    image, label = minigrad.randn(1, 1, 12, 12, dtype=minigrad.float64), minigrad.tensor([3])

    def loss(image: minigrad.Tensor, *values: minigrad.Tensor) -> minigrad.Tensor:
        parameters = dict(zip(names, values, strict=True))
        return F.cross_entropy(nn.utils.stateless.functional_call(model, parameters, image), label)

    for i, name in enumerate(["the image", *names]):
        wanted = [value.detach().requires_grad_(i == j) for j, value in enumerate([image, *values])]
        minigrad.autograd.gradcheck(loss, wanted)
        print(f"gradient with respect to {name} {tuple(wanted[i].shape)}: correct")


# ------------------------------------------------------------------------------------- figures


def draw_all(model: CNN, history: dict[str, list[float]], images: minigrad.Tensor, labels: minigrad.Tensor,
             out: Path) -> None:  # fmt: skip
    """All pictures, as PNG files in the folder ``out``."""
    log_probabilities = predict(model, images)
    guesses = log_probabilities.argmax(1)
    losses = F.nll_loss(log_probabilities, labels, reduction="none")
    worst = [i for i in losses.argsort(descending=True).tolist() if guesses[i] != labels[i]][:20]
    sure = log_probabilities.max(dim=1)[0].exp()
    titles = [f"{labels[i].item()} → {guesses[i].item()}  ({sure[i].item():.0%})" for i in worst]
    save_figures(
        out,
        curves=plot_history(history),
        confusion=confusion_matrix(labels, guesses, classes=10),
        mistakes=show_images(images[worst], titles, columns=5, cmap="gray_r",
                              title="The worst mistakes: digit → answer (probability given to it)"),
        kernels=show_kernels(model.features[0].weight, columns=8, title="The kernels of the first layer"),
        features=draw_features(model, images[labels == 3][:1]),
    )  # fmt: skip


def draw_features(model: CNN, image: minigrad.Tensor) -> Figure:
    """One digit, and the outputs of both convolutions after their ReLU."""
    maps: list[minigrad.Tensor] = []

    def keep(module: nn.Module, args: tuple, output: minigrad.Tensor) -> None:
        maps.append(output[0])

    with model.features[1].register_forward_hook(keep), model.features[4].register_forward_hook(keep):
        predict(model, image)

    figure = Figure(figsize=(10, 4.9), layout="constrained")
    left, middle, right = figure.subfigures(1, 3, width_ratios=(1.6, 4, 8), wspace=0.03)
    axis = left.subplots()
    axis.imshow(image[0, 0].numpy(), cmap="gray_r")
    axis.axis("off")
    axis.set_title("digit")
    for part, channels, columns, title in ((middle, maps[0], 4, "first layer"), (right, maps[1], 8, "second layer")):
        part.suptitle(f"{title}: {len(channels)} maps of {channels.shape[1]}x{channels.shape[2]}")
        axes = part.subplots(len(channels) // columns, columns)
        for axis, channel in zip(axes.flat, channels.numpy(), strict=True):
            axis.imshow(channel, cmap="magma", vmin=0, vmax=float(channels.max()))
            axis.axis("off")
    return figure


# -------------------------------------------------------------------------------- command line


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="how often each digit is seen (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=50, help="digits per step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=5e-3, help="the highest learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_cnn"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="go on from a checkpoint, such as OUT/last.pt")
    parser.add_argument("--quick", action="store_true", help="one epoch on 512 digits, to see that everything works")
    parser.add_argument("--check", action="store_true", help="only prove the network's gradients by finite differences")
    args = parser.parse_args()
    if args.check:
        check()
        return
    if args.quick:
        args.epochs = 1
    if args.epochs < 1 or args.batch_size < 1:
        parser.error("--epochs and --batch-size must be at least 1")
    args.out.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    sys.exit(main())
