"""Contractions against np.einsum, and what matrix products promise beside their values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import linalg
from minigrad.engine import REGISTRY
from minigrad.kernels.contraction import contract
from minigrad.testing import assert_close, floats
from nn import functional as F

from .layouts import layouts


@st.composite
def contractions(draw: Any) -> tuple[list[np.ndarray], list[str], str]:
    """Terms of up to three operands, of which each label is in two of them or in the output."""
    sizes = dict(zip("abcde", draw(st.lists(st.integers(0, 3), min_size=5, max_size=5)), strict=True))
    count = draw(st.integers(2, 4))
    terms = [
        "".join(draw(st.permutations(sorted(draw(st.sets(st.sampled_from("abcde"), max_size=3))))))
        for _ in range(count)
    ]
    used = set("".join(terms))
    needed = {label for label in used if sum(label in term for term in terms) == 1}
    chosen = needed | draw(st.sets(st.sampled_from(sorted(used)))) if used else set()
    output = "".join(draw(st.permutations(sorted(chosen))))
    place = draw(layouts())
    return [place(draw(floats(tuple(sizes[label] for label in term)))) for term in terms], terms, output


@given(contractions())
def test_contract_equals_einsum(problem: Any) -> None:
    operands, terms, output = problem
    expected = np.einsum(f"{','.join(terms)}->{output}", *operands, optimize=False)
    assert_close(contract(tuple(operands), tuple(terms), output), np.asarray(expected), rtol=1e-10, atol=1e-10)


def test_a_batch_times_a_matrix_is_one_product(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many leading dimensions: a loop over the batch would be slow."""
    shapes = []
    matmul = np.matmul
    monkeypatch.setattr(np, "matmul", lambda a, b, **o: shapes.append(np.shape(a)) or matmul(a, b, **o))
    x = mg.ones(5, 4, 3, requires_grad=True)
    w = mg.ones(3, 2, requires_grad=True)
    (x @ w).sum().backward()
    assert all(len(shape) == 2 for shape in shapes)
    assert w.grad.tolist() == [[20.0, 20.0]] * 3


def test_linear_saves_no_bias_and_needs_no_rule_for_a_constant() -> None:
    assert set(REGISTRY["linear"].plan(0b111).names) == {"input", "weight"}
    assert REGISTRY["linear"].plan(0b110).names == ["input"]


def test_linear_leaves_its_operands_alone() -> None:
    bias = mg.zeros(2)
    y = F.linear(mg.ones(3, 2), mg.ones(2, 2), bias)
    y += 1
    assert bias.tolist() == [0.0, 0.0]


def test_beta_zero_ignores_the_input() -> None:
    nan = mg.full((2, 2), float("nan"))
    assert mg.addmm(nan, mg.eye(2), mg.eye(2), beta=0).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_einsum_of_one_operand_is_a_view_with_history() -> None:
    x = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = mg.einsum("ij->ji", x)
    x[0, 1] = 9.0
    assert y[1, 0].item() == 9.0


def test_einsum_takes_a_list_of_operands() -> None:
    assert mg.einsum("i,i", [mg.ones(3), mg.ones(3)]).item() == 3.0


def test_singular_matrices() -> None:
    singular = mg.ones(2, 2, requires_grad=True)
    assert linalg.det(singular).item() == 0.0
    with pytest.raises(ValueError, match="inv: Singular"):
        linalg.det(singular).backward()


def test_matmul_of_an_ndarray_and_a_tensor() -> None:
    assert isinstance(np.ones((2, 2)) @ mg.ones(2, 2, dtype=mg.float64), mg.Tensor)
    assert (mg.ones(2, 2, dtype=mg.float64) @ np.ones(2)).tolist() == [2.0, 2.0]


def test_outer_promotes() -> None:
    assert mg.outer(mg.tensor([1, 2]), mg.tensor([0.5, 1.0])).tolist() == [[0.5, 1.0], [1.0, 2.0]]


def test_diagonal_of_each_matrix() -> None:
    """The last two dimensions, unlike ``minigrad.diagonal``, and swapdims exchanges as transpose does."""
    x = mg.arange(24).reshape(2, 3, 4)
    assert mg.linalg.diagonal(x).tolist() == [[0, 5, 10], [12, 17, 22]]
    assert mg.linalg.diagonal(x, offset=1, dim1=0, dim2=2).tolist() == [[1, 14], [5, 18], [9, 22]]
    assert x.swapdims(dim0=0, dim1=-1).shape == (4, 3, 2)
