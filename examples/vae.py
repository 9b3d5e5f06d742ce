"""A network that imagines handwritten digits: a convolutional variational autoencoder (Kingma and Welling, 2013).

    pip install -e '.[examples]'
    python examples/vae.py

The encoder squeezes a digit into a few numbers, the decoder draws it again from these. Because the numbers are kept
close to standard normal ones, the decoder can draw digits that nobody wrote: give it random numbers. The digits come
with minigrad. Written into OUT:

    samples.png           digits that nobody wrote
    reconstructions.png   test digits above, and what comes back below
    between.png           from one test digit to another through the space in between
    curves.png            the loss by epoch
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

try:
    import minigrad.nn.functional as F
    from tqdm import tqdm

    import minigrad
    from minigrad import Tensor, nn, optim
    from minigrad.data import DataLoader, TensorDataset, mnist5k
    from minigrad.viz import plot_history, save_figures, show_images
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None


class VAE(nn.Module):
    """Convolutions that halve the image twice, the code, and transposed convolutions that double it twice."""

    def __init__(self, code: int = 16, width: int = 24) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, kernel_size=4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(width, 2 * width, kernel_size=4, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(2 * width * 7 * 7, 2 * code),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Linear(code, 2 * width * 7 * 7), nn.ReLU(), nn.Unflatten(1, (2 * width, 7, 7)),
            nn.ConvTranspose2d(2 * width, width, kernel_size=4, stride=2, padding=1), nn.ReLU(),
            nn.ConvTranspose2d(width, 1, kernel_size=4, stride=2, padding=1),
        )  # fmt: skip

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance (N, code) of what images (N, 1, 28, 28) may be coded as."""
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, codes: Tensor) -> Tensor:
        """The images (N, 1, 28, 28) of codes (N, code), from 0 to 1."""
        return self.decoder(codes).sigmoid()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The logits of the images drawn again from a random one of their codes, and mean and log variance."""
        mean, log_variance = self.encode(images)
        codes = mean + (log_variance / 2).exp() * minigrad.randn_like(mean)  # random, yet with a gradient
        return self.decoder(codes), mean, log_variance


def elbo_loss(images: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Per image, in nats: how badly it was drawn again, and how far its code is from a standard normal one."""
    drawing = F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
    divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum() / len(images)
    return drawing, divergence


def train(model: VAE, images: Tensor, args: argparse.Namespace) -> dict[str, list[float]]:
    """Both parts of the loss of each epoch."""
    loader = DataLoader(TensorDataset(images), batch_size=args.batch_size, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=args.lr)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(loader))
    history: dict[str, list[float]] = {"drawing loss": [], "code loss": []}
    for epoch in range(args.epochs):
        totals = [0.0, 0.0]
        for (batch,) in tqdm(loader, f"epoch {epoch + 1}/{args.epochs}", leave=False, disable=None):
            parts = elbo_loss(batch, *model(batch))
            optimizer.zero_grad()
            sum(parts).backward()
            optimizer.step()
            schedule.step()
            totals = [total + part.item() * len(batch) for total, part in zip(totals, parts, strict=True)]
        for values, total in zip(history.values(), totals, strict=True):
            values.append(total / len(images))
        print(f"epoch {epoch + 1:2}: " + "  ".join(f"{name} {values[-1]:.1f}" for name, values in history.items()))
    return history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="how often each digit is seen (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=50, help="digits per step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=4e-3, help="the highest learning rate (default: %(default)s)")
    parser.add_argument("--code", type=int, default=16, help="numbers that a digit becomes (default: %(default)s)")
    parser.add_argument("--limit", type=int, default=4000, metavar="N", help="digits to learn from (default: all 4000)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/vae"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()
    if min(args.epochs, args.batch_size, args.code, args.limit) < 1:
        parser.error("--epochs, --batch-size, --code and --limit must be at least 1")

    minigrad.manual_seed(args.seed)
    digits = mnist5k()
    model = VAE(args.code)
    print(model)
    start = time.perf_counter()
    history = train(model, digits.x_train[: args.limit], args)
    with minigrad.no_grad():
        test = sum(elbo_loss(digits.x_test, *model(digits.x_test))).item()
        print(f"{test:.1f} nats per test digit, after {time.perf_counter() - start:.0f} s of training")

        few = minigrad.stack([(digits.y_test == d).nonzero()[0, 0] for d in range(10)])
        means, _ = model.encode(digits.x_test[few])
        steps = minigrad.linspace(0, 1, 10).reshape(-1, 1)
        between = [model.decode(means[a] + steps * (means[b] - means[a])) for a, b in ((0, 6), (1, 7), (3, 8), (4, 9))]
        save_figures(
            args.out,
            samples=show_images(model.decode(minigrad.randn(100, args.code)), columns=20, size=0.55, cmap="gray_r",
                                title="Digits that nobody wrote, from random numbers"),
            reconstructions=show_images(minigrad.cat([digits.x_test[few], model.decode(means)]), columns=10,
                                        size=0.9, cmap="gray_r", title=f"Digits, and what {args.code} numbers keep"),
            between=show_images(minigrad.cat(between), columns=10, size=0.9, cmap="gray_r",
                                title="From one digit to another"),
            curves=plot_history(history),
        )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; nothing was written.")
