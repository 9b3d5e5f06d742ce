"""What all optimizers share: groups of parameters with their options, state, saving, and the step.

An optimizer defines its defaults and :meth:`Optimizer.update`, which changes one array in place::

    class SGD(Optimizer):
        def __init__(self, params, lr=1e-3):
            super().__init__(params, {"lr": non_negative("lr", lr)})

        def update(self, p, g, state, group):
            p -= group["lr"] * g
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from .. import engine, memory
from ..backprop import RemovableHandle
from ..engine import TensorBase, new_tensor
from ..memory import Array


def non_negative(name: str, value: Any) -> Any:
    """``value`` if it is a number of at least 0."""
    return between(name, value, 0.0)


def between(name: str, value: Any, low: float, high: float = math.inf) -> Any:
    """``value`` if it is a number with ``low <= value < high``."""
    if isinstance(value, TensorBase):
        raise NotImplementedError(f"{name} given as a Tensor is not supported, use a number")
    if not isinstance(value, (int, float, np.number)) or not low <= value < high:
        limits = f"at least {low:g}" + (f" and less than {high:g}" if high < math.inf else "")
        raise ValueError(f"Invalid {name} value: {value!r}; it must be a number {limits}")
    return value


def refuse(optimizer: str, **options: Any) -> None:
    """Raise for those of PyTorch's options that are set and have no meaning here."""
    for name, value in options.items():
        if value:
            raise NotImplementedError(f"{optimizer}: {name}={value!r} is not supported")


def zero_grad(params: Iterable[Any], set_to_none: bool) -> None:
    """Forget the gradients of ``params``, or fill them with zeros."""
    for param in params:
        if set_to_none:
            param.grad = None
        elif param.grad is not None:
            if param.grad.requires_grad:
                param.grad = param.grad.detach()
            param.grad.zero_()


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: an iterable of parameters, of (name, parameter) pairs, or of groups: dictionaries with
            "params" and options that hold for this group only.
        defaults: the options of groups that do not say otherwise.
    """

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[dict[str, Any]] = []
        self._pre_hooks: dict[int, Callable] = {}
        self._post_hooks: dict[int, Callable] = {}
        self._buffers: dict[tuple[Any, int], np.ndarray] = {}
        if isinstance(params, TensorBase):
            raise TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                            "a Tensor; put it in a list")  # fmt: skip
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
        group = {**param_group, "params": params}
        if params and isinstance(params[0], tuple):
            group["param_names"], group["params"] = map(list, zip(*params, strict=True))
            params = group["params"]
        for param in params:
            if not isinstance(param, TensorBase):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}")
            if param._node is not None:
                raise ValueError("can't optimize a non-leaf Tensor: an operation computed it, so it has no gradient of "
                                 "its own")  # fmt: skip
        known = {id(param) for other in self.param_groups for param in other["params"]}
        for param in params:
            if id(param) in known:
                raise ValueError("a parameter appears twice, in one group or in more than one")
            known.add(id(param))
        for name, default in self.defaults.items():
            group.setdefault(name, default)
        self.param_groups.append(group)

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
        for hook in list(self._pre_hooks.values()):
            hook(self, (), {})
        loss = None
        if closure is not None:
            with engine.grad_mode(True):
                loss = closure()
        for group in self.param_groups:
            for param in group["params"]:
                if param._grad is not None:
                    self._update(param, group)
        for hook in list(self._post_hooks.values()):
            hook(self, (), {})
        return loss

    def _update(self, param: Any, group: dict[str, Any]) -> None:
        p, g = param._array, param._grad._array
        if g.dtype != p.dtype:
            g = g.astype(p.dtype)
        if group.get("maximize"):
            g = np.negative(g, out=self.buffer(p, 0))
        if group.get("weight_decay") and not group.get("decoupled_weight_decay"):
            decay = np.multiply(p, group["weight_decay"], out=self.buffer(p, 1))
            g = np.add(decay, g, out=decay)
        self.update(p, g, self.state[param], group)
        memory.changed(p)

    def update(self, p: Array, g: Array, state: dict[str, Any], group: dict[str, Any]) -> None:
        """Change the parameter ``p`` in place.

        Args:
            g: its gradient, with L2 weight decay in it, and negated to maximize. It may belong to
                the user: not to be changed.
            state: what the optimizer remembers of this parameter; empty at the first step.
            group: the options.
        """
        raise NotImplementedError

    def buffer(self, like: Array, number: int) -> Array:
        """Memory for an intermediate result in the shape of ``like``, valid until the next parameter."""
        if not isinstance(like, np.ndarray):
            return np.empty_like(like)
        key = (like.dtype, number)
        flat = self._buffers.get(key)
        if flat is None or flat.size < like.size:
            flat = self._buffers[key] = np.empty(like.size, like.dtype)
        return flat[: like.size].reshape(like.shape)

    def moment(self, state: dict[str, Any], name: str, like: Array, value: float = 0.0) -> Array:
        """The array of ``state[name]``, at first filled with ``value``, to be changed in place."""
        if name not in state:
            state[name] = new_tensor(np.full_like(like, value))
        return state[name]._array

    def register_step_pre_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step."""
        return self._add_hook(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Callable) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return self._add_hook(self._post_hooks, hook)

    def _add_hook(self, hooks: dict[int, Callable], hook: Callable) -> RemovableHandle:
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        return handle

    # ----------------------------------------------------------------------------- saving

    def state_dict(self) -> dict[str, Any]:
        """The state and the options, with parameters replaced by their numbers; holds no copies."""
        numbers: dict[int, int] = {}
        for param in chain.from_iterable(group["params"] for group in self.param_groups):
            numbers[id(param)] = len(numbers)
        return {
            "state": {numbers[id(param)]: state for param, state in self.state.items() if state},
            "param_groups": [
                {**group, "params": [numbers[id(param)] for param in group["params"]]} for group in self.param_groups
            ],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a copy of what :meth:`state_dict` gave, here or in PyTorch.

        Raises:
            ValueError: if it has other groups than this optimizer.
        """
        groups, saved = self.param_groups, state_dict["param_groups"]
        if len(groups) != len(saved):
            raise ValueError(f"loaded state dict has {len(saved)} parameter groups, the optimizer has {len(groups)}")
        for i, (group, other) in enumerate(zip(groups, saved, strict=True)):
            if len(group["params"]) != len(other["params"]):
                raise ValueError(f"loaded state dict has {len(other['params'])} parameters in group {i}, the optimizer "
                                 f"has {len(group['params'])}")  # fmt: skip
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for group, other in zip(groups, saved, strict=True):
            for param, number in zip(group["params"], other["params"], strict=True):
                if number in state_dict["state"]:
                    state[param] = {k: _own(k, v, param) for k, v in state_dict["state"][number].items()}
        self.state = state
        self.param_groups = [
            {**group, **deepcopy(other), "params": group["params"]} for group, other in zip(groups, saved, strict=True)
        ]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_buffers": {}, "_pre_hooks": {}, "_post_hooks": {}}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {name}: {group[name]}" for name in sorted(group) if name not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _own(name: str, value: Any, param: Any) -> Any:
    """A copy of a loaded piece of state, as the optimizer keeps it."""
    if name == "step":
        return int(value)  # PyTorch keeps it as a Tensor
    if isinstance(value, TensorBase):
        return new_tensor(value._array.astype(param.dtype if value.dtype.kind == "f" else value.dtype))
    return deepcopy(value)


ParamsT = Iterable[Any]
"""Parameters, (name, parameter) pairs or group dictionaries."""
