"""What optimizers and schedules are asked to do, for PyTorch and minigrad alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

STEPS = 100
KEPT = [0, 1, 2, 4, 9, 19, 49, STEPS - 1]  # steps after which the parameters are compared

# Optimizer, options, and options of the second of two groups (None: one group).
UP = {"maximize": True}
DECOUPLED = {"weight_decay": 0.1, "decoupled_weight_decay": True}
WOLFE = {"line_search_fn": "strong_wolfe"}
OPTIMIZERS: dict[str, tuple[str, dict[str, Any], dict[str, Any] | None]] = {
    "SGD": ("SGD", {"lr": 0.05}, None),
    "SGD momentum": ("SGD", {"lr": 0.02, "momentum": 0.9}, {"lr": 0.01, "momentum": 0.5}),
    "SGD dampening": ("SGD", {"lr": 0.05, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.01}, None),
    "SGD nesterov": ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}, None),
    "SGD maximize": ("SGD", {"lr": 0.01, "momentum": 0.7, "weight_decay": 0.05, **UP}, None),
    "Adam": ("Adam", {"lr": 0.02}, None),
    "Adam decay": ("Adam", {"lr": 0.05, "betas": (0.8, 0.95), "weight_decay": 0.1}, {"lr": 0.01, "eps": 1e-3}),
    "Adam amsgrad": ("Adam", {"lr": 0.05, "amsgrad": True, "betas": (0.5, 0.7)}, None),
    "Adam decoupled": ("Adam", {"lr": 0.02, **DECOUPLED, **UP}, None),
    "AdamW": ("AdamW", {"lr": 0.02}, {"weight_decay": 0.0}),
    "AdamW amsgrad": ("AdamW", {"lr": 0.05, "amsgrad": True, "weight_decay": 0.3, "betas": (0.7, 0.8)}, None),
    "Adamax": ("Adamax", {"lr": 0.03}, None),
    "Adamax decay": ("Adamax", {"lr": 0.03, "weight_decay": 0.1, "betas": (0.6, 0.95), **UP}, None),
    "NAdam": ("NAdam", {"lr": 0.03}, {"momentum_decay": 0.1}),
    "NAdam decay": ("NAdam", {"lr": 0.03, "weight_decay": 0.1, "betas": (0.6, 0.9)}, None),
    "NAdam decoupled": ("NAdam", {"lr": 0.03, **DECOUPLED, **UP}, None),
    "RAdam": ("RAdam", {"lr": 0.03}, None),
    "RAdam decay": ("RAdam", {"lr": 0.05, "weight_decay": 0.1, "betas": (0.8, 0.9)}, {"lr": 0.01}),
    "RAdam decoupled": ("RAdam", {"lr": 0.05, **DECOUPLED, **UP}, None),
    "RMSprop": ("RMSprop", {"lr": 0.01}, None),
    "RMSprop centered": ("RMSprop", {"centered": True, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1}, None),
    "RMSprop momentum": ("RMSprop", {"lr": 0.01, "momentum": 0.8}, {"centered": True, "eps": 1e-3, **UP}),
    "Adagrad": ("Adagrad", {"lr": 0.1}, None),
    "Adagrad decay": ("Adagrad", {"lr": 0.3, "lr_decay": 0.02, "weight_decay": 0.1}, None),
    "Adagrad start": ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.2, **UP}, {"lr": 0.01, "eps": 0.1}),
    "Adadelta": ("Adadelta", {}, None),
    "Adadelta decay": ("Adadelta", {"lr": 2.0, "rho": 0.7, "eps": 1e-4, "weight_decay": 0.1}, UP),
    "LBFGS": ("LBFGS", {"lr": 0.1, "max_iter": 2, "history_size": 5}, None),
    "LBFGS long": ("LBFGS", {"lr": 0.05, "max_iter": 7, "history_size": 3}, None),
    "LBFGS wolfe": ("LBFGS", {"max_iter": 2, "history_size": 10, **WOLFE}, None),
    "LBFGS first guess": ("LBFGS", {"lr": 20.0, "max_iter": 4, **WOLFE}, None),
    "LBFGS small steps": ("LBFGS", {"lr": 0.05, "max_iter": 3, "max_eval": 9, **WOLFE}, None),
}


def parameters(torch: Any) -> list[Any]:
    """A small network's weights: several shapes, one of them without dimensions."""
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=shape) / 2 for shape in ((3, 4), (4,), (4, 2), ())]
    return [torch.tensor(array.tolist(), dtype=torch.float64, requires_grad=True) for array in arrays]


