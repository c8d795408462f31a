"""What every tier shares: laws are drawn the same way each time, and without a clock, on machines that are slow and noisy."""

from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")
