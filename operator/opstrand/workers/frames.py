"""The frames that carry a request to a worker and its answer back, and the values they may hold.

Owns the form of a frame and the restricted unpickling of answers. A worker computes with untrusted
input: its answer may hold only plain values and our own data classes, so that a compromised worker
cannot run code in the operator.
"""

from __future__ import annotations

import dataclasses
import enum
import importlib
import io
import pickle
import socket
from typing import Any

HEADER = 8
#: Bytes of an order to the process that forks the workers, padded with blanks.
ORDER = 24
#: Bytes at the start of a request that hold its CPU limit in seconds, as a hexadecimal float.
SECONDS = 32
#: The first byte of an answer: whether the worker exits after it.
LAST, MORE = b"1", b"0"
TOO_MUCH_MEMORY = "it takes more than {memory} MiB of memory"
TOO_LONG = "it takes longer than {seconds:g} s of computing time"
#: Bytes of the largest accepted answer: the object it would be written into holds less than 2 MB.
MOST = 16 * 1024 * 1024
_PLAIN = {
    *(("builtins", name) for name in ("str", "set", "frozenset", "complex")),
    *(("datetime", name) for name in ("datetime", "timedelta", "timezone")),
    ("collections", "OrderedDict"),
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN:
            return getattr(importlib.import_module(module), name)
        if module == "opstrand" or module.startswith("opstrand."):
            found = getattr(importlib.import_module(module), name, None)
            if isinstance(found, type) and (
                dataclasses.is_dataclass(found) or issubclass(found, enum.Enum)
            ):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no value that a worker may answer")


def read_answer(data: bytes) -> Any:
    """The value of an answer. Raises pickle.UnpicklingError for a class that is not allowed."""
    return _Reader(io.BytesIO(data)).load()


class _Writer(pickle.Pickler):
    def reducer_override(self, found: Any) -> Any:
        """Write an instance of a subclass of `str` as a plain `str`."""
        return (str, (str(found),)) if isinstance(found, str) else NotImplemented


def write_value(value: Any) -> bytes:
    data = io.BytesIO()
    _Writer(data, protocol=5).dump(value)
    return data.getvalue()


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(HEADER, "big") + data


def receive(connection: socket.socket) -> bytes | None:
    """Wait for the next frame and return its content; None at the end of the stream."""
    header = _receive_exactly(connection, HEADER)
    return None if header is None else _receive_exactly(connection, int.from_bytes(header, "big"))


def _receive_exactly(connection: socket.socket, size: int) -> bytes | None:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if not count:
            return None
        view = view[count:]
    return bytes(data)
