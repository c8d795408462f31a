"""`make vendor`: the libraries of the pages, as the npm registry has them.

Writes the files that `vendor/lock.json` names into `operator/opstrand/api/pages/vendor/`, and
their digests into the lock. With --check it only compares: the lock, the files and the registry
must agree. A file is as its package has it, but for the names of other modules (`imports`), which
a browser without a build step cannot find by the name of a package.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "operator/opstrand/api/pages/vendor"
LOCK = FOLDER / "lock.json"


def _fetch(name: str, version: str, place: Path) -> tuple[str, Mapping[str, bytes]]:
    """The licence and the files of a package, by their paths in it."""
    command = ["npm", "pack", f"{name}@{version}", "--silent", "--pack-destination", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    with tarfile.open(place / done.stdout.strip()) as archive:
        files = {
            member.name.partition("/")[2]: file.read()
            for member in archive
            if member.isfile() and (file := archive.extractfile(member)) is not None
        }
    return str(json.loads(files["package.json"]).get("license")), files


def _rewrite(content: bytes, imports: Mapping[str, str]) -> bytes:
    for name, path in imports.items():
        content = content.replace(f'from"{name}"'.encode(), f'from"{path}"'.encode())
    return content


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _iter_files(
    package: Mapping[str, Any], files: Mapping[str, bytes]
) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each file of the lock with its digests, and its content here."""
    for one in package["files"]:
        content = files[one["path"]]
        here = _rewrite(content, one.get("imports") or {})
        yield {**one, "sha256": _digest(content), "sha256Here": _digest(here)}, here


def _read_registry() -> tuple[list[dict[str, Any]], dict[str, bytes]]:
    """The lock as the registry would have it, and the files."""
    lock, contents = [], {}
    for package in json.loads(LOCK.read_text()):
        with tempfile.TemporaryDirectory() as place:
            licence, files = _fetch(package["name"], package["version"], Path(place))
        found = list(_iter_files(package, files))
        contents.update({one["as"]: content for one, content in found})
        lock.append({**package, "licence": licence, "files": [one for one, _ in found]})
    return lock, contents


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    lock, contents = _read_registry()
    text = json.dumps(lock, indent=2) + "\n"
    if not check:
        LOCK.write_text(text)
        for name, content in contents.items():
            (FOLDER / name).write_bytes(content)
        return 0
    wrong = [name for name, content in contents.items() if (FOLDER / name).read_bytes() != content]
    wrong += [LOCK.name] if LOCK.read_text() != text else []
    for name in wrong:
        print(f"{FOLDER / name} is not what the registry has: run `make vendor` and look at it")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
