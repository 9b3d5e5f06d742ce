"""Handwritten digits with a fully connected network: no convolution, two hidden layers, three lines of forward code.

    pip install -e '.[examples]'
    python examples/mnist_mlp.py

The 5,000 digits come with minigrad: 4,000 to learn from, 1,000 to be tested on. Written into OUT:

    digits.png        some digits to learn from
    curves.png        loss and accuracy by epoch
    predictions.png   test digits with what the network says, and how sure it is: the surest mistakes first
    weights.png       what the first layer looks for
    confusion.png     which digits are taken for which

Compare with examples/mnist_cnn.py, whose convolutions need fewer parameters for fewer mistakes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

try:
    import minigrad.nn.functional as F
    from matplotlib.figure import Figure
    from tqdm import tqdm

    import minigrad
    from minigrad import Tensor, nn, optim
    from minigrad.data import DataLoader, TensorDataset, mnist5k
    from minigrad.viz import confusion_matrix, plot_history, save_figures, show_images, show_kernels
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None


class MLP(nn.Module):
    """784 pixels → hidden → hidden // 2 → 10 logits, with ReLU and dropout between."""

    def __init__(self, hidden: int = 256, dropout: float = 0.3) -> None:
        super().__init__()
        self.first = nn.Linear(28 * 28, hidden)
        self.second = nn.Linear(hidden, hidden // 2)
        self.last = nn.Linear(hidden // 2, 10)
        self.dropout = nn.Dropout(dropout)

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, 10) of images (N, 1, 28, 28)."""
        x = self.dropout(F.relu(self.first(images.flatten(1))))
        x = self.dropout(F.relu(self.second(x)))
        return self.last(x)


def train(model: MLP, args: argparse.Namespace) -> dict[str, list[float]]:
    """Train on 4,000 digits; the loss and the accuracies of each epoch."""
    digits = mnist5k()
    loader = DataLoader(TensorDataset(digits.x_train, digits.y_train), batch_size=args.batch_size, shuffle=True)
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.05)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(loader))
    history: dict[str, list[float]] = {}
    for epoch in range(args.epochs):
        model.train()
        total = correct = 0.0
        for images, labels in tqdm(loader, f"epoch {epoch + 1}/{args.epochs}", leave=False, disable=None):
            logits = model(images)
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels)
            correct += (logits.argmax(1) == labels).sum().item()
        scores = predict(model, digits.x_test)
        numbers = {"training loss": total / len(digits.x_train),
                   "test loss": F.nll_loss(scores, digits.y_test).item(),
                   "training accuracy": correct / len(digits.x_train),
                   "test accuracy": (scores.argmax(1) == digits.y_test).float().mean().item()}  # fmt: skip
        for name, value in numbers.items():
            history.setdefault(name, []).append(value)
        print(f"epoch {epoch + 1:2}: " + "  ".join(f"{name} {value:.3f}" for name, value in numbers.items()))
    return history


@minigrad.no_grad()
def predict(model: MLP, images: Tensor) -> Tensor:
    """The log-probabilities (N, 10) of images."""
    model.eval()
    return F.log_softmax(model(images), dim=1)


def draw_predictions(scores: Tensor, images: Tensor, labels: Tensor, count: int = 24) -> Figure:
    """Test digits with the network's answer and its confidence: first its surest mistakes, then right answers."""
    confidence, answers = scores.exp().max(dim=1)
    wrong = answers != labels
    order = (confidence + wrong.float()).argsort(descending=True)[: count // 2].tolist()
    order += (~wrong).nonzero().flatten()[: count - len(order)].tolist()
    titles = [f"{labels[i].item()} → {answers[i].item()} ({confidence[i].item():.0%})" for i in order]
    title = "Digit → answer (probability given to it): the surest mistakes, then right answers"
    return show_images(images[order], titles, columns=8, title=title, cmap="gray_r")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=15, help="how often each digit is seen (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=50, help="digits per step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=3e-3, help="the highest learning rate (default: %(default)s)")
    parser.add_argument("--hidden", type=int, default=256, help="width of the first layer (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/mnist_mlp"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()
    if min(args.epochs, args.batch_size) < 1 or args.hidden < 2:
        parser.error("--epochs and --batch-size must be at least 1, --hidden at least 2")

    minigrad.manual_seed(args.seed)
    digits = mnist5k()
    model = MLP(args.hidden)
    print(model)
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    start = time.perf_counter()
    history = train(model, args)
    print(f"{history['test accuracy'][-1]:.2%} of {len(digits.y_test):,} test digits right, "
          f"after {time.perf_counter() - start:.0f} s of training")  # fmt: skip

    scores = predict(model, digits.x_test)
    few = minigrad.cat([(digits.y_train == d).nonzero().flatten()[:3] for d in range(10)])
    save_figures(
        args.out,
        digits=show_images(digits.x_train[few], digits.y_train[few].tolist(), columns=15, size=0.7, cmap="gray_r"),
        curves=plot_history(history),
        predictions=draw_predictions(scores, digits.x_test, digits.y_test),
        weights=show_kernels(model.first.weight[:32].reshape(-1, 1, 28, 28), columns=8,
                             title="What the first 32 hidden units look for: ink where red, none where blue"),
        confusion=confusion_matrix(digits.y_test, scores.argmax(1), classes=10),
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; nothing was written.")
