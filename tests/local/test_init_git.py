"""The git step against a real host: revisions, submodules, logins, keys, and hosts that fail."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.git_server import LOGIN, GitServer, git

from opstrand.initializer.failure import InitError
from opstrand.initializer.git import clone


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with GitServer(tmp_path_factory.mktemp("git")) as found:
        yield found


def step(url: str, **fields: Any) -> dict[str, Any]:
    plain = {
        "kind": "git",
        "url": url,
        "revision": None,
        "flags": [],
        "target": "/code",
        "patience": 30,
        "secret": None,
        "variables": {},
    }
    return {**plain, **fields}


def secret(tmp_path: Path, **keys: str) -> str:
    (tmp_path / "secret").mkdir()
    for name, value in keys.items():
        (tmp_path / "secret" / name).write_text(value)
    return "/secret"


@pytest.mark.parametrize(
    ("revision", "content"),
    [(None, "two\n"), ("main", "two\n"), ("next", "two\n"), ("v1", "one\n")],
)
def test_a_branch_a_tag_or_neither(
    server: GitServer, tmp_path: Path, revision: str | None, content: str
) -> None:
    (entry,) = clone(
        step(f"{server.url}/public/code.git", revision=revision, flags=["--depth 1"]), str(tmp_path)
    )
    assert (tmp_path / "code/main.txt").read_text() == content
    assert entry["name"] == server.commits["v1" if revision == "v1" else "main"]
    assert entry["kind"] == "coderef"
    assert not list((tmp_path / "code/library").glob("*")), (
        "a submodule is brought where it is asked for"
    )


def test_a_folder_for_what_is_secret_may_have_any_name(
    server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """git runs the credential helper as a command of a shell."""
    scratch = tmp_path / "a b; $(touch gone) '"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    found = secret(tmp_path, POLYAXON_GIT_CREDENTIALS=":".join(LOGIN))
    clone(step(f"{server.url}/private/code.git", secret=found), str(tmp_path))
    assert (tmp_path / "code/main.txt").exists()


def test_a_commit_by_its_first_digits(server: GitServer, tmp_path: Path) -> None:
    clone(
        step(
            f"{server.url}/public/code.git", revision=server.commits["v1"][:9], flags=["--depth=1"]
        ),
        str(tmp_path),
    )
    assert (tmp_path / "code/main.txt").read_text() == "one\n"


@pytest.mark.parametrize(
    "flag",
    [
        "--branch=next",
        "--deepen=1",
        "--depth=1",
        "--filter=blob:none",
        "--force",
        "--ipv4",
        "--jobs=2",
        "--no-recurse-submodules",
        "--no-single-branch",
        "--no-tags",
        "--progress",
        "--prune",
        "--quiet",
        "--recurse-submodules",
        "--recurse-submodules=yes",
        "--recursive",
        "--shallow-since=2000-01-01",
        "--shallow-submodules",
        "--single-branch",
        "--tags",
        "--update-shallow",
        "--verbose",
        "--experimental-fetch",
        "-c http.sslVerify=false",
        "--config=http.postBuffer=1m",
    ],
)
def test_every_flag_that_is_allowed_works(server: GitServer, tmp_path: Path, flag: str) -> None:
    clone(step(f"{server.url}/public/code.git", flags=[flag]), str(tmp_path))
    assert (tmp_path / "code" / "main.txt").exists()


def test_submodules(server: GitServer, tmp_path: Path) -> None:
    clone(
        step(f"{server.url}/public/code.git", flags=["--recurse-submodules", "--depth 1"]),
        str(tmp_path),
    )
    assert (tmp_path / "code/library/lib.txt").read_text() == "from the library\n"


@pytest.mark.parametrize(
    "keys",
    [{"POLYAXON_GIT_CREDENTIALS": ":".join(LOGIN)}, {"username": LOGIN[0], "password": LOGIN[1]}],
    ids=["documented", "basic-auth"],
)
def test_a_login_from_a_secret(server: GitServer, tmp_path: Path, keys: dict[str, str]) -> None:
    url = f"{server.url}/private/code.git"
    clone(step(url, secret=secret(tmp_path, **keys)), str(tmp_path))
    assert (tmp_path / "code/main.txt").exists()
    kept = git("config", "--list", cwd=tmp_path / "code")
    assert LOGIN[1] not in kept, "the repository does not keep the login"


def test_no_login_and_a_wrong_one(server: GitServer, tmp_path: Path) -> None:
    url = f"{server.url}/private/code.git"
    with pytest.raises(InitError, match="could not read Username"):
        clone(step(url), str(tmp_path))
    with pytest.raises(InitError) as caught:
        clone(
            step(
                url, target="/other", secret=secret(tmp_path, POLYAXON_GIT_CREDENTIALS="bot:wr0ng")
            ),
            str(tmp_path),
        )
    assert "Authentication failed" in str(caught.value)
    assert "wr0ng" not in str(caught.value)


def test_a_login_in_the_url_is_not_shown(
    server: GitServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"{server.url}/public/code.git".replace("://", "://bot:t0k@")
    (entry,) = clone(step(url), str(tmp_path))
    assert "t0k" not in str(entry) + capsys.readouterr().out


def test_a_key_goes_by_ssh_and_is_gone_afterwards(
    server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program stands in for ssh: it prints what it was given, and runs the command that it was
    asked to run.
    """
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "ssh").write_text(
        f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat "$2" > {tmp_path}/key\nstat -c %a "$2" > '
        f"{tmp_path}/mode\n"
        f'for last; do :; done\ncd {server.folder}/public && exec sh -c "$(echo "$last" | sed '
        '"s#\'team/#\'#")"\n'
    )
    (programs / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    private = "-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----"
    clone(
        step(
            "https://git.test/team/code.git",
            secret=secret(tmp_path, id_ed25519=private, known_hosts="git.test key"),
        ),
        str(tmp_path),
    )
    words = (tmp_path / "words").read_text()
    assert "git@git.test" in words
    assert "StrictHostKeyChecking=yes" in words
    assert (tmp_path / "key").read_text() == private + "\n"
    assert (tmp_path / "mode").read_text() == "600\n"
    assert not Path(words.split()[1]).exists()


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        (
            "git@git.test: Permission denied (publickey).",
            "the host does not accept the connection's key",
        ),
        (
            "Host key verification failed.",
            "the host's key is not the one in the Secret's known_hosts",
        ),
    ],
)
def test_what_ssh_says_is_kept_and_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, meaning: str
) -> None:
    (tmp_path / "ssh").write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(InitError) as caught:
        clone(step("ssh://git@git.test/code.git"), str(tmp_path))
    expected = f"{meaning}; {said}; fatal: Could not read from remote repository."
    assert str(caught.value) == f"git ssh://***@git.test/code.git: {expected}"


