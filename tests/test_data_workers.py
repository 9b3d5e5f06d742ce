"""Loaders with worker processes, and loaders that go on in the middle of an epoch."""

from __future__ import annotations

import gc
import io
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
    get_worker_info,
)

ROOT = Path(__file__).parents[1]


class Noisy(Dataset):
    """Samples with random numbers of all three kinds."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"index": index, "noise": mg.rand(2), "python": random.random(), "numpy": np.random.rand()}


class Stream(IterableDataset):
    """Numbers, of which each worker gives its share, with random numbers."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __iter__(self) -> Iterator[tuple[int, float]]:
        info = get_worker_info()
        start, step = (info.id, info.num_workers) if info else (0, 1)
        for i in range(start, self.n, step):
            yield i, mg.rand(()).item()


class Calls(Dataset):
    """What a function makes of each index."""

    def __init__(self, function: Callable[[int], Any], n: int = 12) -> None:
        self.function, self.n = function, n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Any:
        return self.function(index)


def plain(batches: Any) -> list[Any]:
    """Batches as lists of numbers."""
    return [
        {key: part.tolist() for key, part in batch.items()} if isinstance(batch, dict) else [p.tolist() for p in batch]
        for batch in batches
    ]


def no_children_left() -> bool:
    deadline = time.monotonic() + 5
    while multiprocessing.active_children() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not multiprocessing.active_children()


# ----------------------------------------------------------------------------------- same batches


def epochs(num_workers: int, dataset: Any = None, count: int = 2, **options: Any) -> list[Any]:
    mg.manual_seed(7)
    loader = DataLoader(Noisy(17) if dataset is None else dataset, 3, num_workers=num_workers, **options)
    found = [plain(loader) for _ in range(count)]
    del loader
    assert no_children_left()
    return found


def test_the_number_of_workers_changes_nothing() -> None:
    alone = epochs(1, shuffle=True)
    assert alone[0] != alone[1]
    assert epochs(3, shuffle=True) == alone
    assert epochs(2, shuffle=True, prefetch_factor=1) == alone
    here = epochs(0, shuffle=True)  # Python's and NumPy's own generators are the program's here
    for key in ("index", "noise"):
        assert [[batch[key] for batch in epoch] for epoch in here] == [[b[key] for b in epoch] for epoch in alone]
    noise = [n for epoch in alone for batch in epoch for n in batch["python"]]
    assert len(set(noise)) == len(noise)


def test_the_programs_own_random_numbers_are_left_alone() -> None:
    def drawn(num_workers: int) -> list[float]:
        mg.manual_seed(3)
        loader = DataLoader(Noisy(4), 2, num_workers=num_workers)
        return [mg.rand(()).item() for _ in loader]

    assert drawn(0) == drawn(2)


def test_the_generator_decides() -> None:
    def noise(seed: int) -> list[Any]:
        return plain(DataLoader(Noisy(4), 2, num_workers=2, generator=mg.Generator().manual_seed(seed)))

    mg.manual_seed(0)
    first = noise(1)
    assert first == noise(1) != noise(2)


def test_spawned_workers() -> None:
    dataset = TensorDataset(mg.arange(8.0).reshape(4, 2), mg.arange(4))
    loader = DataLoader(dataset, 2, shuffle=True, num_workers=1, multiprocessing_context="spawn", pin_memory=True)
    mg.manual_seed(2)
    spawned = plain(loader)
    mg.manual_seed(2)
    assert plain(DataLoader(dataset, 2, shuffle=True)) == spawned
    context = multiprocessing.get_context("fork")
    assert len(list(DataLoader(dataset, 2, num_workers=1, multiprocessing_context=context))) == 2


def test_batches_of_any_kind_arrive() -> None:
    values = [mg.tensor(3.0), mg.zeros(0, 2), mg.ones(2, 3).T, np.ones((300, 300), "float32"), "text", None, (1, [2])]
    loader = DataLoader(Calls(lambda i: values[i], len(values)), None, num_workers=2)
    for found, wanted in zip(loader, values, strict=True):
        if isinstance(wanted, (mg.Tensor, np.ndarray)):
            np.testing.assert_array_equal(found.numpy(), np.asarray(wanted))
            assert found.dtype == wanted.dtype
            found += 1  # it is not read-only
        else:
            assert found == (list(wanted) if isinstance(wanted, tuple) else wanted)


