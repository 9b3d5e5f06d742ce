"""Every operation has every property. An operation without a Spec, or beside it, fails the suite."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import nn  # noqa: F401
from minigrad import use_fast_kernels
from minigrad.engine import REGISTRY

from . import properties
from .properties import PROPERTIES, change_case, run
from .samples.spec import Case, Spec

SAMPLES = [
    importlib.import_module(f"{__package__}.samples.{path.stem}")
    for path in sorted((Path(__file__).parent / "samples").glob("*.py"))
    if path.stem not in ("__init__", "spec")
]
SPECS: dict[str, Spec] = {}
for module in SAMPLES:
    for name, spec in module.SPECS.items():
        assert name not in SPECS, f"two Specs are named {name!r}"
        SPECS[name] = spec

OPERATIONS = sorted(n for n, p in REGISTRY.items() if p.forward.__module__.startswith(("minigrad", "nn.")))
DIFFERENTIABLE = {"first_order", "second_order", "gradient_fits_input", "accepts_one_tensor_twice"}


def applies(property: str, spec: Spec) -> bool:
    """Whether the property says anything about the Spec: what does not is not even collected."""
    if property == "second_order":
        return spec.order >= 2
    if property == "runs_on_ducks":
        return spec.duck
    if property == "keeps_precision":
        return spec.half
    return spec.order >= 1 or property not in DIFFERENTIABLE


def for_each_case(name: str, prove: Callable[[Case], None]) -> None:
    """Draw calls of an operation for a test to judge.

    A decorator on the test itself would not do: there hypothesis stacks settings anew for each
    parameter, and a thousand of them are deeper than Python's recursion limit.
    """
    given(SPECS[name].cases)(prove)()


@pytest.mark.parametrize(
    ("name", "property"), [(n, p) for n in SPECS for p in PROPERTIES if applies(p, SPECS[n])], ids=lambda value: value
)
def test_property(name: str, property: str) -> None:
    for_each_case(name, lambda case: run(PROPERTIES[property], SPECS[name], case))


@pytest.mark.parametrize("name", [n for n, s in SPECS.items() if s.adjoint])
def test_adjoint(name: str) -> None:
    for_each_case(name, lambda case: run(properties.is_adjoint, SPECS[name], case))


@pytest.mark.parametrize("name", [n for n, s in SPECS.items() if s.edges])
def test_edge_cases(name: str) -> None:
    for case in SPECS[name].edges:
        for property in ("equals_reference", "gradient_fits_input", "leaves_inputs_alone", "ignores_layout"):
            run(PROPERTIES[property], SPECS[name], case)


def _elementwise() -> list[str]:
    proven = ((n, REGISTRY.get(s.primitive or n)) for n, s in SPECS.items())
    return [n for n, p in proven if p is not None and p.broadcasts and SPECS[n].any_shape]


@pytest.mark.parametrize("shape", [(), (0,), (2, 0)], ids=str)
@pytest.mark.parametrize("name", _elementwise())
def test_elementwise_without_dimensions_and_empty(name: str, shape: tuple[int, ...]) -> None:
    """What works on each element works on one, and on none."""
    def shrink(array: Any) -> Any:
        flat = array.ravel()
        return flat[:1].reshape(()) if shape == () and array.size else flat[:0].reshape(shape if shape else (0,))

    def prove(case: Case) -> None:
        for property in ("equals_reference", "gradient_fits_input", "first_order"):
            run(PROPERTIES[property], SPECS[name], change_case(case, shrink))

    for_each_case(name, prove)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_operation_is_proven(operation: str) -> None:
    """Some Spec names the operation, and calling it really records that one."""
    proofs = [s for n, s in SPECS.items() if (s.primitive or n) == operation]
    home = REGISTRY[operation].forward.__module__
    assert proofs, f"add a Spec for {operation!r} of {home} to tests/samples/"

    @given(data=st.data())
    def records(data: Any) -> None:
        for spec in proofs:
            run(lambda s, c: properties.records_its_primitive(s, c, operation), spec, data.draw(spec.cases))

    with use_fast_kernels():  # without them, some are composed of others
        records()


