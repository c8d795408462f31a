"""How a request and its answer cross between the operator and a worker: frames, and what may be in
them.

Owns the frame's form and the restricted reading of answers. A worker has computed with what a
stranger wrote: of its answer only plain values and our own data classes are read, so that a worker
that was taken over cannot run anything here.
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
#: Bytes of an order to the process that workers are forked from, blanks at its end.
ORDER = 24
#: The first bytes of a request say how many seconds it may take.
SECONDS = 32
#: The first byte of an answer: whether the worker ends with it.
LAST, MORE = b"1", b"0"
TOO_MUCH_MEMORY = "it takes more than {memory} MiB of memory"
TOO_LONG = "it takes longer than {seconds:g} s of computing time"
#: An answer that is larger is of no use: what it would be written into takes less than two
#: megabytes.
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
    """The value of an answer. Raises pickle.UnpicklingError for what is none."""
    return _Reader(io.BytesIO(data)).load()


class _Writer(pickle.Pickler):
    def reducer_override(self, found: Any) -> Any:
        """A text of a class of its own arrives as the text that it is."""
        return (str, (str(found),)) if isinstance(found, str) else NotImplemented


def write_value(value: Any) -> bytes:
    data = io.BytesIO()
    _Writer(data, protocol=5).dump(value)
    return data.getvalue()


def frame(data: bytes) -> bytes:
    return len(data).to_bytes(HEADER, "big") + data


def receive(connection: socket.socket) -> bytes | None:
    """The next frame's content, waited for; None at the end."""
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
