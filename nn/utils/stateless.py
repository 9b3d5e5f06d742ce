"""Modules as functions of their parameters."""

from __future__ import annotations

from typing import Any

from ..module import Module


def functional_call(module: Module, parameters_and_buffers: dict[str, Any], args: Any = (),
                    kwargs: dict[str, Any] | None = None) -> Any:  # fmt: skip
    """Call ``module`` with the given tensors in place of its parameters and buffers of these dotted names.

    The module itself stays as it is. Gradients flow to the given tensors.

    Args:
        args: a tuple of positional arguments, or the only one.
    """
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for name, tensor in parameters_and_buffers.items():
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            if owner._kinds.get(leaf) not in ("parameter", "buffer"):
                raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}")
            replaced.append((owner, leaf, getattr(owner, leaf)))
            vars(owner)[leaf] = tensor
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for owner, leaf, tensor in reversed(replaced):
            vars(owner)[leaf] = tensor
