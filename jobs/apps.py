"""The jobs app: work that outlasts a request, in slices, with progress, cancelling and results."""

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    """Stands on accounts, and knows none of the things that jobs work on."""

    name = "jobs"
    verbose_name = _("Jobs")

    def ready(self) -> None:
        from foundation.chores import Chore, register_chore
        from foundation.navigation import Task, place_lists
        from jobs import job_worker, live_topics
        from jobs.services import job_files, rescuing

        place_lists(Task.AGENTS, "jobs.job", last=True)
        live_topics.register()
        register_chore(Chore("lost jobs", rescuing.RESCUE_SECONDS, rescuing.rescue_jobs))
        register_chore(Chore("files of jobs", job_files.CLEAR_SECONDS, job_files.clear_files, apart=True))
        register_chore(Chore("lost files of jobs", job_files.SWEEP_SECONDS, job_files.sweep_store, apart=True))
        if settings.JOBS_WORKER:
            register_chore(Chore("jobs", job_worker.IDLE_SECONDS, job_worker.work_once, apart=True))
            for number in range(job_worker.OUTGOING_THREADS):
                name = f"outgoing jobs {number + 1}"
                register_chore(Chore(name, job_worker.IDLE_SECONDS, job_worker.call_out_once, of_its_own=True))
