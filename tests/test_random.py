"""Random numbers: the same seed gives the same, and the distributions are what they say."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import minigrad as mg


@pytest.fixture(autouse=True)
def _seeded() -> None:
    mg.manual_seed(0)


DRAWS = {
    "rand": lambda g: mg.rand(5, generator=g),
    "randn": lambda g: mg.randn(5, generator=g),
    "randint": lambda g: mg.randint(100, (5,), generator=g),
    "randperm": lambda g: mg.randperm(20, generator=g),
    "rand_like": lambda g: mg.rand_like(mg.zeros(5), generator=g),
    "randn_like": lambda g: mg.randn_like(mg.zeros(5), generator=g),
    "randint_like": lambda g: mg.randint_like(mg.zeros(5), 0, 1000, generator=g),
    "normal": lambda g: mg.normal(0.0, 1.0, (5,), generator=g),
    "bernoulli": lambda g: mg.bernoulli(mg.full((60,), 0.5), generator=g),
    "multinomial": lambda g: mg.multinomial(mg.ones(50), 20, generator=g),
    "multinomial with replacement": lambda g: mg.multinomial(mg.ones(50), 20, True, generator=g),
    "uniform_": lambda g: mg.zeros(5).uniform_(generator=g),
    "normal_": lambda g: mg.zeros(5).normal_(generator=g),
    "exponential_": lambda g: mg.zeros(5).exponential_(generator=g),
    "bernoulli_": lambda g: mg.zeros(60).bernoulli_(generator=g),
    "random_": lambda g: mg.zeros(5).random_(generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_seed_decides(name: str) -> None:
    draw = DRAWS[name]
    mg.manual_seed(3)
    first = draw(None).tolist()
    second = draw(None).tolist()
    assert first != second
    mg.manual_seed(3)
    assert draw(None).tolist() == first
    own = mg.Generator().manual_seed(3)
    assert draw(own).tolist() == first
    before = mg.get_rng_state().tolist()
    draw(own)
    assert mg.get_rng_state().tolist() == before  # the default generator was left alone


def test_states_are_positions_in_the_stream() -> None:
    generator = mg.Generator()
    mg.randint(10, (3,), dtype=mg.int32, generator=generator)
    state = generator.get_state()
    assert state.dtype == mg.uint8
    first = mg.randn(3, generator=generator).tolist()
    other = mg.Generator()
    other.set_state(state)
    assert mg.randn(3, generator=other).tolist() == first
    assert other.initial_seed() == generator.initial_seed()
    state = mg.get_rng_state()
    expected = mg.rand(2).tolist()
    mg.set_rng_state(state)
    assert mg.rand(2).tolist() == expected
    copied = pickle.loads(pickle.dumps(generator))
    assert mg.rand(2, generator=copied).tolist() == mg.rand(2, generator=generator).tolist()


def test_seeds() -> None:
    assert mg.manual_seed(-1).initial_seed() == 2**64 - 1
    assert mg.initial_seed() == 2**64 - 1
    assert mg.seed() == mg.initial_seed()
    assert mg.Generator().initial_seed() == 67280421310721
    assert mg.Generator(device="cpu").device == mg.device("cpu")
    assert isinstance(mg.default_generator.numpy, np.random.Generator)


@pytest.mark.parametrize("dtype", [mg.float16, mg.float32, mg.float64])
@pytest.mark.parametrize("shape", [(), (3,), (2, 0), (4, 5)])
def test_shape_and_dtype(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    blank = mg.zeros(shape, dtype=dtype)
    results = [
        mg.rand(shape, dtype=dtype), mg.randn(shape, dtype=dtype), mg.normal(0.0, 1.0, shape, dtype=dtype),
        mg.normal(blank, 1.0), mg.normal(1.0, blank), mg.bernoulli(blank), mg.bernoulli(blank, 0.5),
        mg.rand_like(blank), mg.randn_like(blank), mg.randint_like(blank, 3), blank.clone().uniform_(1, 2),
        blank.clone().normal_(), blank.clone().exponential_(2.0), blank.clone().bernoulli_(0.3),
        blank.clone().random_(5), blank.clone().random_(),
    ]  # fmt: skip
    for result in results:
        assert (result.shape, result.dtype) == (shape, dtype)
        assert isinstance(result._array, np.ndarray)


def test_float32_is_drawn_as_float32() -> None:
    values = mg.rand(1000).numpy()
    assert np.array_equal(values * 2**24, np.round(values * 2**24))  # 24 random bits, as PyTorch's
    assert mg.rand(100_000, dtype=mg.float16).numpy().max() < 1  # rounding never reaches 1


N = 40_000


def close(values: np.ndarray, mean: float, variance: float) -> None:
    """Mean and variance are within five standard errors or so."""
    assert abs(values.mean() - mean) < 5 * (variance / N) ** 0.5
    assert abs(values.var() - variance) < 0.05 * variance


def test_distributions() -> None:
    close(mg.rand(N).numpy(), 1 / 2, 1 / 12)
    close(mg.randn(N).numpy(), 0, 1)
    close(mg.normal(3.0, 2.0, (N,)).numpy(), 3, 4)
    close(mg.randint(-5, 5, (N,)).numpy(), -0.5, 99 / 12)
    close(mg.bernoulli(mg.full((N,), 0.3)).numpy(), 0.3, 0.21)
    close(mg.zeros(N).uniform_(-1, 3).numpy(), 1, 16 / 12)
    close(mg.zeros(N).exponential_(2.0).numpy(), 1 / 2, 1 / 4)
    close(mg.zeros(N).bernoulli_(0.9).numpy(), 0.9, 0.09)
    close(mg.zeros(N, dtype=mg.int64).random_(2, 8).numpy(), 4.5, 35 / 12)


def test_ranges() -> None:
    assert set(mg.randint(2, 5, (200,)).tolist()) == {2, 3, 4}
    assert sorted(mg.randperm(10).tolist()) == list(range(10))
    assert mg.randperm(3, dtype=mg.int32).dtype == mg.int32
    assert mg.randint(high=3, size=(2,)).shape == mg.randint(3, size=(2,)).shape == (2,)
    assert set(mg.zeros(50, dtype=mg.bool).random_().tolist()) == {False, True}
    assert mg.zeros(100, dtype=mg.uint8).random_().numpy().max() > 200
    assert mg.bernoulli(mg.tensor([0.0, 1.0] * 50)).tolist() == [0, 1] * 50


def test_multinomial_follows_the_weights() -> None:
    weights = mg.tensor([[0.0, 1.0, 0.0, 3.0, 0.0], [5.0, 0.0, 5.0, 0.0, 0.0]])
    drawn = mg.multinomial(weights, N, replacement=True).numpy()
    for row, w in zip(drawn, weights.numpy(), strict=True):
        counts = np.bincount(row, minlength=5) / N
        np.testing.assert_allclose(counts, w / w.sum(), atol=0.02)
        assert not counts[w == 0].any()
    both = mg.multinomial(weights, 2)
    assert sorted(both[0].tolist()) == [1, 3]
    assert sorted(both[1].tolist()) == [0, 2]
    first = [mg.multinomial(weights[0], 1).item() for _ in range(400)]
    assert 0.65 < first.count(3) / 400 < 0.85
    assert mg.multinomial(mg.ones(0, 3), 2).shape == (0, 2)


def test_fills_are_in_place_changes() -> None:
    leaf = mg.zeros(3, requires_grad=True)
    with mg.no_grad():
        assert leaf.normal_() is leaf
    assert leaf.requires_grad
    x = mg.ones(3, requires_grad=True)
    w = mg.ones(3)
    y = (x * w).sum()
    w.uniform_()
    with pytest.raises(RuntimeError, match="changed in place"):
        y.backward()
    base = mg.zeros(2, 3)
    base[0].uniform_(1, 2)
    assert (base[0] >= 1).all()
    assert base[1].tolist() == [0, 0, 0]
    assert not (leaf * 2).normal_().requires_grad  # drawn numbers have no history


def test_gradients_can_be_required() -> None:
    assert mg.randn(3, requires_grad=True).is_leaf
    assert mg.rand_like(mg.ones(3), requires_grad=True).requires_grad
