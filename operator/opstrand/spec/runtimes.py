"""`run`: the kinds of runtimes and the choice between them.

Owns the list of kinds. Kinds are imported when a file has one, so that a job never loads the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from opstrand.spec.section import ByKind, Section


@cache
def runtimes() -> Mapping[str, type[Section]]:
    """Kind -> section of every runtime of the format."""
    from opstrand.spec.dag import Dag
    from opstrand.spec.distributed import DaskCluster, MPIJob, PytorchJob, RayCluster, TFJob
    from opstrand.spec.job import Job
    from opstrand.spec.service import Service

    return {
        "job": Job,
        "service": Service,
        "dag": Dag,
        "mpijob": MPIJob,
        "tfjob": TFJob,
        "pytorchjob": PytorchJob,
        "raycluster": RayCluster,
        "daskcluster": DaskCluster,
    }


RUNTIME = ByKind("runtime", runtimes)
