"""Reports what the published package's checker says of each of many files; its own interpreter runs
this.

Reads a JSON list of texts from stdin, and writes a list of the same length: "" for a file that the
checker accepts, else its error.
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

from polyaxon._polyaxonfile import check_polyaxonfile


def check(text: str, file: Path) -> str:
    file.write_text(text, encoding="utf-8")
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            check_polyaxonfile(polyaxonfile=str(file), is_cli=False, validate_params=True)
    except BaseException as error:
        return f"{type(error).__name__}: {error}"[:300]
    return ""


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "polyaxonfile.yaml"
        json.dump([check(text, place) for text in json.load(sys.stdin)], sys.stdout)
