"""Which operations share memory with their input, as in PyTorch, and which never do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import minigrad as mg

VIEWS: dict[str, Callable] = {
    "detach": lambda x: x.detach(),
    "data": lambda x: x.data,
    "getitem int": lambda x: x[0],
    "getitem slice": lambda x: x[:, 1:],
    "getitem ellipsis": lambda x: x[..., None],
    "view": lambda x: x.view(-1),
    "view_as": lambda x: x.view_as(x),
    "reshape": lambda x: x.reshape(4, 3),
    "flatten": lambda x: x.flatten(),
    "ravel": lambda x: x.ravel(),
    "unflatten": lambda x: x.unflatten(1, (2, 2)),
    "squeeze": lambda x: x[None].squeeze(0),
    "unsqueeze": lambda x: x.unsqueeze(1),
    "transpose": lambda x: x.transpose(0, 1),
    "t": lambda x: x.t(),
    "T": lambda x: x.T,
    "mT": lambda x: x.mT,
    "permute": lambda x: x.permute(1, 0),
    "movedim": lambda x: x.movedim(0, 1),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "expand": lambda x: x.expand(2, 3, 4),
    "broadcast_to": lambda x: x.broadcast_to((2, 3, 4)),
    "select": lambda x: x.select(0, 1),
    "narrow": lambda x: x.narrow(1, 1, 2),
    "split": lambda x: x.split(2)[1],
    "chunk": lambda x: x.chunk(2)[0],
    "unbind": lambda x: x.unbind()[2],
    "diagonal": lambda x: x.diagonal(),
    "unfold": lambda x: x.unfold(1, 2, 1),
    "iter": lambda x: next(iter(x)),
    "numpy": lambda x: mg.from_numpy(x.numpy()),
    "dlpack": lambda x: mg.from_dlpack(x),
    "as_tensor": lambda x: mg.as_tensor(x),
    "contiguous": lambda x: x.contiguous(),
    "to": lambda x: x.to(mg.float32),
    "np.asarray": lambda x: mg.as_tensor(np.asarray(x)),
}

COPIES: dict[str, Callable] = {
    "clone": lambda x: x.clone(),
    "tensor": lambda x: mg.tensor(x),
    "to copy": lambda x: x.to(mg.float32, copy=True),
    "getitem list": lambda x: x[[0, 1]],
    "getitem mask": lambda x: x[x > -9],
    "getitem tensor": lambda x: x[mg.tensor([0, 1, 2])],
    "reshape of a transpose": lambda x: x.t().reshape(-1),
    "contiguous of a transpose": lambda x: x.t().contiguous(),
    "cat of one": lambda x: mg.cat([x]),
    "stack of one": lambda x: mg.stack([x]),
    "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(0),
    "repeat": lambda x: x.repeat(1, 1),
    "tril": lambda x: x.tril(9),
    "gather": lambda x: x.gather(0, mg.zeros(3, 4, dtype=mg.int64)),
    "index_select": lambda x: x.index_select(0, mg.tensor([0, 1, 2])),
    "masked_fill": lambda x: x.masked_fill(x > 99, 0),
    "where": lambda x: mg.where(x > -9, x, 0.0),
    "clamp": lambda x: x.clamp(-9, 9),
    "abs": lambda x: x.abs(),
    "relu": lambda x: x.relu(),
    "add 0": lambda x: x + 0,
    "mul 1": lambda x: x * 1,
    "round": lambda x: x.round(),
    "sum over nothing": lambda x: x.sum(()),
    "sum of one": lambda x: x[:1].sum(0),
    "amax of one": lambda x: x[:1].amax(0),
    "cumsum": lambda x: x[:1].cumsum(0),
    "sort": lambda x: x.sort(0)[0],
    "pad nothing": lambda x: mg.nn.functional.pad(x, (0, 0)),
    "softmax": lambda x: x[:1].softmax(0),
    "numpy copy": lambda x: mg.as_tensor(np.array(x)),
}


def memory() -> mg.Tensor:
    return mg.arange(12, dtype=mg.float32).reshape(3, 4).clone()


@pytest.mark.parametrize("name", VIEWS)
def test_shares(name: str) -> None:
    x = memory()
    assert np.shares_memory(VIEWS[name](x)._array, x._array)


@pytest.mark.parametrize("name", COPIES)
def test_never_shares(name: str) -> None:
    x = memory()
    assert not np.shares_memory(COPIES[name](x)._array, x._array)


@pytest.mark.parametrize("name", VIEWS)
def test_writing_through_a_view_is_noticed(name: str) -> None:
    """Whoever shares memory, backward learns when it has been written to."""
    x = memory()
    w = mg.ones(3, 4, requires_grad=True)
    y = (w * x).sum()
    view = VIEWS[name](x)
    if name not in ("expand", "broadcast_to", "unfold"):  # in which elements overlap
        with mg.no_grad():
            view.zero_()
        with pytest.raises(RuntimeError, match="changed in place"):
            y.backward()
