"""Saving and loading: PyTorch's files, round trips, and files that are damaged or malicious."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, optim, serialization
from minigrad.serialization import LoadError, safe_globals

DATA = Path(__file__).parent / "data"
FILES = ["torch.pt", "torch_protocol4.pt", "torch_legacy.pt"]


def round_trip(obj: Any) -> Any:
    file = io.BytesIO()
    mg.save(obj, file)
    file.seek(0)
    return mg.load(file)


def shares(a: Any, b: Any) -> bool:
    return np.shares_memory(a._array, b._array)


# ---------------------------------------------------------------------------- PyTorch's files


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_reads_what_pytorch_wrote(name: str, mmap: bool) -> None:
    if mmap and "legacy" in name:
        with pytest.raises(LoadError, match="zip format only"):
            mg.load(DATA / name, mmap=True)
        return
    found = mg.load(DATA / name, mmap=mmap)
    base = np.arange(24, dtype="float32").reshape(4, 6)
    for key, expected in {"base": base, "strided": base[1:, ::2], "transposed": base.T, "number": np.float32(3.5),
                          "expanded": np.tile(np.float32([1, 2, 3]), (2, 1)), "empty": np.zeros((0, 3), "float32"),
                          "leaf": np.ones(2, "float32"), "parameter": np.ones(2, "float32")}.items():  # fmt: skip
        array = found[key].detach().numpy()
        np.testing.assert_array_equal(array, expected, strict=True)
    assert found["same"] is found["base"]
    assert shares(found["strided"], found["base"])
    assert shares(found["transposed"], found["base"])
    assert found["transposed"].stride() == (1, 6)
    assert found["expanded"].stride() == (0, 1)
    assert [t.dtype.name for t in found["dtypes"]] == [
        "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool",
    ]  # fmt: skip
    assert [t.tolist() for t in found["dtypes"]] == [[0, 1, 1]] * 9
    bfloat16 = found["bfloat16"]
    assert bfloat16.dtype == mg.float32
    np.testing.assert_array_equal(bfloat16, np.float32([1, -2.5, 3.140625, np.inf, np.nan, 9.183549615799121e-41]))
    assert found["leaf"].requires_grad
    assert not isinstance(found["leaf"], nn.Parameter)
    assert isinstance(found["parameter"], nn.Parameter)
    assert found["parameter"].requires_grad
    assert isinstance(found["frozen"], nn.Parameter)
    assert not found["frozen"].requires_grad
    assert found["plain"] == (1, -5, 300, 2**40, -(2**70), 3.5, float("inf"), True, False, None, "text €", b"bytes\xff",
                              {1, 2})  # fmt: skip
    assert type(found["ordered"]) is OrderedDict
    assert found["ordered"] == {"a": 1, "b": [2, (3,)]}
    assert (found["size"], found["dtype"], found["device"]) == ((4, 6), mg.float32, mg.device("cpu"))

    layer = nn.Linear(2, 3)
    layer.load_state_dict(found["model"])
    assert found["model"]._metadata == {"": {"version": 1}}
    optimizer = optim.Adam(layer.parameters())
    optimizer.load_state_dict(found["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.state[layer.weight]["step"] == 1
    np.testing.assert_allclose(optimizer.state[layer.weight]["exp_avg"], 0.1 * np.ones((3, 2)), rtol=1e-6)
    found["base"].add_(1)  # all memory can be written to
    assert found["strided"].tolist()[0] == [7, 9, 11]


def test_memory_mapped_tensors_do_not_change_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    mg.save({"x": mg.ones(3)}, path)
    mg.load(path, mmap=True)["x"].zero_()
    assert mg.load(path)["x"].tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="needs a path"):
        mg.load(io.BytesIO(path.read_bytes()), mmap=True)


def test_parameters_are_tensors_where_nn_is_not_used() -> None:
    code = f"""
import sys, minigrad
found = minigrad.load({str(DATA / "torch.pt")!r})
assert type(found["parameter"]) is minigrad.Tensor and found["parameter"].requires_grad
assert "nn" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=DATA.parents[1])


