"""The kinds of objects that opstrand reads and writes, and their paths on an API server.

Must not send anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Resource:
    """A kind of object as URLs spell it. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(
        self, namespace: str | None = None, name: str | None = None, subresource: str | None = None
    ) -> str:
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        # Quoted, so that a name from an untrusted source stays one segment of the path.
        place = f"namespaces/{quote_part(namespace)}" if namespace and self.namespaced else ""
        parts = [root, place, self.plural, quote_part(name or ""), quote_part(subresource or "")]
        return "/".join(part for part in parts if part)


def quote_part(text: str) -> str:
    """`text` as one segment of a URL's path.

    A segment `.` or `..` would change the path even if quoted once, so it is quoted twice: no
    object has that name.
    """
    return (
        quote(text, safe="", errors="replace")
        if text not in (".", "..")
        else text.replace(".", "%252E")
    )


OPERATIONS = Resource("opstrand.dev", "v1", "operations", "Operation")
COMPONENTS = Resource("opstrand.dev", "v1", "components", "Component")
PODS = Resource("", "v1", "pods", "Pod")
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap")
SECRETS = Resource("", "v1", "secrets", "Secret")
SERVICES = Resource("", "v1", "services", "Service")
SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
POD_METRICS = Resource("metrics.k8s.io", "v1beta1", "pods", "PodMetrics")
#: The runs as our API serves them behind the API server: also those whose Operation is gone.
RUNS = Resource("runs.opstrand.dev", "v1alpha1", "runs", "Run")
API_SERVICES = Resource(
    "apiregistration.k8s.io", "v1", "apiservices", "APIService", namespaced=False
)
EVENTS = Resource("", "v1", "events", "Event")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
CRDS = Resource(
    "apiextensions.k8s.io",
    "v1",
    "customresourcedefinitions",
    "CustomResourceDefinition",
    namespaced=False,
)
TOKEN_REVIEWS = Resource(
    "authentication.k8s.io", "v1", "tokenreviews", "TokenReview", namespaced=False
)
SUBJECT_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io", "v1", "subjectaccessreviews", "SubjectAccessReview", namespaced=False
)
SELF_ACCESS_REVIEWS = Resource(
    "authorization.k8s.io",
    "v1",
    "selfsubjectaccessreviews",
    "SelfSubjectAccessReview",
    namespaced=False,
)
#: The kinds of objects that a run may own or ask for, by the word in a manifest.
BY_KIND = {
    one.kind: one for one in (OPERATIONS, PODS, CONFIG_MAPS, SERVICES, DEPLOYMENTS, COMPONENTS)
}
