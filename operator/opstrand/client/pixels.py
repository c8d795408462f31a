"""Make a PNG file of an array of pixels, with the standard library.

Owns what the letters of `dataformats` mean (N images, Channels, Height, Width) and that numbers
which are not bytes are from 0 to 1. Pure: must not touch a file.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, NamedTuple

#: Images in a row, where there are several.
_COLUMNS = 8
#: Channels -> the colour type of a PNG file.
_COLOURS = {3: 2, 4: 6}
_MOST_PIXELS = 64 * 1024 * 1024


class Pixels(NamedTuple):
    """An image: its rows from the top, each of `width * channels` bytes."""

    height: int
    width: int
    channels: int
    rows: list[bytes]


def to_pixels(data: Any, formats: str = "CHW") -> Pixels:
    """Read an array or a tensor of another library, or nested lists. Raises ValueError."""
    letters = str(formats).upper()
    if sorted(letters) not in ([*"CHW"], [*"HW"], [*"CHNW"]):
        raise ValueError(f"dataformats: expected such as CHW, HWC, HW or NCHW, found {formats!r}")
    array = _to_array(data)
    shape = _measure(array)
    if len(shape) != len(letters) or 0 in shape:
        raise ValueError(f"dataformats is {letters}, and the image has the shape {shape}")
    size = 1
    for one in shape:
        size *= one
    if size > _MOST_PIXELS:
        raise ValueError(f"an image has at most {_MOST_PIXELS} numbers, found {size}")
    if "N" not in letters:
        return _read_image(array, letters)
    if letters[0] != "N":
        raise ValueError(f"dataformats: the images must come first, found {letters}")
    return _tile([_read_image(one, letters[1:]) for one in array])


def to_png(image: Pixels) -> bytes:
    """Return the bytes of a PNG file."""
    colour = _COLOURS[image.channels]
    head = struct.pack(">IIBBBBB", image.width, image.height, 8, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row for row in image.rows))
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def _to_array(data: Any) -> Any:
    """Return an array of numpy where there is one, else nested lists."""
    for name in ("detach", "cpu", "numpy"):
        if hasattr(data, name):
            data = getattr(data, name)()
    if hasattr(data, "astype"):
        return data if str(data.dtype) == "uint8" else (data.astype("float64") * 255).clip(0, 255)
    return data.tolist() if hasattr(data, "tolist") else data


def _measure(array: Any) -> tuple[int, ...]:
    if hasattr(array, "shape"):
        return tuple(array.shape)
    shape = []
    while isinstance(array, (list, tuple)):
        shape.append(len(array))
        array = array[0] if array else None
    return tuple(shape)


def _read_image(array: Any, letters: str) -> Pixels:
    if hasattr(array, "astype"):
        planes = array.astype("uint8")
        if letters == "HW":
            planes, letters = planes.reshape(*planes.shape, 1), "HWC"
        planes = planes.transpose([letters.index(one) for one in "HWC"])
        height, width, channels = planes.shape
        rows = [planes[row].tobytes() for row in range(height)]
    else:
        height, width, channels = _sizes(_measure(array), letters)
        scale = 1 if _is_bytes(array) else 255
        rows = [
            bytes(
                max(0, min(255, int(_pick(array, letters, row, column, channel) * scale)))
                for column in range(width)
                for channel in range(channels)
            )
            for row in range(height)
        ]
    if channels == 1:
        rows, channels = [b"".join(row[at : at + 1] * 3 for at in range(width)) for row in rows], 3
    if channels not in _COLOURS:
        raise ValueError(f"an image has 1, 3 or 4 channels, found {channels}")
    return Pixels(height, width, channels, rows)


def _sizes(shape: tuple[int, ...], letters: str) -> tuple[int, int, int]:
    sizes = dict(zip(letters, shape))
    return sizes["H"], sizes["W"], sizes.get("C", 1)


def _is_bytes(array: Any) -> bool:
    """Whether all numbers are whole: lists have no type that says so."""
    if isinstance(array, (list, tuple)):
        return all(map(_is_bytes, array))
    return isinstance(array, int)


def _pick(array: Any, letters: str, row: int, column: int, channel: int) -> Any:
    at = {"H": row, "W": column, "C": channel}
    for letter in letters:
        array = array[at[letter]]
    return array


def _tile(images: list[Pixels]) -> Pixels:
    """Put images of one size side by side, and below each other."""
    height, width, channels, _ = images[0]
    columns = min(_COLUMNS, len(images))
    blank = [bytes(width * channels)] * height
    rows: list[bytes] = []
    for start in range(0, len(images), columns):
        line = [one.rows for one in images[start : start + columns]]
        line += [blank] * (columns - len(line))
        rows += [b"".join(parts) for parts in zip(*line)]
    return Pixels(len(rows), width * columns, channels, rows)
