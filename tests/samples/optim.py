"""Bad input of optimizers and schedules. What they compute is proven by tests/test_trajectories.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import minigrad as torch
from minigrad import nn, optim
from minigrad.optim import lr_scheduler as schedules
from minigrad.optim import swa_utils

SPECS: dict[str, Any] = {}


def leaf() -> Any:
    return torch.tensor([1.0, 2.0], requires_grad=True)


def sgd(**options: Any) -> Any:
    return optim.SGD([leaf()], **options)


def _load(optimizer: Any, state_dict: dict[str, Any]) -> Callable[[], object]:
    return lambda: optimizer.load_state_dict(state_dict)


def _wrong_shape() -> None:
    p, other = leaf(), optim.SGD([torch.ones(3)], momentum=0.5)
    other.param_groups[0]["params"][0].grad = torch.ones(3)
    other.step()
    optimizer = optim.SGD([p], momentum=0.5)
    optimizer.load_state_dict(other.state_dict())
    p.grad = torch.ones(2)
    optimizer.step()


def _hook() -> None:
    optimizer = sgd()
    optimizer.register_step_pre_hook(lambda *_: ((), {}))
    optimizer.step()


class Nothing(optim.Optimizer):
    """It defines no step."""


def _nothing() -> None:
    p = leaf()
    p.grad = torch.ones(2)
    Nothing([p], {}).step()


def _beyond_the_end() -> None:
    schedule = schedules.OneCycleLR(sgd(), 0.1, 2)
    for _ in range(3):
        schedule.step()


def _sequence(count: int, milestones: list[int]) -> Callable[[], object]:
    def call() -> object:
        optimizer = sgd()
        return schedules.SequentialLR(optimizer, [schedules.StepLR(optimizer, 1)] * count, milestones)

    return call


OPTIONS = [
    ("SGD", {"lr": -0.1}, "Invalid learning rate: -0.1"),
    ("SGD", {"lr": float("nan")}, "Invalid learning rate: nan"),
    ("SGD", {"lr": "fast"}, "Invalid learning rate: 'fast'"),
    ("SGD", {"momentum": -0.5}, "Invalid momentum value: -0.5"),
    ("SGD", {"weight_decay": -1}, "Invalid weight_decay value: -1"),
    ("SGD", {"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
    ("SGD", {"nesterov": True, "momentum": 0.5, "dampening": 0.5}, "Nesterov momentum requires"),
    ("Adam", {"lr": None}, "Invalid learning rate: None"),
    ("Adam", {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
    ("Adam", {"betas": (0.0, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
    ("Adam", {"eps": -1e-8}, "Invalid epsilon value: -1e-08"),
    ("AdamW", {"weight_decay": -1e-2}, "Invalid weight_decay value: -0.01"),
    ("Adamax", {"betas": (0.9, 1.5)}, "Invalid beta parameter at index 1: 1.5"),
    ("NAdam", {"momentum_decay": -0.2}, "Invalid momentum_decay value: -0.2"),
    ("RAdam", {"eps": float("inf")}, "Invalid epsilon value: inf"),
    ("RMSprop", {"alpha": -0.1}, "Invalid alpha value: -0.1"),
    ("RMSprop", {"momentum": -1.0}, "Invalid momentum value: -1.0"),
    ("Adagrad", {"lr_decay": -0.5}, "Invalid lr_decay value: -0.5"),
    ("Adagrad", {"initial_accumulator_value": -1}, "Invalid initial_accumulator_value value: -1"),
    ("Adadelta", {"rho": 1.1}, "Invalid rho value: 1.1; .*less than 1"),
    ("LBFGS", {"lr": -1}, "Invalid learning rate: -1"),
    ("LBFGS", {"line_search_fn": "armijo"}, "must be None or 'strong_wolfe', got 'armijo'"),
]
FLAGS = [(name, flag) for name in ("SGD", "Adam", "AdamW") for flag in ("foreach", "differentiable", "fused")]
SCHEDULES: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    ("of no optimizer", lambda: schedules.StepLR([leaf()], 3), TypeError, "list is not an Optimizer"),
    ("of None", lambda: schedules.LambdaLR(None, abs), TypeError, "NoneType is not an Optimizer"),
    ("resume", lambda: schedules.StepLR(sgd(), 3, last_epoch=2), KeyError, "initial_lr"),
    ("LambdaLR 1", lambda: schedules.LambdaLR(sgd(), 0.9), TypeError, "should be a function, but got 0.9"),
    ("LambdaLR 2", lambda: schedules.LambdaLR(sgd(), [abs, abs]), ValueError, "has 2 values, .* 1 parameter groups"),
    ("LRScheduler", lambda: schedules.LRScheduler(sgd()), NotImplementedError, "LRScheduler does not define get_lr"),
    ("ConstantLR", lambda: schedules.ConstantLR(sgd(), 1.5), ValueError, "between 0 and 1, got 1.5"),
    ("LinearLR 1", lambda: schedules.LinearLR(sgd(), 0.0), ValueError, "between 0 and 1, got 0.0"),
    ("LinearLR 2", lambda: schedules.LinearLR(sgd(), 0.5, 1.5), ValueError, "between 0 and 1, got 0.5, 1.5"),
    ("restarts 1", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 0), ValueError, "positive integer T_0.*0"),
    ("restarts 2", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 2, 1.5), ValueError, "integer T_mult.*1.5"),
    ("restarts 3", lambda: schedules.CosineAnnealingWarmRestarts(sgd(), 2).step(-2), ValueError, "epoch, but got -2"),
    ("CyclicLR 1", lambda: schedules.CyclicLR(sgd(), 0.1, 0.2, mode="square"), ValueError, "'square' is invalid"),
    ("CyclicLR 2", lambda: schedules.CyclicLR(sgd(), 0.1, [0.2, 0.3]), ValueError, "max_lr has 2 values"),
    ("CyclicLR 3", lambda: schedules.CyclicLR(optim.Adagrad([leaf()]), 0.1, 0.2), ValueError, "must support momentum"),
    ("OneCycleLR 1", lambda: schedules.OneCycleLR(sgd(), 0.1), ValueError, "either total_steps OR"),
    ("OneCycleLR 2", lambda: schedules.OneCycleLR(sgd(), 0.1, 0), ValueError, "integer total_steps, but got 0"),
    ("OneCycleLR 3", lambda: schedules.OneCycleLR(sgd(), 0.1, epochs=2, steps_per_epoch=1.5), ValueError, "got 1.5"),
    ("OneCycleLR 4", lambda: schedules.OneCycleLR(sgd(), 0.1, 9, pct_start=2), ValueError, "pct_start between"),
    ("OneCycleLR 5", lambda: schedules.OneCycleLR(sgd(), 0.1, 9, anneal_strategy="log"), ValueError, "'log'"),
    ("OneCycleLR 6", _beyond_the_end, ValueError, "Tried to step 3 times.*is 2"),
    ("ReduceLROnPlateau 1", lambda: schedules.ReduceLROnPlateau(sgd(), factor=1.0), ValueError, "Factor should be < 1"),
    ("ReduceLROnPlateau 2", lambda: schedules.ReduceLROnPlateau(sgd(), "least"), ValueError, "mode 'least' must be"),
    ("ReduceLROnPlateau 3", lambda: schedules.ReduceLROnPlateau(sgd(), threshold_mode="x"), ValueError, "'x'"),
    ("ReduceLROnPlateau 4", lambda: schedules.ReduceLROnPlateau(sgd(), min_lr=[0, 0]), ValueError, "min_lr has 2"),
    ("SequentialLR 1", _sequence(0, []), ValueError, "got no scheduler"),
    ("SequentialLR 2", _sequence(2, []), ValueError, "one scheduler more than milestones, got 2, 0"),
    ("ChainedScheduler 1", lambda: schedules.ChainedScheduler([]), ValueError, "got no scheduler"),
    ("ChainedScheduler 2", lambda: schedules.ChainedScheduler([sgd()]), TypeError, "schedulers, but got SGD"),
    ("ChainedScheduler 3", lambda: schedules.ChainedScheduler([schedules.ReduceLROnPlateau(sgd())]), ValueError,
     "needs metrics"),
    ("ChainedScheduler 4", lambda: schedules.ChainedScheduler([schedules.StepLR(sgd(), 3) for _ in range(2)]),
     ValueError, "belong to the same optimizer"),
]  # fmt: skip

ERRORS: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    *((f"{name} {list(options.items())}", lambda n=name, o=options: getattr(optim, n)([leaf()], **o), ValueError, match)
      for name, options, match in OPTIONS),
    *((f"{name} {flag}", lambda n=name, f=flag: getattr(optim, n)([leaf()], **{f: True}), NotImplementedError,
       f"{name}: {flag}=True is not supported") for name, flag in FLAGS),
    ("a Tensor as lr", lambda: sgd(lr=torch.tensor(0.1)), NotImplementedError, "learning rate given as a Tensor"),
    ("Adam capturable", lambda: optim.Adam([leaf()], capturable=True), NotImplementedError, "capturable=True"),
    ("one tensor", lambda: optim.SGD(leaf()), TypeError, "iterable of Tensors or dicts"),
    ("no parameters", lambda: optim.SGD([]), ValueError, "empty parameter list"),
    ("an empty generator", lambda: optim.Adam(nn.ReLU().parameters()), ValueError, "empty parameter list"),
    ("numbers", lambda: optim.SGD([1.0]), TypeError, "can only optimize Tensors, but one of the params is float"),
    ("a set", lambda: optim.SGD([{"params": {leaf()}}]), TypeError, "a set has no order"),
    ("a result", lambda: optim.SGD([leaf() * 2]), ValueError, "can't optimize a non-leaf Tensor"),
    ("twice", lambda: optim.SGD([leaf()] * 2), ValueError, "appears twice"),
    ("in two groups", lambda: sgd().add_param_group(sgd().param_groups[0]) or (lambda o: o.add_param_group(
        {"params": o.param_groups[0]["params"]}))(sgd()), ValueError, "appears twice"),
    ("a group that is none", lambda: sgd().add_param_group([leaf()]), TypeError, "must be a dict, but got list"),
    ("some names", lambda: optim.SGD([("a", leaf()), leaf()]), ValueError, "with/without names"),
    ("names in one group", lambda: sgd().add_param_group({"params": [("a", leaf())]}), ValueError, "names"),
    ("no step", _nothing, NotImplementedError, "Nothing defines neither update"),
    ("hook", _hook, NotImplementedError, "cannot replace the arguments"),
    ("LBFGS groups", lambda: optim.LBFGS([{"params": leaf()}, {"params": leaf()}]), ValueError, "parameter groups"),
    ("LBFGS closure", lambda: optim.LBFGS([leaf()]).step(), TypeError, "needs a closure"),
    ("other groups", _load(sgd(), optim.SGD([{"params": leaf()}, {"params": leaf()}]).state_dict()), ValueError,
     r"groups of \[1, 1\] parameters, the optimizer \[1\]"),
    ("other number", _load(sgd(), optim.SGD([leaf(), leaf()]).state_dict()), ValueError, r"\[2\] .* \[1\]"),
    ("other optimizer", _load(optim.Adam([leaf()]), sgd().state_dict()), ValueError,
     r"lacks \['betas', 'eps'\]: it is not of Adam"),
    ("other parameters", _wrong_shape, ValueError, r"'momentum_buffer' has shape \(3,\), its parameter \(2,\)"),
    *SCHEDULES,
    ("EMA", lambda: swa_utils.get_ema_avg_fn(1.5), ValueError, "Invalid decay value 1.5"),
    ("EMA of lists", lambda: swa_utils.get_ema_multi_avg_fn(-0.1), ValueError, "Invalid decay value -0.1"),
    ("two functions", lambda: swa_utils.AveragedModel(nn.ReLU(), avg_fn=max, multi_avg_fn=max),
     ValueError, "only one of"),
]  # fmt: skip
