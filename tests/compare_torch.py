"""Compare every layer of nn with PyTorch's: ``python -m tests.compare_torch``, where torch is installed.

Each configuration of ``layers.py`` is built twice, from the same text and with the same weights. Then outputs,
gradients of inputs and parameters, the names and values of the state afterwards, and the printed form must agree.
The suite does not run this.
"""

from __future__ import annotations

import inspect
import re
import warnings

import numpy as np
import torch

import minigrad
from minigrad import nn

from .layers import Case, cases, run

TOLERANCE = 1e-9
LOOSE = {"nn.Hardsigmoid()": 1e-7}  # PyTorch's gradient is 1/6 in single precision
NOT_LAYERS = {"Module", "Parameter", "Buffer", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}


def difference(a: np.ndarray, b: np.ndarray, what: str, tolerance: float) -> float:
    """How far ``a`` is from PyTorch's ``b``, relative to it where that is large."""
    assert a.shape == b.shape, f"{what} has shape {a.shape}, PyTorch's {b.shape}"
    assert a.dtype == b.dtype, f"{what} is {a.dtype}, PyTorch's {b.dtype}"
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        off = float(np.where(equal, 0.0, np.abs(a.astype(float) - b.astype(float)) / (1 + np.abs(b))).max(initial=0))
    assert off < tolerance, f"{what} is off by {off}"
    return off


def compare(case: Case, training: bool) -> float:
    """The largest difference between the two layers."""
    printed, ours = run(minigrad, case, training)
    expected, theirs = run(torch, case, training)
    assert printed == expected, f"is printed as\n{printed}\nand by PyTorch as\n{expected}"
    assert list(ours) == list(theirs), f"gives {list(ours)}, PyTorch's {list(theirs)}"
    tolerance = LOOSE.get(case.text, TOLERANCE)
    worst = max(difference(ours[name], theirs[name], name, tolerance) for name in theirs)
    return worst if tolerance == TOLERANCE else 0.0


def main() -> None:
    torch.set_default_dtype(torch.float64)
    minigrad.set_default_dtype(minigrad.float64)
    warnings.simplefilter("ignore")
    worst, failed, layers = 0.0, 0, set()
    for case in cases:
        layers.update(re.findall(r"nn\.([A-Z]\w*)\(", case.text))
        for training in case.modes:
            try:
                worst = max(worst, compare(case, training))
            except Exception as error:
                failed += 1
                print(f"{case.name}, training={training}: {type(error).__name__}: {error}")
    classes = {name for name, value in vars(nn).items() if inspect.isclass(value)} - NOT_LAYERS
    print(f"not compared: {sorted(classes - layers) or 'nothing'}")
    verdict = f"{failed} differ" if failed else f"all equal within {worst:.1g}"
    print(f"{len(layers & classes)} layers, {len(cases)} configurations: {verdict}")


if __name__ == "__main__":
    main()
