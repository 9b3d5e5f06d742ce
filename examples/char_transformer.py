"""A small language model that learns to write like a book, letter by letter: a causal transformer, or an LSTM.

    pip install -e '.[examples]'
    python examples/char_transformer.py             # --lstm for the other kind of network

The book is Alice's Adventures in Wonderland (public domain); any other text does as well: --text FILE. The network
sees a stretch of text and says, after each letter, how likely each letter is to come next; its last tenth is never
learned from and measures how good the guesses are. While it learns it writes samples. Written into OUT:

    curves.png      the loss on the text learned from, and on the rest
    surprise.png    a passage it has never seen: the redder a letter, the less it was expected
    samples.txt     what it wrote, from noise to something like English
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

try:
    import minigrad.nn.functional as F
    from matplotlib.figure import Figure
    from tqdm import trange

    import minigrad
    from minigrad import Tensor, nn, optim
    from minigrad.viz import save_figures
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None

BOOK = Path(__file__).with_name("data") / "alice.txt"


class CharTransformer(nn.Module):
    """Letters and their places embedded, layers of causal self-attention, then a score for each letter.

    Args:
        letters: how many different ones there are.
        context: how many letters the network looks back at most.
    """

    def __init__(self, letters: int, context: int, width: int = 96, layers: int = 2, heads: int = 4) -> None:
        super().__init__()
        self.letter = nn.Embedding(letters, width)
        self.place = nn.Embedding(context, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.scores = nn.Linear(width, letters)

    def forward(self, text: Tensor) -> Tensor:
        """The scores (N, T, letters) of what follows each letter of texts (N, T)."""
        length = text.shape[1]
        x = self.letter(text) + self.place(minigrad.arange(length))
        mask = nn.Transformer.generate_square_subsequent_mask(length)  # nobody sees what comes later
        return self.scores(self.layers(x, mask=mask, is_causal=True))


class CharLSTM(nn.Module):
    """Letters embedded, two LSTM layers that carry what matters along, then a score for each letter."""

    def __init__(self, letters: int, width: int = 128) -> None:
        super().__init__()
        self.letter = nn.Embedding(letters, width)
        self.layers = nn.LSTM(width, width, num_layers=2, batch_first=True)
        self.scores = nn.Linear(width, letters)

    def forward(self, text: Tensor) -> Tensor:
        """The scores (N, T, letters) of what follows each letter of texts (N, T)."""
        hidden, _ = self.layers(self.letter(text))
        return self.scores(hidden)


def windows(text: Tensor, count: int, length: int) -> tuple[Tensor, Tensor]:
    """Random stretches (count, length) of a text, and the same moved on by one letter: what to predict."""
    starts = minigrad.randint(0, len(text) - length, (count, 1))
    places = starts + minigrad.arange(length)
    return text[places], text[places + 1]


def mean_loss(model: nn.Module, text: Tensor, length: int) -> float:
    """The cross entropy per letter over a whole text, in nats."""
    model.eval()
    count = (len(text) - 1) // length
    x, y = (text[k : k + count * length].reshape(count, length) for k in (0, 1))
    with minigrad.no_grad():
        losses = [F.cross_entropy(model(x[i : i + 32]).flatten(0, 1), y[i : i + 32].flatten(), reduction="sum").item()
                  for i in range(0, count, 32)]  # fmt: skip
    model.train()
    return sum(losses) / (count * length)


@minigrad.no_grad()
def write(model: nn.Module, start: Tensor, count: int, context: int, temperature: float = 0.8) -> Tensor:
    """Continue a text (T,) by ``count`` letters, each drawn from what the network thinks likely."""
    model.eval()
    text = start.unsqueeze(0)
    for _ in range(count):
        scores = model(text[:, -context:])[0, -1] / temperature
        text = minigrad.cat([text, minigrad.multinomial(scores.softmax(0), 1).unsqueeze(0)], dim=1)
    model.train()
    return text[0]


def draw_curves(steps: list[int], training: list[float], test: list[float]) -> Figure:
    """The loss by step."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.plot(steps, training, ".-", label="learned from")
    axis.plot(steps, test, ".-", label="never seen")
    axis.set(xlabel="step", ylabel="nats per letter", title="cross entropy")
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


