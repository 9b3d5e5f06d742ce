"""A training that is killed, at any moment, and started again ends with the very bits of one that was not.

    python tests/test_resume.py CHECKPOINT [moment]

trains in this process, goes on from the checkpoint if there is one, and kills itself at the given moment.
"""

from __future__ import annotations

import hashlib
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import minigrad as mg
from minigrad import nn, optim, serialization
from minigrad.data import DataLoader, TensorDataset

EPOCHS, BATCHES = 3, 7


def digest(part: Any) -> str:
    """Of everything in a state, to the bit."""
    if isinstance(part, dict):
        part = [[name, digest(value)] for name, value in part.items()]
    elif isinstance(part, (list, tuple)):
        part = [digest(value) for value in part]
    elif isinstance(part, mg.Tensor):
        part = part.detach().numpy().tobytes()
    return hashlib.sha256(repr(part).encode()).hexdigest()


def train(path: str) -> str:
    """Train with a checkpoint after each step. Everything is random: the batches, what is dropped, the start."""
    mg.manual_seed(0)
    data = TensorDataset(mg.randn(BATCHES * 6 - 2, 5), mg.randn(BATCHES * 6 - 2, 3))
    loader: DataLoader = DataLoader(data, batch_size=6, shuffle=True)
    model = nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 3))
    optimizer = optim.AdamW(model.parameters(), lr=0.01, amsgrad=True)
    scheduler = optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=EPOCHS * BATCHES)
    epoch = step = 0
    if os.path.exists(path):
        found = mg.load(path)
        for part, name in ((model, "model"), (optimizer, "optimizer"), (scheduler, "scheduler"), (loader, "loader")):
            part.load_state_dict(found[name])
        mg.set_rng_state(found["random"])
        epoch, step = found["epoch"], found["step"]
    while epoch < EPOCHS:
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(x), y).backward()
            moment(f"step {step}")
            optimizer.step()
            scheduler.step()
            step += 1
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "loader": loader.state_dict(),
                     "scheduler": scheduler.state_dict(), "random": mg.get_rng_state(), "epoch": epoch,
                     "step": step}  # fmt: skip
            mg.save(state, path)
            print("saved", step, flush=True)
        epoch += 1
    assert step == EPOCHS * BATCHES
    return digest([model.state_dict(), optimizer.state_dict(), scheduler.state_dict(), mg.get_rng_state()])


# ------------------------------------------------------------------------------ moments to be killed at

wanted, saves = "", 0


def moment(name: str) -> None:
    if name == wanted:
        os.kill(os.getpid(), signal.SIGKILL)


def write_half(file: Any, *rest: Any, write: Any = serialization._write_archive) -> None:
    """Write an archive in two halves, and perhaps not the second one."""
    global saves
    saves += 1
    write(whole := io.BytesIO(), *rest)
    half = len(whole.getvalue()) // 2
    file.write(whole.getvalue()[:half])
    file.flush()
    moment(f"half {saves}")
    file.write(whole.getvalue()[half:])


def replace(source: str, target: str, do: Any = os.replace) -> None:
    moment(f"written {saves}")
    do(source, target)
    moment(f"renamed {saves}")


def main(path: str, at: str = "") -> None:
    global wanted
    wanted, serialization._write_archive, os.replace = at, write_half, replace
    print("digest", train(path))


# ---------------------------------------------------------------------------------------------- tests


def start(path: Path, at: str = "") -> subprocess.Popen:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-W", "error", __file__, str(path), at]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.skipif(os.name != "posix", reason="kills processes by signal")
def test_killed_and_resumed_bit_for_bit(tmp_path: Path) -> None:
    whole, path = start(tmp_path / "whole.pt"), tmp_path / "killed.pt"
    # Within an epoch, and during saves, which each process counts anew. Step 7 is the last of an epoch.
    moments = ["half 1", "step 3", "half 2", "written 2", "renamed 2"]
    for at in moments:
        killed = start(path, at)
        killed.communicate()
        assert killed.returncode == -signal.SIGKILL, at
        if path.exists():
            mg.load(path)
    killed = start(path)  # and from outside, whatever it is doing
    assert killed.stdout is not None
    assert killed.stdout.readline() + killed.stdout.readline() == "saved 8\nsaved 9\n"
    killed.kill()
    killed.communicate()
    resumed = start(path)
    lines = resumed.communicate()[0].splitlines()
    assert int(lines[0].split()[1]) >= 10
    assert lines[-1] == whole.communicate()[0].splitlines()[-1]
    assert lines[-1].startswith("digest ")
    print(f"killed {len(moments) + 1} times, at {lines[0]} for the last time; {lines[-1]} with and without")


if __name__ == "__main__":
    main(*sys.argv[1:])
