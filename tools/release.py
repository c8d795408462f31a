"""`make release VERSION=X.Y.Z`: from a commit to a tag, a wheel, an image, manifests with its
digest, and release notes.

Without PUBLISH=1 it is a dry run: the release is made in a clone of the checkout, and the output
folder has what would be published: `opstrand-X-py3-none-any.whl`, `opstrand-X.yaml`,
`release-notes.md`. The checkout, the registry and the remote repository stay as they are.

With PUBLISH=1 the same is done in the checkout, the image is built and pushed, and the commit and
its tag are pushed to `origin`.
"""

from __future__ import annotations

import argparse
import datetime
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
VERSION_FILE = Path("operator/opstrand/__init__.py")
CHANGELOG = Path("CHANGELOG.md")
#: The image that manifests/ name, and the default of a dry run.
DEVELOPMENT_IMAGE = "localhost/opstrand"
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_ASSIGNMENT = re.compile(r'^__version__ = "(.*)"$', re.MULTILINE)
_UNRELEASED = re.compile(r"^## Unreleased\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class Refused(Exception):
    """A reason why this cannot be released, and what to do about it."""


@dataclass(frozen=True)
class Release:
    """`folder`: the checkout in which the release is made. `image`: its name without a tag."""

    version: str
    folder: Path
    output: Path
    image: str

    @property
    def tag(self) -> str:
        return f"v{self.version}"

    @property
    def tagged_image(self) -> str:
        return f"{self.image}:{self.version}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("version")
    parser.add_argument(
        "--image", default=DEVELOPMENT_IMAGE, help="where the image is pushed, without a tag"
    )
    parser.add_argument("--output", type=Path, default=CHECKOUT / "dist")
    parser.add_argument("--publish", action="store_true")
    given = parser.parse_args(arguments)
    try:
        if given.publish:
            publish(Release(given.version, CHECKOUT, given.output, given.image))
        else:
            rehearse(given.version, given.output, given.image)
    except Refused as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def rehearse(version: str, output: Path, image: str) -> None:
    """Do all of a release that needs no registry and no remote repository, in a clone of the
    checkout's last commit.
    """
    if _run("git", "status", "--porcelain", folder=CHECKOUT):
        print(
            "note: the release is made from the last commit; uncommitted changes are not in it",
            file=sys.stderr,
        )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "opstrand"
        _run("git", "clone", "--quiet", str(CHECKOUT), str(folder), folder=CHECKOUT)
        release = Release(version, folder, output, image)
        prepare(release)
        write_manifests(release, release.tagged_image)
        commit(release)
    print(
        f"dry run: would build and push {release.tagged_image}, and push the commit and "
        f"{release.tag} to origin"
    )
    print(f"made in {output}: {', '.join(sorted(path.name for path in output.iterdir()))}")


def publish(release: Release) -> None:
    """Make a release and push it.

    Needs docker, a registry to push to, and a remote repository called origin.
    """
    if _run("git", "status", "--porcelain", folder=release.folder):
        raise Refused("the checkout has uncommitted changes; commit or stash them")
    if release.image == DEVELOPMENT_IMAGE:
        raise Refused(
            "say where the image is pushed: make release VERSION=... IMAGE=REGISTRY/opstrand "
            "PUBLISH=1"
        )
    try:
        _publish(release)
    except Refused:
        # Undo what is not committed yet. A commit that could not be pushed stays, and git says how
        # to push it.
        _run(
            "git",
            "checkout",
            "--quiet",
            "HEAD",
            "--",
            str(VERSION_FILE),
            str(CHANGELOG),
            folder=release.folder,
        )
        raise
    print(
        f"released {release.version}; attach the files in {release.output} to the release of "
        f"{release.tag}"
    )


def _publish(release: Release) -> None:
    prepare(release)
    _run("docker", "build", "--quiet", "--tag", release.tagged_image, ".", folder=release.folder)
    _run("docker", "push", "--quiet", release.tagged_image, folder=release.folder)
    digests = _run(
        "docker",
        "inspect",
        "--format",
        "{{range .RepoDigests}}{{println .}}{{end}}",
        release.tagged_image,
        folder=release.folder,
    )
    write_manifests(release, find_digest(digests, release.image))
    commit(release)
    _run("git", "push", "--quiet", "--atomic", "origin", "HEAD", release.tag, folder=release.folder)


def prepare(release: Release) -> None:
    """Write the version and the changelog of the release, its notes, and its wheel.

    Raises Refused before anything is written.
    """
    check_version(release)
    notes = read_unreleased(release)
    clear_output(release.output)
    write_version(release)
    write_changelog(release)
    (release.output / "release-notes.md").write_text(f"# opstrand {release.version}\n\n{notes}\n")
    build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(release.output))
    _run(*build, folder=release.folder)


