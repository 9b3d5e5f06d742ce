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
    replaced = []
    try:
        for name, tensor in parameters_and_buffers.items():
            path, _, leaf = name.rpartition(".")
            owner = module.get_submodule(path)
            registry: dict[str, Any] = owner._parameters if leaf in owner._parameters else owner._buffers
            if leaf not in registry:
                raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {name!r}")
            replaced.append((registry, leaf, registry[leaf]))
            registry[leaf] = tensor
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for registry, leaf, tensor in reversed(replaced):
            registry[leaf] = tensor
