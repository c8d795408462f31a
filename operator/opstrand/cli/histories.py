"""The metrics in a folder of a run on this machine.

Owns what is asked of each run. Must not draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opstrand.cli.output.charts import History
from opstrand.core.names import run_uuid

_METRIC = "metric"


@dataclass(frozen=True)
class Wanted:
    """Which metrics are read: those of these names, or all; of each at most so many points."""

    names: tuple[str, ...]
    is_of_machine: bool
    most: int

    @property
    def folder(self) -> str:
        """Return where their files are in the run's folder."""
        return f"{'resources' if self.is_of_machine else 'events'}/{_METRIC}"


def read_local(body: Mapping[str, Any], wanted: Wanted) -> Iterator[History]:
    """Read the metrics of a run of this machine."""
    from opstrand.local.records import Records

    metadata = body["metadata"]
    folder = Records().store_of(metadata["namespace"]) / run_uuid(metadata["uid"]) / wanted.folder
    yield from read_folder(folder, body, wanted)


def read_folder(folder: Path, body: Mapping[str, Any], wanted: Wanted) -> Iterator[History]:
    """Read the metrics whose files are in a folder. A link is not followed."""
    from opstrand.artifacts.attempts import SUFFIX
    from opstrand.artifacts.events import SeriesFile, read_columns
    from opstrand.runs.bodies import list_restarts

    for place in sorted(folder.glob(f"*{SUFFIX}")):
        name = place.name.removesuffix(SUFFIX)
        if place.is_symlink() or not place.is_file() or (wanted.names and name not in wanted.names):
            continue
        # All attempts of a local run write to one file.
        series = SeriesFile(place, place / "none", list_restarts(body))
        yield make_history(body, name, read_columns(series, _METRIC, wanted.most))


def make_history(body: Mapping[str, Any], name: str, columns: Mapping[str, Any]) -> History:
    """Make the history of a metric from its columns, as the API and the files have them."""
    metadata = body["metadata"]
    return History(
        run=str(metadata["name"]),
        uuid=run_uuid(metadata["uid"]),
        name=name,
        steps=columns["step"],
        timestamps=columns["timestamp"],
        values=columns[_METRIC],
    )
