"""An application's answers to errors: a whole answer, or a connection that is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import opstrand
from opstrand.api.app import new_application
from opstrand.errors import PlatformError

ERRORS = [PlatformError("the bucket does not answer"), ValueError("a bug"), OSError("no disk")]


def application(error: Exception, size: int | None, *, begins: bool) -> web.Application:
    """One path that fails with the error, after a part of its answer if it begins one."""

    async def fail(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        answer.content_length = size
        if begins:
            await answer.prepare(request)
            await answer.write(b"the beginning")
        raise error

    app = new_application()
    app.router.add_get("/", fail)
    return app


@pytest.mark.parametrize("size", [100_000, None], ids=["announced", "chunked"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_half_an_answer_does_not_look_like_a_whole_one(
    error: Exception, size: int | None
) -> None:
    app = application(error, size, begins=True)
    async with TestClient[Any, Any](TestServer(app)) as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get("/") as found:
                await found.read()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
async def test_an_error_before_the_answer_is_one_of_its_own(error: Exception) -> None:
    app = application(error, None, begins=False)
    async with TestClient[Any, Any](TestServer(app)) as client, client.get("/") as found:
        assert found.status == (503 if isinstance(error, PlatformError) else 500)
        assert (await found.json())["detail"]


def test_every_application_of_the_api_is_made_so() -> None:
    package = Path(opstrand.__file__).parent
    made = {
        str(file.relative_to(package))
        for folder in ("api", "cli")
        for file in (package / folder).rglob("*.py")
        if "web.Application(" in file.read_text()
    }
    assert made == {"api/app.py"}
