"""What all optimizers share: groups of parameters with their options, state, saving, and the step.

An optimizer in which elements do not influence each other defines its options and
:meth:`Optimizer.update`, which changes one array in place::

    class Descent(Optimizer):
        def __init__(self, params, lr=1e-3):
            super().__init__(params, {"lr": lr})

        def update(self, p, g, state, group):
            p -= group["lr"] * g

Any other defines its own ``step``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from .. import memory
from ..backprop import RemovableHandle
from ..engine import TensorBase, grad_mode, new_tensor
from ..kernels.arithmetic import multiplied
from ..kernels.fused import fused
from ..memory import Array

ParamsT = Iterable[Any]  # parameters, (name, parameter) pairs or group dictionaries
Pair = tuple[float, float]
Flag = bool | None

_FLAGS = "foreach", "capturable", "differentiable", "fused"  # of how PyTorch computes; only falsy here
_NUMBERS = ("lr", "eps", "weight_decay", "momentum", "alpha", "rho", "lr_decay", "momentum_decay",
            "initial_accumulator_value")  # fmt: skip


def options_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """A constructor's ``locals()`` without what it optimizes: the options, which are checked."""
    options = {name: value for name, value in arguments.items() if name not in ("self", "params", "__class__")}
    for name, value in options.items():
        if name in _FLAGS and value:
            raise NotImplementedError(f"{type(arguments['self']).__name__}: {name}={value!r} is not supported")
        if name in _NUMBERS:
            label = {"lr": "learning rate", "eps": "epsilon value"}.get(name, f"{name} value")
            _check(label, value, math.nextafter(1, 2) if name == "rho" else math.inf)
        for i, beta in enumerate(value if name == "betas" else ()):
            _check(f"beta parameter at index {i}", beta, 1.0)
    return options


def _check(label: str, value: Any, limit: float) -> None:
    if isinstance(value, TensorBase):
        raise NotImplementedError(f"{label} given as a Tensor is not supported; use a number")
    if not isinstance(value, (int, float, np.number)) or not 0 <= value < limit:
        raise ValueError(f"Invalid {label}: {value!r}; it must be a number of at least 0 and less than {limit:.3g}")


