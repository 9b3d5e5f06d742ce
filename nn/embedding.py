"""Embeddings: learned vectors for the numbers of words or other things."""

from __future__ import annotations

from typing import Any, ClassVar

import minigrad

from . import functional as F
from . import init
from .layer import WeightedLayer
from .parameter import Parameter


class _Table(WeightedLayer, unnamed=2):
    """A table of ``num_embeddings`` vectors."""

    usual: ClassVar = {
        "padding_idx": None, "max_norm": None, "norm_type": 2.0, "scale_grad_by_freq": False, "sparse": False
    }  # fmt: skip

    def __init__(self, arguments: dict[str, Any]) -> None:
        weight, freeze = arguments.pop("_weight"), arguments.pop("_freeze", False)
        super().__init__(arguments)
        self._check_sizes("num_embeddings", "embedding_dim", minimum=0)
        name, rows, shape = type(self).__name__, self.num_embeddings, (self.num_embeddings, self.embedding_dim)
        if self.padding_idx is not None:
            if not -rows <= self.padding_idx < rows:
                raise ValueError(f"{name}: padding_idx {self.padding_idx} is out of range for {rows} embeddings")
            self.padding_idx %= rows
        if weight is None:
            self._add_parameters(arguments["device"], arguments["dtype"], weight=shape)
        elif tuple(weight.shape) == shape:
            self.weight = Parameter(weight)
        else:
            raise ValueError(f"{name}: the given weight has shape {tuple(weight.shape)}, expected {shape}")
        self.weight.requires_grad = not freeze

    def reset_parameters(self) -> None:
        """Draw all vectors from the normal distribution, but make that at ``padding_idx`` 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            with minigrad.no_grad():
                self.weight[self.padding_idx] = 0

    @classmethod
    def from_pretrained(cls: Any, embeddings: Any, freeze: bool = True, *args: Any, **options: Any) -> Any:
        """The layer for a given table, which is not trained if ``freeze``; options are the constructor's."""
        if embeddings.ndim != 2:
            raise ValueError(f"from_pretrained: embeddings must be a table, got shape {tuple(embeddings.shape)}")
        layer = cls(*embeddings.shape, *args, _weight=embeddings, **options)
        layer.weight.requires_grad = not freeze
        return layer


class Embedding(_Table, function=F.embedding):
    """The vectors at the given indices: (...) to (..., embedding_dim); see :func:`F.embedding`.

    The table ``weight`` (num_embeddings, embedding_dim) starts normally distributed.

    Args:
        padding_idx: a vector that starts as zeros and gets no gradient.
        max_norm: shorten used vectors to this ``norm_type``-norm, in place.
        scale_grad_by_freq: divide each vector's gradient by how often it is used.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                 sparse: bool = False, _weight: Any = None, _freeze: bool = False, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__(locals())


class EmbeddingBag(_Table, function=F.embedding_bag):
    """The sum, mean or maximum of the vectors in each bag of indices; see :func:`F.embedding_bag`.

    Bags (B, L), or all indices in a row (N,) with the ``offsets`` (B,) at which bags begin, to (B, embedding_dim).

    Args:
        mode: "sum", "mean" or "max".
        include_last_offset: the last offset is the end of the last bag.
        padding_idx: an index that counts as absent. The others are those of :class:`Embedding`.
    """

    shown = ("num_embeddings", "embedding_dim", "max_norm", "norm_type", "scale_grad_by_freq", "mode", "padding_idx")

    def __init__(self, num_embeddings: int, embedding_dim: int, max_norm: float | None = None, norm_type: float = 2.0,
                 scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, _weight: Any = None,
                 include_last_offset: bool = False, padding_idx: int | None = None, device: Any = None,
                 dtype: Any = None) -> None:  # fmt: skip
        super().__init__(locals())

    def forward(self, input: Any, offsets: Any = None, per_sample_weights: Any = None) -> Any:
        return super().forward(input, offsets=offsets, per_sample_weights=per_sample_weights)
