"""A reverse-mode autograd tensor framework over NumPy, with PyTorch's names."""

from __future__ import annotations

from .tensor import Tensor

# Operations, by family.
