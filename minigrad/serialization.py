"""Saving and loading, in PyTorch's file format.

A file is an uncompressed zip archive. ``data.pkl`` describes the object as a pickle in which each
tensor refers to a numbered piece of memory, its storage; ``data/0``, ``data/1``, ... hold those.
:mod:`minigrad.pickling` writes and reads the pickle.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import sys
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

import numpy as np

from .devices import check_device
from .pickling import LoadError, Pickler, Storage, Unpickler, require, safe_globals  # noqa: F401

_ALIGNMENT = 64  # of storages in the file, as in PyTorch


# ----------------------------------------------------------------------------------------- saving


def save(obj: Any, f: Any) -> None:
    """Write ``obj`` to a file that :func:`load` and ``torch.load`` read.

    A file given by its path is replaced as a whole or not at all, even if the program dies meanwhile.
    Tensors that share memory still do after loading; the whole of the shared memory is written.

    Args:
        obj: tensors and parameters, numbers, strings, bytes, None, dtypes and devices, in dicts,
            OrderedDicts, lists, tuples and sets. Of a module or an optimizer save the ``state_dict()``: a module
            itself is loaded only by programs that allow all its classes with :func:`safe_globals`.
        f: a path, or a file object open for binary writing.
    """
    program = io.BytesIO()
    pickler = Pickler(program)
    try:
        pickler.dump(obj)
    except RecursionError:
        raise ValueError("save: the object is nested too deeply") from None
    if hasattr(f, "write"):
        buffer = io.BytesIO()
        _write_archive(buffer, program.getvalue(), pickler.storages)
        f.write(buffer.getbuffer())
    else:
        with atomic_write(f) as file:
            _write_archive(file, program.getvalue(), pickler.storages)


@contextlib.contextmanager
def atomic_write(path: Any) -> Iterator[BinaryIO]:
    """A new file to write to. It takes its place under ``path`` at the end of the block, or never.

    Whenever the program dies, there is the old file or the whole new one, even if the power fails.
    """
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        raise ValueError(f"{path} is a folder or a device; only a file can be replaced")
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.urandom(6).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":
        directory = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(directory)  # makes the new name durable too
        finally:
            os.close(directory)


def _write_archive(file: BinaryIO, program: bytes, storages: list[np.ndarray]) -> None:
    import zipfile

    entries: list[tuple[str, Any]] = [("data.pkl", program), (".format_version", b"1")]
    entries += [(".storage_alignment", str(_ALIGNMENT).encode()), ("byteorder", sys.byteorder.encode())]
    entries += [(f"data/{i}", array.ravel("K").view(np.uint8).data) for i, array in enumerate(storages)]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in [*entries, ("version", b"3\n")]:
            info = zipfile.ZipInfo(f"archive/{name}")
            info.file_size, info.CRC = len(content), 0
            header = len(info.FileHeader(zip64=len(content) * 1.05 > zipfile.ZIP64_LIMIT)) + 4
            padding = -(file.tell() + header) % _ALIGNMENT
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding  # as PyTorch pads
            archive.writestr(info, content)


# ---------------------------------------------------------------------------------------- loading


def load(f: Any, map_location: Any = None, *, weights_only: bool = True, mmap: bool = False) -> Any:
    """Read what :func:`save` or ``torch.save`` wrote, PyTorch's format from before version 1.6 too.

    A file of safetensors gives the dict of its tensors. Tensors of any device arrive on the CPU, those of dtype
    bfloat16 as float32, which has all their values.

    Args:
        f: a path, or a file object open for binary reading that can seek.
        map_location: None or the CPU.
        weights_only: there is only the safe reader, which loads what :func:`save` names; False
            changes nothing.
        mmap: leave tensors in the file until they are used; needs a path, and the file must not
            change meanwhile. Writing to such a tensor does not change the file.

    Raises:
        LoadError: if the file is damaged, or holds anything else.
    """
    for place in map_location.values() if isinstance(map_location, Mapping) else (map_location,):
        if callable(place):
            raise NotImplementedError("load: map_location as a function is not supported; everything loads to the CPU")
        check_device(place)
    if not hasattr(f, "read"):
        with open(f, "rb") as file:
            return _load(file, f if mmap else None)
    if mmap:
        raise ValueError("load: mmap=True needs a path, not a file object")
    return _load(f, None)


class _Reader:
    """A file of which no more is read than there is: what it says of its own sizes may be a lie."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.start = file, file.tell()
        self.left = self.size = file.seek(0, io.SEEK_END)  # left: what may still be claimed
        file.seek(self.start)
        self.tell, self.seek, self.readline = file.tell, file.seek, file.readline

    def read(self, count: int) -> bytes:
        return self.file.read(min(count, self.size - self.file.tell()))

    def claim(self, count: int, name: str) -> None:
        """Raise if storages are said to hold more than the whole file, before memory is asked for."""
        self.left -= count
        require(self.left >= 0, f"{name} is larger than the file has room for")


