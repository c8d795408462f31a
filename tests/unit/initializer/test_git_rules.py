"""A run may use exactly the listed flags, schemes and revisions of git."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opstrand.initializer.git_rules import Flags, check_revision, check_url, parse_flags


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/a.git",
        "HTTPS://example.org/a",
        "http://user:word@example.org:8080/a/b",
        "ssh://git@example.org:22/a.git",
        "git://example.org/a",
        "git@example.org:a/b.git",
        "example.org:a.git",
        "https://[::1]:80/a",
        "https://example.org",
    ],
)
def test_an_address(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "ext::sh -c id",
            "ext::sh",
            "file:///etc",
            "/etc",
            "./a",
            "a",
            "--help",
            "-oProxyCommand=x:a",
            "ftp://h/a",
            "fd::17/a",
        ),
        *(
            "https://",
            "https:///etc",
            "ssh://-oProxyCommand=x/a",
            "https://h/a b",
            "git@-x:a",
            "ssh://-oProxyCommand=x@h/a",
            "transport::x",
            "https://h/\n",
            "h:\0",
        ),
    ],
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ValueError, match="expected an address"):
        check_url(url)


@pytest.mark.parametrize(
    "revision",
    ["main", "v1.2", "feature/a-b", "8aac02e", "refs/pull/1/head", "v1^{}", "HEAD~2", "日本"],
)
def test_a_revision(revision: str) -> None:
    check_revision(revision)


@pytest.mark.parametrize(
    "revision", ["", "-x", "--upload-pack=x", "a b", "a:b", "+a:b", "a\n", "*", "a\0"]
)
def test_what_is_no_revision(revision: str) -> None:
    with pytest.raises(ValueError, match="expected a branch"):
        check_revision(revision)


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        (["--depth 1"], Flags(("--depth=1",))),
        (["--depth=1", "--no-tags", "-q"], Flags(("--depth=1", "--no-tags", "--quiet"))),
        (["--depth", "1"], Flags(("--depth=1",))),
        (
            ["--recurse-submodules", "--depth 1", "-j4"],
            Flags(("--depth=1", "--jobs=4"), ("--depth=1", "--jobs=4")),
        ),
        (["--recursive --shallow-submodules"], Flags((), ("--depth=1",))),
        (["--branch dev --single-branch"], Flags(branch="dev")),
        (["-b", "dev"], Flags(branch="dev")),
        (["--filter=blob:none"], Flags(("--filter=blob:none",))),
        (["--shallow-since='2026-01-01 10:00'"], Flags(("--shallow-since=2026-01-01 10:00",))),
        (["--recurse-submodules=no"], Flags()),
        (["--experimental-fetch"], Flags()),
        # As in the published documentation.
        (
            ["--recursive", "-c http.sslVerify=false"],
            Flags((), (), settings=("-c", "http.sslVerify=false")),
        ),
        (
            ["-chttp.version=HTTP/1.1", "--config=core.autocrlf=input"],
            Flags(settings=("-c", "http.version=HTTP/1.1", "-c", "core.autocrlf=input")),
        ),
        (
            ["--config http.postBuffer=524288000", "-ccore.longpaths"],
            Flags(settings=("-c", "http.postBuffer=524288000", "-c", "core.longpaths=true")),
        ),
        ([], Flags()),
    ],
)
def test_flags(flags: list[str], wanted: Flags) -> None:
    assert parse_flags(flags) == wanted


@pytest.mark.parametrize(
    "flags",
    [
        ["--upload-pack=/bin/sh"],
        ["--upload-pack", "/bin/sh"],
        ["--upload-p=/bin/sh"],
        ["-c", "core.sshCommand=x"],
        ["-ccore.sshCommand=x"],
        ["--config=x"],
        ["-c"],
        ["-c http.sslVerify=/bin/sh"],
        ["-c http.proxy=http://a"],
        ["-c http.https://a/.extraHeader=x"],
        ["-c alias.fetch=!sh"],
        ["-c core.hooksPath=/x", "-c http.sslVerify=false"],
        ["-c protocol.ext.allow=always"],
        ["-c http.sslVerify=false\ncore.sshCommand=x"],
        ["-c include.path=/x"],
        ["--exec=x"],
        ["--output=x"],
        ["--depth=x"],
        ["--depth"],
        ["--depth=1;x"],
        ["--no-tags=1"],
        ["--no-tags x"],
        ["x"],
        ["--"],
        ["-"],
        ["--depth 1 x"],
        ["--branch=-x"],
        ["--filter=sparse:path=x"],
        ["--dry-run"],
        ["--stdin"],
        ["'--depth"],
        ["--depth 1\0"],
    ],
)
def test_what_is_no_flag_for_a_run(flags: list[str]) -> None:
    with pytest.raises(ValueError, match=r"flag|quotation"):
        parse_flags(flags)


@given(st.lists(st.text("-=ab cdepth1upload/:.\\'\"", max_size=20), max_size=3))
def test_whatever_is_asked_git_gets_listed_flags_alone(flags: list[str]) -> None:
    try:
        parsed = parse_flags(flags)
    except ValueError:
        return
    for flag in (*parsed.fetch, *(parsed.submodules or ())):
        assert flag.partition("=")[0] in (
            "--depth",
            "--deepen",
            "--jobs",
            "--tags",
            "--no-tags",
            "--quiet",
            "--verbose",
            "--prune",
            "--force",
        )
