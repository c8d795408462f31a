"""What every tier shares: laws are drawn the same way each time, and without a clock, on machines that are slow and noisy; and signals mean
what they mean, whoever started the tests."""

import signal

from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# A job in the background or under nohup begins with these ignored, and so would every process that a test interrupts. A handler that does
# nothing ignores them here, and is not handed on.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda *_: None)
