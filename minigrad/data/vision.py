"""Datasets of images, with torchvision's names and from the folders where torchvision puts their files.

A sample is a PIL image, or what ``transform`` makes of it, and its class as a number, or what
``target_transform`` makes of that. ``download=True`` fetches files that are missing.
"""

from __future__ import annotations

import gzip
import math
import os
import pickle
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..engine import new_tensor
from ..serialization import atomic_write
from .dataset import Dataset
from .download import download
from .transforms import pillow

Function = Callable[[Any], Any] | None


class VisionDataset(Dataset):
    """Base class: images, or what stands for them, in ``data``, and their classes in ``targets``."""

    folder = ""
    classes: Sequence[str]
    data: Any
    targets: Any

    def __init__(self, root: Any, transform: Function = None, target_transform: Function = None) -> None:
        self.root = os.path.expanduser(root)
        self.transform, self.target_transform = transform, target_transform

    def image(self, index: int) -> Any:
        """An image, before any transform."""
        return pillow().fromarray(np.asarray(self.data[index]))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image, target = self.image(index), int(self.targets[index])
        image = image if self.transform is None else self.transform(image)
        return image, target if self.target_transform is None else self.target_transform(target)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class, by its name."""
        return {name: i for i, name in enumerate(self.classes)}

    def find(self, name: str, fetch: Callable[[str], Any] | None) -> Path:
        """The file of that name, compressed or not, in ``root/folder`` or in ``root``; fetched if it is missing."""
        places = [Path(self.root, folder, name + ending) for folder in (self.folder, "") for ending in ("", ".gz")]
        if fetch and not any(map(Path.is_file, places)):
            fetch(name)
        if found := next(filter(Path.is_file, places), None):
            return found
        missing = f"{name} is not in {places[0].parent}"
        raise RuntimeError(f"{type(self).__name__}: {missing}; download=True downloads it")


_FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


class MNIST(VisionDataset):
    """The handwritten digits: 60,000 images of 28 x 28 grey pixels to train on, 10,000 to test.

    They are found in ``root/MNIST/raw`` or in ``root``, compressed by gzip or not. All images are in
    ``data``, uint8 of shape (N, 28, 28), their classes in ``targets``, int64.
    """

    mirrors: tuple[str, ...] = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "http://yann.lecun.com/exdb/mnist/")
    digests: tuple[str, ...] = ("f68b3c2dcbeaaa9fbdd348bbdeb94873", "d53e105ee54ea40749a09fcbcd1e9432",
                                "9fb629c4189551a2d022fa330f9573f3", "ec29112dd5afa0611ce80d1b7f02629c")  # fmt: skip
    classes: tuple[str, ...] = ("0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six",
                                "7 - seven", "8 - eight", "9 - nine")  # fmt: skip

    folder = os.path.join("MNIST", "raw")

    def __init__(self, root: Any, train: bool = True, transform: Function = None, target_transform: Function = None,
                 download: bool = False) -> None:  # fmt: skip
        super().__init__(root, transform, target_transform)
        self.train = train
        names = _FILES[:2] if train else _FILES[2:]
        images, classes = (self.find(name, self.fetch if download else None) for name in names)
        self.data = new_tensor(_read_idx(images, 3))
        self.targets = new_tensor(_read_idx(classes, 1).astype(np.int64))

    def fetch(self, name: str) -> None:
        """Download a file."""
        urls = [f"{mirror}{name}.gz" for mirror in self.mirrors]
        download(urls, Path(self.root, self.folder, f"{name}.gz"), self.digests[_FILES.index(name)])


class FashionMNIST(MNIST):
    """Articles of clothing in the format of :class:`MNIST`, from ``root/FashionMNIST/raw`` or ``root``."""

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    folder = os.path.join("FashionMNIST", "raw")
    digests = ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", "25c81989df183df01b3e8a0aad5dffbe",
               "bef4ecab320f06d8554ea6380940ec79", "bb300cfdad3c16e7a12a480ee83cd310")  # fmt: skip
    classes = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")


def _read_idx(path: Path, ndim: int) -> np.ndarray:
    """An array of bytes from a file of the IDX format: a magic number, the sizes, the elements."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
            content = file.read()
        shape = struct.unpack_from(f">{ndim}I", content, 4)
    except (EOFError, OSError, zlib.error, struct.error) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    start = 4 + 4 * ndim
    if content[:4] != bytes((0, 0, 8, ndim)) or len(content) - start != math.prod(shape):
        raise ValueError(f"{path} is damaged, or not an IDX file of bytes in {ndim} dimensions")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