def clear_output(output: Path) -> None:
    """Remove what an earlier release left there, and nothing else."""
    output.mkdir(parents=True, exist_ok=True)
    for path in (*output.glob("opstrand-*"), *output.glob("release-notes.md")):
        path.unlink()


def check_version(release: Release) -> None:
    if not _VERSION.fullmatch(release.version):
        raise Refused(f"expected a version like 1.2.3, found {release.version!r}")
    current = read_version(release.folder)
    if _order(release.version) < _order(current):
        raise Refused(f"{release.version} is older than {current}, the version in {VERSION_FILE}")
    if _run("git", "tag", "--list", release.tag, folder=release.folder):
        raise Refused(f"there is a tag {release.tag} already; choose the next version")


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def read_version(folder: Path) -> str:
    (found,) = _ASSIGNMENT.findall((folder / VERSION_FILE).read_text())
    return str(found)


def write_version(release: Release) -> None:
    path = release.folder / VERSION_FILE
    path.write_text(_ASSIGNMENT.sub(f'__version__ = "{release.version}"', path.read_text()))


def read_unreleased(release: Release) -> str:
    """Return the entries of the changelog for this release."""
    found = _UNRELEASED.search((release.folder / CHANGELOG).read_text())
    notes = found[1].strip() if found else ""
    if not notes:
        raise Refused(
            f"{CHANGELOG} has nothing under `## Unreleased`; say there what a user sees change"
        )
    return notes


def write_changelog(release: Release) -> None:
    path = release.folder / CHANGELOG
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    path.write_text(
        path.read_text().replace(
            "## Unreleased\n", f"## Unreleased\n\n## {release.version} - {today}\n", 1
        )
    )


def find_digest(digests: str, image: str) -> str:
    """Return the reference by digest under which the image was pushed.

    `digests` has one line for each.
    """
    for line in digests.split():
        if line.startswith(f"{image}@sha256:"):
            return line
    raise Refused(f"docker knows no digest of {image}; was it pushed?")


def write_manifests(release: Release, reference: str) -> None:
    """Write one file to apply, in which both Deployments and the init containers of runs use
    `reference`.
    """
    name, separator, rest = (
        reference.partition("@") if "@" in reference else reference.rpartition(":")
    )
    chosen = {"@": "digest", ":": "newTag"}[separator]
    with tempfile.TemporaryDirectory() as scratch:
        for part in ("manifests", "crds"):
            shutil.copytree(release.folder / part, Path(scratch) / part)
        with (Path(scratch) / "manifests" / "kustomization.yaml").open("a") as file:
            file.write(
                f"images: [{{name: {DEVELOPMENT_IMAGE}, newName: {name}, {chosen}: '{rest}'}}]\n"
            )
        made = _run(_find_kubectl(), "kustomize", "manifests", folder=Path(scratch))
    if DEVELOPMENT_IMAGE in made and not reference.startswith(DEVELOPMENT_IMAGE):
        raise Refused(f"the manifests name {DEVELOPMENT_IMAGE} still")
    (release.output / f"opstrand-{release.version}.yaml").write_text(made + "\n")


def _find_kubectl() -> str:
    return str(BIN / "kubectl") if (BIN / "kubectl").exists() else "kubectl"


def commit(release: Release) -> None:
    words = f"release: opstrand {release.version}"
    _run("git", "add", str(VERSION_FILE), str(CHANGELOG), folder=release.folder)
    _run(
        "git",
        *_author(release.folder),
        "commit",
        "--quiet",
        "--message",
        words,
        folder=release.folder,
    )
    _run(
        "git",
        *_author(release.folder),
        "tag",
        "--annotate",
        release.tag,
        "--message",
        words,
        folder=release.folder,
    )


def _author(folder: Path) -> tuple[str, ...]:
    """Return git's options for the author: a fixed one in a clone that is thrown away, none in a
    checkout, where git knows the person.
    """
    return (
        ()
        if folder == CHECKOUT
        else ("-c", "user.name=release", "-c", "user.email=release@localhost")
    )


def _run(*command: str, folder: Path) -> str:
    """Return what the command prints. Raises Refused with the command's own message if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise Refused(f"`{' '.join(command)}` failed: {words}")
    return done.stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
