"""Datasets, samplers and loaders."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    mnist5k,
    random_split,
)


class Squares(Dataset):
    """Pairs of a number and its square."""

    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, float(index**2)


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Any]:
        return iter(range(7))


def pairs(n: int) -> TensorDataset:
    return TensorDataset(mg.arange(2 * n).reshape(n, 2).float(), mg.arange(n))


@given(st.integers(0, 12), st.integers(1, 5), st.booleans(), st.booleans())
def test_each_sample_is_visited_once(n: int, batch_size: int, shuffle: bool, drop_last: bool) -> None:
    for dataset in (Squares(n), TensorDataset(mg.arange(n), mg.arange(n).float() ** 2)):
        loader = DataLoader(dataset, batch_size, shuffle, drop_last=drop_last)
        batches = list(loader)
        assert len(batches) == len(loader)
        assert all(isinstance(batch, list) and len(batch[0]) == batch_size for batch in batches[:-1])
        seen = [i for x, _ in batches for i in x.tolist()]
        expected = n - n % batch_size if drop_last else n
        assert len(set(seen)) == len(seen) == expected
        assert shuffle or seen == list(range(expected))
        assert [s for _, y in batches for s in y.tolist()] == [i * i for i in seen]


def test_shuffling_differs_each_time_and_follows_the_seed() -> None:
    loader = DataLoader(pairs(50), batch_size=50, shuffle=True, generator=mg.Generator().manual_seed(1))
    first, second = (next(iter(loader))[1].tolist() for _ in range(2))
    assert first != second
    loader = DataLoader(pairs(50), batch_size=50, shuffle=True, generator=mg.Generator().manual_seed(1))
    assert next(iter(loader))[1].tolist() == first
    mg.manual_seed(4)
    orders = [list(RandomSampler(range(20))) for _ in range(2)]
    mg.manual_seed(4)
    assert [list(RandomSampler(range(20))) for _ in range(2)] == orders


def test_tensor_batches_are_those_of_single_samples() -> None:
    dataset = pairs(5)
    fast = DataLoader(dataset, 2)
    slow = DataLoader([dataset[i] for i in range(5)], 2)
    for (a, b), (c, d) in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
        assert a.dtype == c.dtype
    assert all(isinstance(part, mg.Tensor) for part in dataset[3])
    assert [part.shape for part in dataset[1:3]] == [(2, 2), (2,)]


def test_samplers_and_batches_of_ones_own() -> None:
    dataset = pairs(6)
    assert [y.tolist() for _, y in DataLoader(dataset, 2, sampler=[5, 3, 1])] == [[5, 3], [1]]
    assert [y.tolist() for _, y in DataLoader(dataset, batch_sampler=[[0, 2], [5]])] == [[0, 2], [5]]
    assert [y.tolist() for _, y in DataLoader(dataset, None)] == list(range(6))
    assert len(DataLoader(dataset, None)) == 6
    assert list(DataLoader(Squares(2), None, collate_fn=lambda sample: sample[1])) == [0, 1]
    assert list(DataLoader(Squares(3), 2, collate_fn=len)) == [2, 1]
    assert list(BatchSampler(SequentialSampler(range(5)), 2, True)) == [[0, 1], [2, 3]]
    chosen = list(RandomSampler(range(3), replacement=True, num_samples=50))
    assert len(chosen) == 50
    assert set(chosen) == {0, 1, 2}
    assert len(list(RandomSampler(range(3), num_samples=7))) == len(RandomSampler(range(3), num_samples=7)) == 7
    assert list(RandomSampler([])) == []


def test_random_samplers() -> None:
    for sampler in (SubsetRandomSampler([4, 5, 9, 2]), SubsetRandomSampler([4, 5, 9, 2], mg.Generator())):
        orders = [list(sampler) for _ in range(20)]
        assert len({tuple(order) for order in orders}) > 5
        assert all(sorted(order) == [2, 4, 5, 9] for order in orders)
        assert len(sampler) == 4
    mg.manual_seed(0)
    drawn = list(WeightedRandomSampler([0, 1, 3], 4000))
    assert drawn.count(0) == 0
    assert 0.7 < drawn.count(2) / 4000 < 0.8
    assert sorted(WeightedRandomSampler(mg.tensor([1.0, 2, 3]), 3, replacement=False)) == [0, 1, 2]
    growing = [0]
    sampler = RandomSampler(growing)
    growing.append(1)
    assert sorted(sampler) == [0, 1]
    with pytest.raises(NotImplementedError, match="Sampler does not define __iter__"):
        iter(Sampler())
    with pytest.raises(ValueError, match="WeightedRandomSampler: num_samples must be at least 1, got 0"):
        WeightedRandomSampler([1], 0)
    with pytest.raises(ValueError, match=r"weights must be a sequence, got shape \(1, 1\)"):
        WeightedRandomSampler([[1.0]], 1)


def test_a_sampler_draws_when_its_pass_begins() -> None:
    for sampler in (RandomSampler(range(9), num_samples=30), SubsetRandomSampler(range(9)),
                    WeightedRandomSampler([1] * 9, 9), RandomSampler(range(9), replacement=True)):  # fmt: skip
        mg.manual_seed(1)
        expected = list(sampler)
        mg.manual_seed(1)
        indices = iter(sampler)
        assert [(next(indices), mg.rand(1))[0] for _ in expected] == expected


def test_datasets_that_give_several_samples_at_once() -> None:
    class Several(Squares):
        def __getitems__(self, indices: list[int]) -> list[Any]:
            asked.append(indices)
            return [self[i] for i in indices]

    asked: list[list[int]] = []
    assert [x.tolist() for x, _ in DataLoader(Several(5), 2)] == [[0, 1], [2, 3], [4]]
    assert asked == [[0, 1], [2, 3], [4]]

    class Small(Dataset[int]):
        batch = 32  # is the user's own

        def __getitem__(self, index: int) -> int:
            return index

    assert list(DataLoader(Small(), sampler=[1, 2], collate_fn=list)) == [[1], [2]]


def test_iterable_datasets() -> None:
    assert [batch.tolist() for batch in DataLoader(Stream(), 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [batch.tolist() for batch in DataLoader(Stream(), 3, drop_last=True)] == [[0, 1, 2], [3, 4, 5]]
    assert list(DataLoader(Stream(), None)) == list(range(7))

    class Counted(Stream):
        def __len__(self) -> int:
            return 7

    assert [len(DataLoader(Counted(), 3, drop_last=drop)) for drop in (False, True)] == [3, 2]
    with pytest.raises(TypeError, match="an IterableDataset has no indices"):
        Stream() + Stream()
    with pytest.raises(NotImplementedError, match="__iter__"):
        iter(IterableDataset())
    with pytest.raises(NotImplementedError, match="__getitem__"):
        Dataset()[0]


def test_collating() -> None:
    point = namedtuple("point", "x y")
    samples = [{"image": np.full((2, 2), i, "float32"), "label": i, "name": f"n{i}", "point": point(i, [0.5, i > 0])}
               for i in range(2)]  # fmt: skip
    batch = default_collate(samples)
    assert batch["image"].shape == (2, 2, 2)
    assert batch["image"].dtype == mg.float32
    assert batch["label"].dtype == mg.int64
    assert batch["name"] == ["n0", "n1"]
    assert batch["point"].x.tolist() == [0, 1]
    assert batch["point"].y[0].tolist() == [0.5, 0.5]
    assert batch["point"].y[1].dtype == mg.bool
    assert default_collate([mg.ones(2), mg.zeros(2)]).tolist() == [[1, 1], [0, 0]]
    assert default_collate([np.float64(1), np.float64(2)]).dtype == mg.float64
    assert default_collate([b"a", b"b"]) == [b"a", b"b"]
    assert default_collate([0.5, 1.5]).dtype == mg.float64
    assert default_collate([True, False]).dtype == mg.bool
    with pytest.raises(ValueError, match=r"stack: all .* \(2,\) and \(3,\); give the DataLoader"):
        default_collate([np.ones(2), np.ones(3)])
    with pytest.raises(TypeError, match="ndarray; give the DataLoader a collate_fn"):
        default_collate([np.array(["text"])])


def test_single_samples_become_tensors() -> None:
    point = namedtuple("point", "x y")
    sample = default_convert({"a": (np.float32(1), "text"), "b": point(np.ones(2), 3), "c": np.array(["text"])})
    assert sample["a"][0].dtype == mg.float32
    assert sample["a"][1] == "text"
    assert isinstance(sample["b"], point)
    assert isinstance(sample["b"].x, mg.Tensor)
    assert isinstance(sample["c"], np.ndarray)


def test_parts_of_datasets() -> None:
    dataset = pairs(10)
    part = Subset(dataset, [7, 1, 3])
    assert len(part) == 3
    assert part[0][1] == 7
    assert [y.tolist() for _, y in DataLoader(part, 2)] == [[7, 1], [3]]
    assert [y.tolist() for _, y in DataLoader(Subset(part, [2, 0]), 2)] == [[3, 7]]
    whole = dataset + Squares(4)
    assert isinstance(whole, ConcatDataset)
    assert len(whole) == 14
    assert whole[9][1] == 9
    assert whole[13] == whole[-1] == (3, 9.0)
    with pytest.raises(IndexError, match="index out of range"):
        whole[14]
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])


@given(st.integers(0, 30), st.integers(0, 5))
def test_random_split(n: int, seed: int) -> None:
    parts = random_split(range(n), [0.5, 0.3, 0.2], generator=mg.Generator().manual_seed(seed))
    assert sorted(i for part in parts for i in part.indices) == list(range(n))
    assert all(abs(len(part) - share * n) <= 1 for part, share in zip(parts, (0.5, 0.3, 0.2), strict=True))
    parts = random_split(range(n), [n, 0])
    assert [len(part) for part in parts] == [n, 0]


def test_the_digits() -> None:
    digits = mnist5k()
    assert digits.x_train.shape == (4000, 1, 28, 28)
    assert digits.x_test.shape == (1000, 1, 28, 28)
    assert digits.x_train.dtype == mg.float32
    assert digits.y_train.dtype == mg.int64
    assert (digits.x_train.min().item(), digits.x_train.max().item()) == (0, 1)
    for labels, count in ((digits.y_train, 400), (digits.y_test, 100)):
        assert np.bincount(labels.numpy()).tolist() == [count] * 10
    # They are digits: those of a class look more alike than those of two.
    means = [digits.x_train[digits.y_train == c].mean(0) for c in range(10)]
    closest = mg.stack([((digits.x_test - mean) ** 2).sum((1, 2, 3)) for mean in means]).argmin(0)
    assert (closest == digits.y_test).float().mean() > 0.78
