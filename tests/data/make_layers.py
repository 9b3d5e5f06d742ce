"""Write layers.npz, what PyTorch answers for all layers of layers.py: ``python -m tests.data.make_layers``."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch

from tests.layers import cases, fingerprint, run

torch.set_default_dtype(torch.float64)
warnings.simplefilter("ignore")
names = [case.name for case in cases]
numbers = np.full((len(cases), 2, 2), np.nan)
for k, case in enumerate(cases):
    for training in case.modes:
        numbers[k, int(training)] = fingerprint(*run(torch, case, training))
np.savez_compressed(Path(__file__).with_name("layers.npz"), names=names, numbers=numbers)
print(f"{len(cases)} configurations, by PyTorch {torch.__version__}")