def test_many_indices_and_large_batches_do_not_block() -> None:
    loader = DataLoader(Calls(lambda i: np.zeros(20, "int64"), 90_000), 30_000, num_workers=1)
    assert [batch.shape for batch in loader] == [(30_000, 20)] * 3


# --------------------------------------------------------------------------------- iterable ones


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_iterable_datasets_are_shared_out(num_workers: int) -> None:
    loader = DataLoader(Stream(20), 3, num_workers=num_workers)
    for _ in range(2):
        assert sorted(i for x, _ in plain(loader) for i in x) == list(range(20))
    del loader
    assert epochs(num_workers, Stream(20)) == epochs(num_workers, Stream(20))


def test_workers_that_end_early_are_passed_over() -> None:
    class Uneven(IterableDataset):
        def __iter__(self) -> Iterator[int]:
            return iter([10 * get_worker_info().id + i for i in range([1, 3, 2][get_worker_info().id])])

    assert list(DataLoader(Uneven(), None, num_workers=3)) == [0, 10, 20, 11, 21, 12]
    assert [b.tolist() for b in DataLoader(Uneven(), 2, num_workers=3, drop_last=True)] == [[10, 11], [20, 21]]


def test_what_a_worker_knows() -> None:
    def number_self(worker: int) -> None:
        info = get_worker_info()
        info.dataset.function = lambda i: (worker, info.id, info.num_workers, info.seed, mg.initial_seed(), os.getpid())

    assert get_worker_info() is None
    assert next(iter(DataLoader(Calls(lambda i: mg.get_num_threads()), None, num_workers=1))) == 1
    loader = DataLoader(Calls(lambda i: i, 6), None, num_workers=3, worker_init_fn=number_self)
    found = list(loader)
    assert [f[:3] for f in found] == [[i % 3, i % 3, 3] for i in range(6)]
    assert [f[3] - found[0][3] for f in found] == [0, 1, 2, 0, 1, 2]
    assert len({f[4] for f in found}) == 6  # each batch has a seed of its own
    assert len({f[5] for f in found} | {os.getpid()}) == 4


# -------------------------------------------------------------------------------- what goes wrong


class Odd(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)


def fail(index: int) -> int:
    if index == 4:
        raise KeyError("four")
    if index == 5:
        raise Odd(5, "five")
    if index == 6:
        raise type("Local", (ValueError,), {})("six")
    return index


@pytest.mark.parametrize(("index", "kind"), [(4, KeyError), (5, RuntimeError), (6, RuntimeError)])
def test_errors_come_with_the_workers_traceback(index: int, kind: type) -> None:
    batches = iter(DataLoader(Calls(fail), sampler=[0, 1, index, 2], num_workers=2))
    assert [next(batches).item(), next(batches).item()] == [0, 1]
    with pytest.raises(kind) as caught:
        next(batches)
    assert ("four", "five", "six")[index - 4] in str(caught.value)
    (note,) = caught.value.__notes__
    assert note.startswith("in DataLoader worker process 0:\nTraceback")
    assert "in fail\n" in note
    assert no_children_left()


