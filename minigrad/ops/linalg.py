"""Products of vectors and matrices, sums of products, and the functions of square matrices."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ..arguments import check_dims, normalize_dims
from ..engine import primitive, sum_to
from ..kernels.contraction import contract
from ..kernels.products import add_to_rows, product, sum_of_rows
from ..memory import Array
from .elementwise import _add, mul
from .reduction import sum, vector_norm
from .shaping import broadcast_shapes, diagonal, expand, matrix_transpose, permute, squeeze, tril, unsqueeze

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _same_dtype(name: str, **operands: Any) -> None:
    found = {argument: a.dtype for argument, a in operands.items() if a is not None}
    if len(set(found.values())) > 1:
        kinds = ", ".join(f"{argument} is {dtype}" for argument, dtype in found.items())
        raise TypeError(f"{name}: all operands must have one dtype, but {kinds}; convert with .to(dtype)")


def _rows(a: Array) -> Array:
    """All leading dimensions made one: a matrix."""
    return a if a.ndim == 2 else np.reshape(a, (prod(a.shape[:-1]), a.shape[-1]))


def _times(a: Array, b: Array) -> Array:
    """``a @ b``; with a matrix ``b``, as a single product however many leading dimensions ``a`` has."""
    if a.ndim <= 2 or b.ndim != 2:
        return product(a, b)
    return np.reshape(product(_rows(a), b), (*a.shape[:-1], b.shape[1]))


# ------------------------------------------------------------------------------ matrix products


@primitive(input=lambda g, weight: _times(g, weight), weight=lambda g, input: product(_rows(g).T, _rows(input)),
           bias=lambda g: sum_of_rows(_rows(g)))  # fmt: skip
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """``input @ weight.T + bias``: input (..., in), weight (out, in), bias (out,), result (..., out)."""
    if weight.ndim != 2 or not input.ndim or input.shape[-1] != weight.shape[1]:
        raise ValueError(f"linear: input of shape {input.shape} does not fit weight of shape {weight.shape}; expected "
                         "(..., in_features) and (out_features, in_features)")  # fmt: skip
    if input.dtype is not weight.dtype or (bias is not None and bias.dtype is not weight.dtype):
        _same_dtype("linear", input=input, weight=weight, bias=bias)
    y = _times(input, weight.T)
    if bias is not None:
        if bias.shape != weight.shape[:1]:
            raise ValueError(f"linear: bias has shape {bias.shape}, weight {weight.shape} expects {weight.shape[:1]}")
        add_to_rows(y, bias)
    return y


def _matmul_input(g: Array, other: Array, input_shape: tuple[int, ...]) -> Array:
    if other.ndim == 1:  # a column without its dimension, which g lacks too
        g, other = np.expand_dims(g, -1), np.expand_dims(other, 1)
    if len(input_shape) == 1:
        g = np.expand_dims(g, -2)
    return sum_to(_times(g, np.swapaxes(other, -1, -2)), input_shape)


def _matmul_other(g: Array, input: Array, other_shape: tuple[int, ...]) -> Array:
    if len(other_shape) == 1:
        g = np.expand_dims(g, -1)
    if input.ndim == 1:  # a row without its dimension, which g lacks too
        g, input = np.expand_dims(g, -2), np.expand_dims(input, -2)
    if len(other_shape) <= 2:
        return np.reshape(product(np.swapaxes(_rows(input), 0, 1), _rows(g)), other_shape)
    return sum_to(product(np.swapaxes(input, -1, -2), g), other_shape)


@primitive(input=_matmul_input, other=_matmul_other)
def matmul(input: Array, other: Array) -> Array:
    """Product of matrices in the last two dimensions; the dimensions before them broadcast.

    A 1-d operand is a row on the left and a column on the right, and its dimension disappears.
    """
    if not (input.ndim and other.ndim):
        raise ValueError(f"matmul: both operands need at least 1 dimension, got shapes {input.shape} and {other.shape}")
    if input.dtype is not other.dtype:
        _same_dtype("matmul", input=input, other=other)
    rows = other.shape[-min(other.ndim, 2)]
    if input.shape[-1] != rows:
        raise ValueError(f"matmul: shapes {input.shape} and {other.shape} do not fit: {input.shape[-1]} columns "
                         f"on the left, {rows} rows on the right")  # fmt: skip
    try:
        return _times(input, other)
    except ValueError:
        raise ValueError(f"matmul: shapes {input.shape} and {other.shape} do not fit: the batch dimensions "
                         f"{input.shape[:-2]} and {other.shape[:-2]} do not broadcast") from None  # fmt: skip


def mm(input: Any, mat2: Any) -> Any:
    """Product of two matrices: (n, m) and (m, p) give (n, p)."""
    check_dims("mm", (2,), input=input, mat2=mat2)
    return matmul(input, mat2)


def bmm(input: Any, mat2: Any) -> Any:
    """Products of pairs of matrices: (b, n, m) and (b, m, p) give (b, n, p)."""
    check_dims("bmm", (3,), input=input, mat2=mat2)
    if input.shape[0] != mat2.shape[0]:
        raise ValueError(f"bmm: the batches of {input.shape} and {mat2.shape} differ; matmul broadcasts")
    return matmul(input, mat2)


def mv(input: Any, vec: Any) -> Any:
    """Product of a matrix (n, m) and a vector (m,)."""
    check_dims("mv", (2,), input=input)
    check_dims("mv", (1,), vec=vec)
    return matmul(input, vec)


def dot(input: Any, tensor: Any) -> Any:
    """Sum of products of two vectors of the same length."""
    check_dims("dot", (1,), input=input, tensor=tensor)
    return matmul(input, tensor)


def _scaled(input: Any, product: Any, beta: float, alpha: float) -> Any:
    """``beta * input + alpha * product``; with ``beta`` 0, whatever ``input`` holds does not matter."""
    product = product if alpha == 1 else mul(product, alpha)
    if beta == 0:
        return expand(product, broadcast_shapes(input.shape, product.shape))
    return _add(input if beta == 1 else mul(input, beta), product)


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * mat1 @ mat2`` for matrices; ``input`` broadcasts to the product."""
    check_dims("addmm", (2,), mat1=mat1, mat2=mat2)
    return _scaled(input, matmul(mat1, mat2), beta, alpha)


