"""Dropout layers: in training they set random parts of the input to zero and scale up the rest.

All keep the shape of the input. In evaluation they do nothing.
"""

from __future__ import annotations

from minigrad.arguments import check_probability

from . import functional as F
from .layer import Layer


class _Dropout(Layer, usual={}):
    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        check_probability(type(self).__name__, p)
        super().__init__(locals())


class Dropout(_Dropout, function=F.dropout):
    """Set each element to zero with probability ``p``, and divide the others by ``1 - p``; training only.

    Takes any shape, and keeps it.
    """


class Dropout1d(_Dropout, function=F.dropout1d):
    """:class:`Dropout` of whole channels of (N, C, L) or (C, L)."""


class Dropout2d(_Dropout, function=F.dropout2d):
    """:class:`Dropout` of whole channels of (N, C, H, W), and as in PyTorch of (N, C, L) and (N, C) too."""


class Dropout3d(_Dropout, function=F.dropout3d):
    """:class:`Dropout` of whole channels of (N, C, D, H, W) or (C, D, H, W)."""


class AlphaDropout(_Dropout, function=F.alpha_dropout):
    """Dropout for :class:`SELU` networks, which keeps mean and variance (Klambauer et al. 2017)."""


class FeatureAlphaDropout(_Dropout, function=F.feature_alpha_dropout):
    """:class:`AlphaDropout` of whole channels of (N, C, ...)."""