def test_the_file_is_laid_out_as_pytorch_does() -> None:
    file = io.BytesIO()
    mg.save({"a": mg.ones(3), "b": [mg.arange(1000), mg.ones(2)[:0]]}, file)
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(DATA / "torch.pt") as torchs:
        ours = {info.filename: info for info in archive.infolist()}
        theirs = {info.filename: torchs.read(info) for info in torchs.infolist()}
        assert archive.testzip() is None
        assert list(ours) == ["archive/data.pkl", "archive/.format_version", "archive/.storage_alignment",
                              "archive/byteorder", "archive/data/0", "archive/data/1", "archive/data/2",
                              "archive/version"]  # fmt: skip
        for name in ("version", "byteorder", ".format_version", ".storage_alignment"):
            assert archive.read(f"archive/{name}") == theirs[f"torch/{name}"], name
        for info in ours.values():
            assert info.compress_type == zipfile.ZIP_STORED
            start = info.header_offset + 30 + sum(struct.unpack_from("<HH", file.getvalue(), info.header_offset + 26))
            assert start % 64 == 0, info.filename


# -------------------------------------------------------------------------------- round trips

_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3)
    | st.tuples(inner, inner) | st.builds(tuple, st.lists(inner, max_size=4)),
    max_leaves=8,
)  # fmt: skip


@given(_PLAIN)
def test_plain_objects_come_back(obj: Any) -> None:
    found = round_trip(obj)
    assert found == obj
    assert repr(found) == repr(obj)


@given(st.sets(st.integers() | st.text()))
def test_sets_come_back(obj: set) -> None:
    assert round_trip(obj) == obj


@given(data=st.data(), dtype=st.sampled_from(mg.dtypes.DTYPES))
def test_tensors_come_back_whatever_their_layout(data: Any, dtype: np.dtype) -> None:
    shape = data.draw(st.lists(st.integers(0, 4), max_size=3).map(tuple))
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    layout = data.draw(st.sampled_from(["C", "F", "strided", "negative", "broadcast", "view"]))
    if layout == "F":
        array = np.asfortranarray(array)
    elif layout == "strided":
        array = np.repeat(array, 2, -1)[..., ::2] if shape else array
    elif layout == "negative":
        array = array[::-1] if shape else array
    elif layout == "broadcast":
        array = np.broadcast_to(array, (3, *shape))
    elif layout == "view":
        array = np.concatenate([array, array])[len(array) :] if shape else array
    tensor = mg.engine.new_tensor(array)
    found = round_trip([tensor, tensor])
    np.testing.assert_array_equal(found[0].numpy(), array, strict=True)
    assert found[0] is found[1]


def test_shared_memory_is_saved_once(tmp_path: Path) -> None:
    base = mg.zeros(100, 100)
    mg.save([base, base[1], base.t(), nn.Parameter(base)], tmp_path / "x.pt")
    assert (tmp_path / "x.pt").stat().st_size < 45_000
    found = mg.load(tmp_path / "x.pt")
    assert all(shares(found[0], other) for other in found[1:])


def test_a_model_and_its_optimizer_come_back(tmp_path: Path) -> None:
    def make() -> tuple[nn.Module, optim.Optimizer]:
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        return model, optim.Adam(model.parameters(), lr=0.1, amsgrad=True)

    def train(model: nn.Module, optimizer: optim.Optimizer) -> list[float]:
        losses = []
        for _ in range(3):
            optimizer.zero_grad()
            loss = ((model(x) - 1) ** 2).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    x = mg.randn(5, 3)
    model, optimizer = make()
    train(model, optimizer)
    mg.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": np.int64(3)}, tmp_path / "x.pt")
    expected = train(model, optimizer)
    model, optimizer = make()
    found = mg.load(tmp_path / "x.pt")
    assert found["epoch"] == 3
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    assert train(model, optimizer) == expected


def test_lists_and_dicts_that_contain_themselves() -> None:
    loop: list[Any] = [1]
    loop.append({"loop": loop})
    found = round_trip(loop)
    assert found[1]["loop"] is found


REFUSED = [
    (object(), "the object is of type builtins.object"),
    ({"steps": optim.SGD([mg.ones(1)])}, r"the object\['steps'\] is of type .*SGD.*save its state_dict"),
    ([1, [np.ones(2)]], r"the object\[1\]\[0\] is of type numpy.ndarray.*from_numpy"),
    (frozenset(), "frozenset"),
    (1j, "complex"),
    (print, "builtin_function"),
]


