"""How thoroughly the suite looks, and the rule that no test leaves state behind."""

from __future__ import annotations

from collections.abc import Iterator
from os import environ

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings

from minigrad import dtypes, engine, use_fast_kernels

collect_ignore = ["data", "compare_torch.py", "damaged_files.py", "interchange_torch.py"]  # scripts

# `dev` is for a quick answer, `ci` for a thorough one that is the same each time. Chosen by
# HYPOTHESIS_PROFILE, or by pytest's --hypothesis-profile, which wins.
_COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "phases": [Phase.explicit, Phase.generate, Phase.target, Phase.shrink],  # to explain takes longer than to shrink
}
settings.register_profile("dev", max_examples=12, database=None, **_COMMON)
settings.register_profile("ci", max_examples=30, database=None, derandomize=True, print_blob=True, **_COMMON)
settings.load_profile(environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--plain-kernels", action="store_true", help="compute without the kernels made for speed")


def pytest_configure(config: pytest.Config) -> None:
    use_fast_kernels(not config.getoption("--plain-kernels"))


def _state() -> dict[str, object]:
    mode = engine.mode
    return {
        "grad mode": mode.grad,
        "inference mode": mode.inference,
        "watchers": mode.watchers,
        "watchers of all threads": len(engine.watching),
        "the default dtype": dtypes.get_default_dtype(),
        "NumPy's error state": np.geterr(),
    }


@pytest.fixture(autouse=True)
def no_leaked_state() -> Iterator[None]:
    """Fail the test that leaves a global switch in another position than it found it in."""
    before = _state()
    yield
    after = _state()
    engine.mode.__dict__.clear()  # back to the class's defaults, so that only the guilty test fails
    engine.watching.clear()
    dtypes.set_default_dtype(dtypes.float32)
    np.seterr(**before["NumPy's error state"])  # type: ignore[call-overload]
    for name, operation in list(engine.REGISTRY.items()):  # those that the test defined
        if not operation.forward.__module__.startswith(("minigrad", "nn.")):
            del engine.REGISTRY[name]
    changed = [f"{name}: {value} became {after[name]}" for name, value in before.items() if value != after[name]]
    assert not changed, f"the test left global state behind: {'; '.join(changed)}"
