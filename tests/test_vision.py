"""Datasets of images: their files, how they are fetched, and transforms."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigrad as mg
from minigrad.data import DataLoader, transforms, vision
from minigrad.data.download import download

PIL_Image = pytest.importorskip("PIL.Image", reason="images need Pillow")
ROOT = Path(__file__).parents[1]


# ----------------------------------------------------------------------------- the formats of files


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as a file of MNIST."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def digits(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    return source.integers(0, 256, (n, 28, 28), "uint8"), source.integers(0, 10, n, "uint8")


def write_mnist(folder: Path, ending: str = "", n: int = 5) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, size in (("train", n), ("t10k", 3)):
        images, labels = digits(size, size)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            (folder / (name + ending)).write_bytes(gzip.compress(idx(array)) if ending else idx(array))


def python2_pickle(entries: dict[str, Any]) -> bytes:
    """What Python 2 wrote for a dict of strings, lists and one array of bytes: as the files of CIFAR are."""

    def string(text: bytes) -> bytes:
        return (b"U" + bytes((len(text),)) if len(text) < 256 else b"T" + struct.pack("<i", len(text))) + text

    def value(item: Any) -> bytes:
        if isinstance(item, str):
            return string(item.encode())
        if isinstance(item, int):
            return b"K" + bytes((item,))
        if isinstance(item, list):
            return b"](" + b"".join(map(value, item)) + b"e"
        rows, columns = (b"M" + struct.pack("<H", n) for n in item.shape)
        dtype = b"cnumpy\ndtype\n" + string(b"u1") + b"K\0K\1\x87R(K\3" + string(b"|") + b"NNNJ\xff\xff\xff\xff" * 1
        dtype += b"J\xff\xff\xff\xffK\0tb"
        return (b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" + string(b"b") + b"\x87R(K\1"
                + rows + columns + b"\x86" + dtype + b"\x89" + string(item.tobytes()) + b"tb")  # fmt: skip

    body = b"".join(string(key.encode()) + value(item) for key, item in entries.items())
    return b"\x80\x02}(" + body + b"u."


def cifar(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 3072), "uint8")


def cifar10_files() -> dict[str, bytes]:
    files = {
        name: python2_pickle({"batch_label": name, "labels": [i, 9 - i], "data": cifar(2, i), "filenames": ["a", "b"]})
        for i, name in enumerate((*vision.CIFAR10.train_list, *vision.CIFAR10.test_list))
    }
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    return {**files, "batches.meta": python2_pickle({"num_cases_per_batch": 2, "label_names": names, "num_vis": 3})}


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("kind", [vision.MNIST, vision.FashionMNIST])
@pytest.mark.parametrize("folder", ["raw", "."])
def test_mnist_from_its_files(kind: type, folder: str, ending: str, tmp_path: Path) -> None:
    write_mnist(tmp_path / (kind.__name__ if folder == "raw" else "") / folder, ending)
    for train, n in ((True, 5), (False, 3)):
        images, labels = digits(n, n)
        dataset = kind(tmp_path, train, download=True)  # nothing is missing
        assert len(dataset) == n
        assert dataset.data.dtype == mg.uint8
        assert dataset.targets.dtype == mg.int64
        np.testing.assert_array_equal(dataset.data, images)
        image, label = dataset[2]
        assert (image.mode, image.size, label) == ("L", (28, 28), labels[2])
        np.testing.assert_array_equal(np.asarray(image), images[2])
        assert len(dataset.classes) == len(dataset.class_to_idx) == 10
    dataset = kind(str(tmp_path), transform=transforms.ToTensor(), target_transform=lambda label: -label)
    batch, labels = next(iter(DataLoader(dataset, 5, num_workers=1)))
    np.testing.assert_array_equal(batch, np.float32(digits(5, 5)[0][:, None]) / np.float32(255))
    np.testing.assert_array_equal(labels, -digits(5, 5)[1].astype(int))


def test_mnist_that_is_not_there_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"MNIST: train-images-idx3-ubyte is not in .*MNIST.*download=True"):
        vision.MNIST(tmp_path)
    images, labels = digits(2)
    for damaged in (idx(images)[:-1], idx(images) + b"x", idx(labels), b"", b"\0\0\x0d\3" + idx(images)[4:]):
        for ending, content in (("", damaged), (".gz", gzip.compress(damaged)), (".gz", gzip.compress(damaged)[:-9])):
            for path in tmp_path.iterdir():
                path.unlink()
            (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(labels))
            (tmp_path / f"train-images-idx3-ubyte{ending}").write_bytes(content)
            with pytest.raises(ValueError, match=r"train-images-idx3-ubyte.* is damaged"):
                vision.MNIST(tmp_path)


def test_cifar10_from_its_files(tmp_path: Path) -> None:
    files = cifar10_files()
    np.testing.assert_array_equal(pickle.loads(files["test_batch"], encoding="latin1")["data"], cifar(2, 5))
    write(tmp_path / "cifar-10-batches-py", files)
    train, test = vision.CIFAR10(tmp_path), vision.CIFAR10(tmp_path, train=False)
    assert (train.data.shape, test.data.shape) == ((10, 32, 32, 3), (2, 32, 32, 3))
    assert train.targets == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    assert train.class_to_idx["cat"] == 3
    image, target = test[1]
    assert (image.mode, image.size, target) == ("RGB", (32, 32), 4)
    np.testing.assert_array_equal(np.asarray(image), cifar(2, 5)[1].reshape(3, 32, 32).transpose(1, 2, 0))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_cifar100_written_by_any_python(protocol: int, tmp_path: Path) -> None:
    batch = {"fine_labels": [7, 99], "coarse_labels": [1, 2], "data": cifar(2, 1)}
    names = {"fine_label_names": [f"fine {i}" for i in range(100)], "coarse_label_names": ["coarse"]}
    files = {"train": batch, "test": batch, "meta": names}
    write(tmp_path / "cifar-100-python", {name: pickle.dumps(file, protocol) for name, file in files.items()})
    dataset = vision.CIFAR100(tmp_path)
    assert dataset.targets == [7, 99]
    assert dataset.classes[99] == "fine 99"
    np.testing.assert_array_equal(np.asarray(dataset[0][0])[..., 0], cifar(2, 1)[0, :1024].reshape(32, 32))


class _Evil:
    def __reduce__(self) -> tuple:
        return os.mkdir, ("evil",)


def test_a_batch_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    good = cifar10_files()
    write(tmp_path / "cifar-10-batches-py", good)
    programs = [
        *(pickle.dumps({"data": _Evil(), "labels": [1]}, protocol) for protocol in range(6)),
        b"cbuiltins\neval\n(Vopen('evil', 'w')\ntR.", b"cnumpy.testing\nrundocs\n(Vx\ntR.", b"cnumpy\nload\n(Vx\ntR.",
        b"(ios\nsystem\nVtouch evil\no.", b"\x80\x02}(U\4dataK\1U\6labels]u", b"\x80\x02K\1.", b"\x80\x02}.", b"",
        good["data_batch_1"][:-20], good["data_batch_1"].replace(b"M\x00\x0c", b"M\x01\x0c"),
        good["data_batch_1"].replace(b"ndarray", b"memmap!"),
    ]  # fmt: skip
    for program in programs:
        (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(program)
        with pytest.raises(ValueError, match="data_batch_1 is damaged, or not a batch of images"):
            vision.CIFAR10(tmp_path)
    assert os.listdir(tmp_path) == ["cifar-10-batches-py"]


def test_folders_of_images(tmp_path: Path) -> None:
    for name, colour in (("dog/b.png", 9), ("dog/deep/a.JPG", 200), ("cat/z.bmp", 50), ("cat/notes.txt", 0)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        PIL_Image.new("L", (4, 3), colour).save(path, format={"txt": "png"}.get(name[-3:]))
    dataset = vision.ImageFolder(tmp_path, transform=np.asarray)
    assert dataset.classes == ["cat", "dog"]
    assert [(Path(path).name, number) for path, number in dataset.samples] == [("z.bmp", 0), ("b.png", 1), ("a.JPG", 1)]
    assert dataset.imgs == dataset.samples
    image, target = dataset[1]
    assert (image.shape, image[0, 0, 0], target) == ((3, 4, 3), 9, 1)
    sizes = vision.ImageFolder(str(tmp_path), loader=os.path.getsize)
    assert [size for size, _ in sizes] == [os.path.getsize(path) for path, _ in sizes.samples]
    assert len(vision.ImageFolder(tmp_path, is_valid_file=lambda path: "cat" in path or "deep" in path)) == 3
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no image of empty"):
        vision.ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder of a class"):
        vision.ImageFolder(tmp_path / "empty")


# -------------------------------------------------------------------------------------- fetching


class Server(ThreadingHTTPServer):
    """Serves ``files`` at their names, in the manner that the first part of the path says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server: Any = self.server
        _, manner, name = self.path.split("/")
        asked = self.headers["Range"]
        server.requests.append(f"{manner} {asked}")
        if name not in server.files:
            self.send_error(404)
            return
        content = server.files[name]
        start = int(asked[6:-1]) if asked and "norange" not in manner else 0
        if start and start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        content = content[start:]
        if "wrong" in manner:
            content = bytes(len(content))
        elif "broken" in manner and not (asked and "once" in manner):
            content = content[: len(content) // 2]
        elif "slow" in manner:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            time.sleep(30)
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(name="server")
def running_server() -> Iterator[Server]:
    server = Server()
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.block_on_close = False
    server.server_close()


CONTENT = np.random.default_rng(1).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.mark.parametrize(
    ("manner", "partial", "requests"),
    [
        ("good", None, ["None"]),
        ("good", CONTENT[:1000], ["bytes=1000-"]),
        ("good", CONTENT, ["bytes=300000-"]),  # killed just before it got its name
        ("good", b"x" * 1000, ["bytes=1000-", "None"]),  # of something else
        ("good", b"x" * 400_000, ["bytes=400000-", "None"]),
        ("norange", CONTENT[:1000], ["bytes=1000-"]),
        ("broken-once", None, ["None", "bytes=150000-"]),
        ("broken", None, ["None", "bytes=150000-"]),
        ("broken-once-norange", None, ["None", "bytes=150000-"]),
    ],
)
def test_download(manner: str, partial: bytes | None, requests: list[str], server: Server, tmp_path: Path) -> None:
    server.files["file"] = CONTENT
    path = tmp_path / "folder" / "file"
    if partial is not None:
        path.parent.mkdir()
        (path.parent / "file.part").write_bytes(partial)
    if manner == "broken":  # until the attempts are over; the next call goes on
        with pytest.raises(RuntimeError, match=r"could not download file.*\n.*the connection broke after"):
            download([f"{server.url}/broken/file"], path, MD5)
        assert [r.split(maxsplit=1)[1] for r in server.requests] == requests
        assert os.listdir(path.parent) == ["file.part"]
        server.requests.clear()
        download([f"{server.url}/good/file"], path, MD5)
        assert server.requests == ["good bytes=225000-"]
    else:
        download([f"{server.url}/{manner}/file"], path, hashlib.sha256(CONTENT).hexdigest())
        assert [r.split(maxsplit=1)[1] for r in server.requests] == requests
    assert os.listdir(path.parent) == ["file"]
    assert path.read_bytes() == CONTENT


def test_download_from_another_address(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    server.files["file"] = CONTENT
    urls = [f"{server.url}/{way}/file" for way in ("wrong", "broken-norange", "good")]
    download(["http://127.0.0.1:9/file", f"{server.url}/good/nothing", *urls], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert re.search(r"file \[#{40}\] 0.3 MB\n$", capsys.readouterr().err)
    with pytest.raises(RuntimeError) as caught:
        download(["http://127.0.0.1:9/f", f"{server.url}/good/nothing", urls[0]], tmp_path / "other", MD5)
    reasons = str(caught.value).split("\n")
    assert "could not download other" in reasons[0]
    for reason, text in zip(reasons[1:], ("refused", "404", f"another digest than {MD5}"), strict=True):
        assert text in reason
    assert os.listdir(tmp_path) == ["file"]


def test_a_killed_download_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.files["file"] = CONTENT
    code = f"""
from pathlib import Path
from minigrad.data.download import download
download(["{server.url}/slow/file"], Path("{tmp_path}/file"), "{MD5}")
"""
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
                               stderr=subprocess.DEVNULL)  # fmt: skip
    deadline = time.monotonic() + 20
    partial = tmp_path / "file.part"
    while not (partial.exists() and partial.stat().st_size >= 100_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert os.listdir(tmp_path) == ["file.part"]
    have = partial.stat().st_size
    assert 100_000 <= have < 300_000
    download([f"{server.url}/good/file"], tmp_path / "file", MD5)
    assert server.requests[1] == f"good bytes={have}-"
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_datasets_are_downloaded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "source", ".gz")
    server.files = {path.name: path.read_bytes() for path in (tmp_path / "source").iterdir()}
    monkeypatch.setattr(vision.MNIST, "mirrors", ("http://127.0.0.1:9/", f"{server.url}/good/"))
    names = [f"{part}-{kind}-ubyte.gz" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    monkeypatch.setattr(vision.MNIST, "digests", [hashlib.md5(server.files[name]).hexdigest() for name in names])
    assert len(vision.MNIST(tmp_path, download=True)) == 5
    assert len(server.requests) == 2
    assert len(vision.MNIST(tmp_path, train=False, download=True)) == 3
    assert len(vision.MNIST(tmp_path, download=True)) == 5
    assert len(server.requests) == 4
    monkeypatch.setattr(vision.FashionMNIST, "mirrors", (f"{server.url}/good/",))
    with pytest.raises(RuntimeError, match=r"could not download train-images-idx3-ubyte.gz.*\n.*another digest"):
        vision.FashionMNIST(tmp_path, download=True)

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for name, content in cifar10_files().items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    server.files["cifar.tar.gz"] = archive.getvalue()
    monkeypatch.setattr(vision.CIFAR10, "url", f"{server.url}/broken-once/cifar.tar.gz")
    monkeypatch.setattr(vision.CIFAR10, "tgz_md5", hashlib.md5(archive.getvalue()).hexdigest())
    assert len(vision.CIFAR10(tmp_path, download=True)) == 10
    assert len(vision.CIFAR10(tmp_path, train=False)) == 2
    assert sorted(os.listdir(tmp_path / "cifar-10-batches-py")) == sorted(cifar10_files())
    (tmp_path / "cifar-10-batches-py" / "data_batch_3").unlink()
    assert len(vision.CIFAR10(tmp_path, download=True)) == 10  # from the archive, which is still there
    assert len(server.requests) == 4 + 2 + 2


# ------------------------------------------------------------------------------------ transforms


def picture(height: int = 5, width: int = 7, mode: str = "RGB") -> Any:
    channels = len(PIL_Image.new(mode, (1, 1)).getbands())
    array = np.random.default_rng(height * width).integers(0, 256, (height, width, channels), "uint8")
    return PIL_Image.fromarray(array[..., 0] if channels == 1 else array)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_images_to_tensors(mode: str) -> None:
    image = picture(mode=mode)
    tensor = transforms.ToTensor()(image)
    assert tensor.dtype == mg.float32
    expected = np.asarray(image).reshape(5, 7, -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(tensor, np.float32(expected) / np.float32(255))
    np.testing.assert_array_equal(transforms.ToTensor()(np.asarray(image)), tensor)


def test_images_of_other_kinds() -> None:
    to_tensor = transforms.ToTensor()
    assert to_tensor(PIL_Image.new("1", (2, 1), 1)).tolist() == [[[1.0, 1.0]]]
    assert to_tensor(PIL_Image.fromarray(np.uint16([[65535]]))).tolist() == [[[65535]]]
    assert to_tensor(PIL_Image.fromarray(np.float32([[0.25]]))).tolist() == [[[0.25]]]
    assert to_tensor(np.float64([[2.5]])).dtype == mg.float64


def test_sizes() -> None:
    image = picture(10, 20)
    for size, expected in ((5, (10, 5)), ((3, 4), (4, 3)), ([6], (12, 6))):
        assert transforms.Resize(size)(image).size == expected
    half = transforms.Resize((5, 10), transforms.InterpolationMode.BOX)
    means = np.asarray(image, float).reshape(5, 2, 10, 2, 3).mean((1, 3))
    np.testing.assert_allclose(np.asarray(half(image)), means, atol=1.01)
    pixels = np.asarray(image)
    np.testing.assert_array_equal(transforms.CenterCrop((4, 6))(image), pixels[3:7, 7:13])
    padded = np.pad(pixels, ((1, 1), (0, 0), (0, 0)))[:, 8:11]
    np.testing.assert_array_equal(transforms.CenterCrop((12, 3))(image), padded)
    tensor = mg.tensor(pixels.transpose(2, 0, 1))
    np.testing.assert_array_equal(transforms.CenterCrop((12, 3))(tensor), padded.transpose(2, 0, 1))


def test_random_crops_come_from_everywhere() -> None:
    mg.manual_seed(0)
    image = PIL_Image.fromarray(np.arange(12, dtype="uint8").reshape(3, 4))
    corners = {transforms.RandomCrop((2, 2))(image).getpixel((0, 0)) for _ in range(100)}
    assert corners == {0, 1, 2, 4, 5, 6}
    tensor = mg.arange(12).reshape(3, 4)
    assert {transforms.RandomCrop(2)(tensor)[0, 0].item() for _ in range(100)} == corners
    assert transforms.RandomCrop((5, 9), pad_if_needed=True)(tensor).shape == (5, 9)
    for padding, borders in ((2, (2, 2, 2, 2)), ((1, 2), (1, 2, 1, 2)), ((1, 2, 3, 4), (1, 2, 3, 4))):
        left, top, right, bottom = borders
        whole = np.pad(np.asarray(image), ((top, bottom), (left, right)))
        crop = transforms.RandomCrop(whole.shape, padding)
        np.testing.assert_array_equal(crop(image), whole)
        np.testing.assert_array_equal(crop(tensor), whole)
    assert {transforms.RandomCrop(1, (0, 0, 2, 0))(tensor).item() for _ in range(200)} == set(range(12))
    with pytest.raises(ValueError, match="an image of 3 x 4 has no part of 5 x 4"):
        transforms.RandomCrop((5, 4))(image)


def test_flips() -> None:
    image = picture()
    pixels = np.asarray(image)
    tensor = mg.tensor(pixels.transpose(2, 0, 1))
    for flip, axis in ((transforms.RandomHorizontalFlip, 1), (transforms.RandomVerticalFlip, 0)):
        np.testing.assert_array_equal(flip(1)(image), np.flip(pixels, axis))
        np.testing.assert_array_equal(flip(1)(tensor), np.flip(pixels, axis).transpose(2, 0, 1))
        assert flip(0)(image) is image
    mg.manual_seed(0)
    flips = [transforms.RandomHorizontalFlip()(mg.tensor([[0, 1]]))[0, 0].item() for _ in range(200)]
    assert 70 < sum(flips) < 130


def test_turning() -> None:
    image = picture(5, 5)
    pixels = np.asarray(image)
    np.testing.assert_array_equal(transforms.RandomRotation((90, 90))(image), np.rot90(pixels))
    np.testing.assert_array_equal(transforms.RandomAffine((90, 90))(image), np.rot90(pixels, -1))
    assert transforms.RandomRotation((90, 90), expand=True)(picture(4, 6)).size == (4, 6)
    assert transforms.RandomRotation((45, 45), fill=(7, 8, 9))(image).getpixel((0, 0)) == (7, 8, 9)
    for mode, colour in (("L", 7), ("RGB", (7, 7, 7))):
        for turn in (transforms.RandomRotation((45, 45), fill=7), transforms.RandomAffine((45, 45), fill=7)):
            assert turn(picture(5, 5, mode)).getpixel((0, 0)) == colour
    mg.manual_seed(0)
    row = PIL_Image.fromarray(np.uint8([[0] * 5, [0, 0, 9, 0, 0], [0] * 5]))
    moved = [transforms.RandomAffine(0, translate=(0.4, 0))(row) for _ in range(60)]
    assert {int(np.asarray(m)[1].argmax()) for m in moved} == {0, 1, 2, 3, 4}
    assert all(np.asarray(m)[1].max() == 9 for m in moved)
    assert np.asarray(transforms.RandomAffine(0, scale=(2, 2))(PIL_Image.new("L", (8, 8), 255))).min() == 255
    assert np.asarray(transforms.RandomAffine(0, scale=(0.5, 0.5))(PIL_Image.new("L", (8, 8), 1))).sum() == 16


def test_colours() -> None:
    image = picture()
    pixels = np.asarray(image).astype(float)
    np.testing.assert_allclose(transforms.ColorJitter(brightness=(0.5, 0.5))(image), pixels * 0.5, atol=1)
    assert np.ptp(np.asarray(transforms.ColorJitter(contrast=(0, 0))(image))) == 0
    grey = np.asarray(transforms.ColorJitter(saturation=(0, 0))(image))
    np.testing.assert_array_equal(grey, np.asarray(transforms.Grayscale(3)(image)))
    np.testing.assert_allclose(grey[..., 0], pixels @ [0.299, 0.587, 0.114], atol=1)
    assert transforms.Grayscale()(image).mode == "L"
    turned = transforms.ColorJitter(hue=(1 / 3, 1 / 3))(PIL_Image.new("RGB", (1, 1), (200, 0, 0)))
    assert turned.getpixel((0, 0))[1] > 190
    mg.manual_seed(0)
    jitter = transforms.ColorJitter(0.5, 0.5, 0.5, 0.2)
    first = [jitter(image).tobytes() for _ in range(5)]
    assert len(set(first)) == 5
    mg.manual_seed(0)
    assert [jitter(image).tobytes() for _ in range(5)] == first
    assert np.array_equal(transforms.ColorJitter()(image), image)


def test_composing_and_normalizing() -> None:
    both = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5, 0.4, 0.3), (0.1, 0.2, 0.3))])
    image = picture()
    expected = (np.asarray(image) / 255 - (0.5, 0.4, 0.3)) / (0.1, 0.2, 0.3)
    np.testing.assert_allclose(both(image).numpy(), expected.transpose(2, 0, 1), atol=1e-5)
    assert transforms.Lambda(lambda x: x + 1)(2) == 3
    assert repr(both).endswith("Normalize(mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3), inplace=False)])")
    x = mg.ones(2, 1, 2, 2)
    assert transforms.Normalize([1], [2], inplace=True)(x) is x
    assert x.sum() == 0


