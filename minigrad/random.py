"""Random numbers: generators, tensors of random numbers, and in-place fills.

Every function takes ``generator=``; without one it draws from :data:`default_generator`, which
:func:`manual_seed` seeds and which starts with a seed from the operating system. The same seed
gives the same numbers on every machine, as long as the draws happen in the same order: threads that
share a generator never corrupt it, but who draws first is up to them. The numbers are not PyTorch's.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import dtypes
from .arguments import ints
from .creation import array_of, leaf
from .devices import CPU, check_device
from .engine import new_tensor
from .memory import Array
from .ops.inplace import become

_DEFAULT_SEED = 67280421310721  # of a new generator, as in PyTorch


class Generator:
    """A stream of random numbers. ``numpy`` is the NumPy generator (PCG64) that makes them."""

    device = CPU

    def __init__(self, device: Any = "cpu") -> None:
        check_device(device)
        self._numpy: np.random.Generator | None = None
        self.manual_seed(_DEFAULT_SEED)

    @property
    def numpy(self) -> np.random.Generator:
        """NumPy's generator, made when it is first needed: importing numpy.random takes time."""
        if self._numpy is None:
            self._numpy = np.random.Generator(np.random.PCG64(self._seed))
        return self._numpy

    def manual_seed(self, seed: int) -> Generator:
        """Start again from ``seed``, an integer from -2**63 to 2**64 - 1. Returns the generator."""
        if not isinstance(seed, (int, np.integer)) or not -(2**63) <= seed < 2**64:
            raise ValueError(f"manual_seed: seed must be an integer from -2**63 to 2**64 - 1, got {seed!r}")
        self._seed = int(seed) % 2**64
        if self._numpy is not None:
            self._numpy.bit_generator.state = np.random.PCG64(self._seed).state
        return self

    def seed(self) -> int:
        """Start again from a seed that the operating system draws, and return that."""
        return self.manual_seed(int.from_bytes(os.urandom(7), "little")).initial_seed()

    def initial_seed(self) -> int:
        """The seed it was started from."""
        return self._seed

    def get_state(self) -> Any:
        """The position in the stream, as a uint8 tensor for :meth:`set_state`."""
        text = repr({**self.numpy.bit_generator.state, "seed": self._seed})
        return new_tensor(np.frombuffer(text.encode(), np.uint8).copy())

    def set_state(self, new_state: Any) -> None:
        """Return to a position that :meth:`get_state` gave."""
        try:
            state = ast.literal_eval(new_state._array.tobytes().decode())
            self.numpy.bit_generator.state = state
            self._seed = state["seed"]
        except (AttributeError, ValueError, SyntaxError, TypeError, KeyError):
            raise ValueError("set_state: expected a tensor that get_state() returned") from None

    def __repr__(self) -> str:
        return f"<Generator, seed {self._seed}>"


default_generator = Generator()
default_generator.seed()

manual_seed = default_generator.manual_seed
seed, initial_seed = default_generator.seed, default_generator.initial_seed
get_rng_state, set_rng_state = default_generator.get_state, default_generator.set_state


