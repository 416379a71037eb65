"""The settings of jobs, read for `opamp_platform.settings`."""

from __future__ import annotations

from typing import Any

from opamp_platform.environment import Environment

# Ours first: its `db_worker` serves all queues.
JOB_APPS = ("jobs", "django_tasks", "django_tasks_db")
TASKS: dict[str, Any] = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend", "QUEUES": ["default", "outgoing"]}}


def job_options(env: Environment) -> tuple[bool, int, int, int]:
    """Whether `serve` works on jobs itself, for how many days ended ones are kept (0: for ever); hours and bytes of their files."""
    return (
        env.flag("JOBS_WORKER", default=True),
        env.integer("JOBS_KEPT_DAYS", 30, most=36_500),
        env.integer("JOB_FILES_KEPT_HOURS", 72, least=1, most=24 * 365),
        env.size("JOB_FILE_MAX_SIZE", 1024**3, least=1024),
    )
