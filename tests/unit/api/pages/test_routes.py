"""What a browser gets: files with their types, one page for every address, and a strict policy."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from opstrand.api import pages
from opstrand.api.app import create_app
from opstrand.api.auth.callers import StaticToken
from opstrand.api.pages.files import list_files, read_file
from opstrand.api.pages.routes import ROUTES
from opstrand.runs.memory import MemoryRuns

FOLDER = Path(pages.__file__).parent
Client = TestClient[Any, Any]
_IMPORT = re.compile(r"""(?:from|import\()\s*"(\.[^"]+)\"""")


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    server = TestServer(create_app(MemoryRuns(), StaticToken("secret"), resources=ROUTES))
    async with TestClient(server) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "root"),
    [
        ("/ui/", "./"),
        ("/ui/default/team/runs", "../../"),
        ("/ui/default/team/runs/" + "a" * 32 + "/", "../../../../"),
        ("/ui/default/team/runs/" + "a" * 32 + "/logs/", "../../../../../"),
        ("/ui/default/a%2Fb/runs", "../../"),
    ],
)
async def test_every_address_is_the_one_page_with_relative_links(
    api: Client, path: str, root: str
) -> None:
    """So it works behind every prefix of a proxy."""
    from yarl import URL

    answer = await api.get(URL(path, encoded=True))
    text = await answer.text()
    assert answer.status == 200
    assert answer.content_type == "text/html"
    assert f'src="{root}-/app/main.js"' in text
    assert "{root}" not in text


@pytest.mark.parametrize("path", ["/ui/", "/ui/-/app/main.js", "/ui/-/vendor/preact.js"])
async def test_nothing_inline_and_nothing_of_another_host_may_run(api: Client, path: str) -> None:
    headers = (await api.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "Set-Cookie" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_that_is_known_is_not_sent_again(api: Client) -> None:
    first = await api.get("/ui/-/app/main.js")
    tag = first.headers["ETag"]
    assert (await first.read()) == (FOLDER / "app/main.js").read_bytes()
    second = await api.get("/ui/-/app/main.js", headers={"If-None-Match": tag})
    assert (second.status, await second.read()) == (304, b"")


@pytest.mark.parametrize(
    "path", ["app/none.js", "page.html", "files.py", "vendor/lock.json", "app/../files.py", "app"]
)
async def test_no_other_file_is_sent(api: Client, path: str) -> None:
    from yarl import URL

    assert (await api.get(URL(f"/ui/-/{path}", encoded=True))).status in (200, 404)
    assert path not in list_files()


async def test_the_root_leads_to_the_pages(api: Client) -> None:
    answer = await api.get("/", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "ui/")


def test_the_vendored_files_are_those_of_the_lock() -> None:
    lock = json.loads((FOLDER / "vendor/lock.json").read_text())
    named = {one["as"]: one["sha256Here"] for package in lock for one in package["files"]}
    found = {
        path.name: sha256(path.read_bytes()).hexdigest()
        for path in (FOLDER / "vendor").iterdir()
        if path.name != "lock.json" and not path.name.endswith(".d.ts")
    }
    assert found == named
    assert all(package["licence"] in ("MIT", "Apache-2.0") for package in lock)


def test_every_module_that_is_imported_is_there() -> None:
    missing = []
    for name in list_files():
        if name.startswith("app/") and name.endswith(".js"):
            path = FOLDER / name
            missing += [
                f"{name}: {found}"
                for found in _IMPORT.findall(path.read_text())
                if not (path.parent / found).is_file()
            ]
    assert missing == []


def test_the_first_page_is_small() -> None:
    """What the list of runs loads, compressed: below 120 KB."""
    wanted, seen = ["app/main.js"], set[str]()
    while wanted:
        name = wanted.pop()
        if name not in seen:
            seen.add(name)
            path = FOLDER / name
            imported = re.findall(r"""from\s*"(\.[^"]+)\"""", path.read_text())
            wanted += [str((path.parent / one).resolve().relative_to(FOLDER)) for one in imported]
    assert "app/runs.js" in seen
    size = sum(len(read_file(name).compressed) for name in (*seen, "app/style.css"))
    assert size < 60 * 1024


def test_a_compressed_file_is_the_file() -> None:
    found = read_file("app/style.css")
    assert gzip.decompress(found.compressed) == found.content
