"""An operation of your own: written, broken on purpose, caught by gradcheck, and repaired.

    pip install -e '.[examples]'
    python examples/custom_op.py

Whatever the operations of minigrad cannot say can be added: a Function says how to compute a result and how the
gradient comes back. Here it is softclip, which is x for small x and bends towards a limit: limit * tanh(x / limit).
Five tempting mistakes are made in its gradient; for each, gradcheck says where it is wrong and what it looks like.
Then the right one is proven, to second order. Written into OUT:

    softclip.png    the function, its gradient, and the wrong gradients
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    from matplotlib.figure import Figure

    import minigrad
    from minigrad import Tensor, gradcheck, gradgradcheck
    from minigrad.autograd import Function
    from minigrad.viz import save_figures
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None


class SoftClip(Function):
    """limit * tanh(x / limit), element by element, of x (N, D) with a limit (D,) for each column."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, limit: Tensor) -> Tensor:
        ctx.save_for_backward(x, limit)
        return limit * (x / limit).tanh()

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        x, limit = ctx.saved_tensors
        bent = (x / limit).tanh()
        slope = 1 - bent**2
        return g * slope, (g * (bent - x / limit * slope)).sum(0)


def broken(backward: Callable[[Tensor, Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]) -> Callable[..., Tensor]:
    """SoftClip with another gradient, given g, x, limit and tanh(x / limit)."""

    class Broken(SoftClip):
        @staticmethod
        def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
            x, limit = ctx.saved_tensors
            return backward(g, x, limit, (x / limit).tanh())

    return Broken.apply


MISTAKES = {
    "the sign is lost": broken(lambda g, x, limit, bent: (
        -g * (1 - bent**2), (g * (bent - x / limit * (1 - bent**2))).sum(0))),
    "a factor too many": broken(lambda g, x, limit, bent: (
        limit[0] * g * (1 - bent**2), (g * (bent - x / limit * (1 - bent**2))).sum(0))),
    "broadcasting not undone": broken(lambda g, x, limit, bent: (
        g * (1 - bent**2), (g * (bent - x / limit * (1 - bent**2)))[0])),
    "the square is forgotten": broken(lambda g, x, limit, bent: (
        g * (1 - bent), (g * (bent - x / limit * (1 - bent))).sum(0))),
    "a term is left out": broken(lambda g, x, limit, bent: (
        g * (1 - bent**2), (g * bent).sum(0))),
}  # fmt: skip


def draw() -> Figure:
    """The function, its gradient with respect to x, and two wrong ones."""
    x, limit = minigrad.linspace(-5, 5, 201).reshape(-1, 1).requires_grad_(), minigrad.tensor([2.0])
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axis = figure.subplots()
    y = SoftClip.apply(x, limit)
    axis.plot(x.detach().numpy(), y.detach().numpy(), color="black", label="softclip, limit 2")
    curves = {"its gradient": SoftClip.apply} | {
        name: MISTAKES[name] for name in ("the sign is lost", "the square is forgotten")
    }
    for name, function in curves.items():
        (gradient,) = minigrad.autograd.grad(function(x, limit).sum(), x)
        style = "-" if name == "its gradient" else "--"
        axis.plot(x.detach().numpy(), gradient.numpy(), style, label=name)
    axis.grid(alpha=0.3)
    axis.legend()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="show the whole report of each mistake")
    parser.add_argument("--out", type=Path, default=Path("runs/custom_op"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()

    minigrad.manual_seed(args.seed)
    x = minigrad.randn(3, 2, dtype=minigrad.float64, requires_grad=True)
    limit = minigrad.tensor([2.0, 0.5], dtype=minigrad.float64, requires_grad=True)
    for name, function in MISTAKES.items():
        print(f"--- {name}")
        try:
            gradcheck(function, (x, limit))
        except RuntimeError as error:
            text = str(error) if args.verbose else str(error).partition("\nRows are")[0]  # without the matrices
            print(f"{text}\n")
        else:
            raise SystemExit("gradcheck found nothing: that would be a mistake of its own")

    gradcheck(SoftClip.apply, (x, limit))
    gradgradcheck(SoftClip.apply, (x, limit))
    print("--- the right gradient\ngradcheck and gradgradcheck: correct")

    save_figures(args.out, softclip=draw())


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
