"""Attention, embeddings, distances and dropout, against loops."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import floats, integers, shapes
from nn import functional as F

from .spec import Case, Spec

# ------------------------------------------------------------------------------------- attention


@st.composite
def attended(draw: Any, masked: bool = True) -> Case:
    """Query, key and value with heads, and one of the kinds of masks; every query may see some key."""
    batch = draw(st.sampled_from([(), (2,), (1, 2)]))
    L, S, E = draw(st.integers(1, 3)), draw(st.integers(1, 3)), 2
    options: dict[str, Any] = {}
    kind = draw(st.sampled_from(["none", "causal", "scale", *["bool", "float"] * masked]))
    if kind == "bool":
        options["attn_mask"] = draw(integers((L, S), 0, 1)).astype(bool)
    elif kind == "float":
        options["attn_mask"] = draw(floats((L, S)))
    elif kind == "causal":
        options["is_causal"] = True
    elif kind == "scale":
        options["scale"] = 0.3
    shapes = ((*batch, L, E), (*batch, S, E), (*batch, S, 3))
    return Case(*(draw(floats(s)) for s in shapes), **options)


def _attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, attn_mask: np.ndarray | None = None,
               is_causal: bool = False, scale: float | None = None) -> np.ndarray:  # fmt: skip
    out = np.zeros((*query.shape[:-1], value.shape[-1]))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    for i in np.ndindex(query.shape[:-1]):
        scores = [float(query[i] @ k) * scale for k in key[i[:-1]]]
        for j in range(len(scores)):
            if attn_mask is not None:
                mask = attn_mask[i[-1], j]
                scores[j] = (scores[j] if mask else -math.inf) if attn_mask.dtype == bool else scores[j] + mask
            if is_causal and j > i[-1]:
                scores[j] = -math.inf
        weights = [math.exp(s) for s in scores]
        for j, w in enumerate(weights):
            out[i] += value[i[:-1]][j] * (w / sum(weights) if w else 0)
    return out


def _grouped(query: np.ndarray, key: np.ndarray, value: np.ndarray) -> np.ndarray:
    times = query.shape[-3] // key.shape[-3]
    return _attention(query, np.repeat(key, times, -3), np.repeat(value, times, -3))


# ------------------------------------------------------------------------------------ embeddings


def _embedding(indices: np.ndarray, weight: np.ndarray, padding_idx: int | None = None) -> np.ndarray:
    return np.array([weight[i] for i in indices.reshape(-1)]).reshape(*indices.shape, weight.shape[1])


def _embedding_bag(indices: np.ndarray, weight: np.ndarray, offsets: np.ndarray | None = None, mode: str = "mean",
                   padding_idx: int | None = None,
                   per_sample_weights: np.ndarray | None = None) -> np.ndarray:  # fmt: skip
    factors = np.ones(indices.shape) if per_sample_weights is None else per_sample_weights
    if offsets is None:
        bags = list(zip(indices, factors, strict=True))
    else:
        ends = [*offsets[1:], len(indices)]
        bags = [(indices[a:b], factors[a:b]) for a, b in zip(offsets, ends, strict=True)]
    out = np.zeros((len(bags), weight.shape[1]))
    for k, (bag, f) in enumerate(bags):
        rows = [weight[i] * w for i, w in zip(bag, f, strict=True) if i != padding_idx]
        if rows:
            out[k] = {"sum": np.sum, "mean": np.mean, "max": np.max}[mode](rows, axis=0)
    return out


TABLE = floats((4, 3))
BAGS = integers(st.sampled_from([(2, 3), (1, 2), (3, 1)]), 0, 3)
OFFSETS = st.sampled_from([[0, 2, 2, 4], [0], [0, 5]]).map(np.array)


# -------------------------------------------------------------------------------------- distances


def _pairwise_distance(a: np.ndarray, b: np.ndarray, p: float = 2.0, keepdim: bool = False) -> np.ndarray:
    return (np.abs(a - b + 1e-6) ** p).sum(-1, keepdims=keepdim) ** (1 / p)


def _cosine_similarity(a: np.ndarray, b: np.ndarray, dim: int = 1) -> np.ndarray:
    return (a * b).sum(dim) / np.sqrt((a * a).sum(dim) * (b * b).sum(dim))


@st.composite
def two_vectors(draw: Any, **options: Any) -> Case:
    """Two arrays without a difference near 0."""
    a, b = draw(floats((2, *draw(shapes(2, 2)))))
    return Case(a, b, **{k: draw(st.sampled_from(v)) for k, v in options.items()})


# ----------------------------------------------------------------------------------------- random


def seeded(function: Callable, **options: Any) -> Callable[..., Any]:
    """The function with the same random numbers in each call."""

    def call(input: Any) -> Any:
        state = mg.random.default_generator.get_state()
        mg.manual_seed(3)
        try:
            return function(input, **options)
        finally:
            mg.random.default_generator.set_state(state)

    return call


def dropped(function: Callable, shape: tuple[int, ...]) -> Spec:
    """Dropout against itself on ones: it multiplies, and adds, what it draws."""
    draws = seeded(function, p=0.5, training=True)

    def reference(x: np.ndarray) -> np.ndarray:
        shift = draws(mg.zeros(*x.shape, dtype=mg.float64)).numpy()
        return x * (draws(mg.ones(*x.shape, dtype=mg.float64)).numpy() - shift) + shift

    return Spec(draws, floats(shape).map(Case), reference, half=False, duck=False)


SPECS: dict[str, Spec] = {
    "scaled_dot_product_attention": Spec(F.scaled_dot_product_attention, attended(), _attention, twice=False),
    "attention": Spec(F.scaled_dot_product_attention, attended(masked=False), _attention, twice=False),
    "grouped scaled_dot_product_attention": Spec(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        st.builds(Case, floats((2, 4, 2, 2)), floats((2, 2, 3, 2)), floats((2, 2, 3, 1))),
        _grouped,
        twice=False,
    ),
    "bilinear": Spec(
        F.bilinear,
        st.sampled_from([(), (3,), (2, 1)]).flatmap(
            lambda s: st.builds(Case, floats((*s, 2)), floats((*s, 3)), floats((2, 2, 3)), floats((2,)))),
        lambda a, b, weight, bias: np.einsum("...i,oij,...j->...o", a, weight, b) + bias,
        twice=False,
    ),
    "F.embedding": Spec(F.embedding, st.builds(Case, integers(shapes(0, 2), 0, 3), TABLE), _embedding,
                        primitive="embedding", duck=False),
    "padded embedding": Spec(lambda i, w: F.embedding(i, w, padding_idx=-1),
                             st.builds(Case, integers((2, 2), 0, 2), TABLE), _embedding, duck=False),
    "embedding_bag": Spec(
        F.embedding_bag,
        st.builds(Case, BAGS, TABLE, mode=st.sampled_from(["sum", "mean", "max"]),
                  padding_idx=st.sampled_from([None, 1])),
        _embedding_bag,
        duck=False,
    ),
    "embedding_bag with offsets": Spec(
        F.embedding_bag,
        st.builds(Case, integers((5,), 0, 3), TABLE, OFFSETS, mode=st.sampled_from(["sum", "mean", "max"])),
        _embedding_bag,
        duck=False,
    ),
    "weighted embedding_bag": Spec(
        lambda i, w, f: F.embedding_bag(i, w, mode="sum", per_sample_weights=f, padding_idx=0),
        st.builds(Case, integers((2, 3), 0, 3), TABLE, floats((2, 3))),
        lambda i, w, f: _embedding_bag(i, w, mode="sum", per_sample_weights=f, padding_idx=0),
        duck=False,
        twice=False,
    ),
    "pairwise_distance": Spec(
        F.pairwise_distance, two_vectors(p=[1.0, 2.0, 3.0], keepdim=[False, True]), _pairwise_distance, twice=False),
    "cosine_similarity": Spec(F.cosine_similarity, two_vectors(dim=[0, 1, -1]), _cosine_similarity),
    "dropout": dropped(F.dropout, (3, 4)),
    "dropout1d": dropped(F.dropout1d, (2, 3, 2)),
    "dropout2d": dropped(F.dropout2d, (2, 3, 2, 1)),
    "dropout3d": dropped(F.dropout3d, (4, 1, 2, 2)),
    "alpha_dropout": dropped(F.alpha_dropout, (3, 4)),
    "feature_alpha_dropout": dropped(F.feature_alpha_dropout, (2, 3, 2)),
}  # fmt: skip


def _x(*shape: int) -> mg.Tensor:
    return mg.ones(*shape)


def _sdpa(*shapes: tuple[int, ...], **options: Any) -> Callable[[], Any]:
    return lambda: F.scaled_dot_product_attention(*(_x(*s) for s in shapes), **options)


def _bag(*shape: int, **options: Any) -> Callable[[], Any]:
    return lambda: F.embedding_bag(mg.zeros(*shape, dtype=mg.int64), _x(4, 3), **options)


ERRORS = [
    ("sdpa 1-D", _sdpa((2,), (2,), (2,)), ValueError, r"query \(2,\), key \(2,\), value \(2,\)"),
    ("sdpa last", _sdpa((3, 2), (3, 4), (3, 4)), ValueError, "same last dimension"),
    ("sdpa keys", _sdpa((3, 2), (3, 2), (4, 2)), ValueError, "key and value must be equally many"),
    ("sdpa both masks", _sdpa((3, 2), (3, 2), (3, 2), attn_mask=_x(3, 3), is_causal=True), ValueError, "not both"),
    ("sdpa mask shape", _sdpa((3, 2), (3, 2), (3, 2), attn_mask=_x(2, 3)), ValueError, r"\(2, 3\) does not broadcast"),
    ("sdpa mask dtype", _sdpa((3, 2), (3, 2), (3, 2), attn_mask=mg.ones(3, 3, dtype=mg.int64)), TypeError, "int64"),
    ("sdpa dtypes", lambda: F.scaled_dot_product_attention(_x(3, 2), _x(3, 2), _x(3, 2).double()),
     TypeError, "one dtype"),
    ("sdpa heads", _sdpa((3, 2, 2), (2, 2, 2), (2, 2, 2), enable_gqa=True), ValueError, "multiple of those"),
    ("sdpa dropout", _sdpa((3, 2), (3, 2), (3, 2), dropout_p=1.5), ValueError, "from 0 to 1, got 1.5"),
    ("embedding floats", lambda: F.embedding(_x(2), _x(4, 3)), TypeError,
     "input must be an integer tensor, got float32"),
    ("embedding table", lambda: F.embedding(mg.tensor([0]), _x(4)), ValueError,
     r"embedding: weight must have 2 dimensions, got shape \(4,\)"),
    ("embedding range", lambda: F.embedding(mg.tensor([4]), _x(4, 3)), IndexError, "index 4 is out of range .* size 4"),
    ("embedding padding", lambda: F.embedding(mg.tensor([0]), _x(4, 3), padding_idx=4), ValueError, "padding_idx 4"),
    ("embedding sparse", lambda: F.embedding(mg.tensor([0]), _x(4, 3), sparse=True), NotImplementedError, "sparse"),
    ("bag mode", _bag(2, 2, mode="min"), ValueError, "'sum', 'mean' or 'max', got 'min'"),
    ("bag 3-D", _bag(2, 2, 2), ValueError, r"must be \(B, L\), or \(N,\) with offsets, got shape \(2, 2, 2\)"),
    ("bag no offsets", _bag(4), ValueError, r"needs offsets, integers of shape \(B,\)"),
    ("bag offsets twice", _bag(2, 2, offsets=mg.tensor([0])), ValueError, "takes no offsets"),
    ("bag offsets start", _bag(4, offsets=mg.tensor([1, 2])), ValueError, "offsets must begin with 0"),
    ("bag offsets falling", _bag(4, offsets=mg.tensor([0, 3, 2])), ValueError, "never decrease"),
    ("bag last offset", _bag(4, offsets=mg.tensor([0, 3]), include_last_offset=True),
     ValueError, "number of indices, 4"),
    ("bag weights mode", _bag(2, 2, per_sample_weights=_x(2, 2)), NotImplementedError, "mode='sum', not 'mean'"),
    ("bag weights shape", _bag(2, 2, mode="sum", per_sample_weights=_x(2)),
     ValueError, r"per_sample_weights has shape \(2,\)"),
    ("bag max frequency", _bag(2, 2, mode="max", scale_grad_by_freq=True), ValueError, "cannot scale"),
    ("bilinear weight", lambda: F.bilinear(_x(2, 3), _x(2, 4), _x(5, 4, 3)), ValueError, r"\(out, in1, in2\)"),
    ("bilinear batch", lambda: F.bilinear(_x(2, 3), _x(3, 4), _x(5, 3, 4)), ValueError, "must agree but for the last"),
    ("dropout p", lambda: F.dropout(_x(2), 1.5), ValueError, "dropout: p must be a probability from 0 to 1, got 1.5"),
    ("dropout2d dims", lambda: F.dropout2d(_x(2)),
     ValueError, r"dropout2d: .* 2 or 3 or 4 dimensions, got shape \(2,\)"),
    ("alpha_dropout p", lambda: F.alpha_dropout(_x(2), -0.1), ValueError, "alpha_dropout: p must be a probability"),
    ("feature_alpha_dropout", lambda: F.feature_alpha_dropout(_x(2)), ValueError, r"dimensions, got shape \(2,\)"),
    ("gumbel tau", lambda: F.gumbel_softmax(_x(2, 3), tau=0.0), ValueError, "temperature tau must be above 0"),
]  # fmt: skip
