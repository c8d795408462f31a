"""Does the same work with the published package, in its own environment: `python published.py
check|resolve_file FILE`.

Must import nothing of this project but the stopwatch beside it.
"""

import json
import os
import sys
import uuid
from typing import Any

from stopwatch import milliseconds

os.environ.setdefault("POLYAXON_NO_OP", "1")


def check(file: str) -> Any:
    from polyaxon._polyaxonfile import check_polyaxonfile

    return check_polyaxonfile(
        polyaxonfile=file, params={"message": "test 1"}, is_cli=False, verbose=False
    )


def resolve_file(file: str) -> Any:
    from polyaxon._compiler.resolver import BaseResolver, resolve
    from polyaxon._polyaxonfile import OperationSpecification, check_polyaxonfile

    class Alone(BaseResolver):  # type: ignore[misc]  # only its own environment has the package
        """Resolves without an agent's connections, which the echo does not use: less work, in its
        favour.
        """

        def resolve_agent_environment(self) -> None:
            pass

    operation = check_polyaxonfile(polyaxonfile=file, is_cli=False, verbose=False)
    return resolve(
        run=None,
        compiled_operation=OperationSpecification.compile_operation(operation),
        owner_name="default",
        project_name="bench",
        project_uuid=None,
        run_name="echo",
        run_path="0" * 32,
        run_uuid=uuid.uuid4().hex,
        params=None,
        resolver_cls=Alone,
    )


if __name__ == "__main__":
    name, path = sys.argv[1:]
    print(
        json.dumps(
            {"ms": milliseconds(lambda: {"check": check, "resolve_file": resolve_file}[name](path))}
        )
    )
