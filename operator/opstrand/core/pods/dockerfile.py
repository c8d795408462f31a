"""Render the text of a Dockerfile from an `init.dockerfile` section.

Owns the order of its lines and their quoting: text of the author may use `$NAME` as Docker reads
it; text that a template printed (see `core.templates.traced`) is data and stays within its word and
its line. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from opstrand.core.templates.traced import Piece, pieces_of
from opstrand.core.values.types import to_text
from opstrand.errors import SpecError
from opstrand.text import shorten

_WORKDIR, _SHELL, _USER = "/code", "/bin/bash", "polyaxon"
#: Characters that end a line for Docker or for a program that splits its text.
_BREAK = re.compile(r"[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")
#: Special characters within quotes, and outside of them.
_QUOTED, _BARE = re.compile(r"([\\\"$])"), re.compile(r"([\\\"'$])")
_VARIABLE = re.compile(r"(?!-)[^\s=\"'$\\]+")
#: The options of an instruction, before its first word.
_OPTIONS = re.compile(r"\s*((?:--\S*(?:\s+|\Z))*)")
_ACCOUNT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def render_dockerfile(section: Any) -> str:
    """Render one instruction per line, in the documented order.

    Raises SpecError for a section of the wrong shape.
    """
    if not isinstance(section, Mapping) or not section.get("image"):
        raise SpecError("InvalidSpec", "expected a dockerfile with an image", "dockerfile")
    return "\n".join(_iter_lines(section)) + "\n"


def _iter_lines(section: Mapping[str, Any]) -> Iterator[str]:
    workdir = section.get("workdir") or _WORKDIR
    yield f"FROM {_image(section['image'])}"
    if section.get("langEnv"):
        yield from (
            f"ENV {name}={_quote(section['langEnv'])}" for name in ("LC_ALL", "LANG", "LANGUAGE")
        )
    yield f"ENV SHELL={_quote(section.get('shell') or _SHELL)}"
    yield from (f'ENV PATH="${{PATH}}:{_quote(path)[1:-1]}"' for path in _listed(section, "path"))
    yield from (
        f"ENV {_variable(name)}={_quote(value)}" for name, value in _variables(section.get("env"))
    )
    yield f"WORKDIR {_folder(workdir)}"
    yield from _copies(section, "copy", workdir)
    yield from (f"RUN {_command(command)}" for command in _listed(section, "run"))
    yield from _copies(section, "postRunCopy", workdir)
    if section.get("uid") and section.get("gid"):
        name, uid, gid = (
            _account(section.get("username") or _USER),
            _number(section["uid"]),
            _number(section["gid"]),
        )
        yield f"RUN groupadd -g {gid} -r {name} && useradd -r -m -g {name} -u {uid} {name}"
    if section.get("workdirPath"):
        yield _copy(section["workdirPath"], workdir)


def _copies(section: Mapping[str, Any], key: str, workdir: Any) -> Iterator[str]:
    for entry in _listed(section, key):
        source, target = (entry, workdir) if isinstance(entry, str) else _pair(entry, key)
        yield _copy(source, target)


def _copy(source: Any, target: Any) -> str:
    """Render COPY, in the list form if a template printed a blank, an option or `<<`.

    The plain form would then be read as more than two paths. What the author wrote stays plain:
    `--chown=1 src`.
    """
    words = [_bare(source), _bare(target)]
    printed = [
        piece.text for one in (source, target) for piece in pieces_of(_text(one)) if piece.printed
    ]
    is_list = (
        any(map(_has_blank, printed))
        or _changes_instruction(_text(source))
        or _changes_instruction(_text(target))
    )
    return f"COPY {json.dumps(words, ensure_ascii=False) if is_list else ' '.join(words)}"


def _changes_instruction(text: str) -> bool:
    """Return whether printed text gives an instruction options, or here-documents.

    A here-document would swallow the lines after it.
    """
    skeleton = "".join("\0" if piece.printed else piece.text for piece in pieces_of(text))
    return _count_signs(text) != _count_signs(skeleton)


def _count_signs(text: str) -> tuple[int, int]:
    options = _OPTIONS.match(text)
    return len(options[1].split()) if options else 0, text.count("<<")


def _has_blank(text: str) -> bool:
    return any(character.isspace() for character in text)


def _pair(entry: Any, key: str) -> tuple[Any, Any]:
    if not isinstance(entry, list | tuple) or len(entry) != 2:
        raise SpecError(
            "InvalidSpec",
            f"expected a path or [from, to] in {key} of a dockerfile, found {entry!r}",
            "dockerfile",
        )
    return entry[0], entry[1]


def _variables(env: Any) -> list[tuple[Any, Any]]:
    if isinstance(env, Mapping):
        return list(env.items())
    if not isinstance(env or (), list | tuple):
        raise SpecError(
            "InvalidSpec",
            f"expected names and values, found {shorten(repr(env), 80)}",
            "dockerfile.env",
        )
    return [_pair(entry, "env") for entry in env or ()]


def _listed(section: Mapping[str, Any], key: str) -> list[Any]:
    value = section.get(key)
    return list(value) if isinstance(value, list | tuple) else ([] if value is None else [value])


# --- one function for each kind of word -----------------------------------------------------------


def _text(value: Any) -> str:
    """Return a value as text, with its trace if it has one."""
    return value if isinstance(value, str) else to_text(value)


def _one_line(value: Any) -> str:
    text = _text(value)
    if _BREAK.search(text):
        found = shorten(repr(str(text)), 80)
        words = (
            "a dockerfile's names and paths are one line each, and so are its values, found "
            f"{found}"
        )
        raise SpecError("InvalidSpec", words, "dockerfile")
    return text


def _quote(value: Any) -> str:
    """Quote a value as one word in which Docker expands only the `$` that the author wrote."""
    return f'"{"".join(_quote_piece(piece) for piece in pieces_of(_one_line(value)))}"'


def _quote_piece(piece: Piece) -> str:
    escaped = _QUOTED.sub(r"\\\1", piece.text)
    return escaped if piece.printed else escaped.replace("\\$", "$")


def _bare(value: Any) -> str:
    """Render a path without quotes: Docker reads what the author wrote, the rest is escaped."""
    pieces = pieces_of(_one_line(value))
    return "".join(
        _BARE.sub(r"\\\1", piece.text) if piece.printed else piece.text for piece in pieces
    )


def _folder(value: Any) -> str:
    if _changes_instruction(_text(value)):
        raise SpecError(
            "InvalidSpec",
            f"expected a folder, found {shorten(repr(str(value)), 80)}",
            "dockerfile.workdir",
        )
    return _bare(value)


def _image(value: Any) -> str:
    text = _one_line(value)
    if _changes_instruction(text) or any(
        _has_blank(piece.text) for piece in pieces_of(text) if piece.printed
    ):
        raise SpecError(
            "InvalidSpec",
            f"expected the name of an image, found {shorten(repr(str(text)), 80)}",
            "dockerfile.image",
        )
    return _bare(text)


def _variable(name: Any) -> str:
    text = to_text(name)
    if not _VARIABLE.fullmatch(text):
        raise SpecError(
            "InvalidSpec", f"{shorten(repr(text), 80)} is no name of a variable", "dockerfile.env"
        )
    return text


def _command(value: Any) -> str:
    """Render a command as the author wrote it.

    The shell reads what a template printed: that must not end the line or the instruction, and must
    not be an option of the instruction.
    """
    text = _text(value)
    printed = [piece.text for piece in pieces_of(text) if piece.printed]
    if any(map(_BREAK.search, printed)) or (printed and text.rstrip().endswith("\\")):
        found = shorten(repr(str(text)), 80)
        words = f"a value in a dockerfile's command would begin another instruction, found {found}"
        raise SpecError("InvalidSpec", words, "dockerfile.run")
    if _changes_instruction(text):
        words = (
            "a value in a dockerfile's command would be an option of RUN or begin a "
            f"here-document, found {shorten(repr(str(text)), 80)}"
        )
        raise SpecError("InvalidSpec", words, "dockerfile.run")
    return str(text).rstrip()


def _number(value: Any) -> str:
    text = to_text(value)
    if not (text.isascii() and text.isdecimal()):
        raise SpecError(
            "InvalidSpec",
            f"expected the number of a user or group, found {shorten(repr(text), 80)}",
            "dockerfile",
        )
    return text


def _account(value: Any) -> str:
    text = to_text(value)
    if not _ACCOUNT.fullmatch(text):
        raise SpecError(
            "InvalidSpec",
            f"expected the name of a user, found {shorten(repr(text), 80)}",
            "dockerfile.username",
        )
    return text
