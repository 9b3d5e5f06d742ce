"""Files of safetensors, the format in which most models are shared: tensors by name, and nothing else.

The functions are those of ``safetensors.torch``. :func:`minigrad.load` reads such files too.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .devices import check_device
from .engine import TensorBase, new_tensor
from .extras import extra
from .pickling import LoadError, Storage, require
from .serialization import atomic_write, decode

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
           "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool"}  # fmt: skip


def save(tensors: Mapping[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """The content of a file that holds ``tensors`` by name and ``metadata``, texts by name.

    Of tensors that share memory each is written by itself, where the library for PyTorch would refuse.
    """
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, TensorBase):
            raise TypeError(f"safetensors: expected tensors by name, got {type(tensor).__name__} by {name!r}")
    arrays = {name: np.ascontiguousarray(t._array).reshape(t.shape) for name, t in tensors.items()}
    return extra("safetensors", "safetensors.numpy", "files of safetensors").save(arrays, metadata)


def save_file(tensors: Mapping[str, Any], filename: Any, metadata: dict[str, str] | None = None) -> None:
    """Write what :func:`save` gives to a file, which is replaced as a whole or not at all."""
    content = save(tensors, metadata)
    with atomic_write(filename) as file:
        file.write(content)


def load(data: bytes) -> dict[str, Any]:
    """The tensors in the content of a file, by name; those of dtype bfloat16 as float32, which has all their values.

    Raises:
        LoadError: if it is damaged, or has a tensor of a dtype that minigrad does not have.
    """
    library = extra("safetensors", "safetensors", "files of safetensors")
    tensors = {}
    try:
        for name, entry in library.deserialize(data):
            content, kind = np.frombuffer(bytearray(entry["data"]), np.uint8), entry["dtype"]
            require(kind in _DTYPES, f"{name!r} has dtype {kind}, which minigrad does not have")
            storage = Storage(_DTYPES[kind], name, int(np.prod(entry["shape"], dtype=object)))
            tensors[name] = new_tensor(decode(content, storage, "little").reshape(entry["shape"]))
    except (library.SafetensorError, ValueError) as error:
        raise LoadError(f"load: not a file of safetensors, or a damaged one ({error})") from error
    return tensors


def load_file(filename: Any, device: Any = "cpu") -> dict[str, Any]:
    """Read what :func:`save_file` or any other library wrote; see :func:`load`."""
    check_device(device)
    return load(Path(filename).read_bytes())
