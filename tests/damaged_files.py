"""Damaged and malicious files, which ``load`` must refuse with a LoadError or read: ``python -m tests.damaged_files``.

Runs in a process of its own, which is not allowed much memory or time, nor to run, import or write anything.
"""

from __future__ import annotations

import importlib.util
import io
import json
import mmap  # noqa: F401  (loaded here, because nothing may be imported later)
import pickle
import resource
import struct
import sys
import tracemalloc
import zipfile
from collections import Counter
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, pickling
from minigrad.serialization import LoadError

DATA = Path(__file__).parent / "data"
MEGABYTE = 2**20
MODEL = {"x": mg.arange(20.0).reshape(4, 5).t(), "p": nn.Linear(2, 2).state_dict(), "n": [1, "a", b"b", {2}]}

Builder = st.DrawFn


def ours() -> bytes:
    mg.save(MODEL, file := io.BytesIO())
    return file.getvalue()


def safetensors_of(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


FILES = [*((DATA / name).read_bytes() for name in ("torch.pt", "torch_protocol4.pt", "torch_legacy.pt")), ours()]
if importlib.util.find_spec("safetensors"):
    from minigrad import safetensors

    FILES.append(safetensors.save({"a": mg.arange(6.0).reshape(2, 3), "b": mg.tensor([True])}, {"note": "text"}))


def archive_of(program: bytes, compression: int = zipfile.ZIP_STORED, **records: bytes) -> bytes:
    contents = {"data.pkl": program, "byteorder": b"little", "data/0": bytes(16), **records}
    with zipfile.ZipFile(file := io.BytesIO(), "w", compression) as archive:
        for name, content in contents.items():
            archive.writestr(f"archive/{name}", content)
    return file.getvalue()


def legacy_of(program: bytes, keys: bytes = b"]X\x01\0\0\x000a.") -> bytes:
    magic, system = pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps({"little_endian": True}, 2)
    return magic + pickle.dumps(1001, 2) + system + program + b"\x80\x02" + keys + struct.pack("<q", 4) + bytes(16)


def wrapped(draw: Builder, program: bytes) -> bytes:
    """A pickle in one of the places where a file can have one."""
    program = b"\x80\x02" + program
    place = draw(st.sampled_from(["zip", "legacy", "system", "keys", "bare"]))
    if place == "zip":
        return archive_of(program)
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    return {"legacy": legacy_of(program), "system": magic + pickle.dumps(1001, 2) + program, "bare": program,
            "keys": legacy_of(b"\x80\x02N.", program[2:])}[place]  # fmt: skip


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value: int) -> bytes:
    return pickle.dumps(value, 2)[2:-1]


# --------------------------------------------------------------------------------- kinds of damage


@st.composite
def flipped(draw: Builder) -> bytes:
    """A good file with some bits flipped and perhaps its end missing."""
    content = bytearray(draw(st.sampled_from(FILES)))
    for _ in range(draw(st.integers(0, 4))):
        content[draw(st.integers(0, len(content) - 1))] ^= 1 << draw(st.integers(0, 7))
    return bytes(content[: draw(st.integers(0, len(content)) | st.just(len(content)))])


@st.composite
def damaged_pickle(draw: Builder) -> bytes:
    """Damage in the pickle alone: the checksums of the archive are right."""
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from([FILES[0], FILES[3]])))) as archive:
        records = {info.filename.partition("/")[2]: archive.read(info) for info in archive.infolist()}
    program = bytearray(records.pop("data.pkl"))
    for _ in range(draw(st.integers(1, 6))):
        program[draw(st.integers(0, len(program) - 1))] = draw(st.integers(0, 255))
    return archive_of(bytes(program), **records)


