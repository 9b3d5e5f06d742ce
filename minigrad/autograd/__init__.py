"""Gradients on request: ``backward``, ``grad``, operations of your own, switches, and :mod:`.functional`."""

from __future__ import annotations

from typing import Any

from ..backprop import backward, grad
from ..grad_mode import (
    detect_anomaly, enable_grad, inference_mode, is_anomaly_enabled, no_grad, set_detect_anomaly, set_grad_enabled,
)
from . import function, functional
from .function import Function
from .gradcheck import gradcheck, gradgradcheck


def Variable(data: Any, requires_grad: bool = False) -> Any:
    """A leaf that shares the memory of the tensor ``data``: what tensors with gradients once were."""
    return data.detach().requires_grad_(requires_grad)