@pytest.mark.parametrize(("obj", "match"), REFUSED, ids=[type(obj).__name__ for obj, _ in REFUSED])
def test_what_cannot_be_saved_is_named(obj: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        mg.save(obj, io.BytesIO())


def test_more_that_cannot_be_saved() -> None:
    with pytest.raises(ValueError, match="255 bytes"):
        mg.save(1 << 10_000, io.BytesIO())
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        mg.save(deep, io.BytesIO())


def test_saving_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pt"
    mg.save([1], path)

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        mg.save([2], path)
    with pytest.raises(TypeError):
        mg.save([object()], path)
    monkeypatch.undo()
    assert mg.load(path) == [1]
    assert os.listdir(tmp_path) == ["x.pt"]
    with pytest.raises(FileNotFoundError):
        mg.save([3], tmp_path / "missing" / "x.pt")


def test_saving_through_links(tmp_path: Path) -> None:
    (tmp_path / "real.pt").write_bytes(b"")
    (tmp_path / "link.pt").symlink_to("real.pt")
    mg.save([1], tmp_path / "link.pt")
    assert (tmp_path / "link.pt").is_symlink()
    assert mg.load(tmp_path / "real.pt") == [1]
    for place in (os.devnull, tmp_path):
        with pytest.raises(ValueError, match="only a file can be replaced"):
            mg.save([1], place)
    mg.save([2], str(tmp_path / "real.pt"))
    assert mg.load(str(tmp_path / "real.pt")) == [2]


def test_arguments() -> None:
    file = DATA / "torch.pt"
    assert mg.load(file, map_location="cpu", weights_only=False)["dtype"] == mg.float32
    assert mg.load(file, map_location={"cuda:0": "cpu"})
    with pytest.raises(NotImplementedError, match="as a function"):
        mg.load(file, map_location=lambda storage, place: storage)
    with pytest.raises(RuntimeError, match="'cuda' is not available"):
        mg.load(file, map_location="cuda")
    with pytest.raises(FileNotFoundError):
        mg.load(DATA / "missing.pt")


# ------------------------------------------------------------------------- malicious and damaged


def archive_of(program: bytes, **records: bytes) -> io.BytesIO:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in {"data.pkl": program, "byteorder": b"little", "data/0": bytes(16), **records}.items():
            archive.writestr(f"archive/{name}", content)
    file.seek(0)
    return file


class _Runs:
    """Unpickling this with Python's own reader runs a command."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call[0], self.call[1:]


EVIL = [
    _Runs(os.system, "touch evil"),
    _Runs(eval, "open('evil', 'w')"),
    _Runs(exec, "open('evil', 'w')"),
    _Runs(getattr, [], "append"),
    _Runs(__import__, "os"),
    _Runs(pickle.loads, pickle.dumps(_Runs(os.system, "touch evil"))),
    _Runs(np.load, "evil"),
    _Runs(subprocess.Popen, ["touch", "evil"]),
    {"deep": [1, (2, _Runs(os.system, "touch evil"))]},
    nn.Linear(1, 1),
    nn.Parameter(mg.ones(1)),  # Python's own pickle of it
]


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("obj", EVIL, ids=range(len(EVIL)))
def test_nothing_is_run(obj: Any, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for make in (lambda: archive_of(pickle.dumps(obj, protocol)), lambda: io.BytesIO(pickle.dumps(obj, protocol))):
        for weights_only in (True, False):
            with pytest.raises(LoadError, match=r"not among what is safe|not supported|not one that"):
                mg.load(make(), weights_only=weights_only)
    assert not os.listdir(tmp_path)


_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n("
_STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"
_END = b"\x89ccollections\nOrderedDict\n)RtR."
_LAID_OUT = [
    ("K\x00(K\x04t(K\x01t", None),
    ("K\x01(K\x04t(K\x01t", "exceeds its storage of 4 elements"),
    ("K\x00(K\x02t(K\x04t", "exceeds its storage"),
    ("J\xff\xff\xff\xff(K\x01t(K\x01t", "description of a tensor"),
    ("K\x00(J\xff\xff\xff\xfft(K\x01t", "description of a tensor"),
    ("K\x00(K\x02t(J\xff\xff\xff\xfft", "description of a tensor"),
    ("K\x00(K\x02t(t", "description of a tensor"),
    ("K\x00(NtK\x01", "load:"),
    ("K\x00(K\x00J\xff\xff\xff\x7ft(K\x01K\x01t", None),
]


@pytest.mark.parametrize(("layout", "match"), _LAID_OUT, ids=range(len(_LAID_OUT)))
def test_tensors_stay_within_their_storage(layout: str, match: str | None) -> None:
    file = archive_of(b"\x80\x02" + _TENSOR + _STORAGE + layout.encode("latin1") + _END)
    if match is None:
        mg.load(file)
    else:
        with pytest.raises(LoadError, match=match):
            mg.load(file)


PROGRAMS = [
    (b".", "damaged"),
    (b"N", "ends too early|damaged"),
    (b"]K\x01a.", None),
    (b"K\x01K\x02a.", "damaged"),
    (b"K\x01K\x02K\x03s.", "treats a int as a dict"),
    (b"}(K\x01u.", "damaged"),
    (b"}]K\x01s.", "a list cannot be a key"),
    (b"}((K\x01t\x85\x85\x85tK\x01s.", "a tuple cannot be a key"),
    (b"h\x05.", "damaged"),
    (b"j\xff\xff\xff\xff.", "damaged"),
    (b"Nr\xff\xff\xff\xff.", None),  # Python's own reader would ask for 32 GiB of memory
    (b"t.", "damaged"),
    (b"K\x01)R.", "treats a int as a Global"),
    (b"ctorch\nFloatStorage\n)R.", "calls something"),
    (b"ctorch\nSize\n(K\x01K\x02ttR.", "damaged"),
    (b"ctorch\nSize\nK\x01R.", "treats a int as a tuple"),
    (b"ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sb.", "sets attributes of a OrderedDict"),
    (b"]}b.", "sets attributes of a list"),
    (b"ccollections\nOrderedDict\n)R}X\x09\x00\x00\x00_metadataK\x01sb.", "treats a int as a dict"),
    (b"K\x01Q.", "description of a storage"),
    (b"(X\x07\x00\x00\x00storageK\x01K\x01K\x01K\x01tQ.", "description of a storage"),
    (b"ctorch\nComplexFloatStorage\n.", None),
    (_STORAGE.replace(b"FloatStorage", b"ComplexFloatStorage") + b".", "dtype that minigrad does not have"),
    (_STORAGE.replace(b"K\x04", b"K\x05") + b".", "16 bytes, which are not 5 elements of float32"),
    (_STORAGE.replace(b"K\x04", b"J\xff\xff\xff\xff") + b".", "description of a storage"),
    (_STORAGE.replace(b"\x000X", b"\x007X") + b".", "data/7, which it does not contain"),
    (_STORAGE.replace(b"\x000X", b"\x00.X") + b".", "does not contain"),
    (b"ctorch._utils\n_rebuild_parameter\n(K\x01\x89NtR.", "treats a int as a TensorBase"),
    (b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x04\x00\x00\x00zlibtR.", "description of bytes"),
    (b"cbuiltins\neval\n.", "builtins.eval, which is not among"),
    (b"X\x02\x00\x00\x00osX\x06\x00\x00\x00system\x93.", "os.system, which is not among"),
    (b"\x82\x01.", r"instruction '\\x82', which is not supported"),
    (b"ios\nsystem\n.", "instruction 'i', which is not supported"),
    (b"I" + b"9" * 5000 + b"\n.", "instruction 'I', which is not supported"),
]


@pytest.mark.parametrize(("program", "match"), PROGRAMS, ids=range(len(PROGRAMS)))
def test_odd_programs(program: bytes, match: str | None) -> None:
    file = archive_of(b"\x80\x02" + program)
    if match is None:
        mg.load(file)
    else:
        with pytest.raises(LoadError, match=match):
            mg.load(file)


def test_deep_nesting_does_not_crash() -> None:
    found, depth = mg.load(archive_of(b"\x80\x02)" + b"\x85" * 100_000 + b".")), 0
    while found:
        (found,), depth = found, depth + 1
    assert depth == 100_000
    with pytest.raises(LoadError, match="cannot be a key"):
        mg.load(archive_of(b"\x80\x02})" + b"\x85" * 100_000 + b"Ns."))


def test_other_files() -> None:
    compressed = io.BytesIO()
    with zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"N" * 1000 + b".")
    compressed.seek(0)
    with pytest.raises(LoadError, match="compressed"):
        mg.load(compressed)
    for content in (b"", b"PK", b"PK\x03\x04", b"\x80", b"text", b"\x80\x02K\x01.", bytes(1000)):
        with pytest.raises(LoadError):
            mg.load(io.BytesIO(content))
    other = io.BytesIO()
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("readme.txt", "hello")
    other.seek(0)
    with pytest.raises(LoadError, match=r"no data\.pkl; it is a zip file of another kind"):
        mg.load(other)
    with pytest.raises(LoadError, match="unknown byteorder 'middle'"):
        mg.load(archive_of(b"N.", byteorder=b"middle"))
    program = _STORAGE.replace(b"Float", b"Bool").replace(b"K\x04", b"K\x10") + b"."
    with pytest.raises(LoadError, match="bool"):
        mg.load(archive_of(program, **{"data/0": b"\2" * 16}))


def test_big_endian_files() -> None:
    big = struct.pack(">4f", 1, 2, 3, 4)
    program = b"\x80\x02" + _TENSOR + _STORAGE + b"K\x00(K\x04t(K\x01t" + _END
    assert mg.load(archive_of(program, byteorder=b"big", **{"data/0": big})).tolist() == [1, 2, 3, 4]


def test_errors_are_both_of_pytorchs_types() -> None:
    assert issubclass(LoadError, RuntimeError)
    assert issubclass(LoadError, pickle.UnpicklingError)
    assert serialization.LoadError is LoadError


def _walk(obj: Any) -> None:
    """Use everything that was loaded."""
    if isinstance(obj, mg.Tensor):
        if obj.numel() < 1e6:
            obj.detach().numpy().copy()
    elif isinstance(obj, dict):
        list(map(_walk, obj.values()))
    elif isinstance(obj, (list, tuple)):
        list(map(_walk, obj))


@given(data=st.data(), name=st.sampled_from([*FILES, "ours"]))
def test_damaged_files_are_refused_or_read(data: Any, name: str) -> None:
    """Whatever bytes change or are missing, the only exception is LoadError."""
    content = bytearray((DATA / name).read_bytes() if name != "ours" else _OURS)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)) | st.just(len(content)))]
    try:
        with np.errstate(all="ignore"):
            _walk(mg.load(io.BytesIO(bytes(content))))
    except LoadError as error:
        assert str(error).startswith("load: ")  # noqa: PT017


@given(data=st.data())
def test_damaged_programs_are_refused_or_read(data: Any) -> None:
    """The same for the pickle alone, past the archive's checksums."""
    with zipfile.ZipFile(DATA / "torch.pt") as archive:
        records = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    program = bytearray(records.pop("data.pkl"))
    for _ in range(data.draw(st.integers(1, 6))):
        program[data.draw(st.integers(0, len(program) - 1))] = data.draw(st.integers(0, 255))
    try:
        _walk(mg.load(archive_of(bytes(program), **records)))
    except LoadError as error:
        assert str(error).startswith("load: ")  # noqa: PT017


def _ours() -> bytes:
    file = io.BytesIO()
    mg.save({"x": mg.arange(20.0).reshape(4, 5).t(), "p": nn.Linear(2, 2).state_dict(), "n": [1, "a", b"b", {2}]}, file)
    return file.getvalue()


_OURS = _ours()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits a process as Linux does")
def test_hundreds_of_damaged_files() -> None:
    """In a process that may use little memory and time: see there for what kinds of damage there are."""
    done = subprocess.run([sys.executable, "-W", "error", "-m", "tests.damaged_files"], capture_output=True, text=True,
                          cwd=DATA.parents[1])  # fmt: skip
    assert done.returncode == 0, done.stderr
    count, *_ = done.stdout.splitlines()[-1].split()
    assert int(count) >= 300
    print(done.stdout)


# --------------------------------------------------------------------------------- whole modules


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 3)
        self.act = nn.functional.relu
        self.register_buffer("count", mg.tensor(3))

    def forward(self, x: Any) -> Any:
        return self.act(self.layer(x))