def _load(file: BinaryIO, path: Any) -> Any:
    import zipfile

    try:
        reader = _Reader(file)
        first = reader.read(9)
        reader.seek(reader.start)
        if first[:4] == b"PK\x03\x04":
            with zipfile.ZipFile(file) as archive:
                return _load_archive(archive, reader, path)
        require(path is None, "mmap=True is possible for files of PyTorch's zip format only")
        if first[8:] == b"{":
            from .safetensors import load as load_safetensors

            return load_safetensors(reader.read(reader.size))
        return _load_legacy(reader)
    except (LoadError, ImportError):
        raise
    except Exception as error:  # whatever reading nonsense leads to
        reason = f"{type(error).__name__}: {error}"
        raise LoadError(f"load: the file is damaged, or not one that torch.save writes ({reason})") from error


def _load_archive(archive: Any, file: _Reader, path: Any) -> Any:
    infos = {info.filename.partition("/")[2]: info for info in archive.infolist()}
    kind = "a TorchScript archive" if "constants.pkl" in infos else "a zip file of another kind"
    require("data.pkl" in infos, f"the file has no data.pkl; it is {kind}")
    whole = None if path is None else np.memmap(path, np.uint8, "c").view(np.ndarray)

    def read(name: str) -> np.ndarray:
        require(name in infos, f"the file refers to {name}, which it does not contain")
        info = infos[name]
        require(info.compress_type == 0, f"{name} is compressed")
        file.claim(info.file_size, name)
        if whole is None:
            return np.frombuffer(bytearray(archive.read(info)), np.uint8)
        file.seek(info.header_offset + 26)
        begin = info.header_offset + 30 + sum(struct.unpack("<HH", file.read(4)))
        require(begin + info.file_size <= file.size, f"{name} ends beyond the end of the file")
        return whole[begin : begin + info.file_size]

    order = read("byteorder").tobytes().decode() if "byteorder" in infos else "little"
    require(order in ("little", "big"), f"unknown byteorder {order!r}")
    storages: dict[str, np.ndarray] = {}

    def fetch(wanted: Storage) -> np.ndarray:
        if wanted.key not in storages:
            storages[wanted.key] = decode(read(f"data/{wanted.key}"), wanted, order)
        return storages[wanted.key]

    return Unpickler(io.BytesIO(read("data.pkl").tobytes()), fetch).load()


def _load_legacy(file: _Reader) -> Any:
    """The format before PyTorch 1.6: pickles of a magic number, a version, the system and the object; then memory."""
    require(Unpickler(file).load() == 0x1950A86A20F9469CFC6C, "the file is not one that torch.save writes")
    version, system = Unpickler(file).load(), Unpickler(file).load()
    require(version == 1001 and isinstance(system, dict), "unknown version of PyTorch's old format")
    storages: dict[str, tuple[Storage, np.ndarray]] = {}

    def allocate(wanted: Storage) -> np.ndarray:  # to be filled when the object is complete
        if wanted.key not in storages:
            file.claim(wanted.nbytes, f"storage {wanted.key}")
            dtype = "float32" if wanted.dtype == "bfloat16" else wanted.dtype
            storages[wanted.key] = wanted, np.zeros(wanted.numel, dtype)
        return storages[wanted.key][1]

    result = Unpickler(file, allocate).load()
    keys = Unpickler(file).load()
    complete = type(keys) is list and all(type(key) is str for key in keys) and set(keys) == set(storages)
    require(complete, "the list of storages does not match the object")
    for key in keys:
        wanted, array = storages[key]
        (numel,) = struct.unpack("<q", file.read(8))
        require(numel == wanted.numel, f"storage {key} has {numel} elements, but {wanted.numel} were announced")
        content = np.frombuffer(bytearray(file.read(wanted.nbytes)), np.uint8)
        array[...] = decode(content, wanted, "little" if system.get("little_endian", True) else "big")
    return result


def decode(content: np.ndarray, wanted: Storage, order: str) -> np.ndarray:
    """The elements of a storage, from its bytes."""
    name = f"storage {wanted.key}"
    require(content.size == wanted.nbytes,
            f"{name} has {content.size} bytes, which are not {wanted.numel} elements of {wanted.dtype}")  # fmt: skip
    raw = content.view("uint16" if wanted.dtype == "bfloat16" else wanted.dtype)
    if order != sys.byteorder:
        raw = raw.byteswap()
    if wanted.dtype == "bool":
        require(raw.view(np.uint8).max(initial=0) <= 1, f"{name} of dtype bool holds other bytes than 0 and 1")
    return (raw.astype("uint32") << 16).view("float32") if wanted.dtype == "bfloat16" else raw
