"""Who makes the batches: the program itself, or worker processes.

Each worker is at the other end of a connection of its own, on which it gets tasks and sends one
reply to each, in order. Tasks are dealt out in turn and replies are read in the same turn, so the
batches come in order whatever worker is quicker. A worker whose connection is closed ends: it
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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

import numpy as np

from .. import random
from .collate import default_collate
from .dataset import IterableDataset


class End(Enum):
    """The reply to a task when an iterable dataset has no more samples."""

    END = 0


END = End.END
_PATIENCE = 5.0  # seconds for workers to finish what they are doing when they are no longer needed


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


def batch_seed(seed: int, number: int) -> int:
    """The seed of all random numbers that are drawn while batch ``number`` is made, from that of the epoch.

    So they depend neither on which worker makes it nor on what was made before: any number of
    workers gives the same batches, and so does a loader that goes on in the middle of an epoch.
    """
    return (seed + (number + 1) * 0x9E3779B97F4A7C15) % 2**64


@dataclass
class Fetch:
    """Makes a batch of the samples at some indices; of those that come next, if the dataset is iterable."""

    dataset: Any
    collate: Callable[[Any], Any]
    batched: bool
    batch_size: int | None
    drop_last: bool

    def __post_init__(self) -> None:
        self.samples: Any = None

    def __call__(self, indices: Any) -> Any:
        dataset = self.dataset
        if isinstance(dataset, IterableDataset):
            self.samples = iter(dataset) if self.samples is None else self.samples
            samples = list(islice(self.samples, self.batch_size or 1))
            if not samples or (self.drop_last and len(samples) < (self.batch_size or 1)):
                return END
            return self.collate(samples if self.batched else samples[0])
        try:
            if not self.batched:
                return self.collate(dataset[indices])
            if self.collate is default_collate and hasattr(dataset, "__getbatch__"):
                return dataset.__getbatch__(indices)
            together = getattr(dataset, "__getitems__", None)
            return self.collate(together(indices) if together else [dataset[i] for i in indices])
        except StopIteration as error:  # which would look like the end of the loop
            raise RuntimeError("DataLoader: the dataset raised StopIteration") from error


class Itself:
    """The main process as the only worker, which makes a batch when that is asked for."""

    depth, ahead = 1, False

    def __init__(self, fetch: Fetch) -> None:
        self.fetch = fetch

    def start(self, seed: int) -> deque:
        """Begin an epoch. Returns the queue of the tasks that await their reply."""
        self.seed, self.more = seed, True
        self.pending: deque = deque()
        return self.pending

    def put(self, number: int, indices: Any) -> None:
        """Give a task."""
        self.pending.append((number, indices))

    def get(self) -> Any:
        """The reply to the earliest task: a batch, or END."""
        number, indices = self.pending.popleft()
        with random.seeded(batch_seed(self.seed, number)):
            batch = self.fetch(indices)
        self.more = batch is not END
        return batch

    def close(self) -> None:
        """Nothing is to be done."""


# -------------------------------------------------------------------------- in the worker process


@dataclass
class Failure:
    """An exception in a worker. The exception itself may be impossible to send."""

    kind: type[Exception]
    text: str

    def exception(self) -> Exception:
        """One of the same class with the worker's traceback in its message, or a RuntimeError with that."""
        try:
            return self.kind(_Verbatim(self.text) if issubclass(self.kind, KeyError) else self.text)
        except Exception:  # its class takes other arguments
            return RuntimeError(self.text)


class _Verbatim(str):
    """A KeyError prints the repr of its key."""

    __repr__ = str.__str__


def _failure(error: Exception, worker: int) -> Failure:
    text = f"Caught {type(error).__name__} in DataLoader worker process {worker}.\nOriginal {traceback.format_exc()}"
    kind: type[Exception] = RuntimeError if isinstance(error, StopIteration) else type(error)
    try:
        pickle.dumps(kind)
    except Exception:  # a local class
        kind = RuntimeError
    return Failure(kind, text)


def _packed(reply: Any) -> list[Any]:
    """Its pickle, followed by the memory of its arrays, which is not copied into that."""
    buffers: list[pickle.PickleBuffer] = []
    return [pickle.dumps(reply, 5, buffer_callback=buffers.append), *(buffer.raw() for buffer in buffers)]


def _seed_all(seed: int) -> None:
    random.default_generator.manual_seed(seed)
    python_random.seed(seed)
    np.random.seed(seed % 2**32)


def _send(connection: Connection, replies: SimpleQueue) -> None:
    """Send replies as they come, while the next are made."""
    with suppress(OSError):  # nobody wants them any more
        while True:
            parts = replies.get()
            connection.send([len(part) for part in parts])
            for part in parts:
                connection.send_bytes(part)


