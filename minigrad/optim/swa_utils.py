"""Averages of a model's weights over training, which often generalise better than the last weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from nn.module import Module
from nn.normalization import _BatchNorm

from ..creation import tensor
from ..engine import grad_mode


def get_ema_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], Any]:
    """The exponential moving average ``decay * average + (1 - decay) * current``, for ``avg_fn``."""
    if not 0 <= decay <= 1:
        raise ValueError(f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")
    return lambda average, current, _: decay * average + (1 - decay) * current


def get_swa_avg_fn() -> Callable[[Any, Any, Any], Any]:
    """The mean of all models so far, for ``avg_fn``."""
    return lambda average, current, count: average + (current - average) / (count + 1)


def get_ema_multi_avg_fn(decay: float = 0.999) -> Callable[[Any, Any, Any], None]:
    """The exponential moving average of lists of tensors, in place, for ``multi_avg_fn``."""
    return _in_place(get_ema_avg_fn(decay))


def _in_place(function: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any, Any], None]:
    def update(averages: Any, currents: Any, count: Any) -> None:
        with grad_mode(False):
            for average, current in zip(averages, currents, strict=True):
                average.copy_(function(average, current, count))

    return update


class AveragedModel(Module):
    """A copy of ``model`` whose weights :meth:`update_parameters` averages (Izmailov et al., 2018).

    Args:
        avg_fn: ``(average, current, number of models so far) -> average``; by default the mean of all.
        multi_avg_fn: the same for lists of tensors at once, in place.
        use_buffers: average the buffers too, instead of copying them.
    """

    def __init__(self, model: Module, device: Any = None, avg_fn: Callable | None = None,
                 multi_avg_fn: Callable | None = None, use_buffers: bool = False) -> None:  # fmt: skip
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model).to(device) if device is not None else deepcopy(model)
        self.register_buffer("n_averaged", tensor(0))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **options: Any) -> Any:
        return self.module(*args, **options)

    def update_parameters(self, model: Module) -> None:
        """Take the present weights of ``model`` into the average."""
        weights: list[Any] = list(zip(self.module.parameters(), model.parameters(), strict=True))
        buffers: list[Any] = list(zip(self.module.buffers(), model.buffers(), strict=True))
        averaged, copied = (weights + buffers, []) if self.use_buffers else (weights, buffers)
        with grad_mode(False):
            if self.n_averaged:
                update = self.multi_avg_fn or _in_place(self.avg_fn or get_swa_avg_fn())
                update([a.detach() for a, _ in averaged], [b.detach() for _, b in averaged], self.n_averaged.clone())
            for average, current in copied if self.n_averaged else weights + buffers:
                average.copy_(current)
            self.n_averaged += 1


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Recompute the running statistics of batch normalisation with averaged weights, from all batches of ``loader``."""
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None  # the mean of all batches
    with grad_mode(False):
        for batch in loader if momenta else ():
            batch = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(batch if device is None else batch.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(training)
