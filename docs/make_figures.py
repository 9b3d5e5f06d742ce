"""Draw the figures of the guide and of the README into docs/images: python docs/make_figures.py

Most are made by the examples, which are run in a temporary folder; it takes a few minutes.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

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
    for example, figures in FIGURES.items():
        with tempfile.TemporaryDirectory() as folder:
            print(f"{example}.py", flush=True)
            command = [sys.executable, EXAMPLES / f"{example}.py", "--out", folder]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            for name, target in figures.items():
                with Image.open(Path(folder, f"{name}.png")) as image:  # 256 colours: a third of the size
                    image.convert("RGB").quantize(256).save(IMAGES / f"{target}.png", optimize=True)


if __name__ == "__main__":
    main()
