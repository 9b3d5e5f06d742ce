"""The DataLoader: batches of a dataset."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, Generic, TypeVar

from .. import random
from .collate import default_collate, default_convert
from .dataset import IterableDataset
from .sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed
from .workers import END, Fetch, Itself, Pool

T_co = TypeVar("T_co", covariant=True)


class DataLoader(Generic[T_co]):
    """Iterates over a dataset in batches.

    The random numbers that are drawn while a batch is made follow from the seed of the epoch and
    the number of the batch, so they are the same with any number of workers. The seed is drawn from
    ``generator`` when an epoch begins, and so is that of a random order.

    :meth:`state_dict` holds the position in the epoch: a loader that it is loaded into goes on with the
    very batches that were still to come.

    Args:
        dataset: has ``__getitem__`` and ``__len__``, or is an :class:`IterableDataset`.
        batch_size: samples per batch; None gives single samples.
        shuffle: visit the samples in a new random order each time.
        sampler: gives the order instead; ``batch_sampler`` gives lists of indices.
        num_workers: how many processes make the batches; with 0 the program makes them itself.
        collate_fn: makes a batch of a list of samples; :func:`default_collate` by default.
        pin_memory: accepted, but without effect: it is about copies to a GPU.
        drop_last: leave out the last batch if it is shorter.
        timeout: how many seconds to wait for a worker's batch before raising RuntimeError; 0 for ever.
        worker_init_fn: called with its number in each worker when that starts.
        multiprocessing_context: how workers are started: "fork", "spawn", "forkserver", a context of
            ``multiprocessing``, or None for the platform's default. Unless they are forked, the dataset
            and the functions must be picklable, and the program needs ``if __name__ == "__main__"``.
        generator: where the random order and the seeds of the workers come from; the default generator
            if None.
        prefetch_factor: how many batches each worker makes in advance; 2 by default.
        persistent_workers: keep the workers, and their copies of the dataset, from one epoch to the next.
        in_order: accepted; batches come in order anyway.

    An exception in a worker is raised again in the program, with the worker's traceback in its message.
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Iterable[Any] | None = None, batch_sampler: Iterable[list[Any]] | None = None,
                 num_workers: int = 0, collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False,
                 drop_last: bool = False, timeout: float = 0, worker_init_fn: Callable[[int], Any] | None = None,
                 multiprocessing_context: Any = None, generator: Any = None, *, prefetch_factor: int | None = None,
                 persistent_workers: bool = False, in_order: bool = True) -> None:  # fmt: skip
        if num_workers < 0 or timeout < 0 or (prefetch_factor is not None and prefetch_factor < 1):
            raise ValueError("DataLoader: num_workers and timeout must be at least 0, prefetch_factor at least 1, got "
                             f"{num_workers}, {timeout} and {prefetch_factor}")  # fmt: skip
        if not num_workers and (prefetch_factor or persistent_workers or multiprocessing_context is not None):
            raise ValueError("DataLoader: prefetch_factor, persistent_workers and multiprocessing_context are for "
                             "num_workers above 0")  # fmt: skip
        self.iterable = isinstance(dataset, IterableDataset)
        if self.iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: an IterableDataset has its own order; shuffle and samplers do not apply")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle exclude each other")
        if batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last):
            raise ValueError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last")
        if batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last needs a batch_size")
        if sampler is None and not self.iterable:
            sampler = RandomSampler(dataset, generator=generator) if shuffle else SequentialSampler(dataset)
        if batch_sampler is not None:
            batch_size = None
        elif batch_size is not None:
            batch_sampler = BatchSampler(() if sampler is None else sampler, batch_size, drop_last)
        self.dataset, self.sampler, self.batch_sampler = dataset, sampler, batch_sampler
        self.batch_size, self.drop_last, self.generator = batch_size, drop_last, generator
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.multiprocessing_context, self.prefetch_factor = multiprocessing_context, prefetch_factor
        self.persistent_workers, self.pin_memory, self.in_order = persistent_workers, pin_memory, in_order
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._pool: Pool | None = None  # of persistent workers
        self._position: _Position | None = None  # in the epoch that was begun last; None when it is complete
        self._resume: dict[str, Any] | None = None  # the state to start from

    def __iter__(self) -> Iterator[T_co]:
        resume, self._resume = self._resume, None
        return _Epoch(self, resume)

    def __len__(self) -> int:
        """The number of batches. That of an iterable dataset follows from the length it states, if it does."""
        if not self.iterable:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        if not hasattr(self.dataset, "__len__"):
            raise TypeError("DataLoader: an IterableDataset has no length unless it defines __len__")
        count, size = len(self.dataset), self.batch_size or 1
        return count // size if self.drop_last else -(-count // size)

    def state_dict(self) -> dict[str, Any]:
        """The position in the epoch and the states of the generators, for :func:`minigrad.save`.

        What else draws from the default generator is not part of it: save :func:`minigrad.get_rng_state` as well.
        """
        if self._resume is not None:
            return dict(self._resume)
        if self._position is not None:
            batches, states = self._position.batches, self._position.generators
        else:
            batches, states = None, [generator.get_state() for generator in self._generators()]
        return {"batches": batches, "generators": states, "made for": self._layout()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iteration go on where ``state_dict`` was taken, with the batches that were still to come.

        The loader must have the same dataset, sampler and ``batch_size``; ``num_workers`` may differ unless
        the dataset is iterable. Such a dataset is run through up to the position.
        """
        if state_dict.get("made for") != self._layout():
            raise ValueError(f"DataLoader.load_state_dict: the state was made for {state_dict.get('made for')}, "
                             f"this loader has {self._layout()}")  # fmt: skip
        self._position, self._resume = None, dict(state_dict)
        if state_dict["batches"] is None:
            self._resume = None
            for generator, state in zip(self._generators(), state_dict["generators"], strict=True):
                generator.set_state(state)

    def _layout(self) -> dict[str, Any]:
        """What must agree for a position to mean the same."""
        return {
            "samples": len(self.dataset) if hasattr(self.dataset, "__len__") else None,
            "batch_size": self.batch_size,
            "iterable workers": self.num_workers if self.iterable else None,
            "generators": len(self._generators()),
        }

    def _generators(self) -> list[random.Generator]:
        """Those given to the loader and to its samplers."""
        owners = (self, self.sampler, self.batch_sampler, getattr(self.batch_sampler, "sampler", None))
        found = (getattr(owner, "generator", None) for owner in owners)
        return list(dict.fromkeys(generator for generator in found if isinstance(generator, random.Generator)))

    def _tasks(self) -> Iterator[Any]:
        """What is to be fetched: a list of indices for each batch, or an index for each sample."""
        if self.iterable:
            return repeat(None)
        return iter(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]

    def _source(self, seed: int) -> Itself | Pool:
        """Who makes the batches."""
        if self._pool is not None and self._pool.close.alive:
            return self._pool
        batched = self.batch_sampler is not None
        fetch = Fetch(self.dataset, self.collate_fn, batched, self.batch_size, self.drop_last)
        if not self.num_workers:
            return Itself(fetch)
        pool = Pool(fetch, self.num_workers, seed, self.multiprocessing_context, self.worker_init_fn,
                    self.prefetch_factor or 2, self.timeout)  # fmt: skip
        if self.persistent_workers:
            self._pool = pool
        return pool


@dataclass
class _Position:
    """How far an epoch has come."""

    generators: list[Any]  # the states with which it began, the default generator's first
    sent: int = 0  # tasks that have been given out
    pending: deque = field(default_factory=deque)  # those of them that await their reply

    @property
    def batches(self) -> int:
        return self.sent - len(self.pending)


class _Epoch:
    """The iterator over the batches of one epoch."""

    def __init__(self, loader: DataLoader, resume: dict[str, Any] | None) -> None:
        self.loader = loader
        generators = [random.default_generator, *loader._generators()]
        now = random.default_generator.get_state()
        if resume is not None:  # draw what was drawn when the epoch began
            for generator, state in zip(generators, resume["generators"], strict=True):
                generator.set_state(state)
        self.position = loader._position = _Position([generator.get_state() for generator in generators])
        try:
            seed = draw_seed(loader.generator)
            self.tasks = enumerate(loader._tasks())
            self.source = loader._source(seed)
            self.position.pending = self.source.start(seed)
            if resume is not None:
                self._skip(resume["batches"])
            if self.source.ahead:
                self._fill()
        finally:
            if resume is not None:  # the program has restored it already, or does not want to
                random.default_generator.set_state(now)

    def _skip(self, batches: int) -> None:
        while self.position.batches < batches:
            if not self.loader.iterable:
                self.position.sent = next(self.tasks, (batches,))[0] + 1
            elif next(self, END) is END:
                break

    def _fill(self) -> None:
        """Give out tasks as far as the workers work ahead."""
        while self.source.more and len(self.position.pending) < self.source.depth:
            task = next(self.tasks, None)
            if task is None:
                break
            self.source.put(*task)
            self.position.sent = task[0] + 1

    def __iter__(self) -> _Epoch:
        return self

    def __next__(self) -> Any:
        if self.position.pending is not self.source.pending:
            raise RuntimeError("DataLoader: another iteration has begun, and took over the persistent workers")
        while True:
            self._fill()
            if not self.position.pending:
                break
            batch = self.source.get()
            if batch is not END:
                if self.source.ahead:
                    self._fill()
                return batch
        if self.loader._position is self.position:
            self.loader._position = None
        if not self.loader.persistent_workers:
            self.source.close()
        raise StopIteration

    def __len__(self) -> int:
        return len(self.loader)
