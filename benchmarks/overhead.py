"""What minigrad itself costs, apart from arithmetic: per recorded operation, per node of backward, per import.

    python benchmarks/overhead.py            # with torch beside it where torch is installed

Every pair is measured in turns within one run, on one thread; the ratio is the median of paired ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import timeit
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np

import minigrad


def tiny_mlp(framework: ModuleType, nn: ModuleType) -> Callable[[], None]:
    """One training step of a 64-64-64-1 multilayer perceptron at batch 16: nearly all overhead."""
    framework.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = framework.optim.SGD(model.parameters(), lr=0.01)
    x, y = framework.randn(16, 64), framework.randn(16, 1)

    def step() -> None:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()

    return step


def workloads(framework: ModuleType, nn: ModuleType) -> dict[str, Callable[[], Any]]:
    """The same calls in either framework."""
    a = framework.ones(1, requires_grad=True)
    b = framework.ones(1, requires_grad=True)
    c = framework.ones(1)

    def chain() -> None:
        t = a
        for _ in range(100):
            t = t * b
        t.backward()

    identity, layer, x = nn.Identity(), nn.Linear(4, 4), framework.ones(1, 4)
    return {
        "multiply, size 1, recorded": lambda: a * b,
        "multiply, size 1, not recorded": lambda: c * c,
        "chain of 100 multiplies, forward + backward": chain,
        "Module call (Identity)": lambda: identity(a),
        "Linear(4, 4) forward": lambda: layer(x),
        "tiny MLP training step": tiny_mlp(framework, nn),
    }


def paired(first: Callable, second: Callable | None, rounds: int) -> tuple[float, float | None, float | None]:
    """Median seconds of each, and the median ratio, measured in turns."""
    number = max(1, int(0.02 / max(timeit.timeit(first, number=20) / 20, 1e-7)))
    times: list[tuple[float, float | None]] = []
    for _ in range(rounds):
        a = timeit.timeit(first, number=number) / number
        b = timeit.timeit(second, number=number) / number if second else None
        times.append((a, b))
    first_time = statistics.median(a for a, _ in times)
    if second is None:
        return first_time, None, None
    return first_time, statistics.median(b for _, b in times), statistics.median(a / b for a, b in times)


def import_ratio(rounds: int) -> tuple[float, float, float]:
    """Seconds to import minigrad and numpy in turns, in fresh processes that find both compiled, and the ratio."""
    root = str(Path(minigrad.__file__).parents[1])

    def seconds(statement: str, environment: dict[str, str]) -> float:
        code = f"import time; t = time.perf_counter(); {statement}; print(time.perf_counter() - t)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root,
                              env=environment)  # fmt: skip
        return float(done.stdout)

    with tempfile.TemporaryDirectory() as compiled:
        environment = {**os.environ, "PYTHONPATH": root, "PYTHONPYCACHEPREFIX": compiled}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        seconds("import minigrad", environment)  # compiles it
        pairs = [
            (seconds("import minigrad", environment), seconds("import numpy", environment))
            for _ in range(max(rounds, 9))
        ]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="paired measurements of each row (default 15)")
    parser.add_argument("--no-torch", action="store_true", help="leave torch out even if it is installed")
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    options = parser.parse_args()

    ours = workloads(minigrad, minigrad.nn)
    theirs: dict[str, Callable] = {}
    if not options.no_torch and importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        theirs = workloads(torch, torch.nn)

    one = np.ones(1, np.float32)
    rows: list[tuple[str, float, float | None, float | None]] = [
        ("np.multiply, size 1 (for scale)", paired(lambda: np.multiply(one, one), None, options.rounds)[0], None, None)
    ]
    rows += [(name, *paired(call, theirs.get(name), options.rounds)) for name, call in ours.items()]
    print(f"{'':46}{'minigrad':>12}{'torch':>12}{'ratio':>8}")
    for name, a, b, ratio in rows:
        print(f"{name:46}{a * 1e6:9.2f} us" + (f"{b * 1e6:9.2f} us{ratio:8.2f}" if b and ratio else ""))
    a, b, ratio = import_ratio(options.rounds)
    print(f"{'import (second column: numpy)':46}{a * 1e3:9.1f} ms{b * 1e3:9.1f} ms{ratio:8.2f}")
    folder = Path(minigrad.__file__).parent
    size = sum(f.stat().st_size for d in (folder, folder.parent / "nn") for f in d.rglob("*.py"))
    data = sum(f.stat().st_size for f in folder.rglob("*.npz"))
    print(f"{'installed source':46}{size / 1024:9.0f} KiB (and {data / 1024:.0f} KiB of digits)")
    if options.json:
        options.json.write_text(json.dumps({"rows": rows, "import": (a, b, ratio), "source_bytes": size}, indent=1))


if __name__ == "__main__":
    main()
