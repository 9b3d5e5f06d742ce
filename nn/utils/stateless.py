"""Modules as functions of their parameters."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from ..module import Module


def functional_call(module: Module, parameters_and_buffers: dict[str, Any], args: Any = (),
                    kwargs: dict[str, Any] | None = None) -> Any:  # fmt: skip
    """Call ``module`` with the given tensors in place of its parameters and buffers of these dotted names.

    A parameter with several names is replaced under all of them. The module itself stays as it is. Gradients flow to
    the given tensors.

    Args:
        args: a tuple of positional arguments, or the only one.
    """
    places = defaultdict(list)
    for owner in module.modules():
        for name, tensor in owner._own("parameter") + owner._own("buffer"):
            places[id(tensor)].append((owner, name))
    replaced: list[tuple[Any, str, Any]] = []
    try:
        for path, tensor in parameters_and_buffers.items():
            parent, _, leaf = path.rpartition(".")
            here = module.get_submodule(parent)
            if here._kinds.get(leaf) not in ("parameter", "buffer"):
                raise KeyError(f"functional_call: {type(module).__name__} has no parameter or buffer {path!r}")
            old = getattr(here, leaf)
            for owner, name in places.get(id(old), [(here, leaf)]):
                replaced.append((owner, name, old))
                vars(owner)[name] = tensor
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
    finally:
        for owner, name, tensor in reversed(replaced):
            vars(owner)[name] = tensor
