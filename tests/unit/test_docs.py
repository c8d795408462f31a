"""The pages: every path that they name exists, every link leads somewhere, and they are written in plain words and short lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "operator" / "opstrand"
PAGES = [*sorted(CHECKOUT.glob("*.md")), *sorted(CHECKOUT.glob("docs/**/*.md")), *sorted(CHECKOUT.glob("tests/**/README.md"))]
#: A line of a table cannot be broken.
WIDTH = 120
#: Words that leave open who does what, and words that have another meaning here (docs/glossary.md).
REFUSED = ("somebody", "nobody", "whoever", "meanwhile", "anew", "in vain", "mend", "lay over", "laid over")
#: Written in the words of their time.
OLD = ("CHANGELOG.md", "tests/")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
#: What looks like a path of the repository: folders and a name with an ending, or a folder with a slash at its end.
_PATH = re.compile(r"(?:[\w.-]+/)+(?:[\w.-]+\.(?:py|md|yaml|toml|txt|json|sh))?")
#: Folders of our own: what begins with another word is a path of something else (a URL, a user's folder).
ROOMS = {path.name for path in (*CHECKOUT.iterdir(), *PACKAGE.iterdir()) if path.is_dir()}


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def named_paths(text: str) -> list[str]:
    """The paths in the code spans of a page."""
    found = [one for span in _CODE.findall(text) if _PATH.fullmatch(one := span.rstrip(":,"))]
    return [one for one in found if one.split("/")[0] in ROOMS]


def exists(path: str) -> bool:
    return any((root / path).exists() for root in (CHECKOUT, PACKAGE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    missing = [path for path in named_paths(page.read_text()) if not exists(path) and not path.startswith(("dist/", ".work/"))]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [link for link in _LINK.findall(page.read_text()) if "://" not in link and not link.startswith("#")]
    broken = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert broken == []


@pytest.mark.parametrize("page", [page for page in PAGES if not name_of(page).startswith(OLD)], ids=name_of)
def test_a_page_has_short_lines_and_plain_words(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert [line for line in lines if len(line) > WIDTH and not line.startswith("|")] == []
    text = " ".join(lines).lower()
    assert [word for word in REFUSED if re.search(rf"\b{word}\b", text)] == []


def test_the_ten_questions_of_the_architecture_page_are_answered_by_paths() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text()
    rows = [line for line in text.partition("## Ten questions")[2].splitlines() if line.startswith("| ") and "---" not in line][1:]
    assert len(rows) == 10
    assert [row for row in rows if not named_paths(row)] == []


def test_every_room_is_drawn_on_the_architecture_page() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text().partition("```text\n")[2].partition("```")[0]
    rooms = {path.name.removesuffix(".py") for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert {room for room in rooms - {"__init__"} if not re.search(rf"\b{room}\b", text)} == set()


def test_every_decision_is_listed_and_has_all_its_parts() -> None:
    folder = CHECKOUT / "docs" / "decisions"
    listed = _LINK.findall((folder / "README.md").read_text())
    files = sorted(path.name for path in folder.glob("0*.md"))
    assert sorted(listed) == files
    assert [name[:4] for name in files] == [f"{number:04}" for number in range(1, len(files) + 1)]
    for name in files:
        text = (folder / name).read_text()
        assert re.search(r"^20\d\d-\d\d · (accepted|replaced by .*)$", text, re.MULTILINE), name
        missing = [part for part in ("Context", "Decision", "Consequences", "What would change our mind") if f"**{part}.**" not in text]
        assert missing == [], name
