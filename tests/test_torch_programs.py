"""Programs that import torch run on minigrad, and leave no trace."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import minigrad
from minigrad import nn
from minigrad.torch_programs import as_torch, run

ROOT = Path(__file__).parents[1]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def shell(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python -m minigrad *args``."""
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    return subprocess.run([sys.executable, "-m", "minigrad", *args], capture_output=True, text=True, cwd=cwd,
                          env=environment)  # fmt: skip


PROGRAM = """
    import argparse
    import torch
    import torch.nn as nn
    import torch.nn.functional as F
    import torch.optim as optim
    from torch.optim.lr_scheduler import StepLR
    from torch.utils.data import DataLoader, TensorDataset

    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    args = parser.parse_args()
    torch.manual_seed(0)
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")
    model = torch.compile(nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))).to(device)
    optimizer = optim.Adam(model.parameters(), lr=0.05)
    schedule = StepLR(optimizer, 10)
    x = torch.randn(64, 3)
    loader = DataLoader(TensorDataset(x, x.sum(1, keepdim=True)), batch_size=16, shuffle=True)
    for _ in range(args.epochs):
        for inputs, targets in loader:
            with torch.autocast("cpu", enabled=False):
                loss = F.mse_loss(model(inputs.to(device)), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
"""


def test_runs_a_program(tmp_path: Path) -> None:
    path = write(tmp_path, "train.py", PROGRAM)
    names = run(path, ["--epochs", "8"])
    assert names["__name__"] == "__main__"
    assert names["__file__"] == str(path)
    assert isinstance(names["model"], nn.Sequential)
    assert names["loss"].item() < 0.5 < run(path)["loss"].item()


def test_names_are_the_very_same_objects() -> None:
    with as_torch():
        import torch
        import torch.nn.functional as F
        import torch.nn.modules.rnn
        from torch import Tensor, optim
        from torch.nn.modules.sparse import Embedding
        from torch.optim.swa_utils import AveragedModel
        from torch.utils.data.dataloader import DataLoader
        names: dict[str, object] = {}
        exec("from torch.nn import *", names)
    assert (Tensor, F.relu, torch.tensor) == (minigrad.Tensor, minigrad.relu, minigrad.tensor)
    assert (torch.nn.modules.rnn.LSTM, names["Linear"], Embedding) == (nn.LSTM, nn.Linear, nn.Embedding)
    assert optim.lr_scheduler.StepLR is minigrad.optim.lr_scheduler.StepLR
    assert AveragedModel is minigrad.optim.swa_utils.AveragedModel
    assert DataLoader is minigrad.utils.data.DataLoader
    assert isinstance(torch.zeros(2).dtype, torch.dtype)
    assert isinstance(torch.zeros(2).shape, torch.Size)
    assert torch.__version__ >= "2"


MISSING = {
    "import torch.fft": "torch.fft",
    "from torch import fft": "torch.fft",
    "import torch.fft.deep": "torch.fft",
    "import torch; torch.fft.rfft": "torch.fft",
    "import torch; torch.nn.Foo": "torch.nn.Foo",
    "from torch.nn import Foo": "torch.nn.Foo",
    "from torch.optim.lr_scheduler import Foo": "torch.optim.lr_scheduler.Foo",
    "import torch.nn.functional as F; F.foo": "torch.nn.functional.foo",
    "import torch.nn.parallel; torch.nn.parallel.Foo": "torch.nn.parallel.Foo",
    "from torch.nn.modules.rnn import Foo": "torch.nn.modules.rnn.Foo",
    "import torch; torch.random.os": "torch.random.os",
    "import torch; torch.jit.script": "torch.jit",
}


@pytest.mark.parametrize("code", MISSING)
def test_missing_names_are_named(code: str) -> None:
    with as_torch(), pytest.raises((AttributeError, ImportError), match=f"{MISSING[code]} is not provided by minigrad"):
        exec(code)


def test_hasattr_answers() -> None:
    with as_torch():
        import torch
    assert not hasattr(torch, "compiler")
    assert not hasattr(torch.nn, "__wrapped__")
    assert torch.backends.cudnn.is_available() is torch.backends.mps.is_built() is torch.xpu.is_available() is False


class RealTorch(ModuleType):
    """Stands in for an installed PyTorch."""


