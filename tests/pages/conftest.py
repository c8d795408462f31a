"""The API over the scene, and a page of a browser with a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from opstrand.runs.memory import MemoryRuns
from tests.pages.browser import Watched, open_browser
from tests.pages.scene import PROJECT, set_scene
from tests.support.loopback_api import TOKEN, LoopbackApi

Open = Callable[..., Watched]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Yield it until the last test here: beside its loop, no test of another folder gets one."""
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackApi]:
    """Yield the API over the scene, which tests only read."""
    serving = LoopbackApi(MemoryRuns([PROJECT, "empty"]), tmp_path_factory.mktemp("files"))
    set_scene(serving)
    serving.start()
    yield serving
    serving.close()


@pytest.fixture(scope="session")
def pictures(pytestconfig: pytest.Config) -> Path:
    """Return the folder of the screenshots, which stay after the tests."""
    folder = pytestconfig.rootpath / ".work" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_page(browser: Browser, api: LoopbackApi) -> Iterator[Open]:
    """Yield what opens an address below /ui/; at the end, no page may have had an error."""
    contexts, opened = [], []

    def open_at(
        path: str,
        *,
        token: str = TOKEN,
        theme: str = "light",
        width: int = 1280,
        root: str = "",
    ) -> Watched:
        context = browser.new_context(
            color_scheme=theme,  # type: ignore[arg-type]
            viewport={"width": width, "height": 860},
            reduced_motion="reduce",
        )
        contexts.append(context)
        if token:
            context.add_init_script(
                f"sessionStorage.getItem('opstrand.token') ?? "
                f"sessionStorage.setItem('opstrand.token', {token!r})"
            )
        watched = Watched(context.new_page())
        opened.append(watched)
        watched.page.goto((root or f"http://127.0.0.1:{api.port}") + "/ui/" + path)
        return watched

    yield open_at
    problems = [problem for watched in opened for problem in watched.problems]
    for context in contexts:
        context.close()
    assert problems == []
