"""Samplers: in which order a loader visits the samples of a dataset.

Those that draw at random do so when they are iterated, all at once: what is drawn in the course of the
epoch has no influence on its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import islice
from typing import Any, Generic

from .. import dtypes, random
from ..arguments import ntuple
from ..creation import as_tensor
from .dataset import T_co


def draw_seed(generator: Any) -> int:
    """A seed from ``generator``, or from the default generator if that is None."""
    return random.randint(2**63 - 1, size=(), generator=generator).item()


class Sampler(Generic[T_co]):
    """Base class: subclasses define ``__iter__()``, which gives indices, and usually ``__len__()``."""

    def __iter__(self) -> Iterator[Any]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class SequentialSampler(Sampler):
    """All indices in order."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler):
    """Indices in random order: all of them once, or ``num_samples`` of them with ``replacement``."""

    def __init__(self, data_source: Sized, replacement: bool = False, num_samples: int | None = None,
                 generator: Any = None) -> None:  # fmt: skip
        self.data_source, self.replacement, self.generator = data_source, replacement, generator
        self._num_samples = None if num_samples is None else ntuple(num_samples, 1, "RandomSampler", "num_samples")[0]

    @property
    def num_samples(self) -> int:
        """How many indices it gives."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n, count, generator = len(self.data_source), self.num_samples, self.generator
        if self.replacement:
            return iter(random.randint(0, n, (count,), generator=generator).tolist())
        rounds = range(-(-count // max(n, 1)))
        return iter([i for _ in rounds for i in random.randperm(n, generator=generator).tolist()][:count])

    def __len__(self) -> int:
        return self.num_samples


class SubsetRandomSampler(RandomSampler):
    """The given indices in random order, each once."""

    def __init__(self, indices: Sequence[int], generator: Any = None) -> None:
        super().__init__(indices, generator=generator)
        self.indices = indices

    def __iter__(self) -> Iterator[int]:
        return iter([self.indices[i] for i in super().__iter__()])


class WeightedRandomSampler(Sampler):
    """``num_samples`` indices, each drawn with a probability proportional to its weight.

    Without ``replacement`` no index comes twice.
    """

    def __init__(self, weights: Sequence[float], num_samples: int, replacement: bool = True,
                 generator: Any = None) -> None:  # fmt: skip
        self.weights = as_tensor(weights, dtypes.float64)
        if self.weights.ndim != 1:
            raise ValueError(f"WeightedRandomSampler: weights must be a sequence, got shape {self.weights.shape}")
        (self.num_samples,) = ntuple(num_samples, 1, "WeightedRandomSampler", "num_samples", 1)
        self.replacement, self.generator = replacement, generator

    def __iter__(self) -> Iterator[int]:
        chosen = random.multinomial(self.weights, self.num_samples, self.replacement, generator=self.generator)
        return iter(chosen.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler):
    """Lists of ``batch_size`` indices of another sampler; the last may be shorter, or dropped."""

    def __init__(self, sampler: Iterable[Any], batch_size: int, drop_last: bool = False) -> None:
        (self.batch_size,) = ntuple(batch_size, 1, "BatchSampler", "batch_size", 1)
        self.sampler, self.drop_last = sampler, drop_last

    def __iter__(self) -> Iterator[list[Any]]:
        indices = iter(self.sampler)
        while batch := list(islice(indices, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch

    def __len__(self) -> int:
        count = len(self.sampler)  # type: ignore[arg-type]
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)