def test_a_real_torch_is_back_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "helper.py", "import torch\nfrom torch import nn\n")
    write(tmp_path, "classes.py", "from torch.utils.data import Dataset\n")
    write(tmp_path, "bystander.py", "import json\n")
    program = write(tmp_path, "program.py", "import sys, torch, helper, classes, bystander\ntop = sys.path[0]\n")
    real, real_nn = RealTorch("torch"), RealTorch("torch.nn")
    monkeypatch.setitem(sys.modules, "torch", real)
    monkeypatch.setitem(sys.modules, "torch.nn", real_nn)
    assert minigrad.utils.data  # what it imports is not of the program
    before = dict(sys.modules), list(sys.meta_path), list(sys.path), list(sys.argv)
    names = run(program)
    assert names["torch"].Tensor is minigrad.Tensor
    assert names["top"] == str(tmp_path)
    assert sys.modules.pop("bystander")  # it has nothing to do with torch
    assert {k: v for k, v in sys.modules.items() if k in before[0] or "minigrad" not in k} == before[0]
    assert (sys.meta_path, sys.path, sys.argv) == before[1:]
    import torch

    assert torch is real


def test_left_by_an_error_too(tmp_path: Path) -> None:
    before = sys.modules["__main__"], list(sys.meta_path)
    with pytest.raises(ZeroDivisionError):
        run(write(tmp_path, "fails.py", "import torch\n1 / 0\n"))
    with pytest.raises(SystemExit, match="3"):
        run(write(tmp_path, "exits.py", "import torch, sys\nsys.exit(3)\n"))
    assert before == (sys.modules["__main__"], sys.meta_path)
    assert "torch" not in sys.modules


