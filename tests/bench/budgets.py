"""The budgets that we promise, and whether this run kept them. Must not measure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tests.bench.figures import render_table, show


@dataclass(frozen=True)
class Budget:
    """`figure` is a key of the results, which must be `limit` at most (`at_most`) or else at
    least.
    """

    what: str
    figure: str
    limit: float
    unit: str = ""
    at_most: bool = True
    digits: int = 1

    def is_kept(self, value: float) -> bool:
        return value <= self.limit if self.at_most else value >= self.limit


BUDGETS = (
    Budget("runs/s, of the bare loop's", "rate_ratio", 0.75, at_most=False, digits=2),
    Budget("runs/s, of plain Jobs'", "rate_of_jobs", 1, at_most=False, digits=2),
    Budget("wall, of the smallest loop's", "wall_of_smallest", 1.7, digits=2),
    Budget("API server CPU, of the smallest loop's", "server_of_smallest", 1.8, digits=2),
    Budget("etcd traffic per run", "etcd_kib", 20, "KiB"),
    Budget("operator CPU per run", "cpu_ms", 12, "ms"),
    Budget("create to Pod at 5 runs/s, p50", "pod_p50", 25, "ms"),
    Budget("create to Pod, of the smallest loop's", "pod_of_smallest", 1.4, digits=2),
    Budget("Pod done to final, p50", "final_p50", 25, "ms"),
    Budget("A to B hop, one chain at a time, p50", "hop_p50", 40, "ms"),
    Budget("A to B hop, 30 chains at once, of the bare loop's", "crowd_ratio", 1.5, digits=2),
    Budget(
        "runs/s of one pipeline, of the bare loop's", "fan_out_ratio", 0.8, at_most=False, digits=2
    ),
    Budget("hop in a pipeline, one chain, of the bare loop's", "chain_hop_ratio", 1.5, digits=2),
    Budget("hop in a pipeline, 30 chains, of the bare loop's", "chains_hop_ratio", 2, digits=2),
    Budget("start to first Pod, 5,000 finished runs present", "restart_5000", 2.5, "s"),
    Budget("start to first Pod, 10,000 finished runs present", "restart_10000", 6, "s"),
    Budget("RSS with 1,000 live runs", "live_rss", 130, "MiB"),
    Budget("import opstrand.client, CPU", "client_import_ms", 50, "ms"),
    Budget("import opstrand.client, resident", "client_import_mib", 25, "MiB"),
    Budget("opstrand --help, CPU", "help_ms", 120, "ms"),
    Budget("parse, compile, resolve, render the echo", "run_to_pod_ms", 1.2, "ms", digits=2),
    Budget("check of the echo, times faster than published", "check_ratio", 4, at_most=False),
    Budget(
        "read, compile, resolve, times faster than published",
        "resolve_file_ratio",
        4,
        at_most=False,
    ),
    Budget("check of a pipeline of 500 operations", "check_dag_ms", 1000, "ms", digits=0),
    Budget("decide on a pipeline of 2,000 operations", "decide_dag_ms", 50, "ms"),
    Budget("resolve 10,000 params", "resolve_params_ms", 1000, "ms", digits=0),
)


def render_budgets(figures: Mapping[str, float]) -> str:
    """Return one line per budget; budgets that this run did not measure are left out."""
    rows = []
    for one in BUDGETS:
        value = figures.get(one.figure, math.nan)
        if not math.isnan(value):
            bound = f"{'at most' if one.at_most else 'at least'} {one.limit:,g} {one.unit}".strip()
            rows.append(
                [
                    one.what,
                    f"{show(value, one.digits)} {one.unit}".strip(),
                    bound,
                    "yes" if one.is_kept(value) else "NO",
                ]
            )
    return render_table(["budget", "measured", "promised", "kept"], rows)
