"""Datasets: what gives a sample for an index."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from .. import random
from ..engine import TensorBase

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base class: subclasses define ``__getitem__(index)`` and ``__len__()``.

    One that can give several samples faster than one by one also defines ``__getitems__(indices)``, a
    list of samples, or ``__getbatch__(indices)``, what the default collation of those samples would be.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} does not define __getitem__")

    def __add__(self, other: Dataset) -> Dataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base class of datasets that give their samples in an order of their own: they define ``__iter__()``.

    In the worker processes of a loader each has a copy; :func:`get_worker_info` tells it which part to give.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} does not define __iter__")


class TensorDataset(Dataset):
    """Sample i is the tuple of the i-th entries of the tensors along their first dimension."""

    def __init__(self, *tensors: Any) -> None:
        if not tensors or not all(isinstance(t, TensorBase) and t.ndim for t in tensors):
            raise TypeError("TensorDataset: expected one or more Tensors with at least one dimension")
        if len({t.shape[0] for t in tensors}) > 1:
            lengths = ", ".join(str(t.shape[0]) for t in tensors)
            raise ValueError(f"TensorDataset: the tensors have different lengths: {lengths}")
        self.tensors = tensors

    def __len__(self) -> int:
        return self.tensors[0].shape[0]

    def __getitem__(self, index: Any) -> tuple[Any, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getbatch__(self, indices: Sequence[int]) -> list[Any]:
        """The batch of the samples at ``indices``."""
        return [tensor[indices] for tensor in self.tensors]


class Subset(Dataset):
    """The samples of ``dataset`` at ``indices``."""

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.dataset[self.indices[index]]

    @property
    def __getbatch__(self) -> Callable[[Sequence[int]], Any]:
        """The method of the whole dataset, if that has one."""
        of_all = self.dataset.__getbatch__
        return lambda chosen: of_all([self.indices[i] for i in chosen])


class ConcatDataset(Dataset):
    """All samples of several datasets, one dataset after the other."""

    def __init__(self, datasets: Sequence[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: expected at least one dataset")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise TypeError("ConcatDataset: an IterableDataset has no indices")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]
        which = bisect_right(self.cumulative_sizes, index)
        return self.datasets[which][index - (self.cumulative_sizes[which - 1] if which else 0)]


def random_split(dataset: Any, lengths: Sequence[float], generator: Any = None) -> list[Subset]:
    """Divide a dataset at random into subsets of the given lengths, or of fractions that sum to 1."""
    total = len(dataset)
    if math.isclose(sum(lengths), 1) and max(lengths) <= 1:
        sizes = [math.floor(total * fraction) for fraction in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(length) for length in lengths]
    if sum(sizes) != total or min(sizes) < 0:
        raise ValueError(f"random_split: the lengths {list(lengths)} do not sum to the {total} samples, nor to 1")
    order = random.randperm(total, generator=generator).tolist()
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, accumulate(sizes), strict=True)]