@minigrad.no_grad()
def draw_surprise(model: nn.Module, text: Tensor, letters: str, context: int, columns: int = 64) -> Figure:
    """A passage, each letter on a red as strong as it was unexpected after the ``context`` letters before it."""
    model.eval()
    count = min(10 * columns, len(text) - context)
    places = minigrad.arange(count).unsqueeze(1) + minigrad.arange(context)
    chances = minigrad.cat([model(text[some])[:, -1].softmax(1) for some in places.split(32)])
    passage = text[context : context + count]
    surprises = -chances.gather(1, passage.unsqueeze(1)).clamp(min=1e-9).log().flatten()
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(9, 0.5 + 0.26 * rows), layout="constrained")
    axis = figure.subplots()
    axis.set(xlim=(-1, columns + 1), ylim=(rows, -1), title="The redder a letter, the less it was expected")
    axis.axis("off")
    for k, (code, surprise) in enumerate(zip(passage.tolist(), surprises.tolist(), strict=True)):
        rest = max(0.0, 1 - surprise / 6)
        axis.text(k % columns + 0.5, k // columns, letters[code].replace("\n", "¶"), family="monospace", ha="center",
                  va="center", bbox={"facecolor": (1, rest, rest), "edgecolor": "none", "pad": 2.2})
    return figure  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, default=BOOK, metavar="FILE", help="what to learn from (default: Alice)")
    parser.add_argument("--lstm", action="store_true", help="an LSTM instead of a transformer")
    parser.add_argument("--steps", type=int, default=600, help="of training (default: %(default)s)")
    parser.add_argument("--context", type=int, default=64, help="letters to look back (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="stretches per step (default: %(default)s)")
    parser.add_argument("--lr", type=float, default=3e-3, help="the highest learning rate (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=5, help="written while learning (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of all random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/char_transformer"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()
    if min(args.steps, args.context, args.batch_size, args.samples) < 1:
        parser.error("--steps, --context, --batch-size and --samples must be at least 1")
    try:
        book = args.text.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        parser.error(f"--text: {error}")
    if len(book) < 40 * args.context:
        parser.error(f"--text: {len(book)} letters are too few for a context of {args.context}; give 40 times as many")

    minigrad.manual_seed(args.seed)
    letters = "".join(sorted(set(book)))
    codes = {letter: code for code, letter in enumerate(letters)}
    text = minigrad.tensor([codes[letter] for letter in book])
    training, test = text[: len(text) * 9 // 10], text[len(text) * 9 // 10 :]
    model = CharLSTM(len(letters)) if args.lstm else CharTransformer(len(letters), args.context)
    print(f"{type(model).__name__}, {sum(p.numel() for p in model.parameters()):,} parameters; {len(training):,} "
          f"letters to learn from, {len(letters)} different ones")  # fmt: skip
    args.out.mkdir(parents=True, exist_ok=True)

    optimizer = optim.AdamW(model.parameters(), lr=args.lr, betas=(0.9, 0.98))
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, args.lr, total_steps=args.steps, pct_start=0.1)
    pauses = {args.steps * (k + 1) // args.samples for k in range(args.samples)}
    steps, losses, test_losses, samples = [], [], [], []
    since, start = [], time.perf_counter()
    with trange(args.steps, desc="learning", leave=False, disable=None) as bar:
        for step in bar:
            x, y = windows(training, args.batch_size, args.context)
            loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            since.append(loss.item())
            bar.set_postfix(loss=f"{since[-1]:.3f}")
            if step + 1 in pauses:
                steps.append(step + 1)
                losses.append(sum(since) / len(since))
                test_losses.append(mean_loss(model, test, args.context))
                since.clear()
                sample = "".join(letters[code] for code in write(model, test[:1], 160, args.context).tolist())
                samples.append(f"--- step {step + 1}: loss {losses[-1]:.3f}, on unseen text {test_losses[-1]:.3f}")
                samples.append(sample.strip() + "\n")
                bar.write("\n".join(samples[-2:]))
    print(f"{test_losses[-1]:.3f} nats per letter on unseen text, a perplexity of {math.exp(test_losses[-1]):.2f} "
          f"among {len(letters)} letters, after {time.perf_counter() - start:.0f} s")  # fmt: skip
    (args.out / "samples.txt").write_text("\n".join(samples), encoding="utf-8")
    print(f"All samples: {args.out / 'samples.txt'}")
    save_figures(args.out, curves=draw_curves(steps, losses, test_losses),
                 surprise=draw_surprise(model, test, letters, args.context))  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted; nothing was written.")
