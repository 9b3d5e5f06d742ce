"""Products, sums of products and functions of matrices, against NumPy and loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad import linalg
from minigrad.testing import floats
from nn import functional as F

from .spec import Case, Spec


def on(*choices: tuple[tuple[int, ...], ...], **options: Any) -> st.SearchStrategy[Case]:
    """Calls with operands of one of the choices of shapes."""
    return st.sampled_from(choices).flatmap(
        lambda shapes: st.builds(lambda *arrays: Case(*arrays, **options), *map(floats, shapes))
    )


def products(function: Callable, reference: Callable, *choices: tuple[tuple[int, ...], ...], **options: Any) -> Spec:
    """A Spec that proves no operation of its own."""
    return Spec(function, on(*choices, **options), reference)


def _linear(x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
    y = np.zeros((*x.shape[:-1], len(w)))
    for i in np.ndindex(y.shape):
        y[i] = sum(x[(*i[:-1], k)] * w[i[-1], k] for k in range(x.shape[-1])) + (0 if b is None else b[i[-1]])
    return y


def _einsum(equation: str, *operands: np.ndarray) -> np.ndarray:
    return np.einsum(equation, *operands, optimize=False)


EQUATIONS: list[tuple[str, tuple[tuple[int, ...], ...]]] = [
    ("ij,jk->ik", ((2, 3), (3, 2))),
    ("ij,jk", ((2, 3), (3, 2))),
    ("bij,bjk->bik", ((2, 2, 3), (2, 3, 1))),
    ("bhid,bhjd->bhij", ((1, 2, 2, 3), (1, 2, 3, 3))),
    ("i,j->ji", ((2,), (3,))),
    ("i,i->", ((3,), (3,))),
    ("i,i->i", ((3,), (3,))),
    ("ij,ij,j->i", ((2, 3), (2, 3), (3,))),
    ("ab,bc,cd->da", ((2, 3), (3, 2), (2, 2))),
    ("...ij,...jk->...ik", ((3, 1, 2, 2), (2, 2, 3))),
    ("i...,i->...", ((2, 3, 2), (2,))),
    ("iij,jk->ik", ((2, 2, 3), (3, 2))),
    ("iji,kk->j", ((2, 3, 2), (2, 2))),
    ("ij,kl->", ((2, 2), (3, 1))),
    ("ij,kj->ik", ((2, 1), (3, 3))),
    ("aB,Bc", ((2, 2), (2, 3))),
    ("ii->i", ((3, 3),)),
    ("ij->", ((2, 3),)),
]


def _equations(several: bool) -> st.SearchStrategy[Case]:
    chosen = [e for e in EQUATIONS if (len(e[1]) > 1) == several]
    return st.sampled_from(chosen).flatmap(lambda e: st.builds(Case, st.just(e[0]), *map(floats, e[1])))


@st.composite
def matrices(draw: Any, max_batch: int = 1) -> np.ndarray:
    """Well-conditioned square matrices."""
    n = draw(st.integers(1, 3))
    batch = (2,) * draw(st.integers(0, max_batch))
    return draw(floats((*batch, n, n), -0.5, 0.5)) + np.diag([1.5, -1.5, 1.5][:n])


@st.composite
def systems(draw: Any) -> Case:
    """Matrices with right-hand sides: a vector, a matrix, or a batch that broadcasts."""
    a = draw(matrices())
    n = a.shape[-1]
    shape = draw(st.sampled_from([(n, 2), (2, n, 1)] + ([(n,)] if a.ndim == 2 else [(1, n, 2)])))
    return Case(a, draw(floats(shape)))


def _minors(a: np.ndarray) -> Any:
    """The determinant, expanded along the first row."""
    if a.ndim > 2:
        return np.array([_minors(b) for b in a])
    if not len(a):
        return 1.0
    return np.asarray(sum((-1) ** j * a[0, j] * _minors(np.delete(a[1:], j, 1)) for j in range(len(a))))


def _positive(a: Any) -> Any:
    """A symmetric positive definite matrix from any."""
    return a @ np.swapaxes(a, -1, -2) + np.eye(a.shape[-1])


def _cholesky_of(function: Callable) -> Callable:
    return lambda a: function(mg.matmul(a, a.mT) + mg.eye(a.shape[-1], dtype=a.dtype))


MATMUL = (((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 2)), ((2, 2, 3), (3, 2)), ((2, 2, 3), (3,)),
          ((3,), (2, 3, 2)), ((2, 3), (2, 3, 2)), ((2, 1, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 1)),
          ((1, 2, 3), (2, 3, 2)))  # fmt: skip

SPECS: dict[str, Spec] = {
    "linear": Spec(
        F.linear,
        on(((2, 3), (2, 3), (2,)), ((3,), (2, 3), (2,)), ((2, 2, 3), (4, 3), (4,)), ((2, 3), (1, 3)),
           ((3, 2, 1), (2, 1))),
        _linear,
        adjoint=False,
        edges=[Case(np.ones((0, 2)), np.ones((3, 2)), np.ones(3)), Case(np.ones((2, 0)), np.ones((3, 0))),
               Case(np.ones((2, 2)), np.ones((0, 2)), np.ones(0)), Case(np.ones((2, 0, 2)), np.ones((1, 2)))],
    ),
    "matmul": Spec(
        mg.matmul, on(*MATMUL), np.matmul, adjoint=True,
        edges=[Case(np.ones((0, 2)), np.ones((2, 3))), Case(np.ones((2, 0)), np.ones((0, 3))),
               Case(np.ones(0), np.ones(0)), Case(np.ones((0, 2, 3)), np.ones((3, 2))),
               Case(np.arange(6).reshape(2, 3), np.arange(3))],
    ),
    "mm": products(mg.mm, np.dot, ((2, 3), (3, 2)), ((1, 2), (2, 3))),
    "bmm": products(mg.bmm, np.matmul, ((2, 2, 3), (2, 3, 2))),
    "mv": products(mg.mv, np.dot, ((2, 3), (3,))),
    "dot": products(mg.dot, np.dot, ((3,), (3,))),
    "inner": products(mg.inner, np.inner, ((2, 3), (2, 3)), ((3,), (2, 3)), ((), (2,))),
    "outer": products(mg.outer, np.outer, ((2,), (3,))),
    "tensordot": Spec(
        mg.tensordot,
        st.one_of(on(((2, 3, 2), (3, 2, 2))), on(((2, 3), (2,)), dims=0), on(((2, 3), (3, 2)), dims=1),
                  on(((2, 3, 2), (2, 3)), dims=([0, 1], [0, 1])), on(((2, 3, 2), (3, 2)), dims=([-2, 0], [0, 1]))),
        lambda a, b, dims=2: np.tensordot(a, b, dims),
    ),
    "addmm": Spec(
        mg.addmm,
        st.one_of(on(((2, 2), (2, 3), (3, 2)), ((2,), (2, 3), (3, 2)), alpha=2, beta=0.5),
                  on(((2, 2), (2, 1), (1, 2)))),
        lambda c, a, b, alpha=1, beta=1: beta * c + alpha * (a @ b),
    ),
    "baddbmm": products(mg.baddbmm, lambda c, a, b, alpha: c + alpha * (a @ b),
                        ((2, 1, 2), (2, 2, 3), (2, 3, 2)), alpha=3),
    "einsum": Spec(mg.einsum, _equations(several=True), _einsum,
                   edges=[Case("ij,jk->ik", np.ones((0, 2)), np.ones((2, 3))), Case("i,i", np.ones(0), np.ones(0)),
                          Case("ij,jk->ik", np.ones((2, 0)), np.ones((0, 3))),
                          Case(",i->i", np.array(2.0), np.ones(2))]),
    "einsum of one": Spec(mg.einsum, _equations(several=False), _einsum),
    "inv": Spec(mg.inverse, st.builds(Case, matrices()),
                lambda a: np.linalg.solve(a, np.broadcast_to(np.eye(a.shape[-1]), a.shape)),
                half=False, edges=[Case(np.ones((0, 0))), Case(np.ones((0, 2, 2)))]),
    "solve": Spec(linalg.solve, systems(),
                  lambda a, b: (np.linalg.solve(a, b[..., None])[..., 0] if b.ndim == 1 or b.shape == a.shape[:-1]
                                else np.linalg.inv(a) @ b),
                  half=False),
    "solve from the right": Spec(
        lambda a, b: linalg.solve(a, b, left=False), on(((3, 3), (2, 3)), ((2, 3, 3), (2, 2, 3))).map(
            lambda case: Case(case.args[0] / 4 + np.eye(3), case.args[1])),
        lambda a, b: b @ np.linalg.inv(a), half=False, primitive="solve"),
    "det": Spec(linalg.det, st.builds(Case, matrices()), _minors, half=False, edges=[Case(np.ones((0, 2, 2)))]),
    "cholesky": Spec(_cholesky_of(linalg.cholesky), st.builds(Case, matrices()),
                     lambda a: np.linalg.cholesky(_positive(a)), half=False, duck=False),
    "cholesky upper": Spec(_cholesky_of(lambda a: linalg.cholesky(a, upper=True)), st.builds(Case, matrices(0)),
                           lambda a: np.linalg.cholesky(_positive(a)).T, half=False, duck=False, primitive="cholesky"),
    "matrix_norm": Spec(linalg.matrix_norm, st.builds(Case, floats((2, 2, 3)), keepdim=st.booleans()),
                        lambda a, keepdim: np.linalg.norm(a, "fro", (-2, -1), keepdim)),
    "linalg.norm": Spec(linalg.norm, st.sampled_from(
        [((3,), {}), ((2, 3), {}), ((2, 2, 2), {}), ((3,), {"ord": 3}), ((2, 3), {"ord": 2, "dim": 1}),
         ((2, 2, 3), {"ord": "fro", "dim": (0, 2)})]).flatmap(lambda c: floats(c[0]).map(lambda a: Case(a, **c[1]))),
        lambda a, ord=None, dim=None: np.linalg.norm(a, ord, dim)),
}  # fmt: skip


def _x(*shape: int, dtype: Any = None) -> mg.Tensor:
    return mg.ones(*shape, dtype=dtype)


ERRORS = [
    ("matmul sizes", lambda: mg.matmul(_x(2, 3), _x(2, 3)), ValueError, r"\(2, 3\) and \(2, 3\).*3 columns.*2 rows"),
    ("matmul batches", lambda: mg.matmul(_x(2, 2, 3), _x(3, 3, 2)), ValueError, r"batch dimensions \(2,\) and \(3,\)"),
    ("matmul scalar", lambda: mg.matmul(_x(2, 3), _x()), ValueError, "matmul: both operands need at least 1 dimension"),
    ("matmul dtypes", lambda: mg.matmul(_x(2, 3), _x(3, dtype=mg.float64)), TypeError,
     "matmul: .*input is float32, other is float64"),
    ("matmul list", lambda: mg.matmul(_x(2, 3), [1.0, 2.0, 3.0]), TypeError, "matmul: expected a Tensor.*list"),
    ("linear features", lambda: F.linear(_x(2, 3), _x(4, 2)), ValueError, r"linear: input of shape \(2, 3\).*\(4, 2\)"),
    ("linear weight", lambda: F.linear(_x(2, 3), _x(3)), ValueError, r"linear: .*weight of shape \(3,\)"),
    ("linear bias", lambda: F.linear(_x(2, 3), _x(4, 3), _x(3)), ValueError, r"bias has shape \(3,\).*expects \(4,\)"),
    ("linear dtypes", lambda: F.linear(_x(2, 3), _x(4, 3, dtype=mg.float64)), TypeError,
     "linear: .*input is float32, weight is float64;"),
    ("mm vector", lambda: mg.mm(_x(2, 3), _x(3)), ValueError, r"mm: mat2 must have 2 dimensions, got shape \(3,\)"),
    ("bmm batches", lambda: mg.bmm(_x(2, 2, 3), _x(1, 3, 2)), ValueError, "bmm: the batches"),
    ("bmm matrix", lambda: mg.bmm(_x(2, 3), _x(1, 3, 2)), ValueError, "bmm: input must have 3 dimensions"),
    ("mv number", lambda: mg.mv(_x(2, 3), 3.0), TypeError, "mv: vec must be a Tensor, got float"),
    ("dot matrix", lambda: mg.dot(_x(2, 3), _x(3)), ValueError, "dot: input must have 1 dimensions"),
    ("outer matrix", lambda: mg.outer(_x(2, 3), _x(3)), ValueError, "outer: input must have 1"),
    ("addmm shapes", lambda: mg.addmm(_x(3), _x(2, 3), _x(3, 2)), ValueError, "do not broadcast"),
    ("einsum operands", lambda: mg.einsum("ij,jk->ik", _x(2, 3)), ValueError, "describes 2 operands, got 1"),
    ("einsum dimensions", lambda: mg.einsum("ij->i", _x(2, 3, 4)), ValueError, r"'ij'.*shape \(2, 3, 4\)"),
    ("einsum sizes", lambda: mg.einsum("ij,jk->ik", _x(2, 3), _x(2, 3)), ValueError, "'j' in .* sizes 3 and 2"),
    ("einsum output", lambda: mg.einsum("ij->k", _x(2, 3)), ValueError, "'k' in .* is in no operand"),
    ("einsum twice", lambda: mg.einsum("ij->ii", _x(2, 3)), ValueError, "'i' in .* appears twice"),
    ("einsum letters", lambda: mg.einsum("i1->i", _x(2, 3)), ValueError, "'i1' in .* must consist of letters"),
    ("einsum diagonal", lambda: mg.einsum("ii->i", _x(2, 3)), ValueError, "'i' in .* sizes 2 and 3"),
    ("einsum sublists", lambda: mg.einsum(_x(2, 3), [0, 1]), NotImplementedError, "equation as a string"),
    ("einsum number", lambda: mg.einsum("i", 3.0), TypeError, "einsum: operands must be Tensors, got float"),
    ("einsum dtypes", lambda: mg.einsum("i,i", _x(2), _x(2, dtype=mg.float64)), TypeError, "operand 1 is float64"),
    ("tensordot count", lambda: mg.tensordot(_x(2), _x(2), 2), ValueError, "have no 2 dimensions to sum over"),
    ("tensordot sizes", lambda: mg.tensordot(_x(2, 3), _x(2, 3), 1), ValueError, "tensordot: .* differ in size"),
    ("inv square", lambda: mg.inverse(_x(2, 3)), ValueError, r"inv: expected square matrices .*\(2, 3\)"),
    ("inv singular", lambda: mg.inverse(_x(2, 2)), ValueError, "inv: Singular matrix"),
    ("inv half", lambda: mg.inverse(_x(2, 2, dtype=mg.float16)), TypeError, "inv: expected.*got float16"),
    ("solve sizes", lambda: linalg.solve(_x(2, 2), _x(3, 1)), ValueError, r"solve: shapes \(2, 2\) and \(3, 1\)"),
    ("solve singular", lambda: linalg.solve(_x(2, 2), _x(2)), ValueError, "solve: Singular matrix"),
    ("det integers", lambda: linalg.det(_x(2, 2, dtype=mg.int64)), TypeError, "det: expected float32"),
    ("cholesky indefinite", lambda: linalg.cholesky(-mg.eye(2)), ValueError, "cholesky: Matrix is not positive"),
    ("norm nuc", lambda: linalg.norm(_x(2, 2), "nuc"), NotImplementedError, "norm: ord='nuc' .* not available"),
    ("norm of a matrix", lambda: linalg.norm(_x(2, 2), 1), NotImplementedError, r"ord=1 over dimensions \(0, 1\)"),
    ("norm fro of vector", lambda: linalg.norm(_x(2), "fro"), NotImplementedError, "'fro' of matrices and numbers for"),
]  # fmt: skip
