"""What the suite knows of an operation: how to call it, and what it must answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st


class Case:
    """The arguments of one call. Float64 arrays become Tensors that require a gradient, other arrays constants."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs

    def __repr__(self) -> str:
        return f"Case({', '.join([repr(a) for a in self.args] + [f'{k}={v!r}' for k, v in self.kwargs.items()])})"


@dataclass(frozen=True)
class Spec:
    """One operation and everything the properties in test_ops.py need to prove it.

    Args:
        function: what users call, on Tensors.
        cases: calls, drawn small, with values away from ties and kinks.
        reference: the same call on NumPy arrays, computed independently of minigrad.
        order: how many times it can be differentiated; 0 for integer and bool results.
        primitive: the name of the registered operation that it must record, if it is to prove one.
        adjoint: it is linear in its first argument, so ``<L u, v> == <u, L* v>`` is to hold.
        edges: further calls that must equal the reference: size 0, no dimensions, extreme values.
        half: it is meant for float16 and float32 too, and near the float64 result there.
        duck: it runs on arrays of another library that speaks NumPy's protocols.
        twice: a Tensor may be given for two inputs of equal shape.
        any_shape: if it works on each element, all its inputs may have one element, or none.
    """

    function: Callable[..., Any]
    cases: st.SearchStrategy[Case]
    reference: Callable[..., Any]
    order: int = 2
    primitive: str | None = None
    adjoint: bool = False
    edges: Sequence[Case] = ()
    half: bool = True
    duck: bool = True
    twice: bool = True
    any_shape: bool = True