def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * input + alpha * bmm(batch1, batch2)``."""
    return _scaled(input, bmm(batch1, batch2), beta, alpha)


# ------------------------------------------------------------------------------ sums of products


def _einsum_rule(g: Array, index: int, operands: tuple[Array, ...], terms: tuple[str, ...], output: str) -> Array:
    # Every label is in two terms (the output being one): that is as true of the gradient's product.
    others, labels = list(operands), list(terms)
    others[index], labels[index] = g, output
    return _einsum(*others, terms=tuple(labels), output=terms[index])


@primitive(operands=_einsum_rule)
def _einsum(*operands: Array, terms: tuple[str, ...], output: str) -> Array:
    """:func:`einsum` of at least two operands; no term repeats a label, and each label is in two of them."""
    _same_dtype("einsum", **{f"operand {i}": a for i, a in enumerate(operands)})
    return contract(operands, terms, output)


def _parse(equation: str, operands: tuple[Any, ...]) -> tuple[list[str], str]:
    """The labels of each operand's dimensions and of the output's: letters, also in place of an ellipsis."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {equation!r} describes {len(terms)} operands, got {len(operands)}")
    for term in (*terms, output):
        if not set(term.replace("...", "", 1)) <= set(_LETTERS):
            raise ValueError(f"einsum: {term!r} in {equation!r} must consist of letters and at most one '...'")
    extras = [x.ndim - len(term.replace("...", "")) for term, x in zip(terms, operands)]
    for term, extra, x in zip(terms, extras, operands):
        if extra < 0 or (extra and "..." not in term):
            raise ValueError(f"einsum: {term!r} in {equation!r} does not fit shape {tuple(x.shape)}")
    dots = "".join(letter for letter in _LETTERS if letter not in equation)[: max(extras)]
    terms = [term.replace("...", dots[len(dots) - extra :]) for term, extra in zip(terms, extras)]
    labels = "".join(terms)
    if not arrow:
        output = "..." + "".join(sorted(label for label in set(labels) - set(dots) if labels.count(label) == 1))
    output = output.replace("...", dots)
    for label in output:
        if label not in labels or output.count(label) > 1:
            problem = "appears twice in the output" if label in labels else "is in no operand"
            raise ValueError(f"einsum: {label!r} in {equation!r} {problem}")
    return terms, output


