"""The examples run as a user runs them: in a process of their own, from another folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def start(name: str, *args: Any, folder: Path, **options: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MPLCONFIGDIR": str(folder)}
    return subprocess.Popen([sys.executable, "-W", "error::RuntimeWarning", ROOT / "examples" / name, *map(str, args)],
                            cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            **options)  # fmt: skip


def run(name: str, *args: Any, folder: Path) -> str:
    process = start(name, *args, folder=folder)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_help_explains(path: Path, tmp_path: Path) -> None:
    for module in ("matplotlib", "tqdm"):
        pytest.importorskip(module)
    text = run(path.name, "--help", folder=tmp_path)
    assert "usage:" in text
    assert f"python examples/{path.name}" in text


def test_a_missing_package_is_named_with_its_cure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "tqdm.py").write_text("raise ModuleNotFoundError('no tqdm', name='tqdm')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, ROOT / "examples" / "mnist_cnn.py", "--quick"], capture_output=True,
                          text=True, env=environment, cwd=tmp_path)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "This example needs tqdm, which is not installed: pip install -e '.[examples]'\n"


class TestMnist:
    """examples/mnist_cnn.py"""

    @pytest.fixture(autouse=True)
    def needs(self) -> None:
        for module in ("matplotlib", "tqdm"):
            pytest.importorskip(module)

    def test_quick_run_trains_saves_and_draws(self, tmp_path: Path) -> None:
        out = run("mnist_cnn.py", "--quick", "--out", "out", folder=tmp_path)
        assert "epoch  1: loss" in out
        assert "Best parameters, of epoch 1" in out
        names = ("curves", "confusion", "mistakes", "kernels", "features")
        for name in names:
            assert (tmp_path / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
        checkpoint = mg.load(tmp_path / "out" / "best.pt")
        assert checkpoint["model"]["features.0.weight"].shape == (24, 1, 5, 5)
        assert len(checkpoint["optimizer"]["state"]) == 8
        assert all(np.isfinite(tensor).all() for tensor in checkpoint["model"].values())

    def test_the_same_seed_gives_the_same_result(self, tmp_path: Path) -> None:
        outs = [run("mnist_cnn.py", "--quick", "--seed", 3, "--out", n, folder=tmp_path) for n in "ab"]
        lines = [[line.rpartition("  ")[0] for line in out.splitlines() if "epoch  1:" in line] for out in outs]
        assert lines[0] == lines[1] != []
        for a, b in zip(*(mg.load(tmp_path / n / "best.pt")["model"].values() for n in "ab"), strict=True):
            np.testing.assert_array_equal(a, b)

    def test_check_proves_the_gradients(self, tmp_path: Path) -> None:
        out = run("mnist_cnn.py", "--check", folder=tmp_path)
        assert out.count("correct") == 9
        assert not list(tmp_path.glob("runs"))

    def test_interrupting_leaves_a_checkpoint_to_go_on_from(self, tmp_path: Path) -> None:
        process = start("mnist_cnn.py", "--out", "out", "--epochs", 2, folder=tmp_path)
        assert process.stdout is not None
        for line in process.stdout:
            if "parameters" in line:
                break
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, err
        assert "To go on: --resume out/last.pt" in out
        assert "Traceback" not in err
        checkpoint = mg.load(tmp_path / "out" / "last.pt")
        assert checkpoint["epoch"] == 0
        assert checkpoint["optimizer"]["state"][0]["step"] > 0
        out = run("mnist_cnn.py", "--quick", "--out", "out", "--resume", "out/last.pt", folder=tmp_path)
        assert "Going on from out/last.pt, epoch 1 of 1" in out
        assert (tmp_path / "out" / "best.pt").exists()

    def test_impossible_options(self, tmp_path: Path) -> None:
        process = start("mnist_cnn.py", "--epochs", 0, folder=tmp_path)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "--epochs and --batch-size must be at least 1" in err
