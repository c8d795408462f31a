"""`python3 -m tests.cluster`: the commands.

Owns arguments, exit codes and what is printed at the end.
"""

from __future__ import annotations

import argparse
import sys

from tests.cluster import programs, smoke
from tests.cluster.browser import ensure_browser
from tests.cluster.cluster import FACTS, read_cluster, state_folder
from tests.cluster.console import Failure, say
from tests.cluster.providers import Provider, choose_provider


def main() -> int:
    arguments = parse_arguments()
    try:
        return int(arguments.command(arguments) or 0)
    except (Failure, OSError) as failure:
        print(f"error: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the next `up` or `down` cleans up", file=sys.stderr)
        return 130


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.cluster", description="A Kubernetes to test against."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add = commands.add_parser
    add("up", help="bring the cluster up, or refresh the images of one that is up").set_defaults(
        command=up
    )
    add("down", help="stop it and clean up; its logs stay").set_defaults(command=down)
    status = add("status", help="what is up, and whether it is well (exit code 1 if not)")
    status.add_argument("--smoke", action="store_true", help="run Pods that try what tests rely on")
    status.set_defaults(command=show_status)
    images = add("images", help="build and push the images whose content changed")
    images.add_argument(
        "--all", action="store_true", help="also those that are only built on request"
    )
    images.set_defaults(command=build_images)
    add("programs", help="build the programs, start nothing").set_defaults(command=build_programs)
    add("browser", help="install Chromium for the tests of the pages").set_defaults(
        command=install_browser
    )
    return parser.parse_args()


def install_browser(_: argparse.Namespace) -> None:
    ensure_browser()


def up(_: argparse.Namespace) -> None:
    cluster = choose_provider().up()
    say(
        f"Kubernetes {cluster.version} ({cluster.provider}); Pods reach this machine at "
        f"{cluster.host_address}"
    )
    say(f"export KUBECONFIG={cluster.kubeconfig}")


def down(_: argparse.Namespace) -> None:
    """Stop the cluster by the provider that started it, whatever this machine would choose
    today.
    """
    name = read_cluster().provider if (state_folder() / FACTS).exists() else None
    choose_provider(name).down()


def show_status(arguments: argparse.Namespace) -> int:
    cluster = read_cluster()
    provider: Provider = choose_provider(cluster.provider)
    problems = provider.problems()
    for name, value in vars(cluster).items():
        say(f"{name.replace('_', ' '):14} {value}")
    say(f"{'health':14} {'; '.join(problems) or 'well'}")
    say(f"{'logs':14} {state_folder() / 'logs'}{provider.logs_hint}")
    if arguments.smoke and not problems:
        smoke.run_smoke(cluster)
    return 1 if problems else 0


def build_images(arguments: argparse.Namespace) -> None:
    choose_provider().build_images(everything=arguments.all)


def build_programs(_: argparse.Namespace) -> None:
    choose_provider().build_programs()
    say(f"programs are in {programs.program('kubelet').parent.parent}")


if __name__ == "__main__":
    sys.exit(main())
