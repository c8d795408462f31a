"""What this machine says of its way to package indexes, for the builds that take the same way.

Owns which files of a build's root that needs: who signs the machine's traffic, what its pip is
configured to use. Empty on a machine that needs nothing. Must not know which tool builds.
"""

from __future__ import annotations

import configparser
import io
import os
import re
import sys
from pathlib import Path

from tests.cluster.console import run

BUNDLE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT", "CURL_CA_BUNDLE")
BUNDLE_INSIDE = "/etc/ssl/certs/ca-certificates.crt"
PIP_CONFIG_INSIDE = "/etc/pip.conf"
PIP_OPTIONS = ("index-url", "extra-index-url", "trusted-host", "timeout", "retries", "proxy")


def trust_files() -> dict[str, bytes]:
    """The files by their path inside a build: the certificates, and pip's configuration with
    them.
    """
    files = {}
    settings = read_pip_settings()
    bundle = next(
        (
            path
            for name in BUNDLE_VARIABLES
            if (path := os.environ.get(name)) and Path(path).is_file()
        ),
        None,
    )
    if bundle:
        files[BUNDLE_INSIDE] = Path(bundle).read_bytes()
        settings["cert"] = BUNDLE_INSIDE
    if settings:
        parser = configparser.RawConfigParser()
        parser["global"] = settings
        text = io.StringIO()
        parser.write(text)
        files[PIP_CONFIG_INSIDE] = text.getvalue().encode()
    return files


def read_pip_settings() -> dict[str, str]:
    """What this machine's pip is told about where packages are, from its files and its environment
    alike.
    """
    listed = run([sys.executable, "-m", "pip", "config", "list"], check=False).stdout
    found = re.findall(r"^[\w:]+\.([\w-]+)='(.*)'$", listed, flags=re.MULTILINE)
    return {name: value.replace("\\n", " ") for name, value in found if name in PIP_OPTIONS}
