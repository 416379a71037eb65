"""The kind of job that tests count with."""

from tests.jobs.working import counting, one_connection

__all__ = ["counting", "one_connection"]