GADGETS = [
    "builtins.eval", "builtins.exec", "builtins.getattr", "builtins.__import__", "builtins.open",
    "builtins.compile", "__builtin__.eval", "__builtin__.apply", "os.system", "os.popen", "posix.system",
    "nt.system", "subprocess.Popen", "subprocess.check_output", "functools.partial", "functools.reduce",
    "operator.attrgetter", "operator.methodcaller", "operator.itemgetter", "operator.call",
    "copyreg._reconstructor", "copyreg.__newobj__", "copy_reg._reconstructor", "types.FunctionType",
    "types.CodeType", "codecs.decode", "_codecs.decode", "codecs.open", "pickle.loads", "pickle.load",
    "_pickle.loads", "marshal.loads", "shutil.rmtree", "runpy.run_path", "importlib.import_module", "pty.spawn",
    "webbrowser.open", "ctypes.CDLL", "socket.create_connection", "tempfile.mkstemp", "torch.load", "torch.save",
    "torch.hub.load", "torch.jit.load", "torch.storage._load_from_bytes", "torch._utils._rebuild_wrapper_subclass",
    "torch._tensor._rebuild_from_type_v2", "torch._utils._rebuild_sparse_tensor", "torch.nn.modules.linear.Linear",
    "torch.Tensor", "torch.utils.data.DataLoader", "torch.FloatStorage", "torch.os", "torch.FloatStorage.__init__",
    "torch.Size.__class__", "torch.serialization.os.system", "collections.OrderedDict.__init__",
    "collections.defaultdict", "collections.Counter", "numpy.load", "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar", "numpy.ndarray", "numpy.fromfile", "numpy.memmap", "minigrad.load",
    "minigrad.save", "minigrad.serialization.os.system", "minigrad.pickling.Global", "nn.linear.Linear",
    "pathlib.PosixPath", "argparse.Namespace",
]  # fmt: skip
COMMANDS = [text("touch evil"), text("open('evil', 'w')"), text("os"), b"K\x01", b"N", b"]", b"ctorch\nFloatStorage\n"]


@st.composite
def gadget(draw: Builder) -> bytes:
    """A pickle that wants something called, in one of the ways that pickles have."""
    module, _, name = draw(st.sampled_from(GADGETS)).rpartition(".")
    found = draw(st.sampled_from([f"c{module}\n{name}\n".encode(), text(module) + text(name) + b"\x93"]))
    parts = b"".join(draw(st.lists(st.sampled_from(COMMANDS), max_size=3)))
    call = draw(st.sampled_from([
        found + b"(" + parts + b"tR.", found + b"(" + parts + b"t\x81.", found + b"(" + parts + b"t}\x92.",
        b"(" + found + parts + b"o.", b"(" + parts + f"i{module}\n{name}\n".encode() + b".", found + b")R}b.",
        b"ccollections\nOrderedDict\n)R}" + text("_metadata") + found + b"sb.", found + b"Q.", found + b".",
        b"ccollections\nOrderedDict\n)R}" + text("__class__") + found + b"sb.",
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + found + b"K\x00)))R.", b"(" + text("storage") + found + b"tQ.",
    ]))  # fmt: skip
    return wrapped(draw, call)


COUNTS = st.integers(-3, 9) | st.sampled_from([2**31 - 1, 2**31, 2**62, 2**63, 2**64, -(2**63), 2**2000])


