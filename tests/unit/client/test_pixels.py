"""PNG files of arrays, read back byte by byte."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import pytest

from opstrand.client.pixels import Pixels, to_pixels, to_png


class Array:
    """Has what an array of numpy has of use here, with the same meaning."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def tolist(self) -> Any:
        return self._values


@pytest.mark.parametrize(
    ("data", "formats", "rows"),
    [
        ([[0, 255], [1, 2]], "HW", [[0, 0, 0, 255, 255, 255], [1, 1, 1, 2, 2, 2]]),
        ([[0.0, 1.0]], "HW", [[0, 0, 0, 255, 255, 255]]),
        ([[0.0, 2.0]], "HW", [[0, 0, 0, 255, 255, 255]]),
        ([[[1, 2, 3], [4, 5, 6]]], "HWC", [[1, 2, 3, 4, 5, 6]]),
        ([[[1, 4]], [[2, 5]], [[3, 6]]], "CHW", [[1, 2, 3, 4, 5, 6]]),
        ([[[1, 4]], [[2, 5]], [[3, 6]]], "chw", [[1, 2, 3, 4, 5, 6]]),
        ([[[7]]], "CHW", [[7, 7, 7]]),
        ([[[[1]]], [[[2]]]], "NCHW", [[1, 1, 1, 2, 2, 2]]),
        (Array([[1, 2]]), "HW", [[1, 1, 1, 2, 2, 2]]),
    ],
)
def test_pixels_of_an_array(data: Any, formats: str, rows: list[list[int]]) -> None:
    image = to_pixels(data, formats)
    assert [list(row) for row in image.rows] == rows
    assert (image.height, image.width, image.channels) == (len(rows), len(rows[0]) // 3, 3)


def test_more_images_than_a_row_has() -> None:
    image = to_pixels([[[[index]]] for index in range(10)], "NCHW")
    assert (image.height, image.width) == (2, 8)
    assert [list(row[::3]) for row in image.rows] == [[*range(8)], [8, 9, *[0] * 6]]


@pytest.mark.parametrize(
    ("data", "formats", "why"),
    [
        ([[1]], "CHW", "the image has the shape"),
        ([[1]], "XY", "dataformats: expected"),
        ([], "HW", "the image has the shape"),
        ([[[1], [2]]], "HCW", "1, 3 or 4 channels, found 2"),
        ("text", "HW", "the image has the shape"),
    ],
)
def test_what_is_no_image(data: Any, formats: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        to_pixels(data, formats)


@pytest.mark.parametrize(("channels", "colour"), [(3, 2), (4, 6)])
def test_the_file_has_every_byte(channels: int, colour: int) -> None:
    rows = [bytes(range(start, start + 2 * channels)) for start in (0, 100)]
    content = to_png(Pixels(2, 2, channels, rows))
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(content):
        (size,) = struct.unpack(">I", content[at : at + 4])
        name, data = content[at + 4 : at + 8], content[at + 8 : at + 8 + size]
        (check,) = struct.unpack(">I", content[at + 8 + size : at + 12 + size])
        assert check == zlib.crc32(name + data)
        chunks[name], at = data, at + 12 + size
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBB", chunks[b"IHDR"][:10]) == (2, 2, 8, colour)
    assert zlib.decompress(chunks[b"IDAT"]) == b"".join(b"\0" + row for row in rows)
