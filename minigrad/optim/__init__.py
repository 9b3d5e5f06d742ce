"""Optimizers: they change parameters in the direction that their gradients point to."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import lr_scheduler
from .adam import Adam, Adamax, AdamW, NAdam, RAdam
from .adaptive import Adadelta, Adagrad, RMSprop
from .lbfgs import LBFGS
from .optimizer import Optimizer
from .sgd import SGD


def __getattr__(name: str) -> Any:
    """Import what is built on modules when it is used first."""
    if name == "swa_utils":
        return import_module(f"{__name__}.swa_utils")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
