"""Promotion of dtypes, held against tables that PyTorch printed."""

from __future__ import annotations

import numpy as np
import pytest

import minigrad as mg
from minigrad import dtypes

DTYPES = [mg.bool, mg.uint8, mg.int8, mg.int16, mg.int32, mg.int64, mg.float16, mg.float32, mg.float64]
SHORT = dict(zip(["b", "u8", "i8", "i16", "i32", "i64", "f16", "f32", "f64"], DTYPES, strict=True))

# torch.promote_types(row, column), rows and columns in the order above
PROMOTED = """
      b  u8  i8 i16 i32 i64 f16 f32 f64
     u8  u8 i16 i16 i32 i64 f16 f32 f64
     i8 i16  i8 i16 i32 i64 f16 f32 f64
    i16 i16 i16 i16 i32 i64 f16 f32 f64
    i32 i32 i32 i32 i32 i64 f16 f32 f64
    i64 i64 i64 i64 i64 i64 f16 f32 f64
    f16 f16 f16 f16 f16 f16 f16 f32 f64
    f32 f32 f32 f32 f32 f32 f32 f32 f64
    f64 f64 f64 f64 f64 f64 f64 f64 f64"""

# torch.result_type(a tensor with dimensions, a tensor without)
WITH_0D = """
      b  u8  i8 i16 i32 i64 f16 f32 f64
     u8  u8  u8  u8  u8  u8 f16 f32 f64
     i8  i8  i8  i8  i8  i8 f16 f32 f64
    i16 i16 i16 i16 i16 i16 f16 f32 f64
    i32 i32 i32 i32 i32 i32 f16 f32 f64
    i64 i64 i64 i64 i64 i64 f16 f32 f64
    f16 f16 f16 f16 f16 f16 f16 f16 f16
    f32 f32 f32 f32 f32 f32 f32 f32 f32
    f64 f64 f64 f64 f64 f64 f64 f64 f64"""

# torch.result_type(a tensor, one of these Python numbers), with and without dimensions alike
NUMBERS = [True, 1, 1.5]
WITH_NUMBER = """
      b  u8  i8 i16 i32 i64 f16 f32 f64
    i64  u8  i8 i16 i32 i64 f16 f32 f64
    f32 f32 f32 f32 f32 f32 f16 f32 f64"""


def table(text: str) -> list[list[np.dtype]]:
    return [[SHORT[name] for name in line.split()] for line in text.strip().splitlines()]


@pytest.mark.parametrize("i", range(9), ids=[d.name for d in DTYPES])
def test_promote_types(i: int) -> None:
    found = [mg.promote_types(DTYPES[i], other) for other in DTYPES]
    assert found == table(PROMOTED)[i]
    tensors = [mg.result_type(mg.ones(2, dtype=DTYPES[i]), mg.ones(2, dtype=other)) for other in DTYPES]
    scalars = [mg.result_type(mg.ones((), dtype=DTYPES[i]), mg.ones((), dtype=other)) for other in DTYPES]
    assert tensors == scalars == found


@pytest.mark.parametrize("i", range(9), ids=[d.name for d in DTYPES])
def test_0d_tensors_decide_only_the_category(i: int) -> None:
    expected = table(WITH_0D)[i]
    many, single = mg.ones(2, dtype=DTYPES[i]), [mg.ones((), dtype=other) for other in DTYPES]
    assert [mg.result_type(many, s) for s in single] == expected
    assert [mg.result_type(s, many) for s in single] == expected
    assert [(many * s).dtype for s in single] == expected
    assert [(s * many).dtype for s in single] == expected


@pytest.mark.parametrize("i", range(9), ids=[d.name for d in DTYPES])
def test_python_numbers_decide_only_the_category(i: int) -> None:
    expected = [row[i] for row in table(WITH_NUMBER)]
    for tensor in (mg.ones(2, dtype=DTYPES[i]), mg.ones((), dtype=DTYPES[i])):
        assert [mg.result_type(tensor, n) for n in NUMBERS] == expected
        assert [(tensor * n).dtype for n in NUMBERS] == expected
        assert [(n * tensor).dtype for n in NUMBERS] == expected


def test_the_default_dtype_is_what_python_floats_bring() -> None:
    try:
        mg.set_default_dtype(mg.float64)
        assert mg.result_type(mg.ones(2, dtype=mg.int64), 1.5) == mg.float64
        assert mg.tensor(1.5).dtype == mg.zeros(1).dtype == mg.arange(0, 1, 0.5).dtype == mg.float64
        assert repr(mg.tensor(1.5)) == "tensor(1.5000)"
    finally:
        mg.set_default_dtype(mg.float32)


def test_can_cast() -> None:
    rank = {"b": 0, "u": 1, "i": 1, "f": 2}
    for source in DTYPES:
        for target in DTYPES:
            expected = rank[source.kind] <= rank[target.kind] and (source.kind, target.kind) != ("i", "u")
            assert mg.can_cast(source, target) == expected
    assert not mg.can_cast(mg.float32, mg.int64)
    assert mg.can_cast(mg.float64, mg.float16)


def test_limits() -> None:
    assert mg.finfo(mg.float32).eps == 2.0**-23
    assert mg.finfo().dtype == "float32"
    assert mg.finfo(mg.float16).max == 65504
    assert mg.finfo(mg.float64).tiny == mg.finfo(mg.float64).smallest_normal == 2.0**-1022
    assert type(mg.finfo(mg.float32).min) is float
    assert (mg.iinfo(mg.int8).min, mg.iinfo(mg.int8).max, mg.iinfo(mg.int8).bits) == (-128, 127, 8)


def test_a_dtype_is_numpys() -> None:
    for dtype in DTYPES:
        assert mg.zeros(1, dtype=dtype).numpy().dtype is dtype
        assert dtypes.as_dtype(dtype.type) is dtype
        assert dtypes.as_dtype(dtype.name) is dtype
    assert [dtypes.as_dtype(t) for t in (float, int, bool)] == [mg.float32, mg.int64, mg.bool]


def test_questions_about_dtypes() -> None:
    floating, whole, byte = mg.ones(1), mg.ones(1, dtype=mg.int8), mg.ones(1, dtype=mg.uint8)
    assert [mg.is_floating_point(t) for t in (floating, whole, byte)] == [True, False, False]
    assert [mg.is_signed(t) for t in (floating, whole, byte)] == [True, True, False]
    assert not mg.is_complex(floating)
    assert mg.Tensor.is_floating_point is mg.is_floating_point
    assert mg.is_tensor(floating)
    assert not mg.is_tensor(np.ones(1))
