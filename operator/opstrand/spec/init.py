"""`run.init[]`: what exists before the main container starts: files, code, artifacts, Dockerfiles.

Owns the shape of one step. Must not know where the data of a step is written or which container
writes it: `core` decides both.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from opstrand.spec.kubernetes.parts import ContainerPart
from opstrand.spec.problems import fail
from opstrand.spec.scalars import (
    LIST_WITH_COMMAS,
    OR_TEMPLATE,
    Flag,
    Text,
    Texts,
    Whole,
    WholeOrText,
)
from opstrand.spec.section import Section

PathList = Annotated[list[Text | list[Text]], OR_TEMPLATE]


class FileInit(Section):
    """Writes one file. Without the step's `path` it lands in `{{ globals.artifacts_path }}`."""

    content: Text = Field(
        description=(
            "The text of the file. Templates in it are rendered; everything else is written byte "
            "for byte."
        ),
        examples=["print('hello')\n"],
    )
    filename: Text | None = Field(
        None,
        description="Name of the file, which may have folders. Default: `file`.",
        examples=["echo.py", "conf/a.yaml"],
    )
    chmod: Text | None = Field(
        None, description="Mode of the file, as chmod accepts it.", examples=["+x", "0644"]
    )
    kind: Text | None = Field(
        None,
        description="Kind of the lineage that is recorded. Default: `file`.",
        examples=["file"],
    )


class DockerfileInit(Section):
    """Generates a Dockerfile, for building images."""

    image: Text = Field(description="The image to start from.", examples=["python:3.12-slim"])
    env: Annotated[dict[str, Any] | list[list[Any]], OR_TEMPLATE] | None = Field(
        None,
        description="Environment variables of the image, as a mapping or as pairs.",
        examples=[{"LANG": "C.UTF-8"}],
    )
    path: Texts | None = Field(
        None, description="Folders to add to PATH.", examples=[["/opt/tool/bin"]]
    )
    copies: PathList | None = Field(
        None,
        alias="copy",
        description="What to copy into the image: a path, or [from, to].",
        examples=[[["./src", "/code"]]],
    )
    post_run_copy: PathList | None = Field(
        None, description="What to copy after the `run` lines.", examples=[["./data"]]
    )
    run: Texts | None = Field(
        None, description="Commands to run while building.", examples=[["pip install numpy"]]
    )
    lang_env: Text | None = Field(
        None, description="Locale of the image.", examples=["en_US.UTF-8"]
    )
    uid: WholeOrText | None = Field(
        None, description="User id to create in the image.", examples=[1000]
    )
    gid: WholeOrText | None = Field(
        None, description="Group id to create in the image.", examples=[1000]
    )
    username: Text | None = Field(
        None, description="Name of the user with that id.", examples=["runner"]
    )
    filename: Text | None = Field(
        None, description="Name of the file. Default: `Dockerfile`.", examples=["Dockerfile"]
    )
    workdir: Text | None = Field(
        None, description="WORKDIR of the image. Default: `/code`.", examples=["/code"]
    )
    workdir_path: Text | None = Field(
        None, description="Path in the build context to copy to the workdir.", examples=["./src"]
    )
    shell: Text | None = Field(
        None, description="Shell for the `run` lines. Default: `/bin/bash`.", examples=["/bin/sh"]
    )


class GitInit(Section):
    """Clones a repository."""

    url: Text | None = Field(
        None,
        description="Where to clone from. Without it the step needs a `connection`.",
        examples=["https://example.org/a.git"],
    )
    revision: Text | None = Field(
        None, description="Branch, tag or commit. Default: the default branch.", examples=["v1.2"]
    )
    flags: Texts | None = Field(
        None, description="Further flags of `git fetch`.", examples=[["--depth 1"]]
    )


class ArtifactsInit(Section):
    """Copies named files and folders from an artifacts store. A pair is [from, to]."""

    files: PathList | None = Field(
        None, description="Files to copy.", examples=[["run1/outputs/model.pt"]]
    )
    dirs: PathList | None = Field(
        None, description="Folders to copy.", examples=[[["run1/outputs", "data"]]]
    )
    workers: Whole | None = Field(None, description="How many transfers run at once.", examples=[8])