class CIFAR10(VisionDataset):
    """Photographs of ten kinds of things: 50,000 of 32 x 32 coloured pixels to train on, 10,000 to test.

    They are found in ``root/cifar-10-batches-py`` or in ``root``. All images are in ``data``, a uint8
    array of shape (N, 32, 32, 3), their classes in the list ``targets``.
    """

    folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list: tuple[str, ...] = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5")
    test_list = ("test_batch",)
    meta, names_key, targets_key = "batches.meta", "label_names", "labels"

    def __init__(self, root: Any, train: bool = True, transform: Function = None, target_transform: Function = None,
                 download: bool = False) -> None:  # fmt: skip
        super().__init__(root, transform, target_transform)
        self.train = train
        names = (*(self.train_list if train else self.test_list), self.meta)
        *batches, meta = (self.find(name, self.fetch if download else None) for name in names)
        images, targets = zip(*(_read_batch(path, "data", self.targets_key) for path in batches), strict=True)
        self.data = np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1).copy()
        self.targets = [target for part in targets for target in part]
        (self.classes,) = _read_batch(meta, self.names_key)

    def fetch(self, name: str) -> None:
        """Take a file, and the others, from the archive, which is downloaded if it is missing."""
        archive = Path(self.root, self.url.rpartition("/")[2])
        if not archive.exists():
            download([self.url], archive, self.tgz_md5)
        Path(self.root, self.folder).mkdir(exist_ok=True)
        with tarfile.open(archive) as members:
            for wanted in (*self.train_list, *self.test_list, self.meta):
                content: Any = members.extractfile(f"{self.folder}/{wanted}")
                with atomic_write(Path(self.root, self.folder, wanted)) as file:
                    shutil.copyfileobj(content, file)


class CIFAR100(CIFAR10):
    """Photographs of a hundred kinds of things in the format of :class:`CIFAR10`, from ``root/cifar-100-python``."""

    folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = ("train",)
    test_list = ("test",)
    meta, names_key, targets_key = "meta", "fine_label_names", "fine_labels"


class _Array:
    """Stands for an array of bytes, and for its dtype, while a pickle is read."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple) -> None:
        shape, content = state[1], state[-1]
        if isinstance(shape, tuple):  # of an array; a dtype has its byte order there
            content = content if isinstance(content, bytes) else content.encode("latin1")
            self.array = np.frombuffer(content, np.uint8).reshape(shape)


class _Unpickler(pickle.Unpickler):
    """Reads numbers, strings, lists, dicts and arrays of bytes: a file cannot make it run code."""

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype"):
            return _Array
        if (module, name) == ("_codecs", "encode"):  # how bytes are written for Python 2
            return lambda text, encoding: text.encode("latin1")
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not safe to load")


def _read_batch(path: Path, *keys: str) -> list[Any]:
    """Some of the values of the dict in a file."""
    with open(path, "rb") as file:
        try:
            content = _Unpickler(file, encoding="latin1").load()
            return [getattr(content[key], "array", content[key]) for key in keys]
        except Exception as error:  # whatever reading nonsense leads to
            raise ValueError(f"{path} is damaged, or not a batch of images ({error!r})") from error


# ------------------------------------------------------------------------------- folders of images

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def default_loader(path: str) -> Any:
    """The image in a file, as RGB."""
    with open(path, "rb") as file:
        return pillow().open(file).convert("RGB")


class ImageFolder(VisionDataset):
    """The images in a folder for each class, as ``root/dog/a.png``; classes are numbered in the order of their names.

    Args:
        root: the folder that holds those of the classes, which may hold further folders.
        loader: reads a file, given its path.
        is_valid_file: decides, given a path, which files to take, instead of their endings.
    """

    def __init__(self, root: Any, transform: Function = None, target_transform: Function = None,
                 loader: Callable[[str], Any] = default_loader,
                 is_valid_file: Callable[[str], bool] | None = None) -> None:  # fmt: skip
        super().__init__(root, transform, target_transform)
        valid = is_valid_file or (lambda path: path.lower().endswith(IMG_EXTENSIONS))
        self.loader = loader
        self.classes = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
        self.samples: list[tuple[str, int]] = []
        for name, number in self.class_to_idx.items():
            paths = sorted(map(str, Path(self.root, name).rglob("*")), key=os.path.split)
            self.samples += [(path, number) for path in paths if valid(path) and os.path.isfile(path)]
        self.imgs, self.targets = self.samples, [number for _, number in self.samples]
        empty = [name for name, number in self.class_to_idx.items() if number not in self.targets]
        if empty or not self.classes:
            found = f"no image of {', '.join(empty)}" if empty else "no folder of a class"
            raise FileNotFoundError(f"ImageFolder: there is {found} in {self.root}")

    def image(self, index: int) -> Any:
        return self.loader(self.samples[index][0])
