"""Reads how this machine reaches package indexes, for builds that must use the same way.

Owns which files a build's root needs for it: the certificates that sign the machine's traffic, and
the settings of its pip. Empty on a machine that needs nothing. Must not know which tool builds.
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
    """Return the files by their path inside a build: the certificates, and pip's configuration with
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
    """Return this machine's pip settings for package indexes, from its files and its
    environment.
    """
    listed = run([sys.executable, "-m", "pip", "config", "list"], check=False).stdout
    found = re.findall(r"^[\w:]+\.([\w-]+)='(.*)'$", listed, flags=re.MULTILINE)
    return {name: value.replace("\\n", " ") for name, value in found if name in PIP_OPTIONS}