@st.composite
def layout(draw: Builder) -> bytes:
    """A tensor of any shape, stride and offset, in a storage of any announced size, with 16 bytes in truth."""
    dimensions = draw(st.integers(0, 3) | st.sampled_from([64, 65, 5000]))
    size, stride = (
        b"(" + b"".join(map(integer, draw(st.lists(COUNTS, min_size=n, max_size=n)))) * (dimensions // max(n, 1)) + b"t"
        for n in (min(dimensions, 3), min(dimensions, draw(st.sampled_from([3, 3, 2]))))
    )
    kinds = {"Float": 4, "Double": 2, "Half": 8, "BFloat16": 8, "Bool": 16, "ComplexFloat": 2, "": 16}
    kind = draw(st.sampled_from(list(kinds)))
    numel = integer(draw(st.just(kinds[kind]) | COUNTS))
    storage = b"(" + text("storage") + f"ctorch\n{kind}Storage\n".encode() + text("0") + text("cpu") + numel + b"tQ"
    program = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + integer(draw(COUNTS)) + size + stride + b"\x89NtR."
    return draw(st.sampled_from([archive_of, legacy_of]))(b"\x80\x02" + program)


SNIPPETS = [
    b"N", b"]", b"}", b")", b"(", b"t", b"\x85", b"\x86", b"\x87", b"e", b"a", b"s", b"u", b"q\0", b"h\0", b"q\1",
    b"h\1", b"r\xff\xff\xff\xff", b"\x94", b"0", b"2", b"1", b"K\1", b"\x88", b"\x8f", b"\x90", b"R", b"b", b"Q",
    b".", text("a"), b"ccollections\nOrderedDict\n", b"ctorch\nSize\n", b"c__builtin__\nset\n", b"\x85" * 50_000,
    b"h\0h\0\x86q\0" * 50, b"h\0h\0h\0\x87q\0" * 60, b"]q\0h\0a", b"}q\1K\1h\1s", b"\x8b\xff\xff\xff\x7f",
    b"\x8d" + b"\xff" * 8, b"X\xff\xff\xff\xff", b"\x8e" + b"\xff" * 7 + b"\0", b"\x95" + b"\xff" * 8,
    b"I" + b"9" * 5000 + b"\n", b"V\\ud800\n", b"G\x7f\xf8\0\0\0\0\0\0",
]  # fmt: skip


@st.composite
def odd_program(draw: Builder) -> bytes:
    """Instructions in any order: loops, nesting, exponential growth, and lengths that are lies."""
    return wrapped(draw, b"".join(draw(st.lists(st.sampled_from(SNIPPETS), max_size=20))) + b".")


@st.composite
def odd_archive(draw: Builder) -> bytes:
    """Zip files with wrong sizes and offsets, or that unpack to more than they are: bombs."""
    storages = draw(st.integers(1, 40))
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + b"ctorch\nFloatStorage\n%s" + text("cpu")
    tensor += integer(MEGABYTE // 4) + b"tQK\0" + b"(" + integer(MEGABYTE // 4) + b"t(K\1t\x89NtR"
    program = b"\x80\x02(" + b"".join(tensor.replace(b"%s", text(str(k))) for k in range(storages)) + b"t."
    compression = draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    content = bytearray(archive_of(program, compression, **{"data/0": bytes(MEGABYTE)}))
    end = content.rfind(b"PK\5\6")
    start = struct.unpack_from("<I", content, end + 16)[0]
    central, entries = bytes(content[start:end]), draw(st.integers(0, storages))
    entry = central[central.rfind(b"PK\1\2") :]  # of data/0: others say that their content is the same
    for k in range(1, entries):
        name = f"archive/data/{k}".encode()
        central += entry[:28] + struct.pack("<H", len(name)) + entry[30:46] + name
    tail = bytearray(content[end:])
    struct.pack_into("<HHI", tail, 8, 3 + max(entries - 1, 0), 3 + max(entries - 1, 0), len(central))
    central = bytearray(central)
    for _ in range(draw(st.integers(0, 2))):  # compression, checksum, sizes, name's length, offset in the first entries
        field, kind = draw(st.sampled_from([(10, "<H"), (16, "<I"), (20, "<I"), (24, "<I"), (28, "<H"), (42, "<I")]))
        value = draw(st.sampled_from([0, 1, 8, 99, 65535] + [2**31, 2**32 - 1] * (kind == "<I")))
        struct.pack_into(kind, central, field + draw(st.sampled_from([0, 62])), value)
    return bytes(content[:start] + central + tail)


@st.composite
def odd_safetensors(draw: Builder) -> bytes:
    """Files of safetensors whose header does not fit what follows."""
    entry = st.fixed_dictionaries({
        "dtype": st.sampled_from(["F32", "BF16", "BOOL", "F8_E5M2", "C64", "F4", "X", 3]),
        "shape": st.lists(COUNTS, max_size=3) | st.just([1] * 100),
        "data_offsets": st.lists(COUNTS, min_size=2, max_size=2) | st.sampled_from([[0, 4], [0, 8], [0, 16]]),
    })  # fmt: skip
    header = draw(st.dictionaries(st.sampled_from(["a", "b", "__metadata__"]), entry, max_size=2)
                  | st.sampled_from([b"{" + b"[" * 100_000, b'{"a":' * 50_000, b"{", b"[]", b"{\xff}"]))  # fmt: skip
    content = safetensors_of(header, b"\2" * draw(st.sampled_from([0, 4, 8, 16])))
    length = draw(st.none() | st.sampled_from([0, 1, 10**8, 2**63, 2**64 - 1]))
    return content if length is None else struct.pack("<Q", length) + content[8:]


# ------------------------------------------------------------------------------------------ running


ATOMS = (type(None), int, float, str, bytes, set, np.dtype, np.ndarray, mg.device, pickling.Global)


def use(obj: Any) -> list[Any]:
    """Look at everything that was loaded, each part once."""
    seen, left, found = set(), [obj], []
    while left:
        part = left.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, mg.Tensor):
            small = part.numel() < MEGABYTE  # stride 0 makes a huge tensor of a single number
            found.append((part.shape, part.dtype, part.detach().numpy().tobytes() if small else None))
        elif isinstance(part, dict):
            left += part.values()
        elif isinstance(part, (list, tuple)):
            left += part
        else:
            assert isinstance(part, ATOMS), part
            found.append(str(part))
    return found


FORBIDDEN = ("os.system", "subprocess", "os.exec", "os.posix_spawn", "os.fork", "exec", "compile", "import", "socket",
             "os.remove", "os.rename", "shutil", "ctypes", "pty")  # fmt: skip
watching = False
broken: list[str] = []


def audit(event: str, args: tuple) -> None:
    if watching and (event.startswith(FORBIDDEN) or (event == "open" and "w" in str(args[1]))):
        broken.append(f"{event} {args}")


def main() -> None:
    global watching
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    highest = 0

    def answer(content: bytes, file: Any, mapped: bool) -> None:
        global watching
        nonlocal highest
        tracemalloc.reset_peak()
        before, watching, found = tracemalloc.get_traced_memory()[0], True, None
        try:
            with np.errstate(all="ignore"):
                found = use(mg.load(file, mmap=mapped))
            counts["read"] += 1
        except LoadError as error:
            counts["refused" if str(error).startswith("load: ") else str(error)] += 1
        finally:
            watching = False
        extra = tracemalloc.get_traced_memory()[1] - before
        assert extra < 4 * MEGABYTE + 100 * len(content), f"{extra} bytes of memory for a file of {len(content)}"
        highest = max(highest, extra)
        if found is not None and kind is flipped and content.startswith(b"PK") and not mapped:
            assert found in originals  # the checksums tell

    originals = [use(mg.load(io.BytesIO(content))) for content in FILES]  # which imports what is needed, too
    kinds = [flipped, damaged_pickle, gadget, layout, odd_program, odd_archive]
    kinds += [odd_safetensors] if len(FILES) > 4 else []
    sys.addaudithook(audit)
    tracemalloc.start()
    memory = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (memory + 300 * MEGABYTE,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
    with NamedTemporaryFile() as named:
        path = Path(named.name)

        def check(content: bytes) -> None:
            if hash(content) not in seen:
                seen.add(hash(content))
                answer(content, io.BytesIO(content), False)
                path.write_bytes(content)
                answer(content, path, len(content) % 2 == 0)

        thorough = settings(max_examples=52, database=None, deadline=None, suppress_health_check=list(HealthCheck))
        for kind in kinds:
            seed(0)(thorough(given(kind())(check)))()
    assert not broken, broken
    print(f"{len(seen)} damaged files of {len(kinds)} kinds, each read twice: {counts.pop('refused')} times LoadError, "
          f"{counts.pop('read')} times read, nothing run, at most {highest / MEGABYTE:.1f} MiB of memory")  # fmt: skip
    assert not counts, counts


if __name__ == "__main__":
    main()
