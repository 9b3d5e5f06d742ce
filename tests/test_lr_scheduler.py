"""Schedules: their forms, their state, and averaged weights. Their values are compared in test_trajectories.py."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import minigrad as torch
from minigrad import nn, optim
from minigrad.optim import lr_scheduler, swa_utils

from . import trajectories

# Schedules that do the same in both forms from epoch 0 on.
CLOSED = {
    "StepLR": (3,),
    "MultiStepLR": ([2, 5, 5, 9],),
    "ConstantLR": (0.25, 4),
    "LinearLR": (0.2, 0.9, 8),
    "ExponentialLR": (0.8,),
    "PolynomialLR": (9, 1.5),
    "CosineAnnealingLR": (6, 0.01),
}


def sgd(*lrs: float, **options: Any) -> Any:
    groups = [{"params": [torch.ones(1, requires_grad=True)], "lr": lr} for lr in lrs or (0.5,)]
    return optim.SGD(groups, **options)


@pytest.mark.parametrize("name", CLOSED)
def test_both_forms_agree(name: str) -> None:
    first, second = sgd(0.5, 0.1), sgd(0.5, 0.1)
    step, jump = (getattr(lr_scheduler, name)(optimizer, *CLOSED[name]) for optimizer in (first, second))
    for epoch in range(1, 30):
        step.step()
        jump.step(epoch)
        np.testing.assert_allclose(step.get_last_lr(), jump.get_last_lr(), rtol=1e-12, atol=1e-16)
        assert step.last_epoch == jump.last_epoch == epoch


@pytest.mark.parametrize("name", ["StepLR", "ExponentialLR", "LinearLR", "CosineAnnealingLR"])
def test_chainable_forms_change_the_present_lr(name: str) -> None:
    plain, scaled = sgd(0.5), sgd(0.5)
    schedules = [getattr(lr_scheduler, name)(optimizer, *CLOSED[name][:1]) for optimizer in (plain, scaled)]
    scaled.param_groups[0]["lr"] *= 0.1  # by hand
    for _ in range(5):
        for schedule in schedules:
            schedule.step()
        np.testing.assert_allclose(scaled.param_groups[0]["lr"], plain.param_groups[0]["lr"] * 0.1)


def test_values_of_common_schedules() -> None:
    optimizer = sgd(1.0)
    schedule = lr_scheduler.StepLR(optimizer, 2, 0.5)
    seen = []
    for _ in range(5):
        seen.append(optimizer.param_groups[0]["lr"])
        schedule.step()
    assert seen == [1.0, 1.0, 0.5, 0.5, 0.25]

    optimizer = sgd(1.0)
    schedule = lr_scheduler.CosineAnnealingLR(optimizer, 4)
    for _ in range(2):
        schedule.step()
    assert schedule.get_last_lr() == [pytest.approx(0.5)]
    for _ in range(2):
        schedule.step()
    assert schedule.get_last_lr() == [0.0]
    for _ in range(4):
        schedule.step()
    assert schedule.get_last_lr() == [pytest.approx(1.0)]

    optimizer = sgd(1.0, momentum=0.9)
    schedule = lr_scheduler.OneCycleLR(optimizer, 1.0, 11, pct_start=0.4)
    lrs = []
    for _ in range(11):
        lrs.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert lrs[0] == 0.04
    assert max(lrs) == pytest.approx(1, rel=0.1)
    assert lrs[-1] == pytest.approx(0.04 / 1e4)


def test_a_factor_of_zero_is_no_end() -> None:
    optimizer = sgd(0.5)
    schedule = lr_scheduler.ConstantLR(optimizer, 0.0, 2)
    seen = []
    for _ in range(4):
        seen += schedule.get_last_lr()
        schedule.step()
    assert seen == [0, 0, 0.5, 0.5]


def test_a_sequence_in_a_sequence_begins_when_it_is_its_turn() -> None:
    optimizer = sgd(1.0)
    first, *rest = (lr_scheduler.ConstantLR(optimizer, factor, 9) for factor in (0.5, 0.25, 0.125))
    schedule = lr_scheduler.SequentialLR(optimizer, [first, lr_scheduler.SequentialLR(optimizer, rest, [2])], [2])
    seen = []
    for _ in range(6):
        seen += schedule.get_last_lr()
        schedule.step()
    assert seen == [0.5, 0.5, 0.25, 0.25, 0.125, 0.125]


def test_one_cycle_that_peaks_at_once() -> None:
    schedule = lr_scheduler.OneCycleLR(sgd(momentum=0.5), 1.0, 10, pct_start=0.1)
    assert schedule.get_last_lr() == [1 / 25]
    schedule.step()
    assert 0.9 < schedule.get_last_lr()[0] < 1


def test_restarts_are_exact() -> None:
    """Where a logarithm of the epoch would be off by one: log(243, 3) < 5."""
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(sgd(1.0), 1, 3)
    restarts = []
    for epoch in range(400):
        if schedule.T_cur == 0:
            restarts.append(epoch)
        schedule.step()
    assert restarts == [0, 1, 4, 13, 40, 121, 364]
    schedule.step(364.5)
    assert (schedule.T_cur, schedule.T_i, schedule.last_epoch) == (0.5, 729, 364)


def test_plateaus_are_waited_for() -> None:
    optimizer = sgd(1.0)
    schedule = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1)
    seen = []
    for loss in (3.0, 2.0, 2.0, torch.tensor(2.0), 2.0, 2.0, 2.0, math.nan, 1.0):
        schedule.step(loss)
        seen += schedule.get_last_lr()
    assert seen == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert schedule.best == 1.0


# --------------------------------------------------------------------------------------- state


@pytest.mark.parametrize("name", trajectories.SCHEDULES)
def test_states_can_be_saved(name: str) -> None:
    """They hold no functions and no optimizer, and loading gives them back."""
    schedule = trajectories.SCHEDULES[name](lr_scheduler, trajectories.sgd(torch, optim))
    state = schedule.state_dict()

    def check(value: Any) -> None:
        assert not callable(value)
        assert not isinstance(value, (optim.Optimizer, lr_scheduler.LRScheduler))
        for element in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
            check(element)

    check(state)
    assert "optimizer" not in state
    schedule.load_state_dict(state)
    assert schedule.state_dict() == state


def test_callable_objects_keep_their_state() -> None:
    first, second = trajectories.Halving(), trajectories.Halving()
    first.factor = 0.25
    schedules = [lr_scheduler.LambdaLR(sgd(), function) for function in (first, second)]
    schedules[1].load_state_dict(schedules[0].state_dict())
    assert second.factor == 0.25
    assert schedules[1].lr_lambdas == [second]


def test_a_sequence_needs_as_many_schedulers_as_were_saved() -> None:
    def sequence(count: int) -> Any:
        optimizer = sgd()
        parts = [lr_scheduler.ExponentialLR(optimizer, 0.9) for _ in range(count)]
        return lr_scheduler.SequentialLR(optimizer, parts, list(range(1, count)))

    with pytest.raises(ValueError, match="longer"):
        sequence(2).load_state_dict(sequence(3).state_dict())


def test_optimizers_save_what_schedules_write() -> None:
    optimizer = sgd(0.5, 0.1, momentum=0.9)
    lr_scheduler.CyclicLR(optimizer, 0.1, 0.4).step()
    other = sgd(0.5, 0.1)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[1]["max_momentum"] == 0.9
    assert [g["lr"] for g in other.param_groups] == [g["lr"] for g in optimizer.param_groups]


def test_lists_of_lengths_other_than_the_groups_are_refused() -> None:
    for name in ("base_momentum", "max_momentum"):
        with pytest.raises(ValueError, match=f"{name} has 2 values, but there are 1 parameter groups"):
            lr_scheduler.CyclicLR(sgd(), 0.1, 0.2, **{name: [0.5, 0.6]})


# ----------------------------------------------------------------------------- averaged weights


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.register_buffer("level", torch.tensor([1.0]))
        self.register_buffer("count", torch.tensor(3))

    def forward(self, x: Any) -> Any:
        return self.linear(x) + self.level


def fill(net: Net, value: float) -> None:
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(value)
        net.level.fill_(value)


def averages(values: list[float], **options: Any) -> tuple[float, float]:
    net = Net()
    model = swa_utils.AveragedModel(net, **options)
    for value in values:
        fill(net, value)
        model.update_parameters(net)
    assert model.n_averaged.item() == len(values)
    assert model.module.linear.weight.requires_grad
    weights = {v for p in model.parameters() for v in p.reshape(-1).tolist()}
    assert len(weights) == 1
    assert options.get("use_buffers") or model.module.count.item() == 3
    return weights.pop(), model.module.level.item()


def test_averages() -> None:
    ema = 0.9 * (0.9 * 1 + 0.1 * 2) + 0.1 * 6
    assert averages([1, 2, 6]) == (pytest.approx(3), 6)
    assert averages([1, 2, 6], use_buffers=True) == (pytest.approx(3), pytest.approx(3))
    for option, function in (("avg_fn", swa_utils.get_ema_avg_fn), ("multi_avg_fn", swa_utils.get_ema_multi_avg_fn)):
        assert averages([1, 2, 6], **{option: function(0.9)}) == (pytest.approx(ema), 6)
        assert averages([1, 2, 6], use_buffers=True, **{option: function(0.9)}) == (pytest.approx(ema),) * 2
    assert averages([1, 2, 6], avg_fn=swa_utils.get_swa_avg_fn()) == (pytest.approx(3), 6)
    assert averages([1, 2, 6], avg_fn=lambda average, current, count: average + count) == (1 + 1 + 2, 6)


def test_an_average_is_a_model_of_its_own() -> None:
    net = Net()
    model = swa_utils.AveragedModel(net)
    model.update_parameters(net)
    x = torch.ones(3, 2)
    expected = net(x).tolist()
    fill(net, 5.0)
    assert model(x).tolist() == expected
    other = swa_utils.AveragedModel(Net())
    other.load_state_dict(model.state_dict())
    assert other(x).tolist() == expected
    assert other.n_averaged.item() == 1
    assert "module.linear.weight" in model.state_dict()


def test_statistics_of_batches_are_computed_anew() -> None:
    norm, dropout = nn.BatchNorm1d(2, momentum=0.3), nn.Dropout()
    net = nn.Sequential(norm, dropout).eval()
    dropout.train()
    batches = [torch.randn(8, 2) + number for number in range(3)]
    swa_utils.update_bn(((batch, "label") for batch in batches), net)
    np.testing.assert_allclose(norm.running_mean.tolist(), np.mean([b.numpy().mean(0) for b in batches], 0), rtol=1e-5)
    assert norm.momentum == 0.3
    assert not net.training
    swa_utils.update_bn(batches, nn.ReLU())  # nothing to do


def test_averages_are_imported_on_demand() -> None:
    assert optim.swa_utils is swa_utils
    with pytest.raises(AttributeError, match=r"module 'minigrad\.optim' has no attribute 'nothing'"):
        optim.nothing  # noqa: B018
