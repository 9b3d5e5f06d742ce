"""The examples run as a user runs them: in a process of their own, from another folder."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data.vision import CIFAR10

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
@pytest.mark.usefixtures("needs")
def test_help_explains(path: Path, tmp_path: Path) -> None:
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


@pytest.fixture
def needs() -> None:
    for module in ("matplotlib", "tqdm", "PIL"):
        pytest.importorskip(module, reason="the examples need it")


def pictures(folder: Path) -> set[str]:
    """The names of the PNG files in a folder, which must be such."""
    files = list(folder.glob("*.png"))
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in files)
    return {path.stem for path in files}


@pytest.mark.usefixtures("needs")
class TestShort:
    """Each of the other examples in a short form: that it computes what it says and draws what it promises."""

    def test_kernel_convolutions(self, tmp_path: Path) -> None:
        out = run("kernel_convolutions.py", "--steps", 160, "--out", "out", folder=tmp_path)
        assert "[1.0, 2.0, 3.0, 4.0] * [1.0, 0.0, -1.0] = [1.0, 2.0, 2.0, 2.0, -3.0, -4.0]" in out
        largest = re.search(r"differs from Sobel's by at most (\S+) per weight", out)
        assert largest is not None
        assert float(largest.group(1)) < 1e-2
        assert pictures(tmp_path / "out") == {"functions", "photo", "learned"}

    def test_kernel_convolutions_with_a_picture_of_ones_own(self, tmp_path: Path) -> None:
        (tmp_path / "no.png").write_bytes(b"no picture")
        process = start("kernel_convolutions.py", "--image", "no.png", folder=tmp_path)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "--image: cannot identify image file" in err

    def test_conv_backward(self, tmp_path: Path) -> None:
        out = run("conv_backward.py", "--out", "out", folder=tmp_path)
        differences = [float(number) for number in re.findall(r"gradients differ by at most (\S+)", out)]
        assert len(differences) == 3
        assert max(differences) < 1e-10
        assert pictures(tmp_path / "out") >= {"gradients"}
        assert "<svg" in (tmp_path / "out" / "graph.html").read_text()

    def test_custom_op(self, tmp_path: Path) -> None:
        out = run("custom_op.py", "--out", "out", folder=tmp_path)
        assert out.count(" is wrong.") == 5
        assert "It looks like a wrong sign." in out
        assert "It looks like a missing sum over dimension 0" in out
        assert "gradcheck and gradgradcheck: correct" in out
        assert pictures(tmp_path / "out") == {"softclip"}

    def test_mnist_mlp(self, tmp_path: Path) -> None:
        out = run("mnist_mlp.py", "--epochs", 2, "--hidden", 64, "--out", "out", folder=tmp_path)
        right = re.search(r"([\d.]+)% of 1,000 test digits right", out)
        assert right is not None
        assert float(right.group(1)) > 80
        assert pictures(tmp_path / "out") == {"digits", "curves", "predictions", "weights", "confusion"}

    def test_inside_a_cnn(self, tmp_path: Path) -> None:
        out = run("inside_a_cnn.py", "--epochs", 1, "--limit", 500, "--steps", 3, "--out", "out", folder=tmp_path)
        assert "test digits recognised when moved by" in out
        assert "Grad-CAM: " in out
        names = {"kernels", "features", "shifts", "saliency", "grad_cam", "dreams"}
        assert pictures(tmp_path / "out") == names

    def test_char_transformer(self, tmp_path: Path) -> None:
        for kind in ([], ["--lstm"]):
            out = run("char_transformer.py", "--steps", 2, "--samples", 1, "--context", 16, "--batch-size", 4, *kind,
                      "--out", "out", folder=tmp_path)  # fmt: skip
            assert out.count("--- step") == 1
            assert "nats per letter on unseen text" in out
        assert pictures(tmp_path / "out") == {"curves", "surprise"}
        assert (tmp_path / "out" / "samples.txt").read_text().startswith("--- step 2: loss")
        (tmp_path / "short.txt").write_text("to be or not to be; " * 6)  # draws what there is of it
        run("char_transformer.py", "--steps", 1, "--samples", 1, "--context", 3, "--text", "short.txt", folder=tmp_path)

    def test_vae(self, tmp_path: Path) -> None:
        out = run("vae.py", "--epochs", 1, "--limit", 200, "--out", "out", folder=tmp_path)
        assert "nats per test digit" in out
        assert pictures(tmp_path / "out") == {"samples", "reconstructions", "between", "curves"}


@pytest.mark.usefixtures("needs")
class TestCifar:
    """examples/cifar_cnn.py"""

    def test_trains_saves_and_predicts_on_local_files(self, tmp_path: Path) -> None:
        names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        folder = tmp_path / "data" / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        labels = np.arange(20) % 10
        images = np.repeat(25 * labels, 3072).reshape(20, 3072).astype(np.uint8)  # each class is a shade of grey
        batch = {"data": images, "labels": labels.tolist()}
        for name in [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]:
            (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
        (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol=2))
        for colours in ([], ["--gray", "--pool", "avg"]):
            out = run("cifar_cnn.py", "--data", "data", "--epochs", 2, "--batch-size", 10, *colours, "--out", "out",
                      folder=tmp_path)  # fmt: skip
            assert "100 images to learn from" in out
            assert "of 20 test images right" in out
            assert "Stand-in" not in out
            assert pictures(tmp_path / "out") == {"images", "curves", "confusion", "predictions"}
            answer = run("cifar_cnn.py", "--predict", "out/images.png", "--out", "out", folder=tmp_path)
            assert re.fullmatch(r"out/images.png: (\w+ [\d.]+%(, )?){3}\n", answer)

    def test_the_stand_in_says_what_it_is(self, tmp_path: Path) -> None:
        pytest.importorskip("skimage", reason="the stand-in is cut from photos of scikit-image")
        out = run("cifar_cnn.py", "--limit", 64, "--epochs", 1, "--out", "out", folder=tmp_path)
        assert "This is not CIFAR-10" in out
        assert "not CIFAR-10" in (tmp_path / "out" / "stand-in" / "README.txt").read_text()
        cifar = CIFAR10(tmp_path / "out" / "stand-in")
        assert len(cifar) == 5000
        assert cifar.classes[2] == "cat"

    def test_without_data_the_error_names_the_place(self, tmp_path: Path) -> None:
        process = start("cifar_cnn.py", "--data", "nowhere", folder=tmp_path)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert "batches.meta is not in nowhere" in err or "data_batch_1 is not in nowhere" in err
        process = start("cifar_cnn.py", "--download", folder=tmp_path)
        assert process.communicate(timeout=60)[1].endswith("--download needs --data FOLDER to download into\n")


@pytest.mark.usefixtures("needs")
class TestMnist:
    """examples/mnist_cnn.py"""

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
