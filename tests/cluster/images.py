"""The images that tests run, and when each has to be built again.

Owns their list, their content keys and the order of building. The registry's tags are the record:
an image whose key exists as a tag is never built twice. Must not know which tool builds (`buildah`
here, `docker` for kind).
"""

from __future__ import annotations

import platform
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.cluster.cache import cache_folder, content_key, folder_files, locked
from tests.cluster.console import run, say, step
from tests.cluster.programs import program
from tests.cluster.registry import HOST, copy_tag, has_tags, split_name

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
OPSTRAND = "localhost/opstrand:dev"


class Builder(Protocol):
    """The interface of a tool that builds images."""

    def base_key(self, suite: str) -> str: ...
    def make_base(self, suite: str, name: str) -> None: ...
    def build(self, context: Path, name: str, arguments: Mapping[str, str]) -> None: ...
    def push(self, name: str, repository: str, tag: str) -> None: ...


@dataclass(frozen=True, eq=False)
class Image:
    """One image under the name that Pods use.

    Either a base (`suite`: the Debian release with its Python), or what a Dockerfile makes of
    `base`.
    """

    name: str
    suite: str = ""
    base: Image | None = None
    folder: Path | None = None
    needs: str = ""  # a program of ours that its context holds
    on_request: bool = False

    def files(self) -> list[tuple[str, Path]]:
        """Return every file that a Dockerfile's image is made of, under its name in the build
        context.
        """
        found = folder_files(self.folder) if self.folder else checkout_files()
        return [*found, *([(self.needs, program(self.needs))] if self.needs else [])]

    def key(self, builder: Builder) -> str:
        if self.suite:
            return content_key([builder.base_key(self.suite), platform.machine()])
        return content_key(
            [platform.machine(), self.base.key(builder) if self.base else "", self.content_key()]
        )

    def content_key(self) -> str:
        """Return the key of what its Dockerfile copies, wherever the files come from."""
        return content_key(files=self.files())


BASE = Image("localhost/python-base:1", suite="bookworm")
# Only for our own node: kind's node has its own pause image.
PAUSE = Image("localhost/pause:1", folder=HERE / "images/pause", needs="pause")
IMAGES = (
    BASE,
    Image("polyaxon/polyaxon-quick-start", base=BASE, folder=HERE / "images/quick-start"),
    Image(OPSTRAND, base=BASE),
    Image("localhost/python-39:1", suite="bullseye", on_request=True),
    Image("localhost/python-new:1", suite="trixie", on_request=True),
    Image(
        "localhost/python-venv:1", base=BASE, folder=HERE / "images/python-venv", on_request=True
    ),
    Image("localhost/git-by-ssh:1", base=BASE, folder=HERE / "images/git-by-ssh", on_request=True),
)


def refresh(
    builder: Builder, images: Iterable[Image] = IMAGES, *, everything: bool = False
) -> list[str]:
    """Build and push what changed. Return the names of these images: a node may still hold their
    old content.
    """
    changed = []
    with locked(cache_folder() / "images.lock"):
        for image in images:
            if image.name == OPSTRAND and not (CHECKOUT / "Dockerfile").exists():
                say(f"  {OPSTRAND}: left out, the checkout has no Dockerfile")
            elif (everything or not image.on_request or is_known(image)) and ensure(image, builder):
                changed.append(image.name)
    return changed


def is_known(image: Image) -> bool:
    """Return whether the image was requested once; such an image is kept up to date."""
    repository, tag = split_name(image.name)
    return has_tags(repository, tag)


def ensure(image: Image, builder: Builder) -> bool:
    """Return whether its name stands for other content than before."""
    repository, tag = split_name(image.name)
    key = image.key(builder)
    if has_tags(repository, key, tag):
        return False
    if not copy_tag(repository, key, tag):
        if image.base:
            ensure(image.base, builder)
        with step(f"building image {image.name}"):
            build(image, builder)
            builder.push(image.name, repository, key)
        copy_tag(repository, key, tag)
    return True


def build(image: Image, builder: Builder) -> None:
    if image.suite:
        builder.make_base(image.suite, image.name)
        return
    arguments = {}
    if image.base:  # by key: the tag may have moved since
        arguments["BASE"] = f"{HOST}/{split_name(image.base.name)[0]}:{image.base.key(builder)}"
    with tempfile.TemporaryDirectory(prefix="opstrand-context-") as folder:
        stage(image.files(), Path(folder))
        builder.build(Path(folder), image.name, arguments)


def stage(files: Iterable[tuple[str, Path]], folder: Path) -> None:
    """Copy exactly the files from which the key was made into the build context."""
    for name, path in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name)


def checkout_files() -> list[tuple[str, Path]]:
    """Return what the Dockerfile at the root copies, as git sees it: with uncommitted changes,
    without ignored files.
    """
    sources = copied_sources((CHECKOUT / "Dockerfile").read_text())
    listed = run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *sources],
        cwd=CHECKOUT,
    ).stdout
    names = dict.fromkeys(["Dockerfile", ".dockerignore", *listed.split("\0")])
    return [(name, CHECKOUT / name) for name in names if name and (CHECKOUT / name).is_file()]


def copied_sources(dockerfile: str) -> list[str]:
    """Return the paths of COPY and ADD lines that come from the context."""
    sources = []
    for line in dockerfile.replace("\\\n", " ").splitlines():
        words = line.split()
        if words and words[0].upper() in ("COPY", "ADD") and "--from=" not in line:
            sources += [word for word in words[1:-1] if not word.startswith("--")]
    return sources
