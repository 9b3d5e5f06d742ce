"""Makes the files that tests/test_serialization.py reads, with PyTorch (2.13 made those in the repository).

    python tests/data/make_checkpoints.py
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

import torch

HERE = Path(__file__).parent


def contents() -> dict[str, object]:
    """One of everything that minigrad loads."""
    base = torch.arange(24.0).reshape(4, 6)
    linear = torch.nn.Linear(2, 3)
    with torch.no_grad():
        linear.weight.copy_(torch.arange(6.0).reshape(3, 2))
        linear.bias.zero_()
    optimizer = torch.optim.Adam(linear.parameters(), lr=0.5)
    linear(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    dtypes = (torch.float16, torch.float32, torch.float64, torch.int8, torch.int16, torch.int32, torch.int64,
              torch.uint8, torch.bool)  # fmt: skip
    return {
        "base": base,
        "strided": base[1:, ::2],
        "transposed": base.t(),
        "expanded": torch.tensor([[1.0, 2.0, 3.0]]).expand(2, 3),
        "same": base,
        "number": torch.tensor(3.5),
        "empty": torch.zeros(0, 3),
        "dtypes": [torch.tensor([0, 1, 1]).to(dtype) for dtype in dtypes],
        "bfloat16": torch.tensor([1.0, -2.5, 3.140625, float("inf"), float("nan"), 1e-40]).to(torch.bfloat16),
        "leaf": torch.ones(2, requires_grad=True),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "frozen": torch.nn.Parameter(torch.ones(2), requires_grad=False),
        "model": linear.state_dict(),
        "optimizer": optimizer.state_dict(),
        "plain": (1, -5, 300, 2**40, -(2**70), 3.5, float("inf"), True, False, None, "text \u20ac", b"bytes\xff",
                  {1, 2}),
        "ordered": OrderedDict(a=1, b=[2, (3,)]),
        "size": base.shape,
        "dtype": torch.float32,
        "device": torch.device("cpu"),
    }  # fmt: skip


torch.save(contents(), HERE / "torch.pt")
torch.save(contents(), HERE / "torch_protocol4.pt", pickle_protocol=4)
torch.save(contents(), HERE / "torch_legacy.pt", _use_new_zipfile_serialization=False)
