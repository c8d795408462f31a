"""The schema of the store as numbered steps, forward only.

Owns every step and which ones a database still lacks. A step that was released is never changed:
add another one, and a fixture of the schema before it to the tests. `{text}` is text that sorts by
code point, `{bytes}` is binary.
"""

from __future__ import annotations

from dataclasses import dataclass

from opstrand.errors import PlatformError


@dataclass(frozen=True)
class Migration:
    """One step. `number` is the version of the schema after it."""

    number: int
    statements: tuple[str, ...]

    def render(self, *, text: str, binary: str) -> tuple[str, ...]:
        """The statements with the types of one database."""
        return tuple(one.format(text=text, bytes=binary) for one in self.statements)


#: The table that holds the version.
VERSION_TABLE = "CREATE TABLE IF NOT EXISTS schema_version (version BIGINT NOT NULL)"

_RUNS = """
CREATE TABLE runs (
  uid {text} PRIMARY KEY,
  uuid {text} NOT NULL,
  namespace {text} NOT NULL,
  namespace_uid {text} NOT NULL,
  object_name {text} NOT NULL,
  version BIGINT NOT NULL,
  name {text} NOT NULL,
  status {text} NOT NULL,
  kind {text},
  runtime {text},
  created_at DOUBLE PRECISION NOT NULL,
  started_at DOUBLE PRECISION,
  finished_at DOUBLE PRECISION,
  duration DOUBLE PRECISION,
  pipeline {text},
  controller {text},
  original {text},
  labels {text} NOT NULL,
  deleted_at DOUBLE PRECISION,
  removed_at DOUBLE PRECISION
)
"""
MIGRATIONS = (
    Migration(
        1,
        (
            _RUNS,
            # Apart from the columns, so that a search does not read it.
            "CREATE TABLE bodies (uid {text} PRIMARY KEY, body {bytes} NOT NULL)",
            "CREATE TABLE run_values (uid {text} NOT NULL, field {text} NOT NULL, "
            "number DOUBLE PRECISION, text {text})",
            "CREATE TABLE upstreams (uid {text} NOT NULL, upstream {text} NOT NULL)",
            "CREATE INDEX runs_by_uuid ON runs (namespace_uid, uuid)",
            # With all columns of the condition, so that a count reads the index alone.
            "CREATE INDEX runs_by_time ON runs (namespace_uid, created_at, deleted_at, removed_at) "
            "WHERE deleted_at IS NOT NULL AND removed_at IS NULL",
            "CREATE INDEX runs_by_status ON runs "
            "(namespace_uid, status, created_at, deleted_at, removed_at) "
            "WHERE deleted_at IS NOT NULL AND removed_at IS NULL",
            "CREATE INDEX runs_by_pipeline ON runs (namespace_uid, pipeline)",
            "CREATE INDEX runs_that_live ON runs (uid) WHERE deleted_at IS NULL",
            "CREATE INDEX values_by_run ON run_values (uid)",
            "CREATE INDEX values_by_number ON run_values (field, number, uid)",
            "CREATE INDEX values_by_text ON run_values (field, text, uid)",
            "CREATE INDEX upstreams_by_run ON upstreams (uid)",
            "CREATE INDEX upstreams_by_upstream ON upstreams (upstream, uid)",
        ),
    ),
)
#: The newest version of the schema.
NEWEST = MIGRATIONS[-1].number


def pending(version: int, where: str) -> tuple[Migration, ...]:
    """The steps that a database of this version lacks; `where` names it in the error.

    Raises PlatformError for a version that this program does not know.
    """
    if version > NEWEST:
        raise PlatformError(
            f"the store {where} has schema {version}; this version of opstrand knows schemas up to "
            f"{NEWEST}: run the newer opstrand again, or restore the backup from before its upgrade"
        )
    return tuple(one for one in MIGRATIONS if one.number > version)
