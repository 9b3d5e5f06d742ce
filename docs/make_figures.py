"""Draw the figures of the guide and of the README into docs/images: python docs/make_figures.py

Most are made by the examples, which are run in a temporary folder; it takes a few minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

import minigrad as mg
from minigrad.viz import draw_graph

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
EXAMPLES = ROOT / "examples"
FIGURES = {
    "kernel_convolutions": {"photo": "kernels_photo", "learned": "kernels_learned"},
    "mnist_cnn": {"features": "mnist_features", "mistakes": "mnist_mistakes"},
    "inside_a_cnn": {"features": "inside_features", "shifts": "inside_shifts", "grad_cam": "inside_grad_cam"},
    "vae": {"samples": "vae_samples"},
}


def main() -> None:
    a = mg.tensor(2.0, requires_grad=True)
    b = mg.tensor(0.5, requires_grad=True)
    graph = IMAGES / "graph_small.svg"
    draw_graph((a * b).sin() + a, params={"a": a, "b": b}).save(graph)
    graph.write_text(graph.read_text().replace(f"{ROOT}/", ""))  # its lines name where the repository lies
    drawn = BytesIO()
    one_pass().savefig(drawn, dpi=150)
    save(drawn, "machine_code")
    for example, figures in FIGURES.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"{example}.py", flush=True)
            command = [sys.executable, EXAMPLES / f"{example}.py", "--out", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for name, target in figures.items():
                save(Path(folder, f"{name}.png"), target)


def save(source: Any, name: str) -> None:
    """Save a PNG with 256 colours, which takes a third of the size."""
    with Image.open(source) as image:
        image.convert("RGB").quantize(256).save(IMAGES / f"{name}.png", optimize=True)


def one_pass() -> Figure:
    """Sigmoid of 19 numbers: by four calls of NumPy, and by one of machine code, which takes eight at a time."""
    figure = Figure(figsize=(9.6, 4.9), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 96), ylim=(0, 49))
    axes.set_axis_off()
    blue, green, orange, white, grey = "#aec7e8", "#b5dcb0", "#fdcf9b", "white", "#555555"
    numbers = [blue] * 8 + [green] * 8 + [orange] * 3

    def cells(x: float, y: float, colours: list[str], label: str = "") -> None:
        for k, colour in enumerate(colours):
            axes.add_patch(Rectangle((x + 1.4 * k, y), 1.4, 1.8, facecolor=colour, edgecolor=grey))
        text(x - 0.8, y + 0.8, label, ha="right", family="monospace")

    def text(x: float, y: float, words: str, **options: Any) -> None:
        axes.text(x, y, words, **{"va": "center", "fontsize": 9, **options})

    def arrow(x: float, top: float, bottom: float) -> None:
        style = {"arrowstyle": "-|>", "color": grey, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", (x, bottom), (x, top), arrowprops=style)

    text(3, 46.5, "NumPy: a pass over memory for each step", fontsize=11, weight="bold")
    left, top = 12, 40
    steps = {"-x": "np.negative", "exp(-x)": "np.exp", "… + 1": "np.add", "y": "np.divide"}
    cells(left, top, numbers, "x")
    for label, call in steps.items():
        arrow(left + 13.3, top - 0.3, top - 6.9)
        text(left + 14.3, top - 2.9, call, family="monospace")
        text(left + 14.3, top - 4.7, "reads all, writes all", color=grey, fontsize=8)
        top -= 9
        cells(left, top, numbers, label)
        if label != "y":
            text(left, top - 1.4, "interpreter lock", color="#b22222", fontsize=8)
    axes.plot([46, 46], [2, 47.5], color="#cccccc")

    text(49, 46.5, "Machine code: one pass for all steps", fontsize=11, weight="bold")
    left, register = 54, 58
    cells(left, 40, numbers, "x")
    arrow(left + 5.6, 39.7, 35.4)
    text(left + 7, 37.6, "load eight numbers", color=grey, fontsize=8)
    axes.add_patch(FancyBboxPatch((51, 13.2), 40, 21.4, "round,pad=0.4", facecolor="#f6f6f6", edgecolor=grey))
    text(90.6, 33.7, "in registers", color=grey, fontsize=8, ha="right")
    work = {"-x": "vxorps", "exp": "26 instructions", "+ 1": "vfmadd213ps", "1 / …": "vdivps"}
    for k, (label, instruction) in enumerate(work.items()):
        y = 31 - 5.2 * k
        cells(register, y, [blue] * 8, label)
        text(register + 12.6, y + 0.8, instruction, family="monospace")
        if k:
            arrow(register + 5.6, y + 5, y + 2)
    arrow(left + 5.6, 12.6, 6.2)
    text(left + 7, 10.2, "store them; then the next eight", color=grey, fontsize=8)
    cells(left, 4, numbers, "y")
    text(left + 40.4, 7.4, "the last three: under a mask", color=grey, fontsize=8, ha="right")
    cells(left + 29.2, 4, [orange] * 3 + [white] * 5)
    return figure


if __name__ == "__main__":
    main()
