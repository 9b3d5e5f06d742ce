"""Helpers: data loading, checkpoints. ``minigrad.utils.data`` is :mod:`minigrad.data`, the very same modules."""

from __future__ import annotations

import sys

from .. import data
from . import checkpoint

for _name, _module in list(sys.modules.items()):
    if _name == data.__name__ or _name.startswith(data.__name__ + "."):
        sys.modules[_name.replace("minigrad.", "minigrad.utils.", 1)] = _module
