"""Arguments in their many accepted spellings, made uniform, with errors that name the function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, update_wrapper, wraps
from operator import index
from types import FunctionType
from typing import Any, Concatenate, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def normalize_dim(dim: Any, ndim: int, name: str, argument: str = "dim", scalars: bool = True) -> int:
    """``dim`` counted from the front; with ``scalars``, a tensor without dimensions accepts 0 and -1."""
    try:
        number = index(dim)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be an int, got {dim!r}") from None
    count = ndim or int(scalars)
    if not -count <= number < count:
        raise IndexError(f"{name}: {argument} {number} is out of range for a tensor with {ndim} dimensions")
    return number % count


def normalize_dims(dim: Any, ndim: int, name: str, argument: str = "dim") -> tuple[int, ...]:
    """``dim`` (an int, a sequence of ints, or None for all) as a tuple counted from the front."""
    if dim is None:
        return tuple(range(ndim))
    dims = tuple(normalize_dim(d, ndim, name, argument) for d in (dim if isinstance(dim, Sequence) else (dim,)))
    if len(set(dims)) != len(dims):
        raise ValueError(f"{name}: {argument} {dim} names a dimension twice")
    return dims


def check_dims(name: str, allowed: tuple[int, ...] | range, **tensors: Any) -> None:
    """Raise unless each argument is a tensor whose number of dimensions is ``allowed``."""
    for argument, x in tensors.items():
        if not hasattr(x, "ndim"):
            raise TypeError(f"{name}: {argument} must be a Tensor, got {type(x).__name__}")
        if x.ndim not in allowed:
            wanted = f"at least {allowed.start}" if isinstance(allowed, range) else " or ".join(map(str, allowed))
            raise ValueError(f"{name}: {argument} must have {wanted} dimensions, got shape {tuple(x.shape)}")


def check_kind(name: str, kinds: str, **tensors: Any) -> None:
    """Raise unless the elements of each argument are of one of the kinds of dtypes (letters as in NumPy)."""
    for argument, x in tensors.items():
        if getattr(getattr(x, "dtype", None), "kind", "?") not in kinds:
            wanted = {"iu": "an integer", "b": "a bool", "f": "a floating-point"}[kinds]
            raise TypeError(f"{name}: {argument} must be {wanted} tensor, got {getattr(x, 'dtype', type(x).__name__)}")


MATRICES = range(2, 65)  # numbers of dimensions
SPATIAL = {1: "length", 2: "height, width", 3: "depth, height, width"}


def check_spatial(name: str, n: int, input: Any) -> None:
    """Raise unless ``input`` has ``n`` dimensions after the channels, with or without a batch."""
    if not hasattr(input, "dtype"):
        raise TypeError(f"{name}: input must be a Tensor, got {type(input).__name__}")
    if input.ndim not in (n + 1, n + 2):
        raise ValueError(f"{name}: input must have shape (batch, channels, {SPATIAL[n]}) or (channels, {SPATIAL[n]}), "
                         f"got {input.shape}")  # fmt: skip


def along(dim: int, item: Any) -> tuple[Any, ...]:
    """The index that takes ``item`` (an int, a slice, an array) along ``dim``, and everything along the others."""
    return (*(slice(None),) * dim, item)


def ntuple(value: Any, n: int, name: str, argument: str, minimum: int = 0) -> tuple[int, ...]:
    """An int, or a sequence of ``n`` ints, as a tuple of ``n`` ints that are at least ``minimum``."""
    given = tuple(value) if isinstance(value, Sequence) else (value,) * n
    if len(given) == 1:
        given *= n
    try:
        numbers = tuple(index(v) for v in given)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be an int or {n} ints, got {value!r}") from None
    if len(numbers) != n:
        raise ValueError(f"{name}: {argument} must be an int or {n} ints, got {value!r}")
    if min(numbers) < minimum:
        raise ValueError(f"{name}: {argument} must be at least {minimum}, got {value!r}")
    return numbers


def ints(values: tuple, name: str, argument: str = "size", given: Any = None, minimum: int | None = None,
         ) -> tuple[int, ...]:  # fmt: skip
    """The ints of ``f(2, 3)`` or ``f((2, 3))``, or those ``given`` by keyword, which are at least ``minimum``."""
    if given is not None:
        values = (given,)
    found = tuple(values[0]) if len(values) == 1 and isinstance(values[0], Sequence) else values
    try:
        numbers = tuple(index(n) for n in found)
    except TypeError:
        raise TypeError(f"{name}: {argument} must be ints or one sequence of ints, got {found!r}") from None
    if minimum is not None and min(numbers, default=minimum) < minimum:
        raise ValueError(f"{name}: {argument} must be at least {minimum}, got {found!r}")
    return numbers


def check_probability(name: str, p: Any, argument: str = "p") -> None:
    """Raise unless ``p`` is a probability."""
    if not isinstance(p, (int, float)) or not 0 <= p <= 1:
        raise ValueError(f"{name}: {argument} must be a probability from 0 to 1, got {p!r}")


NUMPY_KEYWORDS = {"axis": "dim", "keepdims": "keepdim"}  # PyTorch takes NumPy's names as well


def numpy_keywords(function: Callable[P, T]) -> Callable[P, T]:
    """Let a function that is composed of operations take ``axis`` and ``keepdims`` too, as operations do."""

    @wraps(function)
    def renamed(*args: P.args, **options: P.kwargs) -> T:
        if options:
            count = len(options)
            options = {NUMPY_KEYWORDS.get(k, k): v for k, v in options.items()}  # type: ignore[assignment]
            if len(options) < count:
                raise TypeError(f"{function.__name__}: got two values for one of {', '.join(options)}")
        return function(*args, **options)

    return renamed


def specialize(name: str, function: Callable[Concatenate[Any, P], T], first: Any, doc: str = "") -> Callable[P, T]:
    """``function`` with its ``first`` argument given: a function ``name`` of the others, with ``doc`` above its own."""
    source: Any = function
    own = FunctionType(source.__code__, source.__globals__, name, source.__defaults__)
    own.__kwdefaults__ = source.__kwdefaults__
    own.__qualname__ = name  # which Python's own complaints about arguments show

    def special(*args: P.args, **options: P.kwargs) -> T:
        return own(first, *args, **options)

    update_wrapper(update_wrapper(special, source), partial(source, first), (), ())  # which has the right signature
    special.__name__ = special.__qualname__ = name
    if doc:
        special.__doc__ = f"{doc}\n\n    {source.__doc__}"
    return special