@contextmanager
def fork_rng(devices: Any = None, enabled: bool = True) -> Iterator[None]:
    """A ``with`` block after which the default generator is where it was before, unless ``enabled`` is False."""
    state = get_rng_state()
    try:
        yield
    finally:
        if enabled:
            set_rng_state(state)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let the default generator start from ``seed`` inside the block; after it, it goes on as if nothing was drawn."""
    with fork_rng():
        manual_seed(seed)
        yield


# ---------------------------------------------------------------------------- arrays of numbers


def _numpy(generator: Generator | None, name: str) -> np.random.Generator:
    if generator is None:
        return default_generator.numpy
    if not isinstance(generator, Generator):
        raise TypeError(f"{name}: generator must be a minigrad.Generator, got {type(generator).__name__}")
    return generator.numpy


def _floating(dtype: Any, name: str) -> np.dtype:
    dtype = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype, name)
    if dtype.kind != "f":
        raise TypeError(f"{name}: the dtype must be floating, got {dtype}")
    return dtype


def _uniform(source: np.random.Generator, shape: Any, dtype: np.dtype) -> Array:
    """Uniform in [0, 1)."""
    if dtype == dtypes.float16:  # rounding a float32 would give 1
        return source.integers(0, 2**11, shape).astype(dtype) / dtype.type(2**11)
    return np.asarray(source.random(shape, dtype))


def _standard_normal(source: np.random.Generator, shape: Any, dtype: np.dtype) -> Array:
    drawn = dtypes.float32 if dtype == dtypes.float16 else dtype
    return np.asarray(source.standard_normal(shape, drawn)).astype(dtype, copy=False)


def _integers(source: np.random.Generator, low: Any, high: Any, shape: Any, dtype: np.dtype, name: str) -> Array:
    """Integers from ``low`` to ``high - 1``."""
    if not all(isinstance(n, (int, np.integer)) for n in (low, high)):
        raise TypeError(f"{name}: low and high must be integers, got {low!r} and {high!r}")
    if low >= high:
        raise ValueError(f"{name}: low must be below high, got {low} and {high}")
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype if dtype.kind in "iu" else "int64")
    if low < max(int(limits.min), -(2**63)) or high > min(int(limits.max), 2**63 - 1) + 1:
        raise ValueError(f"{name}: the range from {low} to {high - 1} does not fit into {dtype}")
    return np.asarray(source.integers(low, high, shape)).astype(dtype, copy=False)


def _last_integer(dtype: np.dtype) -> int:
    """Up to which integer a dtype has all of them: a float up to a power of 2."""
    if dtype.kind == "f":
        return 2 ** (np.finfo(dtype).nmant + 1)
    return 1 if dtype.kind == "b" else np.iinfo(dtype).max


def _fill(input: Any, values: Array, name: str) -> Any:
    """``values`` in place of those of ``input``."""
    return become(input, new_tensor(np.asarray(values)), name)


# ------------------------------------------------------------------------------------- tensors


def _drawn(name: str, draw: Any, shape: tuple, size: Any, generator: Any, dtype: Any, device: Any, grad: bool) -> Any:
    sizes = ints(shape, name, given=size, minimum=0)
    return leaf(draw(_numpy(generator, name), sizes, _floating(dtype, name)), grad, device)


def rand(*shape: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, device: Any = None,
         requires_grad: bool = False) -> Any:  # fmt: skip
    """Numbers drawn evenly from [0, 1). The shape is given as ints or as one sequence of them."""
    return _drawn("rand", _uniform, shape, size, generator, dtype, device, requires_grad)


def randn(*shape: Any, size: Any = None, generator: Generator | None = None, dtype: Any = None, device: Any = None,
          requires_grad: bool = False) -> Any:  # fmt: skip
    """Numbers with the standard normal distribution. The shape is given as ints or as one sequence of them."""
    return _drawn("randn", _standard_normal, shape, size, generator, dtype, device, requires_grad)


def randint(low: Any = 0, high: Any = None, size: Any = None, *, generator: Generator | None = None,
            dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """Integers drawn evenly from ``low`` to ``high - 1``: ``randint(low, high, size)`` or ``randint(high, size)``."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    dtype = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype, "randint")
    sizes = ints((size,), "randint", minimum=0)
    return leaf(_integers(_numpy(generator, "randint"), low, high, sizes, dtype, "randint"), requires_grad, device)


def randperm(n: int, *, generator: Generator | None = None, dtype: Any = None, device: Any = None,
             requires_grad: bool = False) -> Any:  # fmt: skip
    """The integers from 0 to ``n - 1`` in random order."""
    (count,) = ints((n,), "randperm", "n", minimum=0)
    dtype = dtypes.int64 if dtype is None else dtypes.as_dtype(dtype, "randperm")
    if count - 1 > _last_integer(dtype):
        raise ValueError(f"randperm: {dtype} does not have all integers up to {count - 1}")
    return leaf(_numpy(generator, "randperm").permutation(count).astype(dtype), requires_grad, device)


def rand_like(input: Any, *, dtype: Any = None, **options: Any) -> Any:
    """:func:`rand`, with its options, in the shape and dtype of ``input``."""
    array = array_of(input, "rand_like")
    return rand(array.shape, dtype=dtype or array.dtype, **options)


def randn_like(input: Any, *, dtype: Any = None, **options: Any) -> Any:
    """:func:`randn`, with its options, in the shape and dtype of ``input``."""
    array = array_of(input, "randn_like")
    return randn(array.shape, dtype=dtype or array.dtype, **options)


def randint_like(input: Any, low: Any, high: Any = None, *, dtype: Any = None, **options: Any) -> Any:
    """:func:`randint`, with its options, in the shape and dtype of ``input``."""
    array = array_of(input, "randint_like")
    return randint(low, high, array.shape, dtype=dtype or array.dtype, **options)


def normal(mean: Any, std: Any = 1.0, size: Any = None, *, generator: Generator | None = None, dtype: Any = None,
           device: Any = None, requires_grad: bool = False) -> Any:  # fmt: skip
    """Numbers with a normal distribution. ``mean`` and ``std`` are tensors, or numbers if ``size`` is given."""
    mean, std = getattr(mean, "_array", mean), getattr(std, "_array", std)
    if np.any(np.less(std, 0)):
        raise ValueError("normal: std must not be negative")
    if size is None and not (hasattr(mean, "shape") or hasattr(std, "shape")):
        raise TypeError("normal: give size, or a tensor as mean or std")
    own = np.broadcast_shapes(np.shape(mean), np.shape(std))
    sizes = own if size is None else ints((size,), "normal", minimum=0)
    if own not in ((), sizes):
        raise ValueError(f"normal: mean and std of shape {own} cannot give numbers of size {sizes}; leave size out")
    if dtype is None and size is None:
        dtype = dtypes.result_type(mean, std)
    values = _standard_normal(_numpy(generator, "normal"), sizes, _floating(dtype, "normal"))
    return leaf((values * std + mean).astype(values.dtype, copy=False), requires_grad, device)


