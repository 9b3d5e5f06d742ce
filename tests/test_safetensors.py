"""Files of safetensors, both ways."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn
from minigrad.serialization import LoadError

pytest.importorskip("safetensors", reason="the library of safetensors is not installed")

from safetensors import numpy as library

from minigrad import safetensors


def content(header: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


TENSORS = {
    **{dtype.name: mg.tensor([[0, 1, 1], [1, 0, 1]]).to(dtype) for dtype in mg.dtypes.DTYPES},
    "number": mg.tensor(2.5), "empty": mg.zeros(2, 0), "transposed": mg.arange(6.0).reshape(2, 3).t(),
    "backwards": mg.from_numpy(np.arange(5)[::-1]), "expanded": mg.ones(1).expand(3),
    "trained": nn.Parameter(mg.ones(2)),
}  # fmt: skip


def test_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    safetensors.save_file(TENSORS, path, {"format": "pt"})
    theirs = library.load_file(path)
    for found in (safetensors.load_file(path), safetensors.load(path.read_bytes()), mg.load(path)):
        assert set(found) == set(theirs) == set(TENSORS)
        for name, tensor in TENSORS.items():
            np.testing.assert_array_equal(theirs[name], tensor.detach().numpy(), strict=True)
            np.testing.assert_array_equal(found[name].numpy(), tensor.detach().numpy(), strict=True)
            found[name].zero_()  # all memory can be written to
    path.write_bytes(library.save({name: tensor.detach().numpy().copy() for name, tensor in TENSORS.items()}))
    assert {n: t.tolist() for n, t in mg.load(path).items()} == {n: t.tolist() for n, t in TENSORS.items()}
    with pytest.raises(LoadError, match="zip format only"):
        mg.load(path, mmap=True)


def test_bfloat16_becomes_float32() -> None:
    values = np.float32([1, -2.5, 3.140625, np.inf])
    data = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    found = safetensors.load(content({"a": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]}}, data))["a"]
    np.testing.assert_array_equal(found.numpy(), values.reshape(2, 2), strict=True)
    with pytest.raises(LoadError, match="'a' has dtype F8_E4M3"):
        safetensors.load(content({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"ab"))


def test_a_model_whose_parameters_share_memory(tmp_path: Path) -> None:
    model, other, path = nn.Linear(3, 3), nn.Linear(3, 3), tmp_path / "tied.safetensors"
    model.second = nn.Linear(3, 3)
    model.second.weight = model.weight
    other.second = nn.Linear(3, 3)
    safetensors.save_file(model.state_dict(), path)
    other.load_state_dict(safetensors.load_file(path))
    np.testing.assert_array_equal(other.second.weight.detach(), model.weight.detach())
    with pytest.raises(TypeError, match="got int by 'a'"):
        safetensors.save({"a": 1})


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.numpy", None)
    with pytest.raises(ImportError, match=r"pip install 'minigrad-nn\[safetensors\]'"):
        safetensors.save({"a": mg.ones(1)})