def test_command_line(tmp_path: Path) -> None:
    """Arguments, output, exit status and traceback are those of ``python program.py``."""
    write(tmp_path, "settings.py", "import torch\nSIZE = 3\n")
    write(tmp_path, "program.py", """
        import pickle, sys
        import torch
        from settings import SIZE

        class Net(torch.nn.Linear):
            pass

        def work():
            return torch.fft.rfft(torch.ones(SIZE))

        assert type(pickle.loads(pickle.dumps(Net(2, 2)))) is Net
        print(sys.argv, __name__)
        sys.exit(int(sys.argv[1])) if len(sys.argv) > 1 else work()
    """)  # fmt: skip
    done = shell("program.py", "7", "-m", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (7, "['program.py', '7', '-m'] __main__\n", "")
    done = shell("program.py", cwd=tmp_path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line.split(",")[0].strip() for line in lines if line.startswith("  File")] == [
        f'File "{tmp_path / "program.py"}"'
    ] * 2
    assert "return torch.fft.rfft(torch.ones(SIZE))" in done.stderr
    assert lines[-1] == "AttributeError: torch.fft is not provided by minigrad"


def test_command_line_without_a_program(tmp_path: Path) -> None:
    for args, message in (((), "usage"), (("-m",), "usage"), (("nowhere.py",), "there is no file 'nowhere.py'")):
        done = shell(*args, cwd=tmp_path)
        assert done.returncode == 2
        assert message in done.stdout + done.stderr


# ------------------------------------------------------------------ what programs ask for besides


def test_scaler_passes_through() -> None:
    x = minigrad.ones(2, requires_grad=True)
    optimizer = minigrad.optim.SGD([x], lr=1.0)
    scaler = minigrad.amp.GradScaler(enabled=False)
    with minigrad.autocast("cuda", dtype=minigrad.float16, enabled=False):
        loss = x.sum()
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert x.tolist() == [0.0, 0.0]
    assert (scaler.is_enabled(), scaler.get_scale(), scaler.state_dict()) == (False, 1.0, {})


@pytest.mark.parametrize("kind", [minigrad.autocast, minigrad.amp.GradScaler])
def test_mixed_precision_is_refused(kind: Any) -> None:
    with pytest.raises(NotImplementedError, match="pass enabled=False"):
        kind("cpu")
    with pytest.warns(UserWarning, match="no device 'cuda', so it is disabled"):
        kind()


def test_settings() -> None:
    def square(x: Any) -> Any:
        return x * x

    assert minigrad.compile(square, mode="max-autotune") is minigrad.compile()(square) is square
    with pytest.raises(TypeError, match="expected a module or a function, got int"):
        minigrad.compile(3)
    minigrad.set_default_device("cpu")
    assert minigrad.get_default_device() == minigrad.device("cpu")
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        minigrad.set_default_device("cuda")
    minigrad.use_deterministic_algorithms(True)
    assert minigrad.are_deterministic_algorithms_enabled()
    minigrad.set_float32_matmul_precision("high")
    assert minigrad.get_float32_matmul_precision() == "highest"
    with pytest.raises(ValueError, match="'highest', 'high' or 'medium', got 'low'"):
        minigrad.set_float32_matmul_precision("low")
    minigrad.cuda.manual_seed_all(1)
    minigrad.backends.cudnn.benchmark = True
    assert minigrad.backends.cuda.matmul.allow_tf32 is minigrad.accelerator.is_available() is False


def test_names_of_old() -> None:
    """Programs written long ago make tensors in these ways."""
    assert minigrad.Tensor(2, 3).shape == minigrad.FloatTensor(2, 3).shape == (2, 3)
    assert minigrad.Tensor(2).tolist() == [0.0, 0.0]
    assert minigrad.Tensor([2]).tolist() == [2.0]
    assert minigrad.LongTensor([1, 2]).dtype == minigrad.int64
    x = minigrad.ones(2)
    leaf = minigrad.autograd.Variable(x, requires_grad=True)
    leaf.sum().backward()
    assert leaf.grad.tolist() == [1.0, 1.0]
    assert x.grad is None
    with minigrad.random.fork_rng():
        first = minigrad.rand(3)
    assert (minigrad.rand(3) == first).all()


def test_image_grids(tmp_path: Path) -> None:
    """As torchvision.utils lays them out."""
    images = minigrad.arange(5).float().reshape(5, 1, 1, 1).expand(5, 1, 2, 3)
    grid = minigrad.viz.make_grid(images, 3, 1, pad_value=9.0)
    assert grid.shape == (3, 7, 13)
    assert grid[0, ::3].tolist() == [[9.0] * 13] * 3
    assert grid[2, 1].tolist() == [9, 0, 0, 0, 9, 1, 1, 1, 9, 2, 2, 2, 9]
    assert grid[1, 5].tolist() == [9, 3, 3, 3, 9, 4, 4, 4, 9, 9, 9, 9, 9]
    image = minigrad.tensor([[[1.0, 3.0]], [[5.0, 2.0]], [[1.0, 1.0]]])
    assert minigrad.viz.make_grid(image, normalize=True).tolist() == [[[0, 0.5]], [[1, 0.25]], [[0, 0]]]
    with pytest.raises(ValueError, match=r"make_grid: .* got \(2,\)"):
        minigrad.viz.make_grid(minigrad.ones(2))
    pytest.importorskip("PIL.Image", reason="writing images needs Pillow")
    minigrad.viz.save_image(minigrad.tensor([[0.0, 0.5], [1.0, 2.0]]), tmp_path / "image.png")
    from PIL import Image

    pixels = Image.open(tmp_path / "image.png")
    assert [pixels.getpixel((x, y)) for y in (0, 1) for x in (0, 1)] == [(v, v, v) for v in (0, 128, 255, 255)]


def test_what_there_is_not_can_be_named() -> None:
    """Programs that would use several processes or bfloat16, if told to, import them in any case."""
    with as_torch():
        import torch
        from torch.distributed import init_process_group
        from torch.nn.parallel import DistributedDataParallel
    assert not torch.distributed.is_available()
    assert not torch.distributed.is_initialized()
    assert (torch.distributed.get_rank(), torch.distributed.get_world_size()) == (0, 1)
    with pytest.raises(NotImplementedError, match="computes in one process"):
        init_process_group("nccl")
    with pytest.raises(NotImplementedError, match="computes in one process"):
        DistributedDataParallel(nn.Linear(1, 1))
    x = torch.ones(1)
    assert x.dtype != torch.bfloat16
    for cast in (lambda: x.to(torch.bfloat16), lambda: torch.ones(2, dtype=torch.complex64)):
        with pytest.raises(TypeError, match=r"(bfloat16|complex64) is not a dtype of minigrad"):
            cast()
