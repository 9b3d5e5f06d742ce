"""Writes what PyTorch's optimizers and schedules do: ``python tests/data/make_trajectories.py`` (needs PyTorch).

The file holds only what came out. What is done is in :mod:`tests.trajectories`, which this script runs
with ``torch`` and the tests with ``minigrad``.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests import trajectories

if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)  # in which the optimizers then count their steps
    warnings.simplefilter("ignore")
    found = {name: trajectories.optimize(torch, torch.optim, name) for name in trajectories.OPTIMIZERS}
    found |= {name: trajectories.schedule(torch, torch.optim, name) for name in trajectories.SCHEDULES}
    found |= {f"resume {name}": trajectories.resume(torch, torch.optim, name) for name in trajectories.RESUMABLE}
    path = Path(__file__).parent / "trajectories.npz"
    np.savez_compressed(path, torch=torch.__version__, **found)
    print(f"{path}: {path.stat().st_size} bytes")