def test_errors_that_are_no_batch() -> None:
    def stop(index: int) -> None:
        raise StopIteration

    for workers in (0, 1):
        with pytest.raises(RuntimeError, match="StopIteration"):
            list(DataLoader(Calls(stop), num_workers=workers))
    with pytest.raises(TypeError, match=r"cannot pickle.*lock"):
        list(DataLoader(Calls(lambda i: threading.Lock()), None, num_workers=1))
    with pytest.raises(ZeroDivisionError, match="in DataLoader worker process 1"):
        list(DataLoader(Calls(int), num_workers=2, worker_init_fn=lambda worker: 1 // (1 - worker)))


@pytest.mark.parametrize(
    ("end", "how"),
    [(lambda: os.kill(os.getpid(), signal.SIGKILL), "SIGKILL; .*memory"), (lambda: os._exit(3), "status 3")],
)
def test_a_worker_that_dies_is_named(end: Callable[[], None], how: str) -> None:
    loader = DataLoader(Calls(lambda i: end() if i == 1 else i), num_workers=2)
    with pytest.raises(RuntimeError, match=rf"worker 1 \(pid \d+\) exited unexpectedly: .*{how}"):
        list(loader)
    assert no_children_left()


def test_a_worker_that_takes_too_long() -> None:
    loader = DataLoader(Calls(lambda i: time.sleep(60 * i)), num_workers=2, timeout=0.2, collate_fn=len)
    with pytest.raises(RuntimeError, match=r"timed out: worker 1 gave no batch in 0.2 seconds"):
        list(loader)
    assert no_children_left()


def use_up(loader: DataLoader) -> None:
    for batch in loader:
        assert 1 / (batch["index"] * 0).sum().item()


def test_no_worker_outlives_the_loop() -> None:
    loader = DataLoader(Noisy(40), num_workers=2)
    for _ in loader:
        assert len(multiprocessing.active_children()) == 2
        break
    assert no_children_left()
    with pytest.raises(ZeroDivisionError):
        use_up(loader)
    gc.collect()
    assert no_children_left()
    never_begun = iter(loader)
    del never_begun
    assert no_children_left()
    first, second = iter(loader), iter(loader)
    assert next(first)["index"] == next(second)["index"]
    assert len(multiprocessing.active_children()) == 4
    del first, second
    assert no_children_left()


def test_persistent_workers() -> None:
    for dataset in (Noisy(17), Stream(20)):
        assert epochs(2, dataset, 3, shuffle=None, persistent_workers=True) == epochs(2, dataset, 3)
    loader = DataLoader(Calls(lambda i: (os.getpid(), i)), None, num_workers=2, persistent_workers=True)
    first = iter(loader)
    next(first)
    found = list(loader)  # what was left of the first iteration is dropped
    assert [i for _, i in found] == list(range(12))
    assert {worker for worker, _ in loader} == {worker for worker, _ in found}
    with pytest.raises(RuntimeError, match="batches of a later iteration"):
        next(first)
    del loader, first
    assert no_children_left()


def test_persistent_workers_that_fail() -> None:
    loader = DataLoader(Calls(fail, 9), None, num_workers=2, persistent_workers=True)
    for _ in range(2):
        with pytest.raises(KeyError, match="four"):
            list(loader)
    assert len(multiprocessing.active_children()) == 2
    loader = DataLoader(Calls(lambda i: os.getpid()), None, num_workers=2, persistent_workers=True)
    os.kill(next(iter(loader)), signal.SIGKILL)
    with pytest.raises(RuntimeError, match="exited unexpectedly"):
        list(loader)
    assert len(set(loader)) == 2  # new ones


def test_interrupts_are_for_the_program() -> None:
    loader = DataLoader(Calls(lambda i: os.getpid()), None, num_workers=2)
    workers = set()
    for worker in loader:  # which go on, should the program want to finish what it is at
        workers.add(worker)
        os.kill(worker, signal.SIGINT)
    assert len(workers) == 2


PROGRAM = """
import os, signal, sys, time
from minigrad.data import DataLoader, Dataset

class Slow(Dataset):
    def __len__(self): return 1000
    def __getitem__(self, index):
        time.sleep(0.02)
        return os.getpid()

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background passes on to ignore it
    training = iter(DataLoader(Slow(), 1, num_workers=1))
    pids = {next(training).item()}
    for batch in DataLoader(Slow(), 1, num_workers=2):
        pids.add(batch.item())
        if len(pids) == 3:
            print(*pids, flush=True)
            pids.add(None)
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_the_program(how: int, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen([sys.executable, tmp_path / "program.py"], stdout=subprocess.PIPE, text=True,
                               stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               start_new_session=True)  # fmt: skip
    with process:
        pids = [int(pid) for pid in process.stdout.readline().split()]
        if how == signal.SIGINT:
            os.killpg(process.pid, how)  # as the terminal does
        else:
            process.send_signal(how)
        _, errors = process.communicate(timeout=20)
    assert len(pids) == 3
    assert process.returncode == -how
    if how == signal.SIGINT:
        assert errors.count("Traceback") == errors.count("KeyboardInterrupt") == 1
    deadline = time.monotonic() + 5
    while any(running(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(running(pid) for pid in pids)


def running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_forking_while_other_threads_draw_does_not_hang() -> None:
    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            mg.rand(50).numpy()

    threads = [threading.Thread(target=draw) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            assert len(list(DataLoader(Noisy(4), num_workers=2, timeout=20))) == 4
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_forking_while_another_thread_closes_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    def close(connection: Connection) -> None:
        os.close(connection.fileno())
        time.sleep(0.02)  # closed, but the object does not know yet

    monkeypatch.setattr(Connection, "_close", close)
    batches: list[int] = []
    threads = [threading.Thread(target=lambda: batches.extend(len(list(DataLoader(Noisy(4), num_workers=1, timeout=20)))
                                                              for _ in range(4))) for _ in range(2)]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert batches == [4] * 8


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timeout": -1}, "timeout"),
        ({"prefetch_factor": 2}, "num_workers above 0"),
        ({"prefetch_factor": 0, "num_workers": 1}, "prefetch_factor must be at least 1"),
        ({"persistent_workers": True}, "num_workers above 0"),
        ({"multiprocessing_context": "fork"}, "num_workers above 0"),
        ({"multiprocessing_context": "thread", "num_workers": 1}, "thread"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        iter(DataLoader(Noisy(3), **options))


# ------------------------------------------------------------------------------------ going on


class Lazy(Sampler):
    """As users write them: the order is drawn when the first index is wanted, from the default generator."""

    def __iter__(self) -> Iterator[int]:
        yield from mg.randperm(13).tolist()

    def __len__(self) -> int:
        return 13


def loader_of(kind: str, num_workers: int) -> DataLoader:
    options: dict[str, Any] = {"num_workers": num_workers}
    match kind:
        case "shuffled":
            return DataLoader(Noisy(13), 3, shuffle=True, **options)
        case "with a generator":
            return DataLoader(Noisy(13), 3, shuffle=True, generator=mg.Generator().manual_seed(5), **options)
        case "with replacement":
            sampler = RandomSampler(range(13), True, 16, mg.Generator().manual_seed(6))
            return DataLoader(Noisy(13), 3, sampler=sampler, **options)
        case "weighted":
            return DataLoader(Noisy(13), 3, sampler=WeightedRandomSampler(range(13), 16), **options)
        case "lazy":
            return DataLoader(Noisy(13), 3, sampler=Lazy(), **options)
    return DataLoader(Stream(13), 3, **options)


KINDS = ["shuffled", "with a generator", "with replacement", "weighted", "lazy", "iterable"]


def train(loader: DataLoader, seen: list[Any], first: int = 0, stop_at: int | None = None) -> Any:
    """A training of three epochs that draws random numbers itself. Returns its checkpoint after so many batches."""
    for epoch in range(first, 3):
        for batch in loader:
            kept = {k: v for k, v in batch.items() if k in ("index", "noise")} if isinstance(batch, dict) else batch
            seen.append([plain([kept]), mg.rand(()).item()])
            if len(seen) == stop_at:
                file = io.BytesIO()
                mg.save({"loader": loader.state_dict(), "random": mg.get_rng_state(), "epoch": epoch}, file)
                file.seek(0)
                return mg.load(file)
    return None


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=3)
@given(stop_at=st.integers(1, 12), before=st.sampled_from([0, 2]), after=st.sampled_from([0, 2, 3]))
def test_a_resumed_loader_gives_the_same_batches(kind: str, stop_at: int, before: int, after: int) -> None:
    mg.manual_seed(1)
    whole: list[Any] = []
    train(loader_of(kind, before), whole)
    mg.manual_seed(1)
    seen: list[Any] = []
    checkpoint = train(loader_of(kind, before), seen, 0, stop_at)
    mg.manual_seed(99)
    loader = loader_of(kind, before if kind == "iterable" else after)  # there each worker has its own share
    loader.load_state_dict(checkpoint["loader"])
    assert str(loader.state_dict()) == str(checkpoint["loader"])
    mg.set_rng_state(checkpoint["random"])
    train(loader, seen, checkpoint["epoch"])
    assert seen == whole


def test_between_epochs_only_the_generators_matter() -> None:
    loader = loader_of("with a generator", 0)
    list(loader)
    state = loader.state_dict()
    assert state["batches"] is None
    following = plain(loader)
    fresh = loader_of("with a generator", 2)
    fresh.load_state_dict(state)
    assert [batch["index"] for batch in plain(fresh)] == [batch["index"] for batch in following]
    for i, _ in enumerate(loader):
        if i == 1:
            break
    assert loader.state_dict()["batches"] == 2
    assert [len(plain(loader)) for _ in range(2)] == [5, 5]  # leaving an epoch is not going on with it


def test_a_position_of_another_loader_is_refused() -> None:
    state = DataLoader(Noisy(6), 2).state_dict()
    for other in (DataLoader(Noisy(7), 2), DataLoader(Noisy(6), 3), DataLoader(Stream(6), 2)):
        with pytest.raises(ValueError, match=r"the state was made for .*'samples': 6.* this loader has"):
            other.load_state_dict(state)