def work(connection: Connection, fetch: Fetch, init: Callable[[int], Any] | None, info: WorkerInfo) -> None:
    """The life of a worker process."""
    global _info
    _info = info
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process, which may want a few more batches
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a handler of the program's own is not for its workers
    for inherited in list(_parents_ends):  # by a fork; while these are open, no worker notices that the parent has died
        inherited.close()
    replies: SimpleQueue = SimpleQueue()
    threading.Thread(target=_send, args=(connection, replies), daemon=True).start()
    broken = None
    random.default_generator._numpy = None  # a thread may have held its lock when the parent forked
    _seed_all(info.seed)
    try:
        if init is not None:
            init(info.id)
    except Exception as error:
        broken = _packed(_failure(error, info.id))
    with suppress(EOFError, OSError):  # the parent has closed the connection, or has died
        while True:
            task = connection.recv()
            if task is None:  # an epoch begins
                fetch.samples = None
                continue
            seed, indices = task
            _seed_all(seed)
            try:
                reply = broken or _packed(fetch(indices))
            except Exception as error:
                reply = _packed(_failure(error, info.id))
            replies.put(reply)


# ---------------------------------------------------------------------------- in the main process

_parents_ends: weakref.WeakSet[Connection] = weakref.WeakSet()  # of the connections to all workers


@dataclass
class _Worker:
    id: int
    process: Any
    connection: Connection


class Pool:
    """Worker processes, which make batches ahead of time."""

    ahead = True

    def __init__(self, fetch: Fetch, num_workers: int, seed: int, context: Any, init: Callable[[int], Any] | None,
                 prefetch: int, timeout: float) -> None:  # fmt: skip
        self.workers: list[_Worker] = []
        self.depth, self.timeout = num_workers * prefetch, timeout
        self.close = weakref.finalize(self, _end, self.workers, os.getpid())
        if context is None or isinstance(context, str):
            context = multiprocessing.get_context(context)
        for i in range(num_workers):
            here, there = context.Pipe()
            _parents_ends.add(here)
            info = WorkerInfo(i, num_workers, (seed + i) % 2**64, fetch.dataset)
            process = context.Process(target=work, args=(there, fetch, init, info), daemon=True)
            try:
                process.start()
            except BaseException:
                here.close()
                raise
            finally:
                there.close()
            self.workers.append(_Worker(i, process, here))
        self.pending: deque[_Worker] = deque()

    def start(self, seed: int) -> deque:
        """Begin an epoch. Returns the queue of the tasks that await their reply."""
        while self.pending:  # of an epoch that was left
            self._receive(self.pending.popleft())
        self.seed, self.pending, self.turn = seed, deque(), deque(self.workers)
        for worker in self.workers:
            self._give(worker, None)
        return self.pending

    @property
    def more(self) -> bool:
        """Whether there are workers that have not reached the end of an iterable dataset."""
        return bool(self.turn)

    def put(self, number: int, indices: Any) -> None:
        """Give a task to the worker whose turn it is."""
        self._give(self.turn[0], (batch_seed(self.seed, number), indices))
        self.pending.append(self.turn[0])
        self.turn.rotate(-1)

    def _give(self, worker: _Worker, task: Any) -> None:
        with suppress(OSError):  # that it has died will be found out when its reply is missing
            worker.connection.send(task)

    def get(self) -> Any:
        """The reply to the earliest task: a batch, or END."""
        worker = self.pending[0]
        head, *buffers = self._receive(worker)
        self.pending.popleft()
        reply = pickle.loads(head, buffers=buffers)
        if isinstance(reply, Failure):
            raise reply.exception()
        if reply is END and worker in self.turn:
            self.turn.remove(worker)
        return reply

    def _receive(self, worker: _Worker) -> list[bytearray]:
        connection, process = worker.connection, worker.process
        if not self.close.alive:
            raise RuntimeError("DataLoader: the workers have been stopped after an error; begin a new iteration")
        try:
            if not connection.poll(self.timeout or None):
                raise RuntimeError(f"DataLoader timed out: worker {worker.id} gave no batch in {self.timeout} seconds")
            parts = [bytearray(size) for size in connection.recv()]
            for part in parts:
                connection.recv_bytes_into(part)
            return parts
        except (EOFError, OSError):
            process.join(_PATIENCE)
            code = process.exitcode
            how = f"killed by {signal.Signals(-code).name}" if code and code < 0 else f"exit status {code}"
            hint = "; the system does this when memory runs out" if code == -signal.SIGKILL else ""
            self.close()
            message = f"DataLoader worker {worker.id} (pid {process.pid}) exited unexpectedly: {how}{hint}"
            raise RuntimeError(message) from None
        except BaseException:  # it took too long, or Ctrl-C came, perhaps in the middle of a reply
            for worker in self.workers:
                worker.process.terminate()
            self.close()
            raise


def _end(workers: list[_Worker], parent: int) -> None:
    """Let workers finish the batch that they are at; end those that take long."""
    if os.getpid() != parent:  # in a forked child, whose workers they are not
        return
    for worker in workers:
        worker.connection.close()
    deadline = time.monotonic() + _PATIENCE
    for stop in (lambda process: None, lambda process: process.terminate(), lambda process: process.kill()):
        for worker in workers:
            stop(worker.process)
            worker.process.join(max(0.0, deadline - time.monotonic()))
        deadline += 1
