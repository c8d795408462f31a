"""The pages: every path that they name exists, every link leads to a file, and they are written in
plain words and short lines.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
import yaml

from opstrand.core.phase import Phase
from opstrand.errors import REASONS
from opstrand.settings import Settings
from opstrand.spec.crd.status import status_schema
from opstrand.spec.crd.write import EDITABLE

CHECKOUT = Path(__file__).resolve().parents[2]
PACKAGE = CHECKOUT / "operator" / "opstrand"
PAGES = [
    *sorted(CHECKOUT.glob("*.md")),
    *sorted(CHECKOUT.glob("docs/**/*.md")),
    *sorted(CHECKOUT.glob("tests/**/README.md")),
]
#: A line of a table cannot be broken.
WIDTH = 120
#: Words that leave open who does what, and words that have another meaning here (docs/glossary.md).
REFUSED = (
    "somebody",
    "nobody",
    "whoever",
    "meanwhile",
    "anew",
    "in vain",
    "mend",
    "lay over",
    "laid over",
)
#: Pages with older words: the changelog keeps the words of its time.
OLD = ("CHANGELOG.md", "tests/")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`\n]+)`")
#: What looks like a path of the repository: folders and a name with an ending, or a folder with a
#: slash at its end.
_PATH = re.compile(r"(?:[\w.-]+/)+(?:[\w.-]+\.(?:py|md|yaml|toml|txt|json|sh))?")
#: Our own folders: a path that begins with another word is not ours (a URL, a user's folder).
ROOMS = {path.name for path in (*CHECKOUT.iterdir(), *PACKAGE.iterdir()) if path.is_dir()}


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def named_paths(text: str) -> list[str]:
    """Return the paths in the code spans of a page."""
    found = [one for span in _CODE.findall(text) if _PATH.fullmatch(one := span.rstrip(":,"))]
    return [one for one in found if one.split("/")[0] in ROOMS]


def exists(path: str) -> bool:
    return any((root / path).exists() for root in (CHECKOUT, PACKAGE))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    missing = [
        path
        for path in named_paths(page.read_text())
        if not exists(path) and not path.startswith(("dist/", ".work/"))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [
        link
        for link in _LINK.findall(page.read_text())
        if "://" not in link and not link.startswith("#")
    ]
    broken = [link for link in links if not (page.parent / link.partition("#")[0]).exists()]
    assert broken == []


@pytest.mark.parametrize(
    "page", [page for page in PAGES if not name_of(page).startswith(OLD)], ids=name_of
)
def test_a_page_has_short_lines_and_plain_words(page: Path) -> None:
    lines = page.read_text().splitlines()
    assert [line for line in lines if len(line) > WIDTH and not line.startswith("|")] == []
    text = " ".join(lines).lower()
    assert [word for word in REFUSED if re.search(rf"\b{word}\b", text)] == []


def test_the_ten_questions_of_the_architecture_page_are_answered_by_paths() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text()
    rows = [
        line
        for line in text.partition("## Ten questions")[2].splitlines()
        if line.startswith("| ") and "---" not in line
    ][1:]
    assert len(rows) == 10
    assert [row for row in rows if not named_paths(row)] == []


def test_every_room_is_drawn_on_the_architecture_page() -> None:
    text = (
        (CHECKOUT / "docs" / "architecture.md")
        .read_text()
        .partition("```text\n")[2]
        .partition("```")[0]
    )
    rooms = {
        path.name.removesuffix(".py")
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert {room for room in rooms - {"__init__"} if not re.search(rf"\b{room}\b", text)} == set()


def test_every_decision_is_listed_and_has_all_its_parts() -> None:
    folder = CHECKOUT / "docs" / "decisions"
    listed = _LINK.findall((folder / "README.md").read_text())
    files = sorted(path.name for path in folder.glob("0*.md"))
    assert sorted(listed) == files
    # A number is given when work on its decision starts, so one may be missing for a while.
    assert len({name[:4] for name in files}) == len(files)
    for name in files:
        text = (folder / name).read_text()
        assert re.search(r"^20\d\d-\d\d · (accepted|replaced by .*)$", text, re.MULTILINE), name
        missing = [
            part
            for part in ("Context", "Decision", "Consequences", "What would change our mind")
            if f"**{part}.**" not in text
        ]
        assert missing == [], name


def code_of(*folders: str) -> str:
    return "\n".join(
        path.read_text() for folder in folders for path in sorted((CHECKOUT / folder).rglob("*.py"))
    )


def test_every_variable_and_function_that_a_page_names_is_in_the_code() -> None:
    code = (
        code_of("operator", "tests/support", "tests/cluster", "tests/unit/client")
        + (CHECKOUT / "Makefile").read_text()
    )
    settings = {f"OPSTRAND_{field.name.upper()}" for field in dataclasses.fields(Settings)}
    spans = [
        span
        for page in PAGES
        if not name_of(page).startswith(OLD)
        for span in _CODE.findall(page.read_text())
    ]
    variables = {
        found for span in spans for found in re.findall(r"OPSTRAND_[A-Z_]+", span)
    } - settings
    functions = {span for span in spans if re.fullmatch(r"[a-z]+(_[a-z]+)+", span)} - {
        "requirements_dev"
    }
    assert {name for name in variables | functions if not re.search(rf"\b{name}\b", code)} == set()


def test_the_architecture_page_says_who_writes_every_field_of_the_status() -> None:
    table = (
        (CHECKOUT / "docs" / "architecture.md")
        .read_text()
        .partition("## Who writes which field")[2]
        .partition("\n## ")[0]
    )
    said = {span.removeprefix("status.").removeprefix("spec.") for span in _CODE.findall(table)}
    # `archived` is for a store that does not exist yet.
    assert set(status_schema()["properties"]) - {"archived"} <= said
    assert set(EDITABLE) <= said


def test_every_reason_of_the_page_about_trouble_is_one() -> None:
    rows = [
        line.split("|")[1]
        for line in (CHECKOUT / "docs/reference/trouble.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    named = {
        span
        for row in rows
        for span in _CODE.findall(row)
        if re.fullmatch(r"([A-Z]+[a-z]+)+", span)
    }
    assert named <= set(REASONS) | {phase.value for phase in Phase}


def test_the_hooks_of_pre_commit_are_our_own_tools() -> None:
    (repo,) = yaml.safe_load((CHECKOUT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    programs = {hook["entry"].split()[0] for hook in repo["hooks"]}
    assert programs - {"make"} == {f".venv/bin/{name}" for name in ("ruff", "mypy", "lint-imports")}
    assert {hook["language"] for hook in repo["hooks"]} == {"system"}


def test_no_secret_but_one_may_be_read_by_a_deployment_as_the_security_page_says() -> None:
    files = [
        path
        for path in (CHECKOUT / "manifests" / "base").glob("*.yaml")
        if path.name != "rbac-users.yaml"
    ]
    roles = [
        one
        for path in files
        for one in yaml.safe_load_all(path.read_text())
        if one and one["kind"] in ("ClusterRole", "Role")
    ]
    rules = [(role["kind"], rule) for role in roles for rule in role["rules"]]
    assert not [rule for _, rule in rules if "*" in rule["resources"]]
    of_secrets = [
        (kind, rule.get("resourceNames"), rule["verbs"])
        for kind, rule in rules
        if "secrets" in rule["resources"]
    ]
    assert of_secrets == [("Role", ["opstrand-api-own-tls"], ["get", "patch"])]
