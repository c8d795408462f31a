"""Every tunable of the operator and the API, read from the environment once.

Owns the names of the variables (`OPSTRAND_` and the field's name in capitals) and the defaults.
Must not read anything after the start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from opstrand.errors import SpecError

#: Seconds; the API server refuses a Pod that asks for less.
SHORTEST_TOKEN = 600


@dataclass(frozen=True)
class Settings:
    """One frozen set of tunables. Durations are seconds."""

    #: `globals.owner_name`, and the first part of every address of the API.
    owner: str = "default"
    #: The image of the operator, the API and the init container of runs: one image for all.
    image: str = "localhost/opstrand:dev"
    image_pull_policy: str = "IfNotPresent"
    #: Where a run reaches the API from inside the cluster.
    api_url: str = "http://opstrand-api.opstrand:8000"
    #: Where people outside the cluster reach the API: what `plugins.externalHost` puts into a run.
    #: Empty: as inside.
    external_url: str = ""
    #: The certificates that runs trust the API by, as PEM; the variable names their file. Empty:
    #: those that every program trusts.
    api_ca: str = ""
    #: The files of the API's certificate and its key; both: it speaks TLS alone. Read again when
    #: they change. `ca.crt` beside them is what is published.
    api_tls_cert: str = ""
    api_tls_key: str = ""
    #: A Secret of the API's namespace, in which it keeps an authority of its own and a certificate
    #: by it. They serve where the two files above are not there.
    api_tls_secret: str = ""
    #: A ConfigMap of the API's namespace, in which it tells the operator by what it is trusted
    #: (`ca.crt`).
    api_tls_published: str = ""
    #: The catalog of connections, a file that is read again when it changes; empty: there are none.
    connections: str = ""
    #: The audience of a run's token: the API accepts no other.
    audience: str = "opstrand"
    #: 1: a person's token of a service account must be for that audience too; 0: one for the API
    #: server will do.
    people_audience: int = 0
    #: The life of a run's token, at least 600. The published client reads it once, so it outlives a
    #: run's timeout in any case.
    token_seconds: int = 30 * 24 * 3600
    #: How long past its end a run's token counts while its Pod and account live, where a cluster
    #: caps the life of tokens; 0: not at all.
    expired_token_seconds: int = 30 * 24 * 3600
    #: How long an init container waits for the API to answer before it gives up.
    api_patience: int = 120
    #: How long a git host may take to bring a repository before the run fails.
    git_patience: int = 300
    #: How long a Pod stays after its end where `termination.ttl` does not say.
    pod_ttl: int = 24 * 3600
    #: Namespaces to watch, comma separated; empty: all of them.
    namespaces: str = ""
    #: How long a run waits for an upstream or a component that is not there. GitOps applies in any
    #: order.
    upstream_patience: int = 3600
    #: The same for a run of `run --local`, while no other local run could create what it waits for.
    local_patience: int = 60
    #: How long a Pod may hang on something that a person must mend: an image, a Secret, a service
    #: account.
    start_patience: int = 1800
    #: How long a Pod may wait for a node that takes it, where the run has no `termination.timeout`;
    #: 0: for ever.
    node_patience: int = 7 * 24 * 3600
    #: A Pod that stays unscheduled for less than this is not worth a status write.
    pending_grace: int = 5
    #: A Pod that its node does not start for so long has its Events looked at: a volume may be
    #: missing.
    mount_grace: int = 15
    #: An init step that runs for less than this is not worth a status write.
    init_grace: int = 30
    #: Further attempts after evictions, preemptions, deleted Pods and lost nodes, for runs that do
    #: not say it themselves by the annotation `opstrand.dev/platform-retries`; 0: at most once.
    platform_retries: int = 3
    #: The wait before the first retry of a failed program; doubled each time.
    retry_backoff: int = 10
    #: How often everything is listed again, to make up missed deletions.
    relist_interval: int = 300
    #: Without a word from the cluster for so long, /healthz asks it for a small list.
    silence: int = 60
    #: How long a starting operator tries to get its first full list before it gives up.
    first_list_patience: int = 60
    #: Reconciles in flight: enough to keep an API server busy, few enough that who was woken need
    #: not wait for all the others.
    concurrency: int = 12
    #: Processes for expensive decisions; one namespace holds all of them but one at most.
    decision_workers: int = 2
    #: Seconds of computing time that one expensive decision may take, and all decisions about one
    #: run together.
    decision_seconds: int = 2
    decision_seconds_per_run: int = 10
    #: MiB that one expensive decision may take: with all workers at that, the Pod must stay below
    #: its memory limit.
    decision_memory: int = 128
    #: A file in a folder that outlives the container: which runs were being reconciled when it was
    #: killed. Empty: that is not recorded.
    crash_record: str = ""
    #: Where the operator answers /healthz and /readyz; 0: nowhere.
    health_port: int = 8080
    #: Where the API listens.
    api_listen_port: int = 8000
    #: Requests that the API holds back for news of one run (followed logs, awaited statuses), and
    #: for one caller, at a time.
    api_followers_per_run: int = 50
    api_followers_per_caller: int = 300
    #: How long a client of the API may take to send the head of a request, and its body.
    api_head_seconds: int = 10
    api_body_seconds: int = 30
    #: The folder of local runs, whose programs have the context root below it; empty in a cluster.
    #: No variable sets it.
    local_runs: str = field(default="", metadata={"is_variable": False})

    @property
    def watched_namespaces(self) -> tuple[str, ...]:
        """The namespaces to watch; empty: all of them."""
        return tuple(name.strip() for name in self.namespaces.split(",") if name.strip())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment asks for.

        Raises SpecError that names the variable and what it should hold.
        """
        source = os.environ if environment is None else environment
        given: dict[str, object] = {}
        for one in fields(cls):
            name = f"OPSTRAND_{one.name.upper()}"
            if name in source and one.metadata.get("is_variable", True):
                given[one.name] = _parse(name, source[name], whole=isinstance(one.default, int))
        if given.get("api_ca"):
            given["api_ca"] = _read_certificates("OPSTRAND_API_CA", str(given["api_ca"]))
        settings = cls(**given)  # type: ignore[arg-type]
        if settings.token_seconds < SHORTEST_TOKEN:
            raise SpecError(
                "InvalidSpec",
                f"Kubernetes makes no token for less than {SHORTEST_TOKEN} s",
                "OPSTRAND_TOKEN_SECONDS",
            )
        if bool(settings.api_tls_cert) != bool(settings.api_tls_key):
            raise SpecError(
                "InvalidSpec",
                "expected both of OPSTRAND_API_TLS_CERT and OPSTRAND_API_TLS_KEY, or none",
                "OPSTRAND_API_TLS_CERT",
            )
        return settings


def _read_certificates(name: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="ascii")
    except (OSError, ValueError) as error:
        raise SpecError(
            "InvalidSpec", f"the certificates at {path} cannot be read: {error}", name
        ) from None
    if "-----BEGIN CERTIFICATE-----" not in text:
        raise SpecError("InvalidSpec", f"expected certificates as PEM, found none in {path}", name)
    return text


def _parse(name: str, text: str, *, whole: bool) -> object:
    if not whole:
        return text
    try:
        value = int(text)
    except ValueError:
        raise SpecError("InvalidSpec", f"expected a whole number, found {text!r}", name) from None
    if value < 0:
        raise SpecError("InvalidSpec", f"expected a number of at least 0, found {value}", name)
    return value
