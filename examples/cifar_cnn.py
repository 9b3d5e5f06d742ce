"""Classify small colour photos with a CNN: train, save, load and predict on CIFAR-10 or on a stand-in for it.

    pip install -e '.[examples]'
    python examples/cifar_cnn.py                        # a stand-in made of ten photos: no download
    python examples/cifar_cnn.py --data FOLDER          # with cifar-10-batches-py inside; --download fetches it
    python examples/cifar_cnn.py --predict cat.png      # ask the network that was trained last

The stand-in holds 32x32 patches cut from ten photos that come with scikit-image, in exactly the files of CIFAR-10;
the question is which photo a patch was cut from. It is *not* CIFAR-10 and far easier: its accuracies compare with
nothing but themselves. Training and test patches come from different parts of the photos. Written into OUT:

    images.png        images by class
    curves.png        loss and accuracy by epoch
    confusion.png     which class is taken for which
    predictions.png   test images with the answer and its probability
    model.pt          the parameters, what --predict loads
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from pathlib import Path

try:
    import minigrad.nn.functional as F
    import numpy as np
    from matplotlib.figure import Figure
    from PIL import Image
    from tqdm import tqdm

    import minigrad
    from minigrad import Tensor, nn, optim
    from minigrad.data import DataLoader, Subset, transforms
    from minigrad.data.vision import CIFAR10
    from minigrad.viz import confusion_matrix, plot_history, save_figures, show_images
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None

PHOTOS = {"astronaut": "astronaut", "brick": "brick", "cat": "chelsea", "coffee": "coffee", "galaxies":
          "hubble_deep_field", "grass": "grass", "gravel": "gravel", "retina": "retina", "rocket": "rocket",
          "tissue": "immunohistochemistry"}  # fmt: skip


class CNN(nn.Module):
    """Three convolutions, each with ReLU and pooling, then flatten and two linear layers; softmax is in the loss.

    Args:
        channels: 3 for colour, 1 for grey.
        pool: the kind of pooling.
        width: channels of the first convolution.
    """

    def __init__(self, channels: int = 3, pool: type[nn.Module] = nn.MaxPool2d, width: int = 24) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU(), pool(2),
            nn.Conv2d(width, 2 * width, kernel_size=3, padding=1), nn.ReLU(), pool(2),
            nn.Conv2d(2 * width, 2 * width, kernel_size=3, padding=1), nn.ReLU(), pool(2),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(2 * width * 4 * 4, 128), nn.ReLU(), nn.Linear(128, 10)
        )

    def forward(self, images: Tensor) -> Tensor:
        """The logits (N, 10) of images (N, channels, 32, 32)."""
        return self.classifier(self.features(images))


# ------------------------------------------------------------------------------------------------- data


def make_stand_in(root: Path, seed: int = 0) -> Path:
    """Write CIFAR-10's files with patches of ten photos: 5 x 1000 to learn from, 1000 to be tested on.

    Each photo is divided into cells of 64 pixels; a fifth of the cells are for testing. A patch is a square of 32
    to 64 pixels within a cell, scaled to 32.
    """
    folder = root / "cifar-10-batches-py"
    if (folder / "batches.meta").exists():
        return root
    try:
        from skimage import data as photos
    except ModuleNotFoundError:
        raise SystemExit("The stand-in is cut from photos of scikit-image: pip install -e '.[examples]'; "
                         "or give CIFAR-10 itself with --data") from None  # fmt: skip
    random = np.random.default_rng(seed)
    cells: dict[bool, list[list[np.ndarray]]] = {False: [], True: []}
    for name in PHOTOS.values():
        photo = np.asarray(Image.fromarray(getattr(photos, name)()).convert("RGB"))
        parts = [photo[i : i + 64, j : j + 64] for i in range(0, photo.shape[0] - 63, 64)
                 for j in range(0, photo.shape[1] - 63, 64)]  # fmt: skip
        test = random.permutation(len(parts)) < len(parts) / 5
        for kind in (False, True):
            cells[kind].append([part for part, is_test in zip(parts, test, strict=True) if is_test == kind])

    def batch(kind: bool, count: int) -> dict[str, object]:
        labels, rows = random.permutation(np.arange(count) % 10).tolist(), []
        for label in labels:
            part = cells[kind][label][random.integers(len(cells[kind][label]))]
            side = int(random.integers(32, 65))
            i, j = random.integers(0, 65 - side, 2)
            patch = Image.fromarray(part[i : i + side, j : j + side]).resize((32, 32), Image.Resampling.BILINEAR)
            rows.append(np.asarray(patch).transpose(2, 0, 1).reshape(-1))
        return {"data": np.stack(rows), "labels": labels, "batch_label": "stand-in, not CIFAR-10"}

    folder.mkdir(parents=True, exist_ok=True)
    files = {f"data_batch_{i + 1}": batch(False, 1000) for i in range(5)} | {"test_batch": batch(True, 1000)}
    files["batches.meta"] = {"label_names": list(PHOTOS), "num_cases_per_batch": 1000, "num_vis": 3072}
    for name, content in files.items():
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    (root / "README.txt").write_text("Patches of ten photos of scikit-image in CIFAR-10's format: not CIFAR-10.\n")
    return root


def pipeline(gray: bool, train: bool) -> transforms.Compose:
    """What happens to a photo on its way into the network; at random in training, so that no two epochs are alike."""
    augmentation = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
    colours = [transforms.Grayscale()] if gray else []  # 0.299 red + 0.587 green + 0.114 blue
    mean, std = ([0.47], [0.25]) if gray else ([0.49, 0.47, 0.42], [0.25, 0.24, 0.26])
    return transforms.Compose(
        [*(augmentation if train else []), *colours, transforms.ToTensor(), transforms.Normalize(mean, std)]
    )


# --------------------------------------------------------------------------------------------- training


@minigrad.no_grad()
def predict(model: CNN, loader: DataLoader) -> tuple[Tensor, Tensor]:
    """The log-probabilities (N, 10) of all images, and their classes (N,)."""
    model.eval()
    scores, labels = zip(*((F.log_softmax(model(x), dim=1), y) for x, y in loader), strict=True)
    return minigrad.cat(scores), minigrad.cat(labels)


def train(model: CNN, training: DataLoader, test: DataLoader, args: argparse.Namespace) -> dict[str, list[float]]:
    """Train, keep the parameters of the last complete epoch in OUT/model.pt, and return the course of it."""
    optimizer = optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.01)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.epochs * len(training))
    history: dict[str, list[float]] = {}
    for epoch in range(args.epochs):
        model.train()
        total = correct = seen = 0
        with tqdm(training, f"epoch {epoch + 1}/{args.epochs}", leave=False, unit="batch", disable=None) as bar:
            for images, labels in bar:
                logits = model(images)
                loss = F.cross_entropy(logits, labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                seen += len(labels)
                total += loss.item() * len(labels)
                correct += (logits.argmax(1) == labels).sum().item()
                bar.set_postfix(loss=f"{total / seen:.3f}", accuracy=f"{correct / seen:.1%}")
        scores, labels = predict(model, test)
        numbers = {"training loss": total / seen, "test loss": F.nll_loss(scores, labels).item(),
                   "training accuracy": correct / seen,
                   "test accuracy": (scores.argmax(1) == labels).float().mean().item()}  # fmt: skip
        for name, value in numbers.items():
            history.setdefault(name, []).append(value)
        print(f"epoch {epoch + 1:2}: " + "  ".join(f"{name} {value:.3f}" for name, value in numbers.items()))
        minigrad.save({"model": model.state_dict(), "gray": args.gray, "pool": args.pool, "classes": args.classes},
                      args.out / "model.pt")  # fmt: skip
    return history


def load(path: Path) -> tuple[CNN, dict]:
    """The network of a checkpoint, and the rest of what it holds."""
    checkpoint = minigrad.load(path)
    model = CNN(1 if checkpoint["gray"] else 3, POOLS[checkpoint["pool"]])
    model.load_state_dict(checkpoint["model"])
    return model, checkpoint


def answer(args: argparse.Namespace) -> None:
    """Print what the saved network makes of each picture."""
    model, checkpoint = load(args.out / "model.pt")
    for path in args.predict:
        with Image.open(path) as image:
            small = image.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        loader = [(pipeline(checkpoint["gray"], train=False)(small).unsqueeze(0), minigrad.tensor([0]))]
        probabilities = predict(model, loader)[0][0].exp()
        best = probabilities.topk(3)
        text = ", ".join(f"{checkpoint['classes'][i]} {p:.1%}" for p, i in zip(best[0].tolist(), best[1].tolist()))
        print(f"{path}: {text}")


# -------------------------------------------------------------------------------------------- pictures


def draw_images(dataset: CIFAR10, classes: list[str], each: int = 10) -> Figure:
    """A row of images for each class."""
    images, titles = [], []
    for label, name in enumerate(classes):
        chosen = [i for i, target in enumerate(dataset.targets) if target == label][:each]
        images += [dataset.data[i].transpose(2, 0, 1) for i in chosen]
        titles += [name if k == 0 else "" for k in range(len(chosen))]
    return show_images(images, titles, columns=each, size=0.75)


def draw_predictions(scores: Tensor, dataset: CIFAR10, classes: list[str], count: int = 32) -> Figure:
    """Test images with the answer and its probability, and the right one where that is another."""
    titles = []
    for i in range(count):
        guess, label = scores[i].argmax().item(), dataset.targets[i]
        sure = f"{classes[guess]} {scores[i, guess].exp().item():.0%}"
        titles.append(sure if guess == label else f"{sure}\n({classes[label]})")
    return show_images(list(dataset.data[:count].transpose(0, 3, 1, 2)), titles, columns=8, size=1.1,
                       title="Answer and its probability (and what would be right)")


# ---------------------------------------------------------------------------------------- command line

POOLS: dict[str, type[nn.Module]] = {"max": nn.MaxPool2d, "avg": nn.AvgPool2d}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where cifar-10-batches-py is, or is to be")
    parser.add_argument("--download", action="store_true", help="download CIFAR-10 (170 MB) into --data")
    parser.add_argument("--gray", action="store_true", help="weighted grey instead of colour")
    parser.add_argument("--pool", choices=POOLS, default="max", help="kind of pooling (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="how often each image is seen (default: %(default)s)")
    parser.add_argument("--limit", type=int, metavar="N", help="use only N images to learn from and N to test on")
    parser.add_argument("--batch-size", type=int, default=64, help="images per step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=3e-3, help="the highest learning rate (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--predict", type=Path, nargs="+", metavar="IMAGE", help="only ask the network in OUT")
    parser.add_argument("--out", type=Path, default=Path("runs/cifar_cnn"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()
    if min(args.epochs, args.batch_size, args.limit or 1) < 1:
        parser.error("--epochs, --batch-size and --limit must be at least 1")
    if args.download and args.data is None:
        parser.error("--download needs --data FOLDER to download into")
    try:
        if args.predict:
            answer(args)
            return
        root = args.data or make_stand_in(args.out / "stand-in")
        if args.data is None:
            print("Stand-in data: patches of ten photos in CIFAR-10's format. This is not CIFAR-10 (see --help).")
        training = CIFAR10(root, train=True, transform=pipeline(args.gray, train=True), download=args.download)
        test = CIFAR10(root, train=False, transform=pipeline(args.gray, train=False))
    except (OSError, RuntimeError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    args.classes = list(training.classes)

    minigrad.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    model = CNN(1 if args.gray else 3, POOLS[args.pool])
    print(model)
    limit = args.limit or len(training)
    subsets = [Subset(dataset, range(min(limit, len(dataset)))) for dataset in (training, test)]
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(subsets[0]):,} images to learn from")
    loaders = [DataLoader(subset, args.batch_size, shuffle=subset is subsets[0]) for subset in subsets]
    start = time.perf_counter()
    history = train(model, *loaders, args)
    seconds = time.perf_counter() - start

    model, _ = load(args.out / "model.pt")
    scores, labels = predict(model, loaders[1])
    print(f"{(scores.argmax(1) == labels).float().mean().item():.2%} of {len(labels):,} test images right, after "
          f"{seconds:.0f} s of training")  # fmt: skip
    save_figures(
        args.out,
        images=draw_images(training, args.classes),
        curves=plot_history(history),
        confusion=confusion_matrix(labels, scores.argmax(1), args.classes),
        predictions=draw_predictions(scores, test, args.classes, min(32, len(labels))),
    )


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; model.pt, if an epoch was complete, holds its parameters.")
