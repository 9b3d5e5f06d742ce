"""Bad input is refused with an exception of the right type that says what is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from .test_ops import SAMPLES

CASES = [
    pytest.param(call, kind, match, id=f"{module.__name__.rpartition('.')[2]}-{name}")
    for module in SAMPLES
    for name, call, kind, match in getattr(module, "ERRORS", [])
]


@pytest.mark.parametrize(("call", "kind", "match"), CASES)
def test_bad_input_is_refused(call: Callable[[], object], kind: type[Exception], match: str) -> None:
    with np.errstate(all="ignore"), pytest.raises(kind, match=match):
        call()
    assert kind is not Exception, "name the type of the exception, not its base"


def test_there_are_many() -> None:
    assert len(CASES) >= 150
    ids = [case.id for case in CASES]
    assert len(set(ids)) == len(ids)
