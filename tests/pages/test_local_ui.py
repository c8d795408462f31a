"""`opstrand ui --local`: the pages over runs of this machine, opened by a code that works once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest
from playwright.sync_api import Browser, expect

from tests.pages.browser import Watched

OPSTRAND = Path(sys.executable).with_name("opstrand")
SAMPLES = Path(__file__).parents[1] / "samples/pages"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+/\S+")


def _read_address(output: IO[str]) -> str:
    for line in output:
        if found := _ADDRESS.search(line):
            return found[0]
    raise AssertionError("it ended without an address")


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run two samples, and serve the pages. Yield the address that is printed."""
    folder = tmp_path_factory.mktemp("local")
    environment = {**os.environ, "OPSTRAND_LOCAL": str(folder)}
    for name in ("train", "evaluate"):
        command = [OPSTRAND, "run", "--local", "--name", name, "-f", SAMPLES / f"{name}.yaml"]
        subprocess.run(command, env=environment, check=True, capture_output=True)
    serving = subprocess.Popen(
        [OPSTRAND, "ui", "--local", "--port", "0", "--no-open"],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert serving.stderr is not None
        yield _read_address(serving.stderr)
    finally:
        serving.terminate()
        serving.communicate(timeout=60)


def test_local_runs_are_shown_and_restarted(address: str, browser: Browser, pictures: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    watched = Watched(context.new_page())
    page = watched.page
    page.goto(address)
    expect(page.get_by_role("link", name="evaluate")).to_be_visible()
    assert "code" not in page.url
    page.screenshot(path=pictures / "local-runs.png")
    page.get_by_role("link", name="train", exact=True).click()
    page.get_by_role("link", name="Metrics").click()
    expect(page.get_by_text("120 points").first).to_be_visible()
    page.screenshot(path=pictures / "local-metrics.png")
    page.get_by_role("link", name="Artifacts").click()
    page.get_by_role("button", name="outputs/").click()
    page.get_by_role("link", name="classes.csv").click()
    expect(page.get_by_role("cell", name="0.97")).to_be_visible()
    page.get_by_role("link", name="Lineage").click()
    page.get_by_role("link", name="evaluate: Succeeded").click()
    page.get_by_role("link", name="Logs").click()
    expect(page.get_by_text("the loss is")).to_be_visible()
    first = page.url
    page.get_by_role("button", name="Restart").click()
    page.wait_for_url(lambda url: url != first and "/runs/" in url)
    expect(page.locator(".page-head .phase")).to_have_text("Succeeded")
    assert watched.problems == []
    # The code was used: an address that someone copied opens nothing.
    other = browser.new_context().new_page()
    other.goto(address)
    expect(other.get_by_label("Bearer token")).to_be_visible()
    other.context.close()
    context.close()
