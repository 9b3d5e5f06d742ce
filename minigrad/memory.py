"""Who changed what, and when: the clock and the guard behind "no silent wrong gradient".

Backward reads arrays that forward saved. If one of them changed in between, the gradient would
be wrong without anybody noticing. Three facts make the guard nearly free:

* All changes made *through minigrad* go through :func:`changed`, which stamps the memory with the
  time on the same clock that numbers the graph's nodes. A node whose saved memory carries a later
  stamp is stale. Recording costs nothing.
* Memory that no NumPy array outside minigrad shares cannot change in any other way.
* Memory that such an array does share (``from_numpy``, ``Tensor.numpy()``, DLPack) is *exposed*.
  Only there is a checksum taken: when a node saves it, and when it is handed out.

NumPy's ``base`` chain already says which arrays share memory, so views need no bookkeeping.
"""

from __future__ import annotations

import itertools
import os
import weakref
import zlib
from _thread import RLock  # threading itself takes a millisecond to load
from typing import Any

import numpy as np

Array = Any
"""An ndarray in the forward pass and in a plain backward; a Tensor under ``create_graph``."""

clock = itertools.count(1).__next__
"""Numbers nodes and changes of memory in the one order in which they happen."""

exposed: dict[int, bool] = {}  # id(owner) -> if code outside can write to it: for good, or while it is lent
stamps: dict[int, int] = {}  # id(owner) -> time of its last change through minigrad
_loans: dict[int, list[Loan]] = {}  # id(owner) -> the arrays lent out that share it
_alive: dict[int, weakref.ref[np.ndarray]] = {}  # forgets an owner's entries when it dies
_lock = RLock()  # of lending, which may end while another begins
if hasattr(os, "register_at_fork"):  # a child process gets it free, whatever other threads were at
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


def owner(array: Array) -> Array:
    """The array at the end of the ``base`` chain: arrays share memory if they share it."""
    while (base := getattr(array, "base", None)) is not None:
        if isinstance(base, Loan):
            base = base.array
        elif not isinstance(base, np.ndarray):
            base = getattr(base, "base", None)  # NumPy's stride tricks put a wrapper in between
            if not isinstance(base, np.ndarray):
                break
        array = base
    return array


def _track(array: Array) -> int:
    """The key of ``array``'s memory in the tables above, with its removal arranged."""
    root = owner(array)
    key = id(root)
    if key not in _alive:

        def forget(_: object, tables: Any = (exposed, stamps, _loans, _alive)) -> None:  # bound: there at exit too
            for table in tables:
                table.pop(key, None)

        _alive[key] = weakref.ref(root, forget)
    return key


_weights = np.arange(1, 513, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # well mixed, and odd:
_weights = (_weights ^ _weights >> np.uint64(29)) * np.uint64(0xBF58476D1CE4E5B9) | np.uint64(1)


def checksum(array: Array) -> int:
    """CRC-32 of the values, of which rows of 4 KiB are first reduced to weighted sums: that is 3 times faster."""
    data = array.ravel("K").view(np.uint8)  # in the order of the memory: without a copy, if it is dense
    whole = data.size // _weights.nbytes * _weights.nbytes
    if not whole:
        return zlib.crc32(data.data)
    sums = data[:whole].view(np.uint64).reshape(-1, _weights.size) @ _weights  # modulo 2**64
    return zlib.crc32(data[whole:].data, zlib.crc32(sums.data))


def changed(array: Array) -> None:
    """Stamp the memory of ``array``: minigrad has just written to it."""
    if isinstance(array, np.ndarray) and array.size:  # without elements, nothing has changed
        key = id(array)
        if key not in _alive or array.base is not None:
            key = _track(array)
        stamps[key] = clock()
        if key in _loans:
            for loan in tuple(_loans[key]):
                loan.digest = checksum(loan.array)


class Loan:
    """Memory lent to NumPy code. The ndarray made from it, and every view of that, hold it alive.

    So the loan ends exactly when nobody outside can write any more.
    """

    watch: weakref.ref[np.ndarray]  # calls when the last of those arrays dies

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.digest = checksum(array)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return self.array.__array_interface__

    def poll(self) -> None:
        """Stamp the memory if somebody outside has written to it."""
        if checksum(self.array) != self.digest:
            changed(self.array)


def adopt(array: np.ndarray) -> None:
    """Mark memory that came from outside: others can write to it for as long as it lives."""
    exposed.setdefault(_track(array), True)


def lend(array: np.ndarray) -> np.ndarray:
    """An ndarray over the same memory, watched for changes until the last view of it is gone."""
    loan = Loan(array)
    outside = np.asarray(loan)
    key = _track(array)
    with _lock:
        _loans.setdefault(key, []).append(loan)
        exposed.setdefault(key, False)

    def end(_: object) -> None:
        loan.poll()
        with _lock:
            _loans[key].remove(loan)
            if not _loans[key] and not exposed[key]:
                del exposed[key], _loans[key]

    loan.watch = weakref.ref(outside, end)
    return outside


def digest(value: Any) -> int | None:
    """The checksum of a value that a node is about to save, if it is an array in exposed memory."""
    return checksum(value) if isinstance(value, np.ndarray) and id(owner(value)) in exposed else None


def intact(array: Array, digest: int | None, time: int) -> bool:
    """Whether ``array``, saved at ``time`` with ``digest``, still holds what it held then."""
    if not isinstance(array, np.ndarray):
        return True
    if digest is not None:
        return checksum(array) == digest
    key = id(owner(array))
    for loan in tuple(_loans.get(key, ())):  # lent later than it was saved
        loan.poll()
    return stamps.get(key, 0) <= time
