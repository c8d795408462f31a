"""What a run may ask of git: allow lists of URLs, revisions and flags.

Owns those lists, for the validation of a file and for the init container alike. Pure. It refuses
every flag that is not listed: some flags of git run a program, and git accepts any unambiguous
prefix of a flag's name.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

#: The protocols that git may use with a repository or its submodules.
PROTOCOLS = ("https", "http", "ssh", "git")
_HOST = r"(?:(?!-)[^\s/@]+@)?[A-Za-z0-9\[][^\s/@\x00-\x1f\x7f]*"
_URL = re.compile(rf"(?:{'|'.join(PROTOCOLS)})://{_HOST}(?:/[^\s\x00-\x1f\x7f]*)?", re.IGNORECASE)
#: user@host:path, as ssh accepts it. Two colons would name a helper program.
_SCP = re.compile(r"(?:[A-Za-z0-9_][^\s/:@]*@)?[A-Za-z0-9\[][^\s/:@]*:(?!:|//)[^\s\x00-\x1f\x7f]+")
_REVISION = re.compile(r"(?!-)[^\s:?*\[\\\x00-\x1f\x7f]+")
_LOGIN = re.compile(r"://[^/@\s]+@")

_COUNT = r"[0-9]{1,9}"
_DATE = r"[\w:+. /-]{1,60}"
_NAME = r"(?!-)[^\s:?*\[\\]+"
_FILTER = r"(?:blob:none|blob:limit=[0-9]+[kmg]?|tree:[0-9]+|object:type=(?:tag|commit|tree|blob))"
#: Flag -> a pattern for its value; empty if it has none.
_FLAGS = {
    "--branch": _NAME,
    "--deepen": _COUNT,
    "--depth": _COUNT,
    "--experimental-fetch": "",
    "--filter": _FILTER,
    "--force": "",
    "--ipv4": "",
    "--ipv6": "",
    "--jobs": _COUNT,
    "--no-recurse-submodules": "",
    "--no-single-branch": "",
    "--no-tags": "",
    "--progress": "",
    "--prune": "",
    "--quiet": "",
    "--recurse-submodules": "(?:yes|no|on-demand)?",
    "--recursive": "",
    "--shallow-exclude": _NAME,
    "--shallow-since": _DATE,
    "--shallow-submodules": "",
    "--single-branch": "",
    "--tags": "",
    "--update-shallow": "",
    "--verbose": "",
}
#: The settings of git that `-c` or `--config` may set, in lower case, with a pattern for their
#: values: none of them names a program or a file.
_YES_OR_NO = "true|false|yes|no|on|off|1|0"
_SETTINGS = {
    "advice.detachedhead": _YES_OR_NO,
    "core.autocrlf": f"{_YES_OR_NO}|input",
    "core.compression": "-1|[0-9]",
    "core.eol": "lf|crlf|native",
    "core.longpaths": _YES_OR_NO,
    "core.symlinks": _YES_OR_NO,
    "fetch.fsckobjects": _YES_OR_NO,
    "fetch.parallel": _COUNT,
    "http.followredirects": f"{_YES_OR_NO}|initial",
    "http.lowspeedlimit": _COUNT,
    "http.lowspeedtime": _COUNT,
    "http.maxrequests": _COUNT,
    "http.postbuffer": "[0-9]{1,9}[kmg]?",
    "http.sslverify": _YES_OR_NO,
    "http.version": "HTTP/1.1|HTTP/2",
    "protocol.version": "[012]",
    "submodule.fetchjobs": _COUNT,
    "transfer.fsckobjects": _YES_OR_NO,
}
_SETTING = "--config"
_SHORT = {
    "-4": "--ipv4",
    "-6": "--ipv6",
    "-b": "--branch",
    "-c": _SETTING,
    "-f": "--force",
    "-j": "--jobs",
    "-n": "--no-tags",
    "-p": "--prune",
    "-q": "--quiet",
    "-t": "--tags",
    "-v": "--verbose",
}
#: Flags of `git clone` that ask for what happens anyway, or that belong to the steps after the
#: fetch.
_NOT_OF_FETCH = frozenset(
    {
        "--branch",
        # The published package's own flag for a fetch of the revision alone.
        "--experimental-fetch",
        "--no-recurse-submodules",
        "--no-single-branch",
        "--recurse-submodules",
        "--recursive",
        "--shallow-submodules",
        "--single-branch",
    }
)


@dataclass(frozen=True)
class Flags:
    """The flags of one step, by their purpose."""

    fetch: tuple[str, ...] = ()
    #: Flags of `git submodule update`; None: submodules are not fetched.
    submodules: tuple[str, ...] | None = None
    branch: str | None = None
    #: Arguments that precede every command of git.
    settings: tuple[str, ...] = ()


def check_url(url: str) -> None:
    """Raise ValueError unless this is the URL of a repository."""
    if not _URL.fullmatch(url) and not _SCP.fullmatch(url):
        known = ", ".join(f"{one}://" for one in PROTOCOLS)
        raise ValueError(
            f"expected an address that begins with {known}, or user@host:path, found {_show(url)}"
        )


def check_revision(revision: str) -> None:
    """Raise ValueError unless this can be a branch, tag or commit."""
    if not _REVISION.fullmatch(revision):
        raise ValueError(f"expected a branch, tag or commit, found {_show(revision)}")


def parse_flags(flags: Sequence[str]) -> Flags:
    """Validate the flags in git's syntax, where `--depth 1` is one flag.

    Raises ValueError for a flag that a run may not use.
    """
    given: dict[str, str] = {}
    settings: list[str] = []
    for name, value in _read_flags(flags):
        flag = _SHORT.get(name, name)
        if flag == _SETTING:
            settings += ["-c", _check_setting(value)]
            continue
        if flag not in _FLAGS:
            raise ValueError(
                f"the flag {_show(name)} is not for a run; these are: "
                f"{', '.join((*_FLAGS, _SETTING))}"
            )
        if not re.fullmatch(_FLAGS[flag], value):
            raise ValueError(
                f"the flag {flag} "
                f"{'accepts no value' if not _FLAGS[flag] else 'accepts another value'}, found "
                f"{_show(value)}"
            )
        given[flag] = value
    fetch = tuple(_join(flag, value) for flag, value in given.items() if flag not in _NOT_OF_FETCH)
    return Flags(fetch, _submodule_flags(given), given.get("--branch"), tuple(settings))


def _check_setting(text: str) -> str:
    """Return `KEY=VALUE`; a key alone means true."""
    key, _, value = text.partition("=")
    wanted = _SETTINGS.get(key.lower())
    if wanted is None:
        raise ValueError(
            f"the flag {_SETTING} is not for the setting {_show(key)}; these are: "
            f"{', '.join(_SETTINGS)}"
        )
    if not re.fullmatch(wanted, value or "true", re.IGNORECASE):
        raise ValueError(
            f"the flag {_SETTING} accepts another value of {key}, found {_show(value)}"
        )
    return f"{key}={value or 'true'}"


def _read_flags(flags: Sequence[str]) -> list[tuple[str, str]]:
    """Return names and values: a value follows `=`, or is the next word if the flag needs one."""
    words = [word for flag in flags for word in shlex.split(flag)]
    found: list[tuple[str, str]] = []
    for word in words:
        if word.startswith("-"):
            name, _, value = word.partition("=")
            found.append((name, value))
        elif found and not found[-1][1]:
            found[-1] = (found[-1][0], word)
        else:
            raise ValueError(f"expected a flag, found {_show(word)}")
    return [_split_short(name, value) for name, value in found]


def _split_short(name: str, value: str) -> tuple[str, str]:
    """Split a glued flag: `-j4` is `-j 4`, and `-ckey=value` is `-c key=value`."""
    if name.startswith("-c") and len(name) > 2:
        return "-c", f"{name[2:]}={value}" if value else name[2:]
    glued = not name.startswith("--") and len(name) > 2 and not value
    return (name[:2], name[2:]) if glued else (name, value)


def _submodule_flags(given: dict[str, str]) -> tuple[str, ...] | None:
    asked = "--recursive" in given or given.get("--recurse-submodules", "no") != "no"
    if not asked or "--no-recurse-submodules" in given:
        return None
    flags = [_join(flag, given[flag]) for flag in ("--depth", "--jobs") if flag in given]
    return (
        *flags,
        *(["--depth=1"] if "--shallow-submodules" in given and "--depth" not in given else []),
    )


def _join(flag: str, value: str) -> str:
    return f"{flag}={value}" if value else flag


def hide(text: str) -> str:
    """Return `text` without the logins of the URLs in it."""
    return _LOGIN.sub("://***@", text)


def _show(text: str) -> str:
    text = hide(text)
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
