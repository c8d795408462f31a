"""What every tier shares: hypothesis draws the same examples each time and without a clock, the
garbage collector leaves the collected tests alone, and signals have their default meaning, however
the tests were started.
"""

import gc
import signal

import pytest
from hypothesis import HealthCheck, settings

#: `make test-fast` takes the quick profile; `make test`, and with it CI, the steady one. See
#: `tests.support.examples`.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("steady"), max_examples=15)
settings.load_profile("steady")

# A job in the background or under nohup begins with these ignored, and so would every process that
# a test interrupts. A handler that does nothing ignores them here, and is not handed on.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """Thousands of collected tests live until the end: each full collection would walk through all
    of them, a tenth of the whole time.
    """
    gc.collect()
    gc.freeze()
