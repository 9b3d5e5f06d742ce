"""Optimizers and schedules go where PyTorch's go, over 100 steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import optim

from . import trajectories

with np.load(Path(__file__).parent / "data" / "trajectories.npz") as file:
    PYTORCH = dict(file)


@pytest.mark.parametrize("name", trajectories.OPTIMIZERS)
def test_optimizers(name: str) -> None:
    np.testing.assert_allclose(trajectories.optimize(minigrad, optim, name), PYTORCH[name], rtol=1e-6)


@pytest.mark.parametrize("name", trajectories.SCHEDULES)
def test_schedules(name: str) -> None:
    """In learning rates, momenta, and across :meth:`state_dict`."""
    np.testing.assert_allclose(trajectories.schedule(minigrad, optim, name), PYTORCH[name], rtol=1e-9)


@pytest.mark.parametrize("name", trajectories.RESUMABLE)
def test_schedules_resume_and_jump(name: str) -> None:
    np.testing.assert_allclose(trajectories.resume(minigrad, optim, name), PYTORCH[f"resume {name}"], rtol=1e-9)


def test_they_are_compared_with_the_right_version() -> None:
    assert str(PYTORCH["torch"]).startswith("2.13.")


def test_every_optimizer_and_schedule_is_compared() -> None:
    kinds = {kind for kind, *_ in trajectories.OPTIMIZERS.values()}
    classes = [value for value in vars(optim).values() if isinstance(value, type) and value.__module__ != "typing"]
    assert kinds == {cls.__name__ for cls in classes} - {"Optimizer"}
    names = {name.split()[0] for name in trajectories.SCHEDULES}
    classes = [value for value in vars(optim.lr_scheduler).values() if isinstance(value, type)]
    schedules = {cls.__name__ for cls in classes if issubclass(cls, optim.lr_scheduler.LRScheduler)}
    assert names == {name for name in schedules if not name.startswith("_")} - {"LRScheduler"}
