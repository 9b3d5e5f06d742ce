"""What the guard against silent wrong gradients costs: in recording, in backward, and where memory is handed out.

    python benchmarks/guard.py
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

import minigrad
from minigrad import memory, traversal

MEGABYTE = 1 << 18  # float32 elements


def best(function: Callable[[], Any], number: int = 1000, repeat: int = 30) -> float:
    """The shortest time of one call, in microseconds."""
    return min(timeit.repeat(function, number=number, repeat=repeat)) / number * 1e6


def backward(x: Any) -> Callable[[], Any]:
    y = x
    for _ in range(100):
        y = y * x
    arriving = [np.ones_like(x._array)]
    return lambda: traversal.backward([y], arriving, retain_graph=True)


def main() -> None:
    x = minigrad.ones(1).requires_grad_()
    other = np.ones(1, "float32")
    rows = [("multiply two numbers, recorded: nothing exposed", best(lambda: x * x), "us")]
    assert not memory.exposed
    rows.append(("one node of 100 in backward: nothing changed, nothing exposed", best(backward(x), 20) / 100, "us"))
    changed = minigrad.ones(1).add_(1)
    rows.append(("the same, after something was changed in place", best(backward(x), 20) / 100, "us"))
    unrelated = minigrad.from_numpy(other)
    rows.append(("multiply, recorded: unrelated memory exposed", best(lambda: x * x), "us"))
    rows.append(("one node in backward: unrelated memory exposed", best(backward(x), 20) / 100, "us"))
    lent = x.detach().numpy()
    rows.append(("multiply, recorded: its own memory exposed", best(lambda: x * x), "us"))
    rows.append(("one node in backward: its own memory exposed", best(backward(x), 20) / 100, "us"))
    del lent, unrelated, changed

    rows.append((".numpy() of one number, and letting go of it", best(x.detach().numpy), "us"))
    large = minigrad.ones(16 * MEGABYTE)
    rows.append((".numpy() per MB, and letting go of it", best(large.numpy, 1, 10) / 16, "us/MB"))
    rows.append(("checksum per MB, taken when exposed memory is saved and when it is used",
                 best(lambda: memory.checksum(large._array), 1, 10) / 16, "us/MB"))  # fmt: skip
    copied = np.ones(16 * MEGABYTE, "float32")
    rows.append(("for comparison: copying per MB", best(lambda: np.copyto(copied, large._array), 1, 10) / 16, "us/MB"))
    width = max(len(name) for name, _, _ in rows)
    for name, value, unit in rows:
        print(f"{name:{width}}  {value:8.2f} {unit}")


if __name__ == "__main__":
    main()