def einsum(equation: str, *operands: Any) -> Any:
    """The sum of products that ``equation`` describes, as ``"bij,bjk->bik"``: dimensions with one label go together.

    Labels that the output lacks are summed over. Without ``->`` the output has the labels that appear
    once, in alphabetical order. A label twice in one term is the diagonal; ``...`` stands for further
    dimensions, which broadcast.
    """
    if not isinstance(equation, str):
        raise NotImplementedError("einsum: give the equation as a string; lists of numbers are not available")
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    for operand in operands:
        if not hasattr(operand, "ndim"):
            raise TypeError(f"einsum: operands must be Tensors, got {type(operand).__name__}")
    terms, output = _parse(equation, operands)
    sizes: dict[str, int] = {}
    for term, operand in zip(terms, operands):
        for label, size in zip(term, operand.shape):
            if sizes.setdefault(label, size) != size and (term.count(label) > 1 or 1 not in (size, sizes[label])):
                name = repr(label if label in equation else "...")
                raise ValueError(f"einsum: {name} in {equation!r} has sizes {sizes[label]} and {size}")
            sizes[label] = size if sizes[label] == 1 else sizes[label]
    simple = [_without_repeats(x, term, sizes) for x, term in zip(operands, terms)]
    for i, (x, term) in enumerate(simple):
        needed = set(output).union(*(other for j, (_, other) in enumerate(simple) if j != i))
        if alone := tuple(axis for axis, label in enumerate(term) if label not in needed):
            simple[i] = sum(x, alone), "".join(label for label in term if label in needed)
    if len(simple) == 1:
        (x, term), = simple  # fmt: skip
        return permute(x, [term.index(label) for label in output])
    return _einsum(*(x for x, _ in simple), terms=tuple(term for _, term in simple), output=output)


def _without_repeats(x: Any, term: str, sizes: dict[str, int]) -> tuple[Any, str]:
    """``x`` with its diagonal for each repeated label, and without dimensions that would broadcast."""
    for label in dict.fromkeys(term):
        while (second := term.find(label, (first := term.index(label)) + 1)) > 0:
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + label
    stretched = tuple(i for i, label in enumerate(term) if x.shape[i] != sizes[label])
    kept = "".join(label for i, label in enumerate(term) if i not in stretched)
    return (squeeze(x, stretched) if stretched else x), kept


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Sum of products over pairs of dimensions: the last ``dims`` of ``a`` with the first of ``b``, or two lists."""
    if isinstance(dims, int):
        if not 0 <= dims <= min(a.ndim, b.ndim):
            raise ValueError(f"tensordot: shapes {a.shape} and {b.shape} have no {dims} dimensions to sum over")
        dims = (tuple(range(a.ndim - dims, a.ndim)), tuple(range(dims)))
    first, second = normalize_dims(dims[0], a.ndim, "tensordot"), normalize_dims(dims[1], b.ndim, "tensordot")
    if [a.shape[i] for i in first] != [b.shape[i] for i in second]:
        raise ValueError(f"tensordot: dimensions {first} of {a.shape} and {second} of {b.shape} differ in size")
    left, right = list(_LETTERS[: a.ndim]), list(_LETTERS[a.ndim : a.ndim + b.ndim])
    for i, j in zip(first, second):
        right[j] = left[i]
    output = [label for label in left + right if (label in left) != (label in right)]
    return _einsum(a, b, terms=("".join(left), "".join(right)), output="".join(output))


def outer(input: Any, vec2: Any) -> Any:
    """All products of an element of one vector and one of another: (n,) and (m,) give (n, m)."""
    check_dims("outer", (1,), input=input, vec2=vec2)
    return mul(input[:, None], vec2)


def inner(input: Any, other: Any) -> Any:
    """Sums of products over the last dimensions of both."""
    if not (input.ndim and other.ndim):
        return mul(input, other)
    return tensordot(input, other, dims=((-1,), (-1,)))


# ------------------------------------------------------------------------------ norms


def norm(A: Any, ord: float | str | None = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The 2-norm of all elements; with ``ord`` or ``dim`` a :func:`vector_norm`, or ``"fro"`` of matrices."""
    dims = normalize_dims(dim, A.ndim, "norm")
    if ord is not None and (isinstance(ord, str) or len(dims) == 2) and (ord != "fro" or len(dims) != 2):
        raise NotImplementedError(f"norm: ord={ord!r} over dimensions {dims} is not available; there are 'fro' of "
                                  "matrices and numbers for vectors")  # fmt: skip
    return vector_norm(A, 2 if ord in (None, "fro") else ord, dims, keepdim, dtype=dtype)  # type: ignore[arg-type]