def objective(torch: Any, params: list[Any]) -> Callable[[], Any]:
    """Its loss on fixed data, with Rosenbrock's valley between the elements of the bias: not convex."""
    rng = np.random.default_rng(1)
    x, y = (torch.tensor(rng.normal(size=shape).tolist(), dtype=torch.float64) for shape in ((8, 3), (8, 2)))
    w, b, v, c = params

    def loss() -> Any:
        error = (torch.tanh(x @ w + b) @ v + c - y) ** 2
        valley = (1 - b[:-1]) ** 2 + 10 * (b[1:] - b[:-1] ** 2) ** 2
        size = sum((p * p).sum() for p in params)  # so that rounding errors do not grow
        return error.mean() + 0.3 * (valley / (1 + valley)).sum() + 0.1 * torch.cos(3 * v).sum() + 0.2 * size

    return loss


def optimize(torch: Any, optim: Any, name: str) -> np.ndarray:
    """The parameters after some of the steps, one row each."""
    kind, options, other = OPTIMIZERS[name]
    params = parameters(torch)
    groups = [{"params": params}] if other is None else [{"params": params[:2]}, {"params": params[2:], **other}]
    optimizer = getattr(optim, kind)(groups, **options)
    loss, rows = objective(torch, params), []

    def closure() -> Any:
        optimizer.zero_grad()
        value = loss()
        value.backward()
        return value

    for step in range(STEPS):
        if step in (40, 60):  # as a schedule would
            for group in optimizer.param_groups:
                group["lr"] *= 0.5
        if kind == "LBFGS":
            optimizer.step(closure)
        else:
            closure()
            if step % 7 == 3:  # sometimes a parameter has no gradient
                params[1].grad = None
            optimizer.step()
        if step in KEPT:
            rows.append(np.concatenate([np.asarray(p.tolist()).ravel() for p in params]))
    return np.array(rows)


class Halving:
    """A function with attributes, which a schedule saves."""

    def __init__(self) -> None:
        self.factor = 0.5

    def __call__(self, epoch: int) -> float:
        return self.factor ** (epoch / 10)


Make = Callable[[Any, Any], Any]  # (lr_scheduler, optimizer) -> schedule


def _sequence(s: Any, o: Any) -> Any:
    parts = [s.ConstantLR(o, 0.1, 3), s.LinearLR(o, 0.2, 0.9, 7), s.ExponentialLR(o, 0.9), s.StepLR(o, 4, 0.5),
             s.CosineAnnealingLR(o, 10, 0.001), s.CosineAnnealingWarmRestarts(o, 5)]  # fmt: skip
    return s.SequentialLR(o, parts, [5, 15, 30, 45, 70])


SCHEDULES: dict[str, Make] = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.95**epoch),
    "LambdaLR each": lambda s, o: s.LambdaLR(o, [lambda epoch: 1 / (1 + epoch), Halving()]),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, [lambda epoch: 0.9 + 0.001 * epoch, Halving()]),
    "StepLR": lambda s, o: s.StepLR(o, 7, 0.5),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [3, 10, 10, 41], 0.3),
    "ConstantLR": lambda s, o: s.ConstantLR(o),
    "ConstantLR long": lambda s, o: s.ConstantLR(o, 0.2, 30),
    "ConstantLR never": lambda s, o: s.ConstantLR(o, 0.2, 0),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "LinearLR down": lambda s, o: s.LinearLR(o, 1.0, 0.1, 60),
    "LinearLR never": lambda s, o: s.LinearLR(o, 0.5, 1.0, 0),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.93),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o, 50, 2.5),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 17, 0.003),
    "CosineAnnealingLR once": lambda s, o: s.CosineAnnealingLR(o, 100),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 9, 1, 0.001),
    "CosineAnnealingWarmRestarts longer": lambda s, o: s.CosineAnnealingWarmRestarts(o, 4, 3),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 8),
    "CyclicLR triangular2": lambda s, o: s.CyclicLR(o, [0.01, 0.02], [0.2, 0.3], 5, 9, "triangular2", base_momentum=0.7,
                                                    max_momentum=[0.9, 0.95]),
    "CyclicLR exp_range": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 8, 3, "exp_range", 0.97, cycle_momentum=False),
    "CyclicLR function": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 8, scale_fn=lambda x: 1 / x),
    "CyclicLR function of steps": lambda s, o: s.CyclicLR(o, 0.01, 0.2, 8, scale_fn=Halving(), scale_mode="iterations"),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.4, 110),
    "OneCycleLR linear": lambda s, o: s.OneCycleLR(o, [0.4, 0.2], epochs=11, steps_per_epoch=10, pct_start=0.1,
                                                   anneal_strategy="linear", base_momentum=[0.7, 0.8], div_factor=5.0),
    "OneCycleLR three phases": lambda s, o: s.OneCycleLR(o, 0.4, 110, three_phase=True, final_div_factor=10.0),
    "OneCycleLR no momentum": lambda s, o: s.OneCycleLR(o, 0.4, 110, three_phase=True, anneal_strategy="linear",
                                                        cycle_momentum=False),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, patience=2, factor=0.5),
    "ReduceLROnPlateau max": lambda s, o: s.ReduceLROnPlateau(o, "max", 0.3, 3, 0.05, "abs", 2, [1e-3, 1e-2]),
    "ReduceLROnPlateau rel": lambda s, o: s.ReduceLROnPlateau(o, "max", 0.9, 0, 0.2, cooldown=4, eps=5e-3),
    "ReduceLROnPlateau abs": lambda s, o: s.ReduceLROnPlateau(o, "min", 0.8, 1, 0.1, "abs", min_lr=0.01),
    "SequentialLR": _sequence,
    "SequentialLR nested": lambda s, o: s.SequentialLR(o, [_sequence(s, o), s.PolynomialLR(o, 20)], [80]),
    "SequentialLR warm-up": lambda s, o: s.SequentialLR(
        o, [s.LinearLR(o, 0.01, 1.0, 10), s.CosineAnnealingLR(o, 90)], [10]),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o, 0.1, 20), s.ExponentialLR(o, 0.98)]),
    "ChainedScheduler many": lambda s, o: s.ChainedScheduler(
        [s.LinearLR(o, 0.5), s.StepLR(o, 9), s.CosineAnnealingLR(o, 60)], o),
}  # fmt: skip