def zero_grad(params: Iterable[Any], set_to_none: bool) -> None:
    """Forget the gradients of ``params``, or fill them with zeros."""
    for param in params:
        if set_to_none:
            param.grad = None
        elif param.grad is not None:
            param.grad = param.grad.detach() if param.grad.requires_grad else param.grad
            param.grad.zero_()


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: an iterable of parameters, of (name, parameter) pairs, or of groups: dictionaries with
            "params" and options that hold for this group only.
        defaults: the options of groups that do not say otherwise.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._hooks: tuple[dict[int, Callable], dict[int, Callable]] = {}, {}  # before and after each step
        if isinstance(params, TensorBase) or not isinstance(params, Iterable):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, as "
                            f"model.parameters() gives, not {type(params).__name__}")  # fmt: skip
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        for group in groups if isinstance(groups[0], dict) else [{"params": groups}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, for example of layers that are trained from now on."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group).__name__}")
        params = param_group["params"]
        if isinstance(params, set):
            raise TypeError("optimizer parameters need to be organized in ordered collections, but a set has no order")
        params = [params] if isinstance(params, TensorBase) else list(params)
        group = {**self.defaults, **param_group, "params": [p[1] if isinstance(p, tuple) else p for p in params]}
        if names := [p[0] for p in params if isinstance(p, tuple)]:
            group["param_names"] = names
        groups = [*self.param_groups, group]
        if len(names) not in (0, len(params)) or len({"param_names" in other for other in groups}) > 1:
            raise ValueError("all optimizer params should be with/without names, but some have one and some have none")
        for param in group["params"]:
            if not isinstance(param, TensorBase):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
            if not param.is_leaf:  # type: ignore[attr-defined]
                raise ValueError("can't optimize a non-leaf Tensor: an operation computed it, so it gets no gradient")
        known = [id(param) for other in groups for param in other["params"]]
        if len(set(known)) < len(known):
            raise ValueError("a parameter appears twice, in one parameter group or in more than one")
        self.param_groups = groups

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or fill them with zeros; to be called before each backward."""
        for group in self.param_groups:
            zero_grad(group["params"], set_to_none)

    # ------------------------------------------------------------------------------- step

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change every parameter that has a gradient.

        Args:
            closure: computes the loss again, with its gradients, and returns it.

        Returns:
            What ``closure`` returned.
        """
        for hook in list(self._hooks[0].values()):
            if hook(self, (self, closure), {}) is not None:
                raise NotImplementedError("step: a hook cannot replace the arguments; it must return None")
        with grad_mode(False):
            loss = self._step(closure)
        for hook in list(self._hooks[1].values()):
            hook(self, (self, closure), {})
        return loss

    def _step(self, closure: Callable[[], Any] | None) -> Any:
        loss = None
        if closure is not None:
            with grad_mode(True):
                loss = closure()
        with np.errstate(all="ignore"):
            for group in self.param_groups:
                for param in group["params"]:
                    if param._grad is not None:
                        self._update(param, group)
        return loss

    def _update(self, param: Any, group: dict[str, Any]) -> None:
        p, g, state = param._array, param._grad._array, self.state[param]
        self._change(p, g, state, group)
        memory.changed(p)

    def _change(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        if group.get("maximize"):
            g = -g
        if group.get("decoupled_weight_decay"):
            multiplied(p, 1 - group["lr"] * group["weight_decay"], out=(p,))
        elif group.get("weight_decay"):
            g = _with_decay(g, p, group["weight_decay"])
        self.update(p, g, state, group)

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the parameter ``p`` in place.

        Args:
            g: its gradient, with weight decay in it, and negated to maximize. It may belong to the
                user: not to be changed.
            state: what the optimizer remembers of this parameter; empty at the first step.
            group: the options.
        """
        raise NotImplementedError(f"{type(self).__name__} defines neither update() nor step()")

    def moment(self, state: dict[str, Any], name: str, like: Array, value: float = 0.0) -> Array:
        """The array of ``state[name]``, at first filled with ``value``, to be changed in place."""
        if state.get(name) is None:  # where PyTorch keeps a None
            state[name] = new_tensor(np.full_like(like, value))
        array = state[name]._array
        if array.shape != like.shape:
            raise ValueError(f"the loaded state {name!r} has shape {array.shape}, its parameter {like.shape}")
        return array

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step."""
        return RemovableHandle(self._hooks[0], hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return RemovableHandle(self._hooks[1], hook)

    # ----------------------------------------------------------------------------- saving

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, with parameters replaced by their numbers; holds no copies."""
        params = chain.from_iterable(group["params"] for group in self.param_groups)
        numbers = {id(param): number for number, param in enumerate(params)}
        groups = [{**group, "params": [numbers[id(param)] for param in group["params"]]} for group in self.param_groups]
        state = {numbers[id(param)]: state for param, state in self.state.items() if state}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of what :meth:`state_dict` gave, here or in PyTorch.

        Raises:
            ValueError: if it has other groups than this optimizer, or lacks options that this one uses.
        """
        groups, saved = self.param_groups, state_dict["param_groups"]
        counts = [[len(group["params"]) for group in side] for side in (saved, groups)]
        if counts[0] != counts[1]:
            raise ValueError(f"loaded state dict has groups of {counts[0]} parameters, the optimizer {counts[1]}")
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        loaded = []
        for group, other in zip(groups, saved, strict=True):
            if missing := [k for k in self.defaults if k not in other and group[k] and group[k] is not True]:
                raise ValueError(f"loaded state dict lacks {missing}: it is not of {type(self).__name__}")
            for param, number in zip(group["params"], other["params"], strict=True):
                if number in state_dict["state"]:
                    state[param] = {k: _own(v, param, k) for k, v in state_dict["state"][number].items()}
            loaded.append({**group, **deepcopy(other), "params": group["params"]})
        self.state, self.param_groups = state, loaded

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_hooks": ({}, {})}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _own(value: Any, param: Any, name: str = "") -> Any:
    """A copy of a loaded piece of state, as the optimizer keeps it."""
    if name == "step":
        return int(value)  # PyTorch keeps it as a Tensor
    if isinstance(value, TensorBase):
        return new_tensor(value._array.astype(param.dtype))
    return [_own(element, param) for element in value] if isinstance(value, list) else deepcopy(value)


@fused
def _with_decay(g: Array, p: Array, weight_decay: float) -> Array:
    return g + p * weight_decay


def blended(mean: Array, value: Array, new: float) -> Array:
    """The running mean with ``value``, of which it takes the share ``new``, in it."""
    return mean + new * (value - mean)