def test_a_module_is_loaded_where_its_classes_are_allowed(tmp_path: Path) -> None:
    model = Small()
    mg.save({"model": model, "epoch": 3}, tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"asks for .*Small, which is not among what is safe"):
        mg.load(tmp_path / "model.pt")
    allowed = [Small, nn.Linear, (nn.functional.relu, "minigrad.ops.activation.relu")]
    with safe_globals(allowed[:1]), pytest.raises(LoadError, match=r"asks for nn\.linear\.Linear"):
        mg.load(tmp_path / "model.pt")
    with safe_globals(allowed), ThreadPoolExecutor(1) as pool:
        loaded = mg.load(tmp_path / "model.pt")
        with pytest.raises(LoadError, match="not among what is safe"):  # allowed here, not in every thread
            pool.submit(mg.load, tmp_path / "model.pt").result()
    x = mg.randn(4, 2)
    assert type(loaded["model"]) is Small
    assert (loaded["model"](x) == model(x)).all()
    assert loaded["model"].layer.weight.requires_grad
    assert loaded["model"].count.item() == 3
    with pytest.raises(LoadError, match="not among what is safe"):
        mg.load(tmp_path / "model.pt")


class Evil:
    def __reduce__(self) -> Any:
        return print, ("called",)


def test_what_is_allowed_allows_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = Small()
    model.evil = Evil()  # type: ignore[assignment]
    mg.save(model, tmp_path / "model.pt")
    with safe_globals([Small, nn.Linear, nn.functional.relu]), pytest.raises(LoadError, match="print"):
        mg.load(tmp_path / "model.pt")
    assert capsys.readouterr().out == ""