def bernoulli(input: Any, p: Any = None, *, generator: Generator | None = None) -> Any:
    """1 with probability ``p`` (a number; by default the elements of ``input``), else 0, in ``input``'s dtype."""
    array = array_of(input, "bernoulli")
    coins = _coins(_numpy(generator, "bernoulli"), array.shape, array if p is None else p, "bernoulli")
    return new_tensor(np.asarray(coins).astype(array.dtype))


def _coins(source: np.random.Generator, shape: Any, p: Any, name: str) -> Array:
    p = getattr(p, "_array", p)
    if not np.all(np.logical_and(np.greater_equal(p, 0), np.less_equal(p, 1))):
        raise ValueError(f"{name}: probabilities must be from 0 to 1")
    return np.less(source.random(shape, "float32" if getattr(p, "dtype", None) != dtypes.float64 else "float64"), p)


def multinomial(input: Any, num_samples: int, replacement: bool = False, *, generator: Generator | None = None) -> Any:
    """For each row of ``input``, ``num_samples`` indices drawn with probabilities proportional to the row.

    Args:
        input: weights, ``(n,)`` or ``(rows, n)``; not negative, and not all 0 in any row.
        replacement: whether an index can be drawn more than once.
    """
    weights = array_of(input, "multinomial")
    (num_samples,) = ints((num_samples,), "multinomial", "num_samples")
    source = _numpy(generator, "multinomial")
    if weights.ndim not in (1, 2) or weights.dtype.kind != "f":
        found = f"{weights.dtype} {weights.shape}"
        raise ValueError(f"multinomial: expected floating weights (n,) or (rows, n), got {found}")
    rows = np.atleast_2d(weights).astype("float64")
    if not (np.isfinite(rows).all() and (rows >= 0).all() and (rows.sum(1) > 0).all()):
        raise ValueError("multinomial: weights must be finite and not negative, with a positive one in each row")
    if num_samples < 1 or (not replacement and num_samples > (rows > 0).sum(1).min(initial=num_samples)):
        raise ValueError(f"multinomial: cannot draw {num_samples} indices" + (
            "" if replacement else " without replacement from a row with fewer positive weights"))  # fmt: skip
    if replacement:
        sums = rows.cumsum(1)
        points = source.random((len(rows), num_samples)) * sums[:, -1:]
        # side="right": an index of weight 0 ends where it begins, so no point falls into it
        drawn = [np.searchsorted(s[s < s[-1]], p, side="right") for s, p in zip(sums, points, strict=True)]
        chosen = np.array(drawn, "int64").reshape(len(rows), num_samples)
    else:
        # The one whose clock (exponential, with its weight as rate) rings first is drawn first.
        with np.errstate(divide="ignore"):
            rings = source.exponential(size=rows.shape) / rows
        chosen = np.argsort(rings, axis=1, kind="stable")[:, :num_samples].copy()
    return new_tensor(chosen if weights.ndim == 2 else chosen[0])


# -------------------------------------------------------------------------------- in-place fills


def uniform_(input: Any, from_: float = 0.0, to: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Fill with numbers drawn evenly from ``from_`` to ``to``."""
    if not from_ <= to:
        raise ValueError(f"uniform_: the range from {from_} to {to} is empty")
    values = _uniform(_numpy(generator, "uniform_"), input.shape, _floating(input.dtype, "uniform_"))
    return _fill(input, values * (to - from_) + from_, "uniform_")


def normal_(input: Any, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Fill with numbers of a normal distribution."""
    if not std >= 0:
        raise ValueError(f"normal_: std must not be negative, got {std}")
    values = _standard_normal(_numpy(generator, "normal_"), input.shape, _floating(input.dtype, "normal_"))
    return _fill(input, values * std + mean, "normal_")


def exponential_(input: Any, lambd: float = 1.0, *, generator: Generator | None = None) -> Any:
    """Fill with numbers of the exponential distribution with rate ``lambd``."""
    if not lambd > 0:
        raise ValueError(f"exponential_: lambd must be positive, got {lambd}")
    _floating(input.dtype, "exponential_")
    return _fill(input, _numpy(generator, "exponential_").standard_exponential(input.shape) / lambd, "exponential_")


def bernoulli_(input: Any, p: Any = 0.5, *, generator: Generator | None = None) -> Any:
    """Fill with 1 with probability ``p`` (a number or a tensor), else 0."""
    return _fill(input, _coins(_numpy(generator, "bernoulli_"), input.shape, p, "bernoulli_"), "bernoulli_")


def random_(input: Any, from_: int | None = None, to: int | None = None, *, generator: Generator | None = None) -> Any:
    """Fill with integers from ``from_`` to ``to - 1``; ``random_(to)`` starts at 0.

    Without bounds, all that the dtype represents exactly and are not negative.
    """
    dtype = input.dtype
    if from_ is None:
        from_, to = 0, _last_integer(dtype) + 1
    elif to is None:
        from_, to = 0, from_
    values = _integers(_numpy(generator, "random_"), from_, to, input.shape, dtype, "random_")
    return _fill(input, values, "random_")
