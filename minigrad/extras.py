"""Libraries that minigrad can do without, and that the extras of its installation bring."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def extra(name: str, module: str, purpose: str) -> Any:
    """The module of a library, which ``purpose`` (things, in the plural) needs and the extra ``name`` installs."""
    try:
        return import_module(module)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ModuleNotFoundError(f"{purpose} need {library}: pip install 'minigrad-nn[{name}]'") from error
