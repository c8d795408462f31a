"""Types of values with parts: artifacts, git, dockerfile, file, tensorboard, event.

Owns which parts they have. The value stays the mapping that was given, with nothing added: only
different spellings of the same value are unified (`file` of an ArtifactsType, lists written as
`a,b`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StrictStr, ValidationError
from pydantic.alias_generators import to_camel

from opstrand.core.values.safe import Mismatch, make_safe, read_mapping

_PathOrPair = StrictStr | tuple[StrictStr, StrictStr]


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _check_uuid(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(
        r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", value
    ):
        raise ValueError("expected the uuid of a run")
    return value


_Texts = Annotated[list[StrictStr], BeforeValidator(_split)]
_Uuids = Annotated[
    list[Annotated[StrictStr, BeforeValidator(_check_uuid)]], BeforeValidator(_split)
]


class _Part(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid")


class _Artifacts(_Part):
    files: list[_PathOrPair] | None = None
    dirs: list[_PathOrPair] | None = None
    workers: int | None = None


class _Git(_Part):
    url: StrictStr | None = None
    revision: StrictStr | None = None
    flags: list[StrictStr] | None = None


class _Dockerfile(_Part):
    image: StrictStr
    env: dict[str, Any] | list[list[Any]] | None = None
    path: list[StrictStr] | None = None
    copy_: list[_PathOrPair] | None = None
    post_run_copy: list[_PathOrPair] | None = None
    run: list[StrictStr] | None = None
    lang_env: StrictStr | None = None
    uid: int | None = None
    gid: int | None = None
    username: StrictStr | None = None
    filename: StrictStr | None = None
    workdir: StrictStr | None = None
    workdir_path: StrictStr | None = None
    shell: StrictStr | None = None

    model_config = ConfigDict(
        alias_generator=lambda name: to_camel(name.rstrip("_")), extra="forbid"
    )


class _File(_Part):
    content: StrictStr
    filename: StrictStr | None = None
    chmod: StrictStr | None = None
    kind: StrictStr | None = None


class _Tensorboard(_Part):
    port: int | None = None
    uuids: _Uuids | None = None
    use_names: bool | None = None
    path_prefix: StrictStr | None = None
    plugins: _Texts | None = None


class _Event(_Part):
    name: StrictStr | None = None
    kind: StrictStr | None = None


COMPOSITES: dict[str, type[BaseModel]] = {
    "artifacts": _Artifacts,
    "git": _Git,
    "dockerfile": _Dockerfile,
    "file": _File,
    "tensorboard": _Tensorboard,
    "event": _Event,
}


def convert_composite(type_name: str, value: Any) -> dict[str, Any]:
    """Return the mapping (or the one in a JSON text) with its parts validated.

    Raises Mismatch with the name of the wrong part.
    """
    found = read_mapping(value)
    if type_name == "artifacts":
        found = _rename_file(found)
    try:
        model = COMPOSITES[type_name].model_validate(dict(found))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Mismatch(f"{'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None
    safe: dict[str, Any] = make_safe(model.model_dump(by_alias=True, exclude_unset=True))
    return safe


def _rename_file(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """Rename `file`, the references document's spelling, to `files`."""
    if "file" not in value or "files" in value:
        return value
    return {("files" if key == "file" else key): item for key, item in value.items()}
