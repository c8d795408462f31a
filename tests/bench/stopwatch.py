"""Times a call, in this project's Python and in the published package's alike: imports the standard
library only.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable


def milliseconds(work: Callable[[], object], *, batch: int = 10, batches: int = 7) -> float:
    """Return the CPU milliseconds of one call, the median of the batches; a first call warms up
    uncounted.
    """
    work()
    spent = []
    for _ in range(batches):
        began = time.process_time()
        for _ in range(batch):
            work()
        spent.append((time.process_time() - began) / batch)
    return 1000 * statistics.median(spent)
