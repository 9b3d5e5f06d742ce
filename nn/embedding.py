"""Embeddings: learned vectors for the numbers of words or other things."""

from __future__ import annotations

from typing import Any

import minigrad

from . import functional as F
from . import init
from .linear import check_size
from .module import Module
from .parameter import Parameter


class _Table(Module):
    """A table of ``num_embeddings`` vectors; the constructor's options become attributes."""

    shown: tuple[str, ...]  # the options that are printed

    def _set_up(self, num_embeddings: int, embedding_dim: int, weight: Any, freeze: bool, padding_idx: int | None,
                sparse: bool, device: Any, dtype: Any) -> None:  # fmt: skip
        name = type(self).__name__
        if sparse:
            raise NotImplementedError(f"{name}: there are no sparse gradients; leave out sparse=True")
        shape = (num_embeddings, embedding_dim)
        for size, argument in zip(shape, ("num_embeddings", "embedding_dim"), strict=True):
            check_size(size, name, argument, 0)
        if padding_idx is not None and not -num_embeddings <= padding_idx < num_embeddings:
            raise ValueError(f"{name}: padding_idx {padding_idx} is out of range for {num_embeddings} embeddings")
        if weight is not None and tuple(weight.shape) != shape:
            raise ValueError(f"{name}: the given weight has shape {tuple(weight.shape)}, expected {shape}")
        self.num_embeddings, self.embedding_dim = shape
        self.padding_idx = None if padding_idx is None else padding_idx % num_embeddings
        table = minigrad.empty(shape, device=device, dtype=dtype) if weight is None else weight
        self.weight = Parameter(table, not freeze)
        if weight is None:
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all vectors from the normal distribution, but make that at ``padding_idx`` 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with minigrad.no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls, embeddings: Any, freeze: bool = True, *args: Any, **options: Any) -> Any:
        """The layer for a given table, which is not trained if ``freeze``; options are the constructor's."""
        if embeddings.ndim != 2:
            raise ValueError(f"from_pretrained: embeddings must be a table, got shape {tuple(embeddings.shape)}")
        layer: Any = cls(*embeddings.shape, *args, _weight=embeddings, **options)  # type: ignore[call-arg]
        layer.weight.requires_grad = not freeze
        return layer

    def extra_repr(self) -> str:
        usual = {"padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False}
        changed = [f", {k}={getattr(self, k)!r}" for k in self.shown if getattr(self, k) != usual.get(k)]
        return f"{self.num_embeddings}, {self.embedding_dim}" + "".join(changed)


class Embedding(_Table):
    """The vectors at the given indices: (...) to (..., embedding_dim); see :func:`F.embedding`.

    Args:
        padding_idx: a vector that starts as zeros and gets no gradient.
        max_norm: shorten used vectors to this ``norm_type``-norm, in place.
        scale_grad_by_freq: divide each vector's gradient by how often it is used.
    """

    shown = ("padding_idx", "max_norm", "norm_type", "scale_grad_by_freq")

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                 sparse: bool = False, _weight: Any = None, _freeze: bool = False, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self._set_up(num_embeddings, embedding_dim, _weight, _freeze, padding_idx, sparse, device, dtype)

    def forward(self, input: Any) -> Any:
        return F.embedding(input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq)


class EmbeddingBag(_Table):
    """The sum, mean or maximum of the vectors in each bag of indices; see :func:`F.embedding_bag`.

    Args:
        mode: "sum", "mean" or "max".
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: an index that counts as absent. The others are those of :class:`Embedding`.
    """

    shown = ("max_norm", "norm_type", "scale_grad_by_freq", "mode", "padding_idx")

    def __init__(self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
                 scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Any = None,
                 include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__()
        self.max_norm, self.norm_type, self.scale_grad_by_freq = max_norm, norm_type, scale_grad_by_freq
        self.mode, self.include_last_offset = mode, include_last_offset
        self._set_up(num_embeddings, embedding_dim, _weight, False, padding_idx, sparse, device, dtype)

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return F.embedding_bag(input, self.weight, offsets, self.max_norm, self.norm_type, self.scale_grad_by_freq,
                               self.mode, False, per_sample_weights, self.include_last_offset,
                               self.padding_idx)  # fmt: skip
