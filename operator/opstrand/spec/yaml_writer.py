"""Write data as YAML that all readers read alike: YAML 1.1 (PyYAML), YAML 1.2, and kubectl.

Owns quoting and the form of long texts. Characters that a terminal would act on are escaped. Must
not know what it writes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from opstrand.spec.yaml_scalars import needs_quotes
from opstrand.text import CONTROLS

#: Characters that only some readers accept, or read as line breaks: a text with one of them is
#: written with escapes.
_UNEVEN = re.compile(r"[\x85\u2028\u2029\ufeff\ufdd0-\ufdef\ufffe\uffff]")
_ESCAPED = re.compile(f"{CONTROLS.pattern}|{_UNEVEN.pattern}")
#: Columns: more than any line has, so that no line is folded.
_UNFOLDED = 2**31 - 1


def write_yaml(value: Any, *, width: int = _UNFOLDED) -> str:
    """One document, with keys in the order of the value. Texts of several lines become blocks where
    a block can hold them.
    """
    return _write([value], several=False, width=width)


def write_documents(values: Iterable[Any]) -> str:
    """A stream of documents, each started by `---`."""
    return _write(list(values), several=True, width=_UNFOLDED)


def _write(values: list[Any], *, several: bool, width: int) -> str:
    text: str = yaml.dump_all(
        values,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=width,
        explicit_start=several,
    )
    # All such characters that are left are inside double quotes.
    return _ESCAPED.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return match.group() if code == 0x0A else f"\\x{code:02X}" if code < 0x100 else f"\\u{code:04X}"


class _Dumper(yaml.SafeDumper):
    """PyYAML's dumper without aliases: people read the output, and readers that know no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: _Dumper, value: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=_style(value))


def _style(value: str) -> str | None:
    if _ESCAPED.search(value.replace("\n", "")):
        return '"'
    if "\n" in value:
        # A block that starts with a blank or a line break needs an indentation indicator, which
        # readers interpret differently.
        return '"' if value[0] in " \n" else "|"
    return "'" if needs_quotes(value) else None


_Dumper.add_representer(str, _represent_text)
