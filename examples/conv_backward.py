"""The gradient of a convolution, twice: by hand in plain loops, and by traversing the graph.

    pip install -e '.[examples]'
    python examples/conv_backward.py

Backpropagation through a convolution is three questions, each answered by a loop that can be read aloud: how does
the loss change with the bias, with the kernel, and with the input? The answers are compared with what
loss.backward() finds, and the graph that it traversed is drawn. Written into OUT:

    graph.html      the graph, to explore in a browser (graph.png too where Graphviz is installed)
    gradients.png   the gradients by hand, by the graph, and their difference
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

try:
    import minigrad.nn.functional as F
    import numpy as np
    from matplotlib.figure import Figure

    import minigrad
    from minigrad.viz import draw_graph, save_figures
except ModuleNotFoundError as error:
    raise SystemExit(f"This example needs {error.name}, which is not installed: pip install -e '.[examples]'") from None


def forward(x: np.ndarray, w: np.ndarray, b: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """The convolution itself.

    Args:
        x: (N, C, H, W); w: (K, C, k, k); b: (K,).
    """
    N, _, H, W = x.shape
    K, _, k, _ = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = (H + 2 * padding - k) // stride + 1, (W + 2 * padding - k) // stride + 1
    y = np.zeros((N, K, rows, columns))
    for n in range(N):
        for o in range(K):
            for i in range(rows):
                for j in range(columns):
                    window = padded[n, :, i * stride : i * stride + k, j * stride : j * stride + k]  # (C, k, k)
                    y[n, o, i, j] = (window * w[o]).sum() + b[o]
    return y


def backward(g: np.ndarray, x: np.ndarray, w: np.ndarray, stride: int, padding: int) -> tuple[np.ndarray, ...]:
    """The gradients of the loss with respect to input, kernel and bias, given ``g``, that of the output.

    The loops are those of the forward pass. Where it says ``y += window * w``, the product rule gives two lines:
    each window passes ``w * g`` on to the input, and ``window * g`` to the kernel.
    """
    N, _, H, W = x.shape
    K, _, k, _ = w.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    padded_gradient, w_gradient, b_gradient = np.zeros_like(padded), np.zeros_like(w), np.zeros(K)
    for n in range(N):
        for o in range(K):
            for i in range(g.shape[2]):
                for j in range(g.shape[3]):
                    rows, columns = slice(i * stride, i * stride + k), slice(j * stride, j * stride + k)
                    padded_gradient[n, :, rows, columns] += w[o] * g[n, o, i, j]
                    w_gradient[o] += padded[n, :, rows, columns] * g[n, o, i, j]
                    b_gradient[o] += g[n, o, i, j]
    x_gradient = padded_gradient[:, :, padding : padding + H, padding : padding + W]  # what fell on the padding is lost
    return x_gradient, w_gradient, b_gradient


def draw(by_hand: dict[str, np.ndarray], by_graph: dict[str, np.ndarray]) -> Figure:
    """One row for each gradient: by hand, by the graph, and the difference."""
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    for row, name in zip(figure.subplots(3, 3), by_hand, strict=True):
        a, b = (gradient[name].reshape(-1, gradient[name].shape[-1]) for gradient in (by_hand, by_graph))
        largest = abs(a).max()
        for axis, picture, title in zip(row, (a, b, a - b), ("by hand", "by the graph", "difference"), strict=True):
            axis.imshow(picture, cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
            axis.set(title=f"{name} {by_hand[name].shape}, {title}", xticks=[], yticks=[])
        row[2].set_title(f"difference: at most {abs(a - b).max():.1e}")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=2, help="images (default: %(default)s)")
    parser.add_argument("--channels", type=int, default=3, help="of the input (default: %(default)s)")
    parser.add_argument("--kernels", type=int, default=4, help="channels of the output (default: %(default)s)")
    parser.add_argument("--size", type=int, default=9, help="height and width of the input (default: %(default)s)")
    parser.add_argument("--kernel-size", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--stride", type=int, default=2, help="(default: %(default)s)")
    parser.add_argument("--padding", type=int, default=1, help="(default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/conv_backward"), metavar="FOLDER",
                        help="where to write (default: %(default)s)")  # fmt: skip
    args = parser.parse_args()
    sizes = (args.batch, args.channels, args.kernels, args.size, args.kernel_size, args.stride)
    if min(sizes) < 1 or args.padding < 0 or args.kernel_size > args.size + 2 * args.padding:
        parser.error("sizes must be at least 1, --padding at least 0, and the kernel must fit into the padded input")

    minigrad.manual_seed(args.seed)
    options = {"dtype": minigrad.float64, "requires_grad": True}
    x = minigrad.randn(args.batch, args.channels, args.size, args.size, **options)
    w = minigrad.randn(args.kernels, args.channels, args.kernel_size, args.kernel_size, **options)
    b = minigrad.randn(args.kernels, **options)

    y = F.conv2d(x, w, b, stride=args.stride, padding=args.padding)
    loss = (y**2).sum() / 2
    graph = draw_graph(loss, params={"x": x, "w": w, "b": b})
    loss.backward()

    values = [tensor.detach().numpy() for tensor in (x, w, b)]
    y_by_hand = forward(*values, args.stride, args.padding)
    gradients = backward(y_by_hand, *values[:2], args.stride, args.padding)  # the gradient of y² / 2 is y
    by_hand = dict(zip(("input", "kernel", "bias"), gradients, strict=True))
    by_graph = {name: t.grad.numpy() for name, t in zip(by_hand, (x, w, b), strict=True)}

    print(f"conv2d of {tuple(x.shape)} with {tuple(w.shape)}, stride {args.stride}, padding {args.padding}")
    print(f"{'output':7} {y_by_hand.shape!s:16} differs by at most {abs(y_by_hand - y.detach().numpy()).max():.1e}")
    differences = {name: abs(by_hand[name] - by_graph[name]).max() for name in by_hand}
    for name, difference in differences.items():
        print(f"{name:7} {by_hand[name].shape!s:16} gradients differ by at most {difference:.1e}")

    save_figures(args.out, gradients=draw(by_hand, by_graph))
    endings = ("html", "png") if shutil.which("dot") else ("html",)
    print("The graph:", *(graph.save(args.out / f"graph.{ending}") for ending in endings))
    scale = max(abs(gradient).max() for gradient in by_hand.values())
    if max(differences.values()) > 1e-10 * max(1, scale):
        raise SystemExit("The two ways disagree: one of them is wrong.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("Interrupted.")
