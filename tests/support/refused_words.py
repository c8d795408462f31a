"""Find in operator/ the words that leave open who does what, "nobody", "meanwhile" and the like,
and those that another word of the glossary says better: report for "tell", merge for "meet".

`make check` runs this as a program. It reads the comments, docstrings, messages and names of every
module, and prints `file:line` for each word that it finds.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: Verbs, and the word that is used here instead.
INSTEAD = {
    "fix": r"mend(s|ed|ing)?",
    "report": r"tell(s|ing)?|told",
    "receive": r"hear(s|d|ing)?",
    "validate": r"judg(e|es|ed|ing)",
    "fetch": r"bring(s|ing)?|brought",
    "merge": r"meet(s|ing)?|lay(s|ing)?|laid",
    "restore": r"thaw(s|ed|ing)?",
    "wait": r"bear(s|ing)?|borne",
}
_VERBS = "|".join(INSTEAD.values())
#: A hyphen or a line break does not hide a word.
REFUSED = re.compile(
    r"(?<![a-z])"
    rf"({_VERBS}|no-?body|some-?body|who-?ever|mean-?while|anew|in[\s-]+vain)"
    r"(?![a-z])",
    re.IGNORECASE,
)
#: In a name, also what is "accept" elsewhere.
_REFUSED_IN_NAMES = re.compile(rf"{_VERBS}|takes?|took", re.IGNORECASE)
#: Most sources have no such letters anywhere, and need not be parsed. A letter may stand before
#: them: that of an escape sequence.
_MAYBE_REFUSED = re.compile(
    REFUSED.pattern.removeprefix("(?<![a-z])").replace(r"[\s-]", r"\W"), re.IGNORECASE
)
_MAYBE_REFUSED_NAME = re.compile(
    rf"(?<![a-z])({_REFUSED_IN_NAMES.pattern})(?![a-z])", re.IGNORECASE
)


def find_refused_words(source: str) -> list[tuple[int, str]]:
    """Return (line, word) for each refused word of a Python source, in the order of lines."""
    if not _MAYBE_REFUSED.search(source):
        return []
    texts = [*_iter_strings(source), *_iter_comments(source)]
    return sorted(
        (min(first + text.count("\n", 0, match.start()), last), match[0])
        for first, last, text in texts
        for match in REFUSED.finditer(text)
    )


def find_refused_names(source: str) -> list[tuple[int, str]]:
    """Return (line, name) for each name of a Python source of which a part is a refused verb."""
    if not _MAYBE_REFUSED_NAME.search(source):
        return []
    names = (
        token
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.NAME
    )
    return [
        (token.start[0], token.string)
        for token in names
        if any(_REFUSED_IN_NAMES.fullmatch(part) for part in token.string.split("_"))
    ]


def _iter_strings(source: str) -> Iterator[tuple[int, int, str]]:
    """Yield (first line, last line, text) of each string, docstrings among them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.end_lineno or node.lineno, node.value


def _iter_comments(source: str) -> Iterator[tuple[int, int, str]]:
    """Yield (first line, last line, text) of each block of comments on adjacent lines."""
    block: list[str] = []
    last = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        if block and line != last + 1:
            yield last - len(block) + 1, last, "\n".join(block)
            block = []
        block.append(token.string.lstrip("#: "))
        last = line
    if block:
        yield last - len(block) + 1, last, "\n".join(block)


def main() -> int:
    found = []
    for path in sorted((CHECKOUT / "operator").rglob("*.py")):
        source, file = path.read_text(encoding="utf-8"), path.relative_to(CHECKOUT)
        found += [
            f"{file}:{line}: {word!r} is refused: say who does what, in the words of the glossary"
            for line, word in find_refused_words(source)
        ]
        found += [
            f"{file}:{line}: the name {name!r} is refused: use a word of the glossary"
            for line, name in find_refused_names(source)
        ]
    print(*found, sep="\n", end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