class TensorboardInit(Section):
    """Collects the logs of other runs for a tensorboard."""

    port: Whole | None = Field(
        None, description="Port that the tensorboard listens on.", examples=[6006]
    )
    uuids: Annotated[list[Text] | Text, OR_TEMPLATE] | None = Field(
        None,
        description="The runs to show: a list, or text with commas.",
        examples=[["8aac02e3a62a4f0aaa257c59da5eab80"]],
    )
    use_names: Flag | None = Field(
        None, description="Whether runs are shown by name instead of uuid.", examples=[True]
    )
    path_prefix: Text | None = Field(
        None, description="Path prefix that the tensorboard is served under.", examples=["/tb"]
    )
    plugins: Annotated[list[Text], LIST_WITH_COMMAS, OR_TEMPLATE] | None = Field(
        None,
        description="Further packages to install: a list, or text with commas.",
        examples=[["tensorboard-plugin-profile"]],
    )


#: A step has at most one of these. `connection`, `path` and `container` say how it is done.
SOURCES = (
    "artifacts",
    "paths",
    "git",
    "dockerfile",
    "file",
    "tensorboard",
    "lineage_ref",
    "model_ref",
    "artifact_ref",
)


class Init(Section):
    """One step before the main container: one source, and optionally a `path` and a `container`."""

    file: Annotated[FileInit, OR_TEMPLATE] | None = Field(
        None, description="Write a file.", examples=[{"content": "print(1)", "filename": "a.py"}]
    )
    git: Annotated[GitInit, OR_TEMPLATE] | None = Field(
        None, description="Clone a repository.", examples=[{"url": "https://example.org/a.git"}]
    )
    artifacts: Annotated[ArtifactsInit, OR_TEMPLATE] | None = Field(
        None,
        description="Copy files and folders from a store.",
        examples=[{"files": ["a/outputs/model.pt"]}],
    )
    paths: Annotated[list[Text | list[Text]] | Text, OR_TEMPLATE] | None = Field(
        None,
        description="Copy paths from a store, files or folders alike. A pair is [from, to].",
        examples=[["a/outputs"]],
    )
    dockerfile: Annotated[DockerfileInit, OR_TEMPLATE] | None = Field(
        None, description="Generate a Dockerfile.", examples=[{"image": "python:3.12"}]
    )
    tensorboard: Annotated[TensorboardInit, OR_TEMPLATE] | None = Field(
        None, description="Collect other runs' logs for a tensorboard.", examples=[{"port": 6006}]
    )
    lineage_ref: Text | None = Field(
        None,
        description="Copy an artifact that a run logged: `RUN_UUID:NAME`.",
        examples=["8aac02e3a62a4f0aaa257c59da5eab80:model"],
    )
    model_ref: Text | None = Field(
        None, description="Copy a registered model version.", examples=["project:v1"]
    )
    artifact_ref: Text | None = Field(
        None, description="Copy a registered artifact version.", examples=["project:v1"]
    )
    connection: Text | None = Field(
        None,
        description="Connection to copy the data from; alone, the whole of it is copied.",
        examples=["datasets"],
    )
    path: Text | None = Field(
        None,
        description="Folder that the data lands in, in this step and in the main container.",
        examples=["/data"],
    )
    container: ContainerPart | None = Field(
        None,
        description=(
            "Alone: an init container of Kubernetes. Beside a source: overrides the container that "
            "fetches it."
        ),
        examples=[{"name": "wait", "image": "busybox", "command": ["true"]}],
    )

    @model_validator(mode="after")
    def _validate(self) -> Init:
        given = [name for name in SOURCES if getattr(self, name) is not None]
        if len(given) > 1:
            keys = ", ".join(type(self).model_fields[name].alias or name for name in given)
            raise fail(
                "InvalidSpec",
                f"one init step has one source, found {keys}; write one step for each",
            )
        if isinstance(self.git, GitInit) and not self.git.url and not self.connection:
            raise fail("InvalidSpec", "git without a url needs a connection")
        return self
