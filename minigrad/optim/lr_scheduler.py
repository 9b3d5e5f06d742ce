"""Schedules of the learning rate: each sets the ``lr`` of an optimizer's groups anew at every :meth:`step`.

Most are written in the chainable form, which changes the present lr, so that several can act on one
optimizer. They have a closed form too, for a jump to an epoch.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from types import FunctionType
from typing import Any

from .optimizer import Optimizer


class LRScheduler:
    """Base class: counts epochs, and asks :meth:`get_lr` for the learning rates of the next.

    Args:
        optimizer: whose groups it changes.
        last_epoch: -1 to start; else the epoch after which training resumes, with an optimizer whose
            groups have the ``initial_lr`` that the first scheduler wrote there.
    """

    _is_initial = False  # within the constructor

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        for group in _groups(optimizer):
            if last_epoch == -1:  # else to resume needs what is there already
                group.setdefault("initial_lr", group["lr"])
        self.optimizer, self.last_epoch = optimizer, last_epoch
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count, self._is_initial = 0, True
        self.step()
        self._is_initial = False

    def step(self, epoch: int | None = None) -> None:
        """Go to the next epoch, or to ``epoch``; to be called after the optimizer's step."""
        self._step_count += 1
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        self._set(self.get_lr() if epoch is None else getattr(self, "_get_closed_form_lr", self.get_lr)())

    def _set(self, lrs: Iterable[float]) -> None:
        for group, lr in zip(self.optimizer.param_groups, lrs, strict=True):
            group["lr"] = lr
        self._last_lr = self._lrs()

    def _lrs(self) -> list[float]:
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group, as it was set last."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The learning rates of epoch ``last_epoch``; subclasses define it."""
        raise NotImplementedError(f"{type(self).__name__} does not define get_lr()")

    def state_dict(self) -> dict[str, Any]:
        """Everything except for the optimizer. Of functions only the attributes of callable objects are saved."""
        return {name: _saved(value) for name, value in self.__dict__.items() if name != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave, here or in PyTorch."""
        for name, value in state_dict.items():
            own = self.__dict__.get(name)
            if name not in ("_schedulers", "lr_lambdas", "_scale_fn_custom"):
                self.__dict__[name] = value
                continue
            for part, saved in zip(own, value, strict=True) if isinstance(own, list) else ((own, value),):
                if isinstance(part, LRScheduler):
                    part.load_state_dict(saved)
                elif saved:
                    vars(part).update(saved)


def _saved(value: Any) -> Any:
    if isinstance(value, LRScheduler):
        return value.state_dict()
    if callable(value):
        return None if isinstance(value, FunctionType) else dict(getattr(value, "__dict__", {}))
    return [_saved(element) for element in value] if isinstance(value, list) else value


def _groups(optimizer: Any) -> list[dict[str, Any]]:
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
    return optimizer.param_groups


def _per_group(name: str, optimizer: Any, value: Any) -> list[Any]:
    """``value`` for each of the optimizer's groups, or the values themselves if it is a list of them."""
    count = len(_groups(optimizer))
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values, but there are {count} parameter groups")
    return values


class LambdaLR(LRScheduler):
    """``initial_lr * f(epoch)``.

    Args:
        lr_lambda: the function f, or a list of one for each group.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1) -> None:
        self.lr_lambdas = _per_group("lr_lambda", optimizer, lr_lambda)
        if not all(map(callable, self.lr_lambdas)):
            raise TypeError(f"lr_lambda should be a function, but got {lr_lambda!r}")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [lr * f(self.last_epoch) for f, lr in zip(self.lr_lambdas, self.base_lrs, strict=True)]


class MultiplicativeLR(LambdaLR):
    """``lr *= f(epoch)``, with the arguments of :class:`LambdaLR`."""

    def get_lr(self) -> list[float]:
        factors = [1 if self._is_initial else f(self.last_epoch) for f in self.lr_lambdas]
        return [lr * factor for lr, factor in zip(self._lrs(), factors, strict=True)]


class _FactorLR(LRScheduler):
    """``initial_lr * factor(epoch)``, above ``eta_min``: the present lr times ``factor(epoch) / factor(epoch - 1)``."""

    eta_min = 0.0
    _sudden = False  # whether it changes at single epochs, be it that at which training resumes

    def _factor(self, epoch: int) -> float:
        raise NotImplementedError

    def get_lr(self) -> list[float]:
        before, now = self._factor(self.last_epoch - 1) if self.last_epoch else 1, self._factor(self.last_epoch)
        if now == before or (self._is_initial and self.last_epoch and not self._sudden):
            return self._lrs()
        if not before:  # at the bottom, from which no factor leads
            return [lr + (base - self.eta_min) * now for lr, base in zip(self._lrs(), self.base_lrs, strict=True)]
        return [self.eta_min + (lr - self.eta_min) * (now / before) for lr in self._lrs()]

    def _get_closed_form_lr(self) -> list[float]:
        return [self.eta_min + (lr - self.eta_min) * self._factor(self.last_epoch) for lr in self.base_lrs]


class StepLR(_FactorLR):
    """``lr *= gamma`` every ``step_size`` epochs."""

    _sudden = True

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma ** (epoch // self.step_size)


class MultiStepLR(_FactorLR):
    """``lr *= gamma`` at each epoch of ``milestones``."""

    _sudden = True

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1,
                 last_epoch: int = -1) -> None:  # fmt: skip
        self.milestones, self.gamma = Counter(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma ** bisect_right(sorted(self.milestones.elements()), epoch)


class ConstantLR(_FactorLR):
    """``initial_lr * factor`` before epoch ``total_iters``, ``initial_lr`` from then on."""

    _sudden = True

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        if not 0 <= factor <= 1:
            raise ValueError(f"Constant multiplicative factor expected to be between 0 and 1, got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return 1 if epoch >= self.total_iters > 0 else self.factor


class LinearLR(_FactorLR):
    """``initial_lr`` times a factor that goes from ``start_factor`` to ``end_factor`` in ``total_iters`` epochs."""

    def __init__(self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5,
                 last_epoch: int = -1) -> None:  # fmt: skip
        if not (0 < start_factor <= 1 and 0 <= end_factor <= 1):
            raise ValueError(f"multiplicative factors expected to be between 0 and 1, got {start_factor}, {end_factor}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        done = min(epoch, self.total_iters) / (self.total_iters or 1)
        return self.start_factor + (self.end_factor - self.start_factor) * done


class ExponentialLR(_FactorLR):
    """``lr *= gamma`` every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return self.gamma**epoch


class PolynomialLR(_FactorLR):
    """``initial_lr * (1 - epoch / total_iters)**power``, and 0 afterwards."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return (1 - min(epoch, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(_FactorLR):
    """From ``initial_lr`` to ``eta_min`` along a cosine in ``T_max`` epochs, and back (Loshchilov & Hutter, 2016)."""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def _factor(self, epoch: int) -> float:
        return (1 + math.cos(math.pi * epoch / self.T_max)) / 2


class CosineAnnealingWarmRestarts(LRScheduler):
    """From ``initial_lr`` to ``eta_min`` along a cosine, again and again (Loshchilov & Hutter, 2016).

    Args:
        T_0: epochs of the first round.
        T_mult: how many times longer each round is than that before.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0,
                 last_epoch: int = -1) -> None:  # fmt: skip
        _positive(T_0=T_0, T_mult=T_mult)
        self.T_0, self.T_mult, self.eta_min = T_0, T_mult, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        factor = (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [self.eta_min + (lr - self.eta_min) * factor for lr in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Go to the next epoch, or to ``epoch``, which may lie between two."""
        epoch = self.last_epoch + 1 if epoch is None else epoch
        if epoch < 0:
            raise ValueError(f"Expected non-negative epoch, but got {epoch}")
        self.T_cur, self.T_i = epoch % self.T_0 if self.T_mult == 1 else epoch, self.T_0  # in this round, of its length
        while self.T_cur >= self.T_i:
            self.T_cur, self.T_i = self.T_cur - self.T_i, self.T_i * self.T_mult
        self.last_epoch = math.floor(epoch)
        self._set(self.get_lr())


def _positive(**counts: Any) -> None:
    for name, value in counts.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"Expected positive integer {name}, but got {value}")


def _momenta(optimizer: Optimizer, base: Any, maximum: Any, last_epoch: int) -> tuple[list[Any], list[Any]]:
    """Begin to cycle the momentum of each group, or beta1, at its maximum."""
    if not {"momentum", "betas"} & set(optimizer.defaults):
        raise ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled")
    lows, highs = _per_group("base_momentum", optimizer, base), _per_group("max_momentum", optimizer, maximum)
    for group, low, high in zip(optimizer.param_groups if last_epoch == -1 else (), lows, highs):
        _set_momentum(group, high)
        group["max_momentum"], group["base_momentum"] = high, low
    return lows, highs


def _set_momentum(group: dict[str, Any], value: float) -> None:
    group |= {"betas": (value, *group["betas"][1:])} if "betas" in group else {"momentum": value}


class CyclicLR(LRScheduler):
    """Between ``base_lr`` and ``max_lr`` to and fro along straight lines (Smith, 2015).

    Args:
        step_size_up, step_size_down: steps of each half of a cycle; ``step_size_down`` None means the same.
        mode: "triangular"; "triangular2" halves the height each cycle, "exp_range" multiplies it by
            ``gamma`` each step.
        scale_fn: a function that gives the factor instead, of the number of the cycle or, if
            ``scale_mode`` is "iterations", of the step.
        cycle_momentum: let the momentum go the opposite way, between ``max_momentum`` and ``base_momentum``.
    """

    def __init__(self, optimizer: Optimizer, base_lr: Any, max_lr: Any, step_size_up: int = 2000,
                 step_size_down: int | None = None, mode: str = "triangular", gamma: float = 1.0,
                 scale_fn: Callable[[float], float] | None = None, scale_mode: str = "cycle",
                 cycle_momentum: bool = True, base_momentum: Any = 0.8, max_momentum: Any = 0.9,
                 last_epoch: int = -1) -> None:  # fmt: skip
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(f"mode {mode!r} is invalid and scale_fn is None")
        base_lrs, self.max_lrs = _per_group("base_lr", optimizer, base_lr), _per_group("max_lr", optimizer, max_lr)
        for group, lr in zip(optimizer.param_groups if last_epoch == -1 else (), base_lrs):
            group["lr"] = lr
        self.total_size = float(step_size_up + (step_size_up if step_size_down is None else step_size_down))
        self.step_ratio = step_size_up / self.total_size
        self.mode, self.gamma, self._scale_fn_custom, self.cycle_momentum = mode, gamma, scale_fn, cycle_momentum
        self.scale_mode = scale_mode if scale_fn else "iterations" if mode == "exp_range" else "cycle"
        if cycle_momentum:
            self.base_momentums, self.max_momentums = _momenta(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of a cycle, or of a step, as a fraction of the first."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        return {"triangular": 1.0, "triangular2": 0.5 ** (x - 1), "exp_range": self.gamma**x}[self.mode]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums):
                _set_momentum(group, high - (high - low) * height)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]


class OneCycleLR(LRScheduler):
    """Up to ``max_lr`` and down to nearly nothing, once, in ``total_steps`` steps (Smith & Topin, 2017).

    Args:
        total_steps: or ``epochs`` and ``steps_per_epoch``.
        pct_start: the fraction of the steps in which the lr rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: let the momentum go the opposite way, between ``max_momentum`` and ``base_momentum``.
        div_factor: of ``max_lr`` over the initial lr.
        final_div_factor: of the initial lr over the final.
        three_phase: go down as one went up first, then to the final lr.
    """

    def __init__(self, optimizer: Optimizer, max_lr: Any, total_steps: int | None = None, epochs: int | None = None,
                 steps_per_epoch: int | None = None, pct_start: float = 0.3, anneal_strategy: str = "cos",
                 cycle_momentum: bool = True, base_momentum: Any = 0.85, max_momentum: Any = 0.95,
                 div_factor: float = 25.0, final_div_factor: float = 1e4, three_phase: bool = False,
                 last_epoch: int = -1) -> None:  # fmt: skip
        counts = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
        if total_steps is not None:
            counts = {"total_steps": total_steps}
        elif None in counts.values():
            raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
        _positive(**counts)
        self.total_steps: int = math.prod(counts.values())  # type: ignore[arg-type]
        if not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"Expected pct_start between 0 and 1, and anneal_strategy 'cos' or 'linear', but got "
                             f"{pct_start} and {anneal_strategy!r}")  # fmt: skip
        self._anneal_func_type, self.cycle_momentum = anneal_strategy, cycle_momentum
        peak, end = float(pct_start * self.total_steps) - 1, self.total_steps - 1
        ends = [peak, 2 * peak, end] if three_phase else [peak, end]
        lrs = ["initial_lr", "max_lr", *(["initial_lr"] if three_phase else []), "min_lr"]
        momenta = ["max_momentum", "base_momentum", "max_momentum", "max_momentum"]
        names = "end_step", "start_lr", "end_lr", "start_momentum", "end_momentum"
        phases = zip(ends, lrs, lrs[1:], momenta, momenta[1:])  # of the names of what a group starts and ends with
        self._schedule_phases: list[dict[str, Any]] = [dict(zip(names, phase)) for phase in phases]
        max_lrs = _per_group("max_lr", optimizer, max_lr)
        for group, lr in zip(optimizer.param_groups if last_epoch == -1 else (), max_lrs):
            group |= {"initial_lr": lr / div_factor, "max_lr": lr, "min_lr": lr / div_factor / final_div_factor}
        if cycle_momentum:
            _momenta(optimizer, base_momentum, max_momentum, last_epoch)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        step, ends = self.last_epoch, [0.0, *(phase["end_step"] for phase in self._schedule_phases)]
        if step > self.total_steps:
            raise ValueError(f"Tried to step {step} times. The specified number of total steps is {self.total_steps}")
        index = min(bisect_left(ends, step, 1), len(ends) - 1)
        phase, first, last = self._schedule_phases[index - 1], ends[index - 1], ends[index]
        done = (step - first) / (last - first or 1.0)
        if self._anneal_func_type == "cos":
            done = (1 - math.cos(math.pi * done)) / 2

        def between(group: dict[str, Any], name: str) -> float:
            start, end = group[phase["start_" + name]], group[phase["end_" + name]]
            return start + (end - start) * done

        for group in self.optimizer.param_groups if self.cycle_momentum else ():
            _set_momentum(group, between(group, "momentum"))
        return [between(group, "lr") for group in self.optimizer.param_groups]


class ReduceLROnPlateau(LRScheduler):
    """``lr *= factor`` when ``metrics`` has not become better for more than ``patience`` epochs.

    Args:
        mode: "min" if lower is better, or "max".
        threshold: how much better counts, as a fraction, or absolutely if ``threshold_mode`` is "abs".
        cooldown: epochs to wait after a change before bad ones count again.
        min_lr: the lowest lr, or a list of that of each group.
        eps: smaller changes of lr are not made.
    """

    def __init__(self, optimizer: Optimizer, mode: str = "min", factor: float = 0.1, patience: int = 10,
                 threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: Any = 0,
                 eps: float = 1e-8) -> None:  # fmt: skip
        if factor >= 1:
            raise ValueError(f"Factor should be < 1.0, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(f"mode {mode!r} must be 'min' or 'max', threshold_mode {threshold_mode!r} 'rel' or 'abs'")
        self.min_lrs = _per_group("min_lr", optimizer, min_lr)
        self.optimizer, self.mode, self.factor, self.patience, self.eps = optimizer, mode, factor, patience, eps
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.best = math.inf if mode == "min" else -math.inf
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self._last_lr = self._lrs()

    def step(self, metrics: Any, epoch: int | None = None) -> None:  # type: ignore[override]
        """Go to the next epoch, in which ``metrics`` was reached."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        metrics, sign = float(metrics), 1 if self.mode == "max" else -1
        margin = sign * self.threshold
        limit = self.best * (1 + margin) if self.threshold_mode == "rel" else self.best + margin
        self.num_bad_epochs += 1
        if sign * metrics > sign * limit:
            self.best, self.num_bad_epochs = metrics, 0
        if self.cooldown_counter > 0:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown_counter - 1, 0
        lrs = self._lrs()
        if self.num_bad_epochs > self.patience:
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
            lower = [max(lr * self.factor, low) for lr, low in zip(lrs, self.min_lrs, strict=True)]
            lrs = [new if lr - new > self.eps else lr for lr, new in zip(lrs, lower, strict=True)]
        self._set(lrs)


class ChainedScheduler(LRScheduler):
    """Lets several schedulers act on one optimizer at each step."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        self._schedulers = _of_one(schedulers, optimizer)
        self.optimizer = self._schedulers[0].optimizer
        self._last_lr = self._lrs()

    def step(self) -> None:  # type: ignore[override]
        """Step each of them."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = self._lrs()


class SequentialLR(LRScheduler):
    """Lets one scheduler act after the other; the next begins, at its epoch 0, at each of ``milestones``."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int],
                 last_epoch: int = -1) -> None:  # fmt: skip
        self._schedulers, self._milestones = _of_one(schedulers, optimizer), list(milestones)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(f"expected one scheduler more than milestones, got {len(schedulers)}, {len(milestones)}")
        self.optimizer, self.last_epoch = optimizer, last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        _undo(self)
        self._schedulers[bisect_right(self._milestones, 0)]._initial_step()
        self._last_lr = self._lrs()

    def step(self, epoch: int | None = None) -> None:
        """Step the one whose turn it is, or from ``epoch`` 0 begin anew."""
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        begin = 0, *self._milestones
        scheduler = self._schedulers[bisect_right(self._milestones, self.last_epoch)]
        scheduler.step(0 if self.last_epoch in begin else None)
        self._last_lr = self._lrs()


def _undo(scheduler: Any) -> None:
    """Take back the step that each scheduler made when it was constructed."""
    if hasattr(scheduler, "_schedulers"):
        for inner in scheduler._schedulers:
            _undo(inner)
    else:
        scheduler.last_epoch -= 1


def _of_one(schedulers: Sequence[Any], optimizer: Any) -> list[Any]:
    """The schedulers, if there are any, and all are of one optimizer and step without an argument."""
    if not schedulers:
        raise ValueError("expected at least one scheduler, but got no scheduler")
    for scheduler in schedulers:
        if not isinstance(scheduler, LRScheduler):
            raise TypeError(f"expected schedulers, but got {type(scheduler).__name__}")
        if isinstance(scheduler, ReduceLROnPlateau):
            raise ValueError("ReduceLROnPlateau needs metrics at each step, so it cannot be combined with others")
        if scheduler.optimizer is not (optimizer or schedulers[0].optimizer):
            raise ValueError(f"expected all schedulers to belong to the same optimizer, not {type(scheduler).__name__}")
    return list(schedulers)
