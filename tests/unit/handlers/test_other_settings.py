"""An operator ends when its files differ from those at its start, so that it is started again with
the new ones.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from opstrand.api.certificates import issue
from opstrand.handlers.startup import stop_at_other_settings
from opstrand.settings import Settings


async def test_it_stops_for_another_authority_and_for_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file, authority = tmp_path / "ca.crt", issue(["x"]).authority
    monkeypatch.setenv("OPSTRAND_API_CA", str(file))
    file.write_text(authority)
    stop = asyncio.Event()
    looking = asyncio.create_task(stop_at_other_settings(Settings.from_environment(), stop, 0.01))
    for harmless in (authority, "half of a file that is being writ"):
        file.write_text(harmless)
        await asyncio.sleep(0.1)
        assert not stop.is_set()
    assert "OPSTRAND_API_CA" in caplog.text
    file.write_text(issue(["x"]).authority)
    await asyncio.wait_for(stop.wait(), 30)
    await looking
