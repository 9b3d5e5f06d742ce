"""The DataLoader: batches of a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat
from typing import Any, Generic

from .. import random
from .collate import default_collate, default_convert
from .dataset import IterableDataset, T_co
from .sampler import BatchSampler, RandomSampler, SequentialSampler, draw_seed
from .workers import Fetch, Numbered, Pool, batches_made_here


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
        persistent_workers: keep the workers, and their copies of the dataset, from epoch to epoch instead of
            starting new ones. Only one iteration at a time is possible then: the one begun last.
        in_order: accepted; batches come in order anyway.

    An exception in a worker is raised again in the program, with the worker's traceback as a note.
    """

    def __init__(self, dataset: Any, batch_size: int | None = 1, shuffle: bool | None = None,
                 sampler: Iterable[Any] | None = None, batch_sampler: Iterable[list[Any]] | None = None,
                 num_workers: int = 0, collate_fn: Callable[[list[Any]], Any] | None = None, pin_memory: bool = False,
                 drop_last: bool = False, timeout: float = 0, worker_init_fn: Callable[[int], Any] | None = None,
                 multiprocessing_context: Any = None, generator: Any = None, *, prefetch_factor: int | None = None,
                 persistent_workers: bool = False, in_order: bool = True) -> None:  # fmt: skip
        self.iterable = isinstance(dataset, IterableDataset)
        for wrong, why in (
            (num_workers < 0 or timeout < 0, "num_workers and timeout must not be negative"),
            (prefetch_factor is not None and prefetch_factor < 1, "prefetch_factor must be at least 1"),
            (not num_workers and (prefetch_factor or persistent_workers or multiprocessing_context is not None),
             "prefetch_factor, persistent_workers and multiprocessing_context are for num_workers above 0"),
            (self.iterable and (shuffle or sampler is not None or batch_sampler is not None),
             "an IterableDataset has its own order; shuffle and samplers do not apply"),
            (sampler is not None and shuffle, "sampler and shuffle exclude each other"),
            (batch_sampler is not None and (batch_size != 1 or shuffle or sampler is not None or drop_last),
             "batch_sampler excludes batch_size, shuffle, sampler and drop_last"),
            (batch_size is None and drop_last, "drop_last needs a batch_size"),
        ):  # fmt: skip
            if wrong:
                raise ValueError(f"DataLoader: {why}")
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
        self.persistent_workers = persistent_workers
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self._pool: Pool | None = None  # the persistent workers
        self._position: dict[str, Any] | None = None  # in the epoch that was begun last; None when it is complete
        self._resume: dict[str, Any] | None = None  # the position to start from

    def __iter__(self) -> Iterator[T_co]:
        resume, self._resume = self._resume, None
        if resume is None:
            return self._epoch(0)
        with random.seeded(0):  # what is drawn here was drawn when the epoch began: afterwards nothing has changed
            for generator, state in zip(self._generators(), resume["generators"], strict=True):
                generator.set_state(state)
            return self._epoch(resume["batches"])

    def _epoch(self, skip: int) -> Iterator[T_co]:
        """Begin an epoch: all that decides on its batches is drawn here. The first ``skip`` of them are left out."""
        position = {"batches": skip, "generators": [generator.get_state() for generator in self._generators()]}
        seed = draw_seed(self.generator)
        order: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        if self.iterable:
            order = chain(repeat(True, self.num_workers or 1), repeat(False))  # whether to begin anew: see Fetch
        tasks = enumerate(order)
        if not self.iterable:
            next(islice(tasks, skip, skip), None)
        batched = self.batch_sampler is not None
        fetch = Fetch(self.dataset, self.collate_fn, batched, self.batch_size, self.drop_last)
        pool = self._pool if self._pool and self._pool.close.alive else None
        if self.num_workers and pool is None:
            pool = Pool(fetch, self, seed)
            self._pool = pool if self.persistent_workers else None
        batches = pool.begin(tasks, seed) if pool else batches_made_here(fetch, tasks, seed)
        if self.iterable and skip:
            next((number for number, _ in batches if number + 1 == skip), None)
        self._position = position
        return self._counted(batches, position, pool)

    def _counted(self, batches: Numbered, position: dict[str, Any], pool: Pool | None) -> Iterator[T_co]:
        try:
            for number, batch in batches:
                position["batches"] = number + 1
                yield batch
            if self._position is position:
                self._position = None
        finally:
            if pool is not None and pool is not self._pool:
                pool.close()

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
        at_rest = {"batches": None, "generators": [generator.get_state() for generator in self._generators()]}
        return {**(self._resume or self._position or at_rest), "made for": self._layout()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Let the next iteration go on where ``state_dict`` was taken, with the batches that were still to come.

        The loader must have the same dataset, sampler and ``batch_size``; ``num_workers`` may differ unless
        the dataset is iterable. Such a dataset is run through up to the position.
        """
        if state_dict.get("made for") != self._layout():
            raise ValueError(f"DataLoader.load_state_dict: the state was made for {state_dict.get('made for')}, "
                             f"this loader has {self._layout()}")  # fmt: skip
        self._position, self._resume = None, None if state_dict["batches"] is None else state_dict
        if self._resume is None:
            for generator, state in zip(self._generators()[1:], state_dict["generators"][1:], strict=True):
                generator.set_state(state)

    def _layout(self) -> dict[str, Any]:
        """What must agree for a position to mean the same."""
        samples = len(self.dataset) if hasattr(self.dataset, "__len__") else None
        workers = self.num_workers if self.iterable else None
        return {"samples": samples, "batch_size": self.batch_size, "iterable dataset's workers": workers,
                "generators": len(self._generators())}  # fmt: skip

    def _generators(self) -> list[random.Generator]:
        """The default generator, and those given to the loader and to its samplers."""
        owners = (self, self.sampler, self.batch_sampler, getattr(self.batch_sampler, "sampler", None))
        given = dict.fromkeys(getattr(owner, "generator", None) for owner in owners)
        return [random.default_generator, *(part for part in given if isinstance(part, random.Generator))]
