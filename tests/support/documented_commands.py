"""Every command that the README and docs/ show, and what runs it: a test of this repository, CI, or
nothing, with a reason.

Owns that list, and how commands are read from a page. A command without an entry here fails
`tests/unit/test_documented_commands.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(CHECKOUT.glob("*.md")), *sorted(CHECKOUT.glob("docs/**/*.md"))]
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_COMMENT = re.compile(r"\s+#\s.*$")


@dataclass(frozen=True)
class Shown:
    """A command of a page, without its comment, and the lines of its output that the page shows."""

    page: str
    command: str
    output: str = ""


def read_blocks(page: Path) -> Iterator[list[Shown]]:
    """Yield the commands of each block of a page, in the order of the page."""
    for block in _BLOCK.findall(page.read_text()):
        shown: list[Shown] = []
        for line in block.splitlines():
            if line.startswith("$ "):
                shown.append(Shown(str(page.relative_to(CHECKOUT)), _COMMENT.sub("", line[2:])))
            elif shown:
                last = shown[-1]
                shown[-1] = Shown(last.page, last.command, f"{last.output}{line}\n")
        yield shown


def read_commands() -> list[Shown]:
    return [one for page in PAGES for block in read_blocks(page) for one in block]


@dataclass(frozen=True)
class Here:
    """tests/local/test_documented_commands.py runs it as it is shown: without a cluster, with its
    own folder of runs.
    """


@dataclass(frozen=True)
class By:
    """Another test or script runs it. `words` must occur in that file, so that a change of either
    is noticed.
    """

    file: str
    words: str


@dataclass(frozen=True)
class Not:
    """Nothing runs it; the reason says why."""

    reason: str


HERE = Here()
README_TEST = By("tests/e2e/test_samples.py", "async def test_the_readmes_five_minutes")
INSTALLED = By("tests/support/install.py", 'yaml.safe_load_all(kubectl("kustomize", str(top)))')
LAPTOP = By(
    "tests/e2e/test_published_command_line.py", '"POLYAXON_SSL_CA_CERT": str(self.home / "ca.crt")'
)
AUTHORITY = By(
    "tests/integration/test_api_tls.py",
    '"patch", "secret", "-n", "default", SECRET, "--type=merge"',
)
STORE_COPY = By("tests/unit/store/test_copying.py", "def test_the_command_copies_through_pipes")
LOCAL_FILES = By("tests/cli/test_artifacts.py", "def test_the_lines_of_the_page_of_commands")
CHANGES = "it changes files of the checkout, which other tests read at the same time"
REGISTRY = (
    "it needs a registry; that each part fits is tested by tests/unit/test_manifests.py and "
    "tests/local/test_release.py"
)

COMMANDS: dict[str, Here | By | Not] = {
    # commands without a cluster
    "opstrand run --local -f docs/examples/train.yaml -P rate=0.5 -l": HERE,
    "opstrand run --local -f docs/examples/train.yaml": HERE,
    "opstrand run --local -f docs/examples/report.yaml -l": HERE,
    "opstrand get report --local --explain": HERE,
    "opstrand lineage report --local --up": HERE,
    "opstrand metrics slow fast --local": By(
        "tests/local/test_metrics.py", '"metrics", "slow", "fast", "--local"'
    ),
    "opstrand metrics slow fast --local --metric loss --sample 2 -o json": By(
        "tests/local/test_metrics.py",
        '"metrics", "slow", "fast", "--local", "--metric", "loss", "--sample", "2"',
    ),
    "opstrand ls --local": HERE,
    "opstrand wait report --local": HERE,
    "opstrand rm -y report --local": HERE,
    "opstrand check docs/examples/*.yaml": HERE,
    "opstrand explain run.container": HERE,
    "opstrand render -f docs/examples/train.yaml": HERE,
    "opstrand run --local docs/examples/train.yaml -P rate=0.25": HERE,
    "opstrand run --local docs/examples/report.yaml -P loss=@train.outputs.loss -l": HERE,
    "opstrand restart --local @latest -l": HERE,
    "opstrand run --local python:3.12 -l -- python3 -c 'print(1 + 1)'": HERE,
    "opstrand run --dry-run docs/examples/train.yaml -o yaml": HERE,
    "opstrand ls --local --since 1h": HERE,
    "opstrand get --local @latest -o jsonpath={.status.phase}": HERE,
    "opstrand rm --local --completed -y": HERE,
    "opstrand run --local docs/examples/train.yaml --name slow -P rate=0.1": HERE,
    "opstrand run --local docs/examples/train.yaml --name fast -P rate=0.5": HERE,
    'opstrand logs --local slow fast --grep "step 2"': HERE,
    "opstrand diff --local slow fast || true": HERE,
    "opstrand cp --local fast:. .": By("tests/cli/test_run_content.py", '"two:", "."'),
    "opstrand get --local slow fast -o wide": HERE,
    "opstrand artifacts ls --local fast": LOCAL_FILES,
    "opstrand artifacts get --local fast outputs": LOCAL_FILES,
    "opstrand artifacts get --local fast outputs --archive": LOCAL_FILES,
    "opstrand artifacts put --local fast notes.txt reports/": LOCAL_FILES,
    "opstrand artifacts rm --local fast reports -y": LOCAL_FILES,
    "python3 -m venv env && . env/bin/activate && pip install '.[cli]'": By(
        "tests/cli/test_install.py", '_install(installed, "pip", "[cli]")'
    ),
    "opstrand init train": By("tests/cli/test_first_steps.py", 'cli("init", kind)'),
    "opstrand check train.yaml": By(
        "tests/cli/test_first_steps.py", 'cli("check", f"{kind}.yaml")'
    ),
    "opstrand run --local train.yaml -l": By(
        "tests/cli/test_first_steps.py", "def test_a_first_file_runs_by_the_line_that_is_shown"
    ),
    "opstrand ui --local": By("tests/pages/test_local_ui.py", '"ui", "--local"'),
    "make demo": HERE,
    # commands in a cluster
    "opstrand ui": By("tests/integration/test_aggregated.py", "create_cluster_app(door, session)"),
    "opstrand run -f docs/examples/train.yaml --name train -l": By(
        "tests/e2e/test_samples.py", "async def test_the_examples_run_in_a_cluster_too"
    ),
    "polyaxon run -p team -f docs/examples/train.yaml -l": By(
        "tests/e2e/test_published_command_line.py", 'editor.polyaxon("run", "-f"'
    ),
    "kubectl apply -f manifests/samples/echo-client.yaml": By(
        "tests/e2e/test_samples.py", '"apply", "-R", "-f", str(FOLDER)'
    ),
    "kubectl apply -f manifests/samples/service.yaml": By(
        "tests/e2e/test_samples.py", '"apply", "-R", "-f", str(FOLDER)'
    ),
    "kubectl apply -f manifests/samples/learning-rate.yaml": By(
        "tests/e2e/test_samples.py", '"apply", "-R", "-f", str(FOLDER)'
    ),
    "kubectl apply -f manifests/samples/nightly.yaml": By(
        "tests/e2e/test_samples.py", '"apply", "-R", "-f", str(FOLDER)'
    ),
    **{
        f"opstrand {command} nightly": By(
            "tests/integration/test_schedule_commands.py", f'"{command}", "nightly"'
        )
        for command in ("get", "suspend", "resume")
    },
    "opstrand get web": By("tests/e2e/test_services.py", '"get", "web"'),
    "opstrand port-forward web": By("tests/e2e/test_services.py", '"port-forward", "web"'),
    "kubectl apply -f train.yaml": README_TEST,
    "kubectl wait --for=condition=Finished operation --all --timeout=5m": README_TEST,
    "kubectl get operations": README_TEST,
    "opstrand get print-loss --explain": README_TEST,
    "opstrand lineage print-loss --up": README_TEST,
    "opstrand logs print-loss": README_TEST,
    "kubectl create token ACCOUNT --audience opstrand": By(
        "tests/e2e/conftest.py", '"create", "token", "default", "--audience"'
    ),
    # commands of the checkout
    "make install": By(".github/workflows/test.yaml", "make install"),
    "make check": By("Makefile", "test: check install published"),
    "make test": By(".ci/run", "make test"),
    "make test-fast": By(".github/workflows/test.yaml", "make test-fast"),
    "make coverage": By(".github/workflows/test.yaml", "make coverage"),
    "make cluster": By(".ci/run", "make browser programs cluster"),
    "make cluster-down": By(".github/workflows/test.yaml", "python -m tests.cluster down"),
    "make demo-cluster": Not(
        "its parts are run by .ci/run (cluster), tests/support/install.py and "
        "tests/e2e/test_echo.py"
    ),
    "make format": Not(CHANGES),
    "make golden": Not(f"{CHANGES}; tests/golden compares what it would write"),
    "make crds": Not(f"{CHANGES}; `make check` compares what it would write"),
    "make lock": Not("it resolves the newest packages, which is a change of its own"),
    "make release VERSION=X.Y.Z": By("tests/local/test_release.py", '"release", f"VERSION={NEXT}"'),
    "make release VERSION=X.Y.Z IMAGE=REGISTRY/opstrand PUBLISH=1": By(
        "tests/local/test_release.py", "release.publish(released(clone))"
    ),
    ".venv/bin/python -m pytest -q tests/integration/test_waiting.py": By(
        "tests/run.py", '"-m", "pytest", "-q"'
    ),
    "kubectl apply --server-side -f crds/operation.yaml -f crds/component.yaml": By(
        "tests/integration/conftest.py", '"apply", "--server-side", "-f"'
    ),
    "KUBECONFIG=FILE OPSTRAND_HEALTH_PORT=0 .venv/bin/python -m opstrand.handlers": By(
        "tests/support/operator_process.py", '[sys.executable, "-m", self._module]'
    ),
    # commands of an installation
    "docker build -t REGISTRY/opstrand:TAG . && docker push REGISTRY/opstrand:TAG": Not(REGISTRY),
    "(cd manifests && kustomize edit set image localhost/opstrand=REGISTRY/opstrand:TAG)": Not(
        "kustomize edit writes the `images:` that tools/release.py writes; "
        "tests/local/test_release.py checks what comes of it"
    ),
    "kubectl apply -k manifests/": INSTALLED,
    "pip install '.[cli]' && opstrand doctor": By(
        "tests/cli/test_install.py", 'installed.run("bash", "-c", lines[0])'
    ),
    "python -m opstrand.api.certificates | kubectl apply -f -": By(
        "tests/unit/api/test_tls.py", "def test_the_secret_has_what_the_manifests_mount"
    ),
    "kubectl -n opstrand get configmap opstrand-api-ca -o jsonpath='{.data.ca\\.crt}' > ca.crt": By(
        "tests/e2e/conftest.py", '"get", "configmap", "opstrand-api-ca"'
    ),
    "kubectl -n opstrand port-forward service/opstrand-api 8000 &": By(
        "tests/e2e/conftest.py", '"port-forward", "service/opstrand-api"'
    ),
    "export POLYAXON_HOST=https://localhost:8000 POLYAXON_SSL_CA_CERT=$PWD/ca.crt": LAPTOP,
    "export POLYAXON_AUTH_TOKEN=$(kubectl create token ACCOUNT)": LAPTOP,
    "kubectl -n opstrand patch secret opstrand-api-own-tls --type=merge "
    "-p '{\"data\":null}'": AUTHORITY,
    "kubectl -n opstrand exec deployment/opstrand-api -- "
    "python3 -m opstrand.store backup > runs.jsonl.gz": STORE_COPY,
    "kubectl -n opstrand exec -i deployment/opstrand-api -- "
    "python3 -m opstrand.store restore < runs.jsonl.gz": STORE_COPY,
    "(cd manifests && kustomize edit add component aggregated) && kubectl apply -k manifests/": By(
        "tests/e2e/test_aggregated.py", 'install("aggregated")'
    ),
    "kubectl delete apiservice v1alpha1.runs.opstrand.dev": By(
        "tests/e2e/test_aggregated.py", '"delete", "apiservice", API_SERVICE'
    ),
    "kubectl get runs.runs.opstrand.dev -n PROJECT": By(
        "tests/integration/test_aggregated.py", '"get", "runs.runs.opstrand.dev", "-n", PROJECT'
    ),
    "kubectl get --raw /apis/runs.opstrand.dev/v1alpha1/namespaces/PROJECT/runs/RUN/log": By(
        "tests/integration/test_aggregated.py", '"get", "--raw", f"{RUNS}/{name}/log"'
    ),
    "kubectl get --raw "
    "/apis/runs.opstrand.dev/v1alpha1/namespaces/PROJECT/runs/RUN/artifacts/PATH": By(
        "tests/integration/test_aggregated.py",
        '"get", "--raw", f"{RUNS}/echo/artifacts/a/model.txt"',
    ),
    "opstrand ls --all": By("tests/integration/test_gone_runs.py", '"ls", "--all")'),
    "(cd manifests && kustomize edit add component plain-http)": By(
        "tests/unit/test_manifests.py", "plain-http"
    ),
    "(cd manifests && kustomize edit add component without-data)": By(
        "tests/unit/test_manifests.py", "without-data"
    ),
}
