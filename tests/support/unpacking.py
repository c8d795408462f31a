"""What a test counts to know how many stored bodies are read."""

from __future__ import annotations

import zlib

import pytest


def record_unpacked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets the packed bytes of each body that is unpacked from now on."""
    sizes: list[int] = []
    decompress = zlib.decompress

    def counted(data: bytes) -> bytes:
        sizes.append(len(data))
        return decompress(data)

    monkeypatch.setattr(zlib, "decompress", counted)
    return sizes
