"""Several threads at once: modes belong to a thread, and graphs and memory do not get mixed up."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad import autograd, memory


def leaf(*values: float) -> Any:
    return torch.tensor(list(values), dtype=np.float64, requires_grad=True)


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Run the functions in threads of their own, started at the same moment; their results."""
    start = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        start.wait(10)
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result(60) for future in [pool.submit(run, f) for f in functions]]


def test_modes_belong_to_a_thread() -> None:
    inside, checked = threading.Event(), threading.Event()

    def switches_off() -> None:
        with torch.no_grad(), torch.inference_mode(), autograd.detect_anomaly():
            inside.set()
            assert checked.wait(10)

    def looks() -> tuple[bool, bool, bool]:
        assert inside.wait(10)
        seen = torch.is_grad_enabled(), torch.is_inference_mode_enabled(), autograd.is_anomaly_enabled()
        checked.set()
        return seen

    assert together(switches_off, looks)[1] == (True, False, False)
    with torch.no_grad():  # a new thread starts with recording on
        assert together(torch.is_grad_enabled) == [True]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_anomalies_are_looked_for_in_one_thread_only() -> None:
    def looking() -> None:
        with autograd.detect_anomaly():
            for _ in range(200):
                with pytest.raises(RuntimeError, match="detect_anomaly"):
                    leaf(-1.0).sqrt()

    def careless() -> None:
        for _ in range(200):
            assert np.isnan(leaf(-1.0).sqrt().item())

    together(looking, careless)


def train(seed: int, steps: int = 60) -> list[float]:
    rng = np.random.default_rng(seed)
    w = torch.tensor(rng.normal(size=(4, 3)), requires_grad=True)
    x = torch.from_numpy(rng.normal(size=(8, 4)))
    for _ in range(steps):
        loss = ((x @ w).tanh() ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= 0.1 * w.grad
        w.grad = None
        w.detach().numpy().sum()
    return w.flatten().tolist()


def infer(steps: int = 400) -> bool:
    w = leaf(1.0, 2.0)
    for _ in range(steps):
        with torch.no_grad():
            if (w * w).requires_grad or torch.is_grad_enabled():
                return False
        if not (w * w).requires_grad:
            return False
    return True


def test_training_and_inference_at_once() -> None:
    expected = [train(seed) for seed in range(3)]
    results = together(*[lambda seed=seed: train(seed) for seed in range(3)], infer, infer)
    assert results == [*expected, True, True]


def test_a_graph_recorded_in_one_thread_is_differentiated_in_another() -> None:
    x = leaf(2.0)
    y = x * x
    together(lambda: (y * 3).backward())
    assert x.grad.tolist() == [12]


def test_backward_of_graphs_that_share_a_part() -> None:
    x = leaf(2.0)
    shared = x * x
    outputs = [shared * k for k in range(1, 9)]
    found = together(*[lambda y=y: autograd.grad(y, x, retain_graph=True)[0].item() for y in outputs])
    assert found == [4.0 * k for k in range(1, 9)]


def test_the_clock_never_tells_a_time_twice() -> None:
    times = together(*[lambda: [memory.clock() for _ in range(5000)]] * 4)
    flat = [t for ts in times for t in ts]
    assert len(set(flat)) == len(flat)
    assert all(ts == sorted(ts) for ts in times)


def test_one_memory_lent_and_changed_by_several_threads() -> None:
    x = torch.zeros(16, dtype=np.float64)
    key = id(memory.owner(x._array))

    def lends(k: int) -> None:
        for _ in range(300):
            array = x.numpy()
            array[k] += 1
            del array

    together(*[lambda k=k: lends(k) for k in range(4)])
    assert x.tolist()[:4] == [300] * 4
    assert key not in memory.exposed
    w = leaf(*[1.0] * 16)
    y = (w * x).sum()
    together(lambda: lends(0))
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()


def test_a_change_in_another_thread_is_noticed() -> None:
    x = leaf(1.0, 2.0)
    y = (x * x).sum()

    def change() -> None:
        with torch.no_grad():
            x.add_(1)

    together(change)
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
