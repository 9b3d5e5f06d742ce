"""Who makes the batches: the program itself, or worker processes.

Each worker is at the other end of a connection of its own, on which it gets tasks and sends one
reply to each, in order. Tasks are dealt out in turn and replies are read in the same turn, so the
batches come in order whichever worker is quicker. A worker whose connection is closed ends: it
outlives neither the loader nor the program, however that ends.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import random as python_random
import signal
import threading
import time
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import numpy as np

from .. import random
from ..kernels.threads import set_num_threads
from .collate import default_collate
from .dataset import IterableDataset

_PATIENCE = 5.0  # seconds for workers to finish the batch that they are at when they are no longer needed


@dataclass
class WorkerInfo:
    """What a worker process knows of itself.

    ``id`` of ``num_workers``, the ``seed`` that it started with, and its copy of the ``dataset``.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_info: WorkerInfo | None = None  # set in worker processes only


def get_worker_info() -> WorkerInfo | None:
    """The :class:`WorkerInfo` of the worker process that this is called in, None in the main process.

    An :class:`IterableDataset` uses it to give each worker a part of its samples; without that each
    worker gives all of them.
    """
    return _info


class End:
    """Comes itself instead of a batch when an iterable dataset has no more samples."""


@dataclass
class Fetch:
    """Makes a batch of the samples at some indices.

    If the dataset is iterable, it makes one of the samples that come next; the indices say whether to begin anew.
    """

    dataset: Any
    collate: Callable[[Any], Any]
    batched: bool
    batch_size: int | None
    drop_last: bool
    samples: Any = None

    def __call__(self, indices: Any) -> Any:
        dataset = self.dataset
        if isinstance(dataset, IterableDataset):
            self.samples = iter(dataset) if indices else self.samples
            samples = list(islice(self.samples, self.batch_size or 1))
            if not samples or (self.drop_last and len(samples) < (self.batch_size or 1)):
                return End
            return self.collate(samples if self.batched else samples[0])
        if not self.batched:
            return self.collate(dataset[indices])
        if self.collate is default_collate and hasattr(dataset, "__getbatch__"):
            return dataset.__getbatch__(indices)
        together = getattr(dataset, "__getitems__", None)
        return self.collate(together(indices) if together else [dataset[i] for i in indices])


