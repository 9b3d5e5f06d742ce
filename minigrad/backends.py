"""Libraries that minigrad does not use: programs may ask for them and set their switches, to no effect."""

from __future__ import annotations

from types import SimpleNamespace

from . import cuda as _cuda

_switches = {"enabled": False, "benchmark": False, "deterministic": True, "allow_tf32": False}
_answers = {"is_available": _cuda.is_available, "is_built": _cuda.is_available}

cudnn = SimpleNamespace(**_switches, **_answers)
mps = SimpleNamespace(**_answers)
cuda = SimpleNamespace(**_answers, matmul=SimpleNamespace(**_switches))
