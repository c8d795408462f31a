"""Every setting of the operator and the API, read from the environment once.

Owns the names of the variables (`OPSTRAND_` and the field's name in capitals) and the defaults.
Must not read anything after the start.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from opstrand.errors import SpecError

#: Seconds. The API server refuses a Pod that asks for a token with a shorter life.
SHORTEST_TOKEN = 600


@dataclass(frozen=True)
class Settings:
    """One frozen set of settings. Durations are seconds."""

    #: `globals.owner_name`, and the first path segment of every URL of the API.
    owner: str = "default"
    #: The image of the operator, the API and the init container of runs; all three use one.
    image: str = "localhost/opstrand:dev"
    image_pull_policy: str = "IfNotPresent"
    #: The URL of the API for runs inside the cluster.
    api_url: str = "http://opstrand-api.opstrand:8000"
    #: The URL of the API for people outside the cluster, which `plugins.externalHost` puts into a
    #: run. Empty: the same as inside.
    external_url: str = ""
    #: The PEM certificates that runs verify the API with; the variable names the file. Empty: the
    #: default trust store.
    api_ca: str = ""
    #: The file of the token with which the operator asks the API for runs whose Operation is gone.
    #: Empty: it does not ask, and such a run counts as not found.
    api_token: str = ""
    #: The files of the API's certificate and key. With both, the API serves TLS only. They are read
    #: again when they change; `ca.crt` in the same folder is what the API publishes.
    api_tls_cert: str = ""
    api_tls_key: str = ""
    #: A Secret in the API's namespace, in which the API keeps a certificate authority of its own
    #: and a certificate signed by it. Used where the two files above do not exist.
    api_tls_secret: str = ""
    #: A ConfigMap in the API's namespace, in which the API publishes the certificate authority that
    #: signs for it (`ca.crt`), for the operator.
    api_tls_published: str = ""
    #: The file of the connection catalog, read again when it changes. Empty: no connections.
    connections: str = ""
    #: A folder on the API's volume, in which the API keeps the files of runs. The operator only
    #: needs to know that there is one: then it collects the files of Pods without artifacts store.
    #: Empty: the files of such a run are deleted with its Pod.
    data: str = ""
    #: How many logs of running Pods the API follows at a time, to keep them below `data`; those
    #: beyond it are read when their Pods have ended. 0: no log is kept.
    log_streams: int = 200
    #: How often the files of a running Pod are looked at; what changed is sent to the API.
    collect_interval: int = 10
    #: How much longer than its programs a Pod may take to end, so that its last files can be sent.
    collect_grace: int = 60
    #: The audience of a run's token: the API accepts no other from a run.
    audience: str = "opstrand"
    #: Whether a service account token that a person presents must have that audience too (1), or
    #: may be one for the API server (0).
    people_audience: int = 0
    #: The lifetime of a run's token, at least 600. The published client reads the token once, so
    #: the token always outlives the run's timeout.
    token_seconds: int = 30 * 24 * 3600
    #: How long after its expiry the API still accepts a run's token, while the run's Pod and
    #: service account live: a cluster may cap the lifetime of tokens. 0: not at all.
    expired_token_seconds: int = 30 * 24 * 3600
    #: How long an init container waits for the API to answer before it gives up.
    api_patience: int = 120
    #: How long the clone of a git repository may take before the run fails.
    git_patience: int = 300
    #: How long a Pod is kept after its end where `termination.ttl` is not set.
    pod_ttl: int = 24 * 3600
    #: Namespaces to watch, comma separated; empty: all of them.
    namespaces: str = ""
    #: How long a run waits for an upstream or a component that does not exist yet: GitOps tools
    #: apply objects in any order.
    upstream_patience: int = 3600
    #: The same for a run of `run --local`, while no other local run could create what it waits for.
    local_patience: int = 60
    #: How long a Pod may wait for something that a person must fix: an image, a Secret, a service
    #: account.
    start_patience: int = 1800
    #: How long a Pod may stay unscheduled where the run has no `termination.timeout`; 0: without a
    #: limit.
    node_patience: int = 7 * 24 * 3600
    #: A Pod that is pending for less than this is not worth a status write.
    pending_grace: int = 5
    #: The Events of a Pod are read when its node has not started it after this time: a volume may
    #: be missing.
    mount_grace: int = 15
    #: An init step that runs for less than this is not worth a status write.
    init_grace: int = 30
    #: Whether the start and the end of each run are an Event (1), or trouble alone (0): each Event
    #: is one more write.
    normal_events: int = 0
    #: Retries after evictions, preemptions, deleted Pods and lost nodes, for runs without the
    #: annotation `opstrand.dev/platform-retries`; 0: a program is started at most once.
    platform_retries: int = 3
    #: The wait before the first retry of a failed program; it doubles with each further retry.
    retry_backoff: int = 10
    #: How often everything is listed again, to find deletions that a watch missed.
    relist_interval: int = 300
    #: When nothing has arrived from the cluster for this long, /healthz requests a small list.
    silence: int = 60
    #: How long the operator tries at its start to get the first full list before it gives up.
    first_list_patience: int = 60
    #: Reconciles in flight: enough to keep an API server busy, and few enough that a woken run does
    #: not wait behind all the others.
    concurrency: int = 12
    #: Runs of one pipeline that may exist at a time where its `run.concurrency` is not set.
    pipeline_concurrency: int = 100
    #: Ended runs of one schedule that are kept; older ones are deleted.
    schedule_history: int = 100
    #: Processes for expensive decisions. One namespace gets at most all of them but one.
    decision_workers: int = 2
    #: CPU seconds that one expensive decision may take, and that all decisions about one run may
    #: take together.
    decision_seconds: int = 2
    decision_seconds_per_run: int = 10
    #: MiB that one expensive decision may take. With all workers at that limit, the Pod must stay
    #: below its own memory limit.
    decision_memory: int = 128
    #: A file in a folder that outlives the container. It records which runs were being reconciled
    #: when the operator was killed. Empty: no record.
    crash_record: str = ""
    #: The port on which the operator serves /healthz and /readyz; 0: none.
    health_port: int = 8080
    #: Where the API keeps the runs whose Operations are deleted: `sqlite:///PATH` for a file on a
    #: volume of the API, or `postgresql://USER:PASSWORD@HOST/DATABASE`. Empty: nowhere.
    store_url: str = ""
    #: When the API deletes Operations that are over and in its store (0: never): seconds after the
    #: end, and above this many that are over, in a namespace and in all. `retain_applied`: keep
    #: runs that neither the command line nor the API made (1).
    retain_seconds: int = 0
    retain_per_namespace: int = 0
    retain_in_total: int = 0
    retain_applied: int = 1
    #: When the API removes the record of a run whose Operation is gone, and its files (0: never):
    #: seconds after its end, and above this many, in a namespace and in all. A pipeline counts as
    #: one.
    keep_seconds: int = 0
    keep_per_namespace: int = 0
    keep_in_total: int = 0
    #: The port on which the API listens.
    api_listen_port: int = 8000
    #: The port on which the API serves the API server's aggregation layer, and the Secret in the
    #: API's namespace in which it keeps the certificate of that port; 0: none.
    api_aggregated_port: int = 0
    api_aggregated_secret: str = ""
    #: Requests that the API may hold open for news (followed logs, awaited statuses) at a time: for
    #: one run, and for one caller.
    api_followers_per_run: int = 50
    api_followers_per_caller: int = 300
    #: How long a client of the API may take to send the head of a request, and its body.
    api_head_seconds: int = 10
    api_body_seconds: int = 30
    #: The folder of local runs; their programs find the context root below it. Empty in a cluster.
    #: No variable sets it.
    local_runs: str = field(default="", metadata={"is_variable": False})

    @property
    def watched_namespaces(self) -> tuple[str, ...]:
        """The namespaces to watch; empty: all of them."""
        return tuple(name.strip() for name in self.namespaces.split(",") if name.strip())

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings that the environment gives.

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
        if settings.api_aggregated_port and not settings.api_aggregated_secret:
            raise SpecError(
                "InvalidSpec",
                "expected the name of a Secret beside OPSTRAND_API_AGGREGATED_PORT",
                "OPSTRAND_API_AGGREGATED_SECRET",
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