def batch_seed(seed: int, number: int) -> int:
    """The seed of all random numbers that are drawn while batch ``number`` is made, from that of the epoch.

    So they depend neither on which worker makes it nor on what was made before: any number of
    workers gives the same batches, and so does a loader that goes on in the middle of an epoch.
    """
    return (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64


Numbered = Iterator[tuple[int, Any]]


def batches_made_here(fetch: Fetch, tasks: Numbered, seed: int) -> Numbered:
    """The batches for numbered tasks, each made by this process when it is asked for."""
    for number, indices in tasks:
        with random.seeded(batch_seed(seed, number)):
            batch = fetch(indices)
        if batch is End:
            return
        yield number, batch


# -------------------------------------------------------------------------- in the worker process


def _told(error: Exception, worker: int) -> Exception:
    """An exception as the program gets it: with the traceback in the worker as a note."""
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:  # its class takes other arguments, or is local to a function
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    copy.add_note(f"in DataLoader worker process {worker}:\n{traceback.format_exc()}")
    return copy


def _seed_all(seed: int) -> None:
    random.default_generator.manual_seed(seed)
    python_random.seed(seed)
    np.random.seed(seed % 2**32)


def _send(connection: Connection, replies: SimpleQueue) -> None:
    """Send replies as they come, while the next are made."""
    with suppress(OSError):  # nobody wants them any more
        while True:
            connection.send_bytes(replies.get())


def _work(connection: Connection, fetch: Fetch, init: Callable[[int], Any] | None, info: WorkerInfo) -> None:
    """The life of a worker process."""
    global _info
    _info = info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which may want a few more batches
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler of the program's own is not for its workers
    for inherited in list(_parents_ends):  # by a fork; while these are open, no worker notices that the parent has died
        inherited.close()
    set_num_threads(1)  # the cores are for the other workers
    random.default_generator._numpy = None  # a thread may have held its lock when the parent forked
    replies: SimpleQueue = SimpleQueue()
    threading.Thread(target=_send, args=(connection, replies), daemon=True).start()
    _seed_all(info.seed)
    with suppress(EOFError, OSError):  # the parent has closed the connection, or has died
        while True:
            seed, indices = connection.recv()
            try:
                if init is not None:
                    init(info.id)
                    init = None
                _seed_all(seed)
                reply = pickle.dumps(fetch(indices), 5)
            except Exception as error:
                reply = pickle.dumps(_told(error, info.id))
            replies.put(reply)


# ---------------------------------------------------------------------------- in the main process

_parents_ends: weakref.WeakSet[Connection] = weakref.WeakSet()  # of the connections to all workers
_forking = threading.RLock()  # so that no process begins while another thread is opening or closing connections


class Pool:
    """Worker processes, which make batches for numbered tasks."""

    def __init__(self, fetch: Fetch, loader: Any, seed: int) -> None:
        self.timeout, self.ahead = loader.timeout, loader.num_workers * (loader.prefetch_factor or 2)
        self.pending: deque[tuple[int, int]] = deque()  # numbers of tasks without reply, and whose they are
        self.workers: list[tuple[Any, Connection]] = []
        self.close = weakref.finalize(self, _end, self.workers, os.getpid())
        context = loader.multiprocessing_context
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        for i in range(loader.num_workers):
            info = WorkerInfo(i, loader.num_workers, (seed + i) % 2**64, fetch.dataset)
            with _forking:
                here, there = context.Pipe()
                _parents_ends.add(here)
                process = context.Process(target=_work, args=(there, fetch, loader.worker_init_fn, info), daemon=True)
                with there:
                    process.start()
            self.workers.append((process, here))

    def begin(self, tasks: Numbered, seed: int) -> Numbered:
        """The batches for the tasks, in order. They begin to be made at once; what an earlier epoch left is dropped."""
        while self.pending:
            self._receive()
        self.tasks, self.seed = tasks, seed
        self.turn = deque(range(len(self.workers)))
        self._deal(self.ahead)
        return self._batches(tasks)

    def _deal(self, count: int) -> None:
        """Give that many tasks to the workers whose turn it is."""
        for number, indices in islice(self.tasks, count if self.turn else 0):
            worker = self.turn[0]
            with suppress(OSError):  # that it has died will be found out when its reply is missing
                self.workers[worker][1].send((batch_seed(self.seed, number), indices))
            self.pending.append((number, worker))
            self.turn.rotate(-1)

    def _batches(self, tasks: Numbered) -> Numbered:
        while self.pending or self.tasks is not tasks:
            if self.tasks is not tasks:
                raise RuntimeError("DataLoader: its persistent workers make the batches of a later iteration now")
            (number, worker), batch = self.pending[0], pickle.loads(self._receive())
            if batch is End and worker in self.turn:
                self.turn.remove(worker)
            self._deal(1)
            if isinstance(batch, Exception):
                raise batch
            if batch is not End:
                yield number, batch

    def _receive(self) -> bytes:
        """The reply to the earliest task."""
        worker = self.pending[0][1]
        process, connection = self.workers[worker]
        try:
            if not connection.poll(self.timeout or None):
                raise RuntimeError(f"DataLoader timed out: worker {worker} gave no batch in {self.timeout} seconds")
            reply = connection.recv_bytes()
            self.pending.popleft()
            return reply
        except (EOFError, OSError):
            process.join(_PATIENCE)
            code = process.exitcode
            how = f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"exit status {code}"
            how += "; the system does this when memory runs out" * ("SIGKILL" in how)
            self.close()
            raise RuntimeError(f"DataLoader worker {worker} (pid {process.pid}) exited unexpectedly: {how}") from None
        except BaseException:  # it took too long, or Ctrl-C came, perhaps in the middle of a reply
            for process, _ in self.workers:
                process.kill()
            self.close()
            raise


def _end(workers: list[tuple[Any, Connection]], parent: int) -> None:
    """Let workers finish the batch that they are at; end those that take long."""
    if os.getpid() != parent:  # in a forked child, whose workers they are not
        return
    with _forking:
        for _, connection in workers:
            connection.close()
    deadline = time.monotonic() + _PATIENCE
    for process, _ in workers:
        process.join(max(0.0, deadline - time.monotonic()))
        process.kill()
        process.join()