@pytest.mark.alone
def test_a_host_that_never_answers_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a.git"
        started = time.monotonic()
        with pytest.raises(InitError, match="the host did not deliver it in time"):
            clone(step(url, patience=1), str(tmp_path))
        assert time.monotonic() - started < 5


def test_a_deadline_meets_a_step_that_says_what_it_was_at(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://bot:t0k@127.0.0.1:{silent.getsockname()[1]}/a.git"
        document = {"directories": [], "steps": [step(url)]}
        env = {**os.environ, "OPSTRAND_INIT": json.dumps(document), "OPSTRAND_ROOT": str(tmp_path)}
        process = subprocess.Popen(
            [sys.executable, "-m", "opstrand.initializer"],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(60)
        silent.accept()
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (
        1,
        f"ended from outside while fetching {url.replace('bot:t0k', '***')}\n",
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"revision": "no-such"}, "the repository has no branch, tag or commit 'no-such'"),
        ({"flags": ["--upload-pack=/bin/sh"]}, "is not for a run"),
        ({"url": "http://127.0.0.1:9/a.git"}, "Failed to connect"),
        ({"url": "ext::sh -c id"}, "expected an address"),
        ({"url": "file:///etc"}, "expected an address"),
        ({"url": "--help"}, "expected an address"),
        ({"revision": "--upload-pack=x"}, "expected a branch, tag or commit"),
    ],
)
def test_what_cannot_be_cloned_says_why(
    server: GitServer, tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    with pytest.raises(InitError) as caught:
        clone(step(**{"url": f"{server.url}/public/code.git", **fields}), str(tmp_path))
    assert words in str(caught.value)


def test_a_folder_in_the_way(server: GitServer, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code/mine").touch()
    with pytest.raises(InitError, match="the folder /code is there already and not empty"):
        clone(step(f"{server.url}/public/code.git"), str(tmp_path))


def test_a_file_in_the_way(server: GitServer, tmp_path: Path) -> None:
    (tmp_path / "code").touch()
    with pytest.raises(InitError, match="a file is at /code already"):
        clone(step(f"{server.url}/public/code.git"), str(tmp_path))


def test_an_init_container_that_is_started_again_repeats_its_steps(
    server: GitServer, tmp_path: Path
) -> None:
    """A service's init container runs again after every failure, and any Pod's when its sandbox is
    made again.
    """
    fails = step(f"{server.url}/public/code.git", revision="no-such")
    for _ in range(2):
        with pytest.raises(InitError, match="no branch, tag or commit 'no-such'"):
            clone(fails, str(tmp_path / "a"))
    works = step(f"{server.url}/public/code.git", revision="v1")
    for _ in range(2):
        clone(works, str(tmp_path / "b"))
        assert (tmp_path / "b/code/main.txt").read_text() == "one\n"
    with pytest.raises(InitError, match="is there already and not empty"):
        clone({**works, "revision": "main"}, str(tmp_path / "b"))


def test_a_login_that_is_no_text_is_a_wrong_one_and_no_bug(
    server: GitServer, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/username").write_text("bob")
    (tmp_path / "secret/password").write_bytes(b"\xff\xfe")
    with pytest.raises(InitError, match="git http"):
        clone(step(f"{server.url}/private/code.git", secret="/secret"), str(tmp_path))


def test_what_it_leaves_may_be_changed_by_others(server: GitServer, tmp_path: Path) -> None:
    clone(step(f"{server.url}/public/code.git"), str(tmp_path))
    mode = (tmp_path / "code/main.txt").stat().st_mode
    assert mode & stat.S_IROTH
