"""Makes the package ``nn`` reachable as ``minigrad.nn`` too: the very same modules, under two names.

Importing this file puts every module of ``nn`` into ``sys.modules`` under its second name as well,
this one included, so that no spelling of an import ever runs a second copy of one.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import nn  # noqa: F401  all of it

if TYPE_CHECKING:
    from nn import *  # noqa: F403  what type checkers and editors shall see here

for _name, _module in list(sys.modules.items()):
    if _name == "nn" or _name.startswith("nn."):
        sys.modules["minigrad." + _name] = _module
