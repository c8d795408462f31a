"""The git step: check out a repository at a revision, with the credentials of a connection.

Owns how credentials reach git: for one host, from a file that is gone before main starts, never in
a command line or in the repository's own configuration. The `git` program does the rest.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import pwd
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

from opstrand.initializer.failure import InitError
from opstrand.initializer.git_rules import (
    PROTOCOLS,
    Flags,
    check_revision,
    check_url,
    hide,
    parse_flags,
)

Document = dict[str, Any]

#: Names under which Secrets hold a private key.
_KEYS = ("ssh-privatekey", "id_ed25519", "id_ecdsa", "id_rsa", "private_key")
#: A file beside git's own that says which step they belong to.
_MARK = "opstrand-step"
#: What a server answers if it does not serve a revision by that name.
_UNKNOWN = (
    "couldn't find remote ref",
    "not our ref",
    "unadvertised object",
    "no such ref was fetched",
)
#: What ssh prints, and what it means to the author of the connection.
_MEANINGS = {
    "Permission denied (publickey": "the host does not accept the connection's key",
    "Host key verification failed": "the host's key is not the one in the Secret's known_hosts",
    "timed out during banner exchange": "the host accepts the connection and says nothing",
}
#: Lines that git adds to every error.
_BOILERPLATE = (
    "Please make sure you have the correct access rights",
    "and the repository exists.",
    "hint:",
    "@@@",
)


class Git:
    """One working copy in which git commands run.

    `deadline` is a time of the monotonic clock; `settings` precede every command.
    """

    def __init__(
        self,
        folder: str,
        env: Mapping[str, str],
        deadline: float,
        name: str,
        settings: Sequence[str] = (),
    ) -> None:
        self._folder, self._env, self._deadline, self._name = folder, dict(env), deadline, name
        self._settings = tuple(settings)

    def run(self, *arguments: str) -> str:
        """Return what git prints. Raises InitError with git's message, or that it took too long."""
        code, out, err = self.attempt(*arguments)
        if code:
            raise self.fail(code, err or out)
        return out

    def fail(self, code: int, message: str) -> InitError:
        return InitError(f"git {self._name}: {_last_lines(message) or f'exit code {code}'}")

    def attempt(self, *arguments: str) -> tuple[int, str, str]:
        try:
            process = subprocess.Popen(
                ["git", *self._settings, *arguments],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise InitError("git is not installed in the image of the init container") from error
        try:
            out, err = process.communicate(timeout=max(self._deadline - time.monotonic(), 0.1))
        except BaseException as error:
            # Kill the whole process group: git's helpers hold the connection.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise InitError(f"git {self._name}: the host did not deliver it in time") from error
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")


def clone(step: Document, root: str) -> list[Document]:
    """Check out the repository into its folder, and return the lineage entry of its commit."""
    target = root + step["target"]
    flags, revision = _check(step)
    _make_room(step, target)
    with tempfile.TemporaryDirectory() as scratch:
        secret = _read_secret(
            root + step["secret"] if step.get("secret") else None, step["variables"]
        )
        url = _choose_url(step["url"], secret)
        env = _environment(scratch, url, secret)
        git = Git(
            target, env, time.monotonic() + step["patience"], hide(step["url"]), flags.settings
        )
        git.run("init", "--quiet")
        git.run("remote", "add", "--", "origin", url)
        _fetch(git, revision, flags.fetch)
        if flags.submodules is not None:
            git.run("submodule", "update", "--init", "--recursive", "--force", *flags.submodules)
        commit = git.run("rev-parse", "HEAD").strip()
    print(f"git {hide(step['url'])}: {commit}")
    summary = {
        "commit": commit,
        "head": commit,
        "branch": revision or "HEAD",
        "url": hide(step["url"]),
        "is_dirty": False,
    }
    return [{"name": commit, "kind": "coderef", "summary": summary, "is_input": True}]


def _check(step: Document) -> tuple[Flags, str | None]:
    """Return the step's flags and revision.

    The file was validated before; the URL of a connection or of a Secret was not.
    """
    try:
        check_url(step["url"])
        flags = parse_flags(step["flags"])
        revision = step["revision"] or flags.branch
        if revision:
            check_revision(revision)
    except ValueError as error:
        raise InitError(f"git: {hide(str(error))}") from error
    return flags, revision


def _make_room(step: Document, target: str) -> None:
    """Make an empty folder.

    Kubernetes may restart this container at any time, so remove what an earlier start left of this
    same step.
    """
    mark = os.path.join(target, ".git", _MARK)
    digest = hashlib.sha256(json.dumps(step, sort_keys=True).encode()).hexdigest()
    if os.path.isfile(mark):
        with open(mark, encoding="utf-8") as file:
            if file.read() == digest:
                shutil.rmtree(target)
    if os.path.lexists(target) and not os.path.isdir(target):
        raise InitError(f"git: a file is at {step['target']} already")
    if os.path.isdir(target) and os.listdir(target):
        raise InitError(f"git: the folder {step['target']} is there already and not empty")
    os.makedirs(os.path.dirname(mark), mode=0o777, exist_ok=True)
    with open(mark, "w", encoding="utf-8") as file:
        file.write(digest)


def _fetch(git: Git, revision: str | None, flags: Sequence[str]) -> None:
    """Fetch only the revision if the server serves it by that name, else every branch and tag.

    A server does not serve a short commit id by name.
    """
    code, out, err = git.attempt(
        "fetch", "--force", "--update-head-ok", *flags, "origin", revision or "HEAD"
    )
    if code == 0:
        git.run("checkout", "--quiet", "--force", "--detach", "FETCH_HEAD")
        return
    if revision is None or not any(words in err for words in _UNKNOWN):
        raise git.fail(code, err or out)
    rest = [
        flag
        for flag in flags
        if not flag.startswith(("--depth", "--deepen", "--shallow", "--no-tags"))
    ]
    git.run("fetch", "--force", "--tags", *rest, "origin", "+refs/heads/*:refs/remotes/origin/*")
    code, _, _ = git.attempt("checkout", "--quiet", "--force", "--detach", revision)
    if code:
        raise InitError(f"git: the repository has no branch, tag or commit {revision!r}")


def _read_secret(folder: str | None, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the Secret's keys, which override the connection's own variables."""
    found = dict(variables)
    if folder is None:
        return found
    try:
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, encoding="utf-8", errors="surrogateescape") as file:
                    found[name] = file.read()
    except OSError as error:
        raise InitError(f"git: the connection's Secret cannot be read: {error.strerror}") from error
    return found


def _read_login(secret: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the user and the password or token, in each spelling that a Secret may use."""
    joined = secret.get("POLYAXON_GIT_CREDENTIALS", "").strip()
    if joined:
        user, colon, password = joined.partition(":")
        return (user, password) if colon else ("git", user)
    password = (secret.get("password") or secret.get("token") or "").strip()
    return (secret.get("username", "git").strip() or "git", password) if password else None


def _read_store(secret: Mapping[str, str]) -> str | None:
    """Return a whole credentials file, in the format of `git credential-store`."""
    path = secret.get("POLYAXON_GIT_CREDENTIALS_STORE")
    return secret.get(os.path.basename(path)) if path else secret.get(".git-credentials")


def _find_key(secret: Mapping[str, str]) -> str | None:
    named = secret.get("POLYAXON_SSH_PRIVATE_KEY", "")
    for name in (named, *_KEYS):
        if name and "PRIVATE KEY" in secret.get(name, ""):
            return secret[name]
    return named if "PRIVATE KEY" in named else None


def _choose_url(url: str, secret: Mapping[str, str]) -> str:
    """Return the URL in the documented form: ssh if there is a key, https if there is a login."""
    if _read_login(secret) or _read_store(secret):
        found = re.fullmatch(r"(?:ssh://)?[^@/]+@([^:/]+)[:/](.+)", url)
        return f"https://{found.group(1)}/{found.group(2)}" if found else url
    if _find_key(secret):
        found = re.fullmatch(r"https?://(?:[^@/]+@)?([^/]+)/(.+?)(?:\.git)?/?", url)
        return f"git@{found.group(1)}:{found.group(2)}.git" if found else url
    return url


def _environment(scratch: str, url: str, secret: Mapping[str, str]) -> dict[str, str]:
    settings = [
        ("init.defaultBranch", "main"),
        ("safe.directory", "*"),
        ("advice.detachedHead", "false"),
        ("credential.helper", ""),
    ]
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": scratch,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
        "LC_ALL": "C.UTF-8",
        **{
            name: os.environ[name]
            for name in ("https_proxy", "http_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY")
            if name in os.environ
        },
    }
    login, store, key = _read_login(secret), _read_store(secret), _find_key(secret)
    if login or store:
        path = _keep(scratch, "credentials", store or _as_store(url, *login))  # type: ignore[misc]
        settings.append(("credential.helper", f"store --file={shlex.quote(path)}"))
    if key:
        env["GIT_SSH_COMMAND"] = _ssh_command(scratch, key, secret.get("known_hosts"))
        env.update(_name_user(scratch))
    for index, (name, value) in enumerate(settings):
        env[f"GIT_CONFIG_KEY_{index}"], env[f"GIT_CONFIG_VALUE_{index}"] = name, value
    return {**env, "GIT_CONFIG_COUNT": str(len(settings))}


def _as_store(url: str, user: str, password: str) -> str:
    """Bind the login to this host: a submodule elsewhere does not see it."""
    found = urllib.parse.urlsplit(url)
    # A Secret holds bytes: keep those that are not UTF-8 as they are.
    quoted = ":".join(
        urllib.parse.quote(part, safe="", errors="surrogateescape") for part in (user, password)
    )
    return f"{found.scheme}://{quoted}@{found.netloc.rpartition('@')[2]}\n"


def _ssh_command(scratch: str, key: str, known_hosts: str | None) -> str:
    # ssh refuses a key that other users may read, and one without its last newline.
    path = _keep(scratch, "key", key.rstrip() + "\n")
    hosts = _keep(scratch, "known_hosts", known_hosts) if known_hosts else "/dev/null"
    options = [
        "IdentitiesOnly=yes",
        "BatchMode=yes",
        "ConnectTimeout=30",
        f"UserKnownHostsFile={hosts}",
    ]
    options += [f"StrictHostKeyChecking={'yes' if known_hosts else 'no'}", "LogLevel=ERROR"]
    return " ".join(
        ["ssh", "-i", shlex.quote(path), *(f"-o {shlex.quote(option)}" for option in options)]
    )


def _name_user(scratch: str) -> dict[str, str]:
    """Give the user a name for the time of the clone.

    ssh refuses a user without a name, and a Pod may run as any user id.
    """
    try:
        pwd.getpwuid(os.getuid())
        return {}
    except KeyError:
        pass
    library = next(iter(glob.glob("/usr/lib/*/libnss_wrapper.so")), None)
    if library is None:
        raise InitError(
            f"git by ssh: the user {os.getuid()} has no name in the image, and libnss_wrapper is "
            "not installed"
        )
    people = _keep(scratch, "passwd", f"run:x:{os.getuid()}:{os.getgid()}::{scratch}:/bin/sh\n")
    groups = _keep(scratch, "group", f"run:x:{os.getgid()}:\n")
    return {"LD_PRELOAD": library, "NSS_WRAPPER_PASSWD": people, "NSS_WRAPPER_GROUP": groups}


def _keep(scratch: str, name: str, content: str) -> str:
    path = os.path.join(scratch, name)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    return path


def _last_lines(text: str) -> str:
    lines = [
        line.strip()
        for line in text.splitlines()
        if line.strip() and not line.strip().startswith(_BOILERPLATE)
    ]
    meaning = [meaning for words, meaning in _MEANINGS.items() if words in text]
    return hide("; ".join([*meaning, *lines[-3:]]))
