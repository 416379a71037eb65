"""How jobs are shown, on their own pages and in the fly-out of every page."""

from __future__ import annotations

from django.utils.html import format_html
from django.utils.safestring import SafeString

from jobs.models import Job, JobState

_PILLS = {
    JobState.WAITING: ("configuring", "◔"),
    JobState.RUNNING: ("configuring", "▶"),
    JobState.CANCELLING: ("configuring", "■"),
    JobState.CANCELLED: ("disconnected", "■"),
    JobState.DONE: ("connected", "✔"),
    JobState.FAILED: ("error", "✖"),
}


def job_pill(job: Job) -> SafeString:
    """The state as text and sign."""
    state = JobState(job.state)
    look, sign = _PILLS[state]
    return format_html('<span class="pill pill-{}">{} {}</span>', look, sign, state.label)