def matrix_norm(A: Any, ord: str = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The Frobenius norm of each matrix, the only one that needs no singular values."""
    return norm(A, ord, dim, keepdim, dtype=dtype)


# ------------------------------------------------------------------------------ square matrices


def _lapack(name: str, function: Callable, A: Array, *others: Array) -> Any:
    """``function`` of square matrices, with errors that say what it is and what it needs."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(f"{name}: expected square matrices (..., n, n), got shape {tuple(A.shape)}")
    if A.dtype.kind != "f" or A.dtype.itemsize < 4:
        raise TypeError(f"{name}: expected float32 or float64, got {A.dtype}")
    try:
        return function(A, *others)
    except np.linalg.LinAlgError as error:
        raise np.linalg.LinAlgError(f"{name}: {error}") from None


def _transposed(x: Array) -> Array:
    return np.swapaxes(x, -1, -2)


@primitive(A=lambda g, y: -np.matmul(_transposed(y), np.matmul(g, _transposed(y))))
def inv(A: Array) -> Array:
    """The inverse of each square matrix. Raises LinAlgError (a ValueError) if one has none."""
    return _lapack("inv", np.linalg.inv, A)


def _solve_A(g: Array, A: Array, y: Array, A_shape: tuple[int, ...]) -> Array:
    return sum_to(-np.matmul(_solve(_transposed(A), g), _transposed(y)), A_shape)


@primitive(A=_solve_A, B=lambda g, A, B_shape: sum_to(_solve(_transposed(A), g), B_shape))
def _solve(A: Array, B: Array) -> Array:
    """The X with ``A @ X == B``, for matrices."""
    _same_dtype("solve", A=A, B=B)
    return _lapack("solve", np.linalg.solve, A, B)


def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """The X with ``A @ X == B`` for a vector or a matrix B of each matrix A; or ``X @ A == B``, for matrices."""
    if not left:
        A, B = matrix_transpose(A), matrix_transpose(B)
    vector = left and (B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1])))
    columns = unsqueeze(B, -1) if vector else B
    if A.ndim < 2 or columns.ndim < 2 or columns.shape[-2] != A.shape[-1]:
        raise ValueError(f"solve: shapes {tuple(A.shape)} and {tuple(B.shape)} do not fit; expected (..., n, n) and "
                         "(..., n, k) or (..., n)")  # fmt: skip
    X = _solve(A, columns)
    return squeeze(X, -1) if vector else X if left else matrix_transpose(X)


@primitive(A=lambda g, A, y: np.expand_dims(g * y, (-2, -1)) * _transposed(inv(A)))
def det(A: Array) -> Array:
    """The determinant of each square matrix. The gradient exists for invertible matrices only."""
    return _lapack("det", np.linalg.det, A)


def _cholesky_rule(g: Array, y: Array) -> Array:
    # With P = tril(yT g), diagonal halved: y^-T P y^-1, made symmetric (Murray 2016, equation 9).
    middle = np.matmul(_transposed(y), g)
    middle = 0.5 * (tril(middle) + tril(middle, -1))
    right = _solve(_transposed(y), _transposed(_solve(_transposed(y), middle)))
    return 0.5 * (right + _transposed(right))


@primitive(A=_cholesky_rule)
def _cholesky(A: Array) -> Array:
    return _lapack("cholesky", np.linalg.cholesky, A)


def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with ``L @ L.mT == A`` for symmetric positive definite matrices, or its transpose."""
    return matrix_transpose(_cholesky(A)) if upper else _cholesky(A)
