"""The picture of the README's first commands is one of these commands, and needs no other file."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from tests.support.documented_commands import CHECKOUT, read_blocks

PICTURE = CHECKOUT / "docs" / "first-run.svg"
MOST_BYTES = 20_000


def without_ids(text: str) -> str:
    """Remove what differs between runs."""
    return re.sub(r"[0-9a-f]{32}|-[0-9a-f]{5}\b", "", text).rstrip()


def read_lines() -> list[str]:
    root = ElementTree.fromstring(PICTURE.read_text())
    return ["".join(row.itertext()) for row in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_shows_the_first_block_of_the_readme() -> None:
    blocks = read_blocks(CHECKOUT / "README.md")
    block = next(one for one in blocks if one[0].command.startswith("opstrand run"))
    shown = [without_ids(line) for line in read_lines()]
    assert [line for line in shown if line.startswith("$ ")] == [
        f"$ {one.command}" for one in block
    ]
    expected = [line for one in block for line in one.output.splitlines()]
    missing = [line for line in expected if without_ids(line) not in shown]
    assert missing == [], "make recording"


def test_the_picture_is_small_and_whole_in_itself() -> None:
    text = PICTURE.read_text()
    assert len(text) < MOST_BYTES
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)|url\(|<script|/tmp/|@import", text) == []
