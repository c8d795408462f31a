"""The text of a Dockerfile from an `init.dockerfile` section.

Owns the order of its lines and their quoting. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.values.types import to_text
from opstrand.errors import SpecError

_WORKDIR, _SHELL, _USER = "/code", "/bin/bash", "polyaxon"


def render_dockerfile(section: Any) -> str:
    """One instruction a line, in the documented order. SpecError for a section of the wrong shape."""
    if not isinstance(section, Mapping) or not section.get("image"):
        raise SpecError("InvalidSpec", "expected a dockerfile with an image", "dockerfile")
    return "\n".join(_iter_lines(section)) + "\n"


def _iter_lines(section: Mapping[str, Any]) -> Iterator[str]:
    workdir = str(section.get("workdir") or _WORKDIR)
    yield f"FROM {_one_line(section['image'])}"
    if section.get("langEnv"):
        yield from (f"ENV {name}={_quote(section['langEnv'])}" for name in ("LC_ALL", "LANG", "LANGUAGE"))
    yield f"ENV SHELL={_quote(section.get('shell') or _SHELL)}"
    yield from (f'ENV PATH="${{PATH}}:{_one_line(path)}"' for path in _listed(section, "path"))
    yield from (f"ENV {_one_line(name)}={_quote(value)}" for name, value in _variables(section.get("env")))
    yield f"WORKDIR {_one_line(workdir)}"
    yield from _copies(section, "copy", workdir)
    yield from (f"RUN {to_text(command).rstrip()}" for command in _listed(section, "run"))
    yield from _copies(section, "postRunCopy", workdir)
    if section.get("uid") and section.get("gid"):
        name = _one_line(section.get("username") or _USER)
        yield f"RUN groupadd -g {section['gid']} -r {name} && useradd -r -m -g {name} -u {section['uid']} {name}"
    if section.get("workdirPath"):
        yield f"COPY {_one_line(section['workdirPath'])} {_one_line(workdir)}"


def _copies(section: Mapping[str, Any], key: str, workdir: str) -> Iterator[str]:
    for entry in _listed(section, key):
        source, target = (entry, workdir) if isinstance(entry, str) else _pair(entry, key)
        yield f"COPY {_one_line(source)} {_one_line(target)}"


def _pair(entry: Any, key: str) -> tuple[Any, Any]:
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise SpecError("InvalidSpec", f"expected a path or [from, to] in {key} of a dockerfile, found {entry!r}", "dockerfile")
    return entry[0], entry[1]


def _variables(env: Any) -> list[tuple[Any, Any]]:
    if isinstance(env, Mapping):
        return list(env.items())
    return [_pair(entry, "env") for entry in env or ()]


def _listed(section: Mapping[str, Any], key: str) -> list[Any]:
    value = section.get(key)
    return list(value) if isinstance(value, list | tuple) else ([] if value is None else [value])


def _quote(value: Any) -> str:
    """A value that stays one word, with `$` expanded as Docker does."""
    return json.dumps(to_text(value), ensure_ascii=False)


def _one_line(value: Any) -> str:
    text = to_text(value)
    if "\n" in text or "\r" in text:
        raise SpecError("InvalidSpec", f"a dockerfile's names and paths are one line each, found {text!r}", "dockerfile")
    return text
