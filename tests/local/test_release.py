"""`make release`: what a dry run makes, what it refuses, and what a release pushes. Only docker is
not real.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from packaging.metadata import parse_email

from opstrand import __version__

CHECKOUT = Path(__file__).resolve().parents[2]
NEXT = "98.7.6"
DIGEST = "sha256:" + "ab" * 32
DOCKER = f"""#!/bin/sh
echo "$@" >> "$(dirname "$0")/docker.log"
[ "$1" = inspect ] && echo registry.test/opstrand@{DIGEST}
exit 0
"""


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release_tool", CHECKOUT / "tools" / "release.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


release = load()


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def state(folder: Path) -> tuple[str, ...]:
    return (
        git(folder, "rev-parse", "HEAD"),
        git(folder, "tag"),
        git(folder, "status", "--porcelain"),
    )


def images(manifests: Path) -> set[str]:
    found: set[str] = set()
    for one in yaml.safe_load_all(manifests.read_text()):
        if one["kind"] == "Deployment":
            found |= {
                container["image"] for container in one["spec"]["template"]["spec"]["containers"]
            }
        if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", "opstrand"):
            found.add(one["data"]["OPSTRAND_IMAGE"])
    return found


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what `make release` leaves without PUBLISH, and check that the checkout did not
    change.
    """
    output, before = tmp_path_factory.mktemp("dist"), state(CHECKOUT)
    command = [
        "make",
        "--old-file=install",
        "release",
        f"VERSION={NEXT}",
        f"OUTPUT={output}",
        "IMAGE=registry.test/opstrand",
    ]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"would build and push registry.test/opstrand:{NEXT}" in done.stdout
    assert state(CHECKOUT) == before
    return output


def test_a_dry_run_makes_a_wheel_of_that_version_that_is_typed(rehearsed: Path) -> None:
    with zipfile.ZipFile(rehearsed / f"opstrand-{NEXT}-py3-none-any.whl") as wheel:
        names = wheel.namelist()
        metadata, _ = parse_email(wheel.read(f"opstrand-{NEXT}.dist-info/METADATA"))
        assert f'__version__ = "{NEXT}"' in wheel.read("opstrand/__init__.py").decode()
    assert metadata["version"] == NEXT
    assert "opstrand/py.typed" in names
    assert not [name for name in names if name.startswith("tests")]


def test_a_dry_run_makes_manifests_in_which_everything_uses_that_image(rehearsed: Path) -> None:
    assert images(rehearsed / f"opstrand-{NEXT}.yaml") == {f"registry.test/opstrand:{NEXT}"}


def test_a_dry_run_makes_the_notes_from_the_changelog(rehearsed: Path) -> None:
    notes = (rehearsed / "release-notes.md").read_text()
    assert notes.startswith(f"# opstrand {NEXT}\n\n")
    unreleased = (
        (CHECKOUT / "CHANGELOG.md")
        .read_text()
        .partition("## Unreleased\n")[2]
        .partition("\n## ")[0]
        .strip()
    )
    assert notes == f"# opstrand {NEXT}\n\n{unreleased}\n" or git(
        CHECKOUT, "status", "--porcelain", "CHANGELOG.md"
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Return a checkout that may be changed, with a remote repository."""
    git(CHECKOUT, "clone", "--quiet", "--bare", str(CHECKOUT), str(tmp_path / "origin"))
    git(CHECKOUT, "clone", "--quiet", str(tmp_path / "origin"), str(tmp_path / "clone"))
    return tmp_path / "clone"


def released(clone: Path, version: str = NEXT, image: str = "registry.test/opstrand") -> Any:
    return release.Release(version, clone, clone.parent / "dist", image)


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Install a docker that records its calls."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(DOCKER)
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv(
        "PATH", f"{folder}:{Path(shutil.which('git') or '/usr/bin/git').parent}:/usr/bin:/bin"
    )
    return folder / "docker.log"


def test_a_release_pushes_the_image_then_its_commit_and_tag_with_the_digest(
    clone: Path, docker: Path
) -> None:
    branch = git(clone, "branch", "--show-current")
    release.publish(released(clone))
    assert [line.split()[0] for line in docker.read_text().splitlines()] == [
        "build",
        "push",
        "inspect",
    ]
    origin = clone.parent / "origin"
    assert (
        git(origin, "rev-parse", f"v{NEXT}^{{commit}}")
        == git(origin, "rev-parse", branch)
        == git(clone, "rev-parse", "HEAD")
    )
    assert git(clone, "show", "HEAD:CHANGELOG.md").count(f"\n## {NEXT} - ") == 1
    assert images(clone.parent / "dist" / f"opstrand-{NEXT}.yaml") == {
        f"registry.test/opstrand@{DIGEST}"
    }


def test_a_release_that_fails_leaves_the_checkout_as_it_was(clone: Path, docker: Path) -> None:
    (docker.parent / "docker").write_text("#!/bin/sh\necho no such registry >&2\nexit 1\n")
    before = state(clone)
    with pytest.raises(release.Refused, match="no such registry"):
        release.publish(released(clone))
    assert state(clone) == before


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("1.0", "expected a version like 1.2.3"),
        ("v1.0.0", "expected a version"),
        ("0.0.1", f"older than {__version__}"),
    ],
)
def test_a_version_that_cannot_follow_is_refused(clone: Path, version: str, words: str) -> None:
    with pytest.raises(release.Refused, match=words):
        release.prepare(released(clone, version))


def test_what_cannot_be_released_is_refused(clone: Path) -> None:
    git(
        clone,
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@localhost",
        "tag",
        "-a",
        f"v{NEXT}",
        "-m",
        "taken",
    )
    with pytest.raises(release.Refused, match="there is a tag"):
        release.prepare(released(clone))
    with pytest.raises(release.Refused, match="say where the image is pushed"):
        release.publish(released(clone, image=release.DEVELOPMENT_IMAGE))
    (clone / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n## 0.0.1 - 2026-01-01\n\n- old\n"
    )
    with pytest.raises(release.Refused, match="has nothing under"):
        release.read_unreleased(released(clone))
    with pytest.raises(release.Refused, match="uncommitted changes"):
        release.publish(released(clone))