def sgd(torch: Any, optim: Any, adam: bool = False) -> Any:
    """An optimizer with two groups."""
    first, second = (torch.tensor([1.0], requires_grad=True) for _ in range(2))
    groups = [{"params": [first], "lr": 0.1}, {"params": [second], "lr": 0.03}]
    optimizer = optim.Adam(groups) if adam else optim.SGD(groups, lr=1.0, momentum=0.6)
    optimizer.step()  # changes nothing, but schedules expect it
    return optimizer


def metric(step: int) -> float:
    """Falls, stays, rises, and falls again."""
    return float(10 / (1 + step) + 3 * np.sin(step / 9) + (step % 5) / 10)


def schedule(torch: Any, optim: Any, name: str) -> np.ndarray:
    """The learning rates and momenta of the groups at each step; new instances take over now and then."""
    scheduler_of = SCHEDULES[name]
    rows = []
    optimizer = sgd(torch, optim, adam=len(name) % 2 == 0)
    scheduler = scheduler_of(optim.lr_scheduler, optimizer)
    for step in range(STEPS):
        momenta = [g["betas"][0] if "betas" in g else g["momentum"] for g in optimizer.param_groups]
        rates = [float(g["lr"]) for g in optimizer.param_groups]
        assert [float(lr) for lr in scheduler.get_last_lr()] == rates
        rows.append([*rates, *momenta])
        optimizer.step()
        scheduler.step(*([metric(step)] if "Plateau" in name else []))
        if step % 33 == 20:
            states = optimizer.state_dict(), scheduler.state_dict()
            optimizer = sgd(torch, optim, adam=len(name) % 2 == 0)
            scheduler = scheduler_of(optim.lr_scheduler, optimizer)
            optimizer.load_state_dict(states[0])
            scheduler.load_state_dict(states[1])
    return np.array(rows)


# Schedules that can resume at an epoch, or jump there.
RESUMABLE: dict[str, tuple[Any, ...]] = {
    "LambdaLR": (Halving(),),
    "MultiplicativeLR": (Halving(),),
    "StepLR": (7, 0.5),
    "MultiStepLR": ([3, 15, 21], 0.3),
    "ConstantLR": (0.2, 15),
    "LinearLR": (0.1, 0.7, 30),
    "ExponentialLR": (0.9,),
    "PolynomialLR": (25, 1.5),
    "CosineAnnealingLR": (17, 0.003),
    "CosineAnnealingWarmRestarts": (9,),
    "CyclicLR": (0.01, 0.2, 8),
    "OneCycleLR": (0.4, 50),
}
JUMPS = [3, 0, 14, 15, 29, 7.5, 40]


def resume(torch: Any, optim: Any, name: str) -> np.ndarray:
    """The learning rates after epoch 14, where a new schedule takes over, and, in the last rows, after jumps."""
    make, options = getattr(optim.lr_scheduler, name), RESUMABLE[name]
    rows = []

    def note() -> None:
        rows.append([float(group["lr"]) for group in optimizer.param_groups])
        assert [float(lr) for lr in scheduler.get_last_lr()] == rows[-1]

    optimizer = sgd(torch, optim)
    scheduler = make(optimizer, *options)
    for _ in range(14):
        scheduler.step()
    scheduler = make(optimizer, *options, last_epoch=scheduler.last_epoch)
    for _ in range(30):
        note()
        scheduler.step()
    scheduler = make(sgd(torch, optim), *options)
    optimizer = scheduler.optimizer
    for epoch in JUMPS:
        if epoch == int(epoch) or name == "CosineAnnealingWarmRestarts":
            scheduler.step(epoch)
            note()
    return np.array(rows)
