"""Property-based tests: the same examples in every run, and few enough for every test run."""

from hypothesis import HealthCheck, settings

repeatable = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