T = transforms
ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: T.ToTensor()("x"), TypeError, "ToTensor: expected a PIL image, got str"),
    (lambda: T.ToTensor()(np.zeros(3)), ValueError, r"ToTensor: expected an array of shape .*\(3,\)"),
    (lambda: T.ToTensor()(mg.zeros(3, 2, 2)), TypeError, r"ToTensor: expected a PIL image, got a tensor of shape \(3"),
    (lambda: T.Normalize([0], [0])(mg.zeros(1, 2, 2)), ValueError, "std must not be 0"),
    (lambda: T.Normalize([0], [1])(picture()), TypeError, "Normalize: tensor must be a floating-point tensor"),
    (lambda: T.Normalize([0], [1])(mg.zeros(1, 2, 2, dtype=mg.uint8)), TypeError, "uint8"),
    (lambda: T.Normalize([0], [1])(mg.zeros(2, 2)), ValueError, r"at least 3 dimensions, got shape \(2, 2\)"),
    (lambda: T.Grayscale()(mg.zeros(3, 2, 2)), TypeError, "Grayscale: expected a PIL image, got a tensor"),
    (lambda: T.Grayscale(2)(picture()), ValueError, "Grayscale: num_output_channels must be 1 or 3, got 2"),
    (lambda: T.ColorJitter(1)(mg.zeros(3, 2, 2)), TypeError, "ColorJitter: expected a PIL image"),
    (lambda: T.ColorJitter(hue=0.6), ValueError, "hue must be within"),
    (lambda: T.ColorJitter(-1), ValueError, "ColorJitter: brightness: -1"),
    (lambda: T.Resize(4)(mg.zeros(3, 8, 8)), TypeError, "Resize: expected a PIL image, got a tensor"),
    (lambda: T.Resize(0)(picture()), ValueError, "Resize: size must be at least 1"),
    (lambda: T.Resize((1, 2, 3))(picture()), ValueError, r"Resize: size must be an int .*\(1, 2, 3\)"),
    (lambda: T.RandomCrop(2, (1, 2, 3))(picture()), ValueError, r"RandomCrop: padding must be .*\(1, 2, 3\)"),
    (lambda: T.RandomRotation((5, -5)), ValueError, r"RandomRotation: \(5, -5\) is not a range"),
    (lambda: T.RandomRotation(-5), ValueError, "RandomRotation: -5"),
    (lambda: T.RandomAffine(0)(mg.zeros(3, 8, 8)), TypeError, "RandomAffine: expected a PIL image, got a tensor"),
    (lambda: T.RandomAffine(0, translate=(2, 0)), ValueError, "fractions from 0 to 1"),
    (lambda: T.RandomAffine(0, scale=(0, 1)), ValueError, "scale positive"),
    (lambda: T.CenterCrop(3)([[1]]), TypeError, "CenterCrop: expected a PIL image, or a tensor of shape .*got list"),
    (lambda: T.RandomHorizontalFlip(1)(mg.zeros(3)), TypeError, r"got a tensor of shape \(3,\)"),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call()


def test_without_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ImportError, match=r"pip install 'minigrad-nn\[vision\]'"):
        transforms.pillow()
